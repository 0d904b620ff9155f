"""Regions of labelled photographs, enlarged, as what a rescoring head learns from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from alignment_batches import Sentences
from colour_tower import ColourTower
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.rescoring_head import LAYOUT
from perception_contrast_training.config.rescoring_recipe import RescoringBatchSettings
from perception_contrast_training.household.mixed_batches import MixedBatchMaker
from perception_contrast_training.household.rescoring.enlarged_regions import EnlargedRegions
from perception_contrast_training.household.rescoring.photo_region_batches import PhotoRegionBatchMaker
from perception_contrast_training.household.rescoring.photo_regions import (
    PhotoRegionJob,
    PhotoThing,
    load_photo_regions,
    make_photo_regions,
)
from perception_contrast_training.household.rescoring.rescoring_losses import RescoringBatch, name_loss
from perception_contrast_training.household.sentences import SentenceBank
from perception_contrast_training.household.training_sets import open_training_sets
from perception_contrast_training.photographs.base import PhotoRegion, SetFacts
from perception_contrast_training.photographs.naming import Naming, Truth, load_naming

CHANNELS = 9
ROOMS = SetFacts("rooms", "free", frozenset({"sofa", "lamp", "chair", "table"}))
SHOP = SetFacts("shop", "free", frozenset({"apple", "banana"}), dense=False, rest_is_other=False)
SETTINGS = RescoringBatchSettings(things=32, phrases=40, pool=200, wordings=2)


@pytest.fixture(scope="module")
def naming() -> Naming:
    return load_naming()


@pytest.fixture
def sees_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr("perception_contrast.encoders.dinov2.load_dino", lambda *_, **__: ColourTower())
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    assert torch.get_num_threads() == threads


def labelled(folder: Path) -> Path:
    """A red chair, 16 pixels of another one, and a blue table."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    image = np.full((240, 320, 3), 128, np.uint8)
    labels = np.full((240, 320), 255, np.uint8)
    image[40:140, 30:90], labels[40:140, 30:90] = (255, 0, 0), 0
    labels[200:204, 200:204] = 0
    image[150:230, 200:300], labels[150:230, 200:300] = (0, 0, 255), 1
    cv2.imwrite(str(folder / "images" / "a.png"), image[..., ::-1])
    cv2.imwrite(str(folder / "labels" / "a.png"), labels)
    (folder / "classes.txt").write_text("chair\ntable\n")
    return folder


def job(source: Path, folder: Path, keys: tuple[str, ...], regions: int = 10) -> PhotoRegionJob:
    return PhotoRegionJob(folder, source, (), keys, regions, "any", (0, 1, 2), True)


@pytest.mark.usefixtures("sees_colours")
def test_a_shard_holds_each_piece_that_is_large_enough(tmp_path: Path) -> None:
    source = labelled(tmp_path / "home")
    keys = open_training_sets([str(source)], []).sets[source].keys
    found = load_photo_regions([make_photo_regions(job(source, tmp_path / "shard", keys))])
    names = [one.region.name for one in found.objects]
    assert sorted(names) == ["chair", "table"], "16 pixels are no chair"
    assert {one.facts.name for one in found.objects} == {"home"}
    views = found.views(torch.arange(2))
    for row, name in enumerate(names):
        own, other = (0, 2) if name == "chair" else (2, 0)
        assert views.inside[row, own] > 0.7 and views.inside[row, other] < 0.3
        true = 6000 if name == "chair" else 8000
        assert 0.2 * true / 76800 < found.shares[row] < 2.5 * true / 76800
    again = load_photo_regions([make_photo_regions(job(source, tmp_path / "again", keys))])
    assert torch.equal(again.views(torch.arange(2)).place, views.place), "the same photograph, the same views"
    few = load_photo_regions([make_photo_regions(job(source, tmp_path / "few", keys, regions=1))])
    assert len(few) == 1


@pytest.mark.usefixtures("sees_colours")
def test_a_thing_that_fills_its_photograph_is_as_small_as_in_a_room(tmp_path: Path) -> None:
    for kind, colour in (("apple", 10), ("banana", 200)):
        (tmp_path / "shop" / kind).mkdir(parents=True)
        for number in range(6):
            image = np.full((120, 160, 3), colour, np.uint8)
            cv2.imwrite(str(tmp_path / "shop" / kind / f"{number}.png"), image)
    source = tmp_path / "shop"
    keys = open_training_sets([str(source)], []).sets[source].keys
    found = load_photo_regions([make_photo_regions(job(source, tmp_path / "shard", keys))])
    assert sorted({one.region.name for one in found.objects}) == ["apple", "banana"] and len(found) == 12
    assert found.shares.max() < 0.25 and len(set(found.shares.round(4).tolist())) > 6


