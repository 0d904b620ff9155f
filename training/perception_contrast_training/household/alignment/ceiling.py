"""What a tower's features allow: how often a linear layer names a thing whose exact mask it is given.

No head on the same features can be expected to name much more; where this is low, another tower, larger
images or other scenes help, and longer training does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.evaluation.linear import linear_torch
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.household.scene_shards import Shard
from perception_contrast_training.household.words import SURFACES, Words

LEAST_CELLS = 3  # that are mostly the thing's
PURE = 0.6
SMALL, LARGE = 0.008, 0.03  # shares of the image, as in the tables of household scenes
STRENGTH = 0.01  # of the linear layer; see ``linear_torch``


@dataclass(frozen=True)
class Things:
    """vectors (n, c) float32: mean tokens and colours of each thing; names (n,): numbers; shares (n,): of the
    image."""

    vectors: NDArray[np.float32]
    names: NDArray[np.int64]
    shares: NDArray[np.float32]


def things_of(shards: Sequence[Shard], names: Sequence[str]) -> Things:
    """All things of ``names`` in shards whose exact mask covers some cells; no walls, floors, ceilings."""
    number = {name: n for n, name in enumerate(names) if name not in SURFACES}
    found = [one for shard in shards for i in range(len(shard.cls)) for one in _in_image(shard, i, number)]
    if not found:
        raise PerceptionError("no thing in these scenes is large enough to be named; render larger images")
    vectors, labels, shares = zip(*found, strict=True)
    return Things(np.stack(vectors), np.array(labels, np.int64), np.array(shares, np.float32))


def _in_image(
    shard: Shard, index: int, number: Mapping[str, int]
) -> list[tuple[NDArray[np.float32], int, float]]:
    tokens, colours = (np.asarray(part[index], np.float32) for part in (shard.tokens, shard.colours))
    cells, purity = np.asarray(shard.cells[index]), np.asarray(shard.purity[index], np.float32) / 255
    rows, columns, _ = tokens.shape
    up = cells.shape[0] // rows
    found = []
    for place, thing in enumerate(shard.objects[index]):
        mask = (cells == place + 1) * purity
        if thing.category not in number or (mask > PURE).sum() < LEAST_CELLS:
            continue
        weight = mask.reshape(rows, up, columns, up).sum(axis=(1, 3))
        seen = np.tensordot(weight, tokens, 2) / weight.sum()
        colour = np.tensordot(colours, mask, ([1, 2], [0, 1])) / mask.sum()
        share = float(mask.mean())
        vector = np.concatenate([seen, colour, [np.log(share)]]).astype(np.float32)
        found.append((vector, number[thing.category], share))
    return found


def ceiling(shards: Sequence[Shard], held_out: float = 0.1) -> dict[str, float]:
    """Share of things of the last shards that a linear layer, fitted to the others, names rightly.

    By size too: "small" under 0.8 % of the image, "large" from 3 %. "names": how many there are. Raises
    PerceptionError for fewer than two shards.
    """
    count = max(1, round(held_out * len(shards)))
    if len(shards) < 2:
        raise PerceptionError("one shard cannot be both learned from and asked about; render more images")
    names = [*Words().names]
    learned, asked = (
        things_of([*tracked(part, what, len(part))], names)
        for part, what in ((shards[:-count], "learned from"), (shards[-count:], "asked about"))
    )
    given = linear_torch(
        torch.from_numpy(learned.vectors),
        torch.from_numpy(learned.names),
        torch.from_numpy(asked.vectors),
        STRENGTH,
    ).numpy()
    right = given == asked.names
    groups = {
        "all": np.ones_like(right),
        "small": asked.shares < SMALL,
        "large": asked.shares >= LARGE,
    }
    found = {name: float(right[group].mean()) for name, group in groups.items() if group.any()}
    return {**found, "things": float(len(right)), "names": float(len(names))}
