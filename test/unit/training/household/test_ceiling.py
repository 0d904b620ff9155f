"""The ceiling of a tower's features, on features that say all, and that say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from perception_contrast.core.errors import PerceptionError
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_training.household.alignment.ceiling import ceiling, things_of
from perception_contrast_training.household.scene_shards import Shard
from perception_contrast_training.household.words import Words

NAMES = ("mug", "chair", "banana", "bottle")


def shards(seed: int, telling: float, count: int = 4, images: int = 12) -> list[Shard]:
    """Images of a small and a large thing; tokens are noise and, times ``telling``, which thing it is."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(0).normal(size=(len(NAMES), 24))
    made = []
    for _ in range(count):
        tokens = rng.normal(size=(images, 8, 8, 24))
        cells = np.zeros((images, 16, 16), np.uint8)
        objects = []
        for image in range(images):
            chosen = rng.integers(0, len(NAMES), 2)
            places = ((slice(0, 1), slice(0, 2)), (slice(2, 8), slice(2, 8)))
            for place, (which, (rows, columns)) in enumerate(zip(chosen, places, strict=True)):
                tokens[image, rows, columns] += telling * directions[which]
                fine = tuple(slice(2 * part.start, 2 * part.stop) for part in (rows, columns))
                cells[image][fine] = place + 1
            objects.append([SceneObject(k, NAMES[which], "red", "wood") for k, which in enumerate(chosen)])
        purity = np.full(cells.shape, 255, np.uint8)
        colours = np.zeros((images, 6, 16, 16), np.float16)
        cls = np.zeros((images, 24), np.float16)
        made.append(Shard(tokens.astype(np.float16), cls, colours, cells, purity, objects))
    return made


def test_what_features_tell_is_named_and_what_they_do_not_is_not() -> None:
    assert set(NAMES) <= set(Words().names)
    told = ceiling(shards(1, 3.0), held_out=0.25)
    assert told["all"] > 0.95 and told["things"] == 24 and told["names"] == len(Words().names)
    assert ceiling(shards(2, 0.0), held_out=0.25)["all"] < 0.6


def test_the_mean_is_of_the_exact_mask() -> None:
    first = shards(3, 1.0, count=1)[0]
    found = things_of([first], list(NAMES))
    rows = np.asarray(first.tokens[0], np.float64)
    assert np.allclose(found.vectors[0, :24], rows[:1, :2].mean((0, 1)), atol=1e-3)
    assert np.allclose(found.vectors[1, :24], rows[2:8, 2:8].mean((0, 1)), atol=1e-3)
    assert np.allclose(found.shares[:2], [8 / 256, 144 / 256])
    assert found.names[0] == NAMES.index(first.objects[0][0].category)


def test_too_little_is_refused() -> None:
    with pytest.raises(PerceptionError, match="render more"):
        ceiling(shards(1, 1.0, count=1))
    with pytest.raises(PerceptionError, match="large enough"):
        things_of(shards(1, 1.0, count=1), ["unicorn"])