@pytest.mark.usefixtures("sees_colours")
def test_a_shard_of_photographs_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    source = labelled(tmp_path / "home")
    keys = open_training_sets([str(source)], []).sets[source].keys
    (source / "images" / "a.png").write_bytes(b"no image")
    with pytest.raises(PerceptionError, match="home"):
        make_photo_regions(job(source, tmp_path / "shard", keys))
    assert not (tmp_path / "shard").exists()


def regions(count: int = 80, seed: int = 0) -> EnlargedRegions[PhotoThing]:
    """Of two sets; tokens tell the name."""
    rng = np.random.default_rng(seed)
    kinds = [(name, facts) for facts in (ROOMS, SHOP) for name in sorted(facts.names)]
    chosen = [kinds[int(i)] for i in rng.integers(0, len(kinds), count)]
    means = {name: rng.normal(0, 1, CHANNELS) for name, _ in kinds}
    inside = np.stack([means[name] for name, _ in chosen]) + rng.normal(0, 0.1, (count, CHANNELS))
    made = {
        "inside": inside,
        "outside": rng.normal(0, 1, (count, CHANNELS)),
        "layout": rng.normal(0, 1, (count, LAYOUT, LAYOUT, CHANNELS)),
        "place": rng.uniform(0, 1, (count, LAYOUT, LAYOUT)),
        "colours": rng.normal(0, 0.3, (count, 6)),
        "form": np.stack([rng.uniform(-3, -0.5, count), rng.normal(0, 0.3, count)], axis=1),
    }
    halves: dict[str, NDArray[np.generic]] = {k: v.astype(np.float16) for k, v in made.items()}
    things = [PhotoThing(PhotoRegion(name), facts) for name, facts in chosen]
    return EnlargedRegions([{**halves, "scene": np.arange(count)}], things)


def maker(naming: Naming, seed: int = 3) -> PhotoRegionBatchMaker:
    return PhotoRegionBatchMaker(
        regions(), naming, SentenceBank(Sentences()), SETTINGS, np.random.default_rng(seed)
    )


def test_a_batch_keeps_what_is_unknown_apart_from_what_is_false(naming: Naming) -> None:
    drawer = maker(naming)
    batch = drawer.draw()
    assert batch.truth.shape == (SETTINGS.things, SETTINGS.phrases)
    assert set(batch.truth.unique().tolist()) == {-1, 0, 1}
    assert batch.open_names is not None
    for row, own in enumerate(batch.category.tolist()):
        name = drawer.names[own]
        assert not batch.open_names[row, own]
        for other, open_ in zip(drawer.names, batch.open_names[row].tolist(), strict=True):
            if naming.truth(name, other) != Truth.FALSE and other != name:
                assert open_, f"a {name} may be called {other}"
            # A photograph of an apple in a shop denies the shop's names alone.
            if name in SHOP.names and other in ROOMS.names:
                assert open_


def test_names_left_open_do_not_count() -> None:
    cosine = torch.tensor([[0.9, 0.8, -0.5], [0.1, 0.9, 0.0]])
    scale, category = torch.tensor(10.0), torch.tensor([0, 1])
    open_names = torch.tensor([[False, True], [False, False]])
    one = name_loss(cosine[:1], scale, category[:1], open_names[:1])
    without = name_loss(cosine[:1, [0, 2]], scale, torch.tensor([0]))
    assert one == pytest.approx(without.item())
    assert one < name_loss(cosine[:1], scale, category[:1])


def test_batches_of_rooms_and_photographs_take_turns(naming: Naming) -> None:
    photographs = maker(naming)

    class Rooms:
        rng = photographs.rng

        def draw(self) -> RescoringBatch:
            return replace(photographs.draw(), open_names=None)

    mixed = MixedBatchMaker(Rooms(), photographs, 0.6)
    drawn = [mixed.draw().open_names is not None for _ in range(60)]
    assert 0.35 < np.mean(drawn) < 0.85


def test_a_set_is_told_with_its_licence_and_counted(tmp_path: Path) -> None:
    source = labelled(tmp_path / "home")
    sets = open_training_sets([str(source)], [], ["home: MIT"])
    (told,) = json.loads(sets.learned_from)
    assert told["set"] == "home" and told["licence"] == "MIT" and told["photographs"] in (0, 1)
    with pytest.raises(PerceptionError, match="kitchen"):
        open_training_sets([str(source)], [], ["kitchen: MIT"])
    with pytest.raises(PerceptionError, match="MIT"):
        open_training_sets([str(source)], [], ["MIT"])
