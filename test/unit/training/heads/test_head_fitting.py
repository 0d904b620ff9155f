"""Heads learn coloured squares in seconds, and pycocotools agrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from square_grids import DIM, SIDE, samples, squares

from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.heads.head_card import HeadCard, HeadSettings
from perception_contrast.heads.head_files import Head
from perception_contrast.heads.head_runner import HeadRunner
from perception_contrast_training.evaluation.figures import placed
from perception_contrast_training.evaluation.readers.types import Thing
from perception_contrast_training.heads.box_figures import BoxFigures, Report
from perception_contrast_training.heads.fitting import FitSettings, fit_dense

NAMES = ("red", "blue")
SPACE = "squares@000000000000"
pytest.importorskip("pycocotools")


def _card(task: str, *, outlines: bool = True) -> HeadCard:
    return HeadCard(
        task=task,  # type: ignore[arg-type]
        classes=NAMES,
        space=SPACE,
        dim=DIM,
        short_side=160,
        settings=HeadSettings(width=32, blocks=1, enlargement=2),
        facts={"outlines": outlines},
    )


def _grid(values: torch.Tensor) -> FeatureGrid:
    size = (160, 160)
    return FeatureGrid(values.numpy(), "squares", SPACE, GridToImage.of_resize(size, (SIDE, SIDE)), size)


@pytest.mark.parametrize("outlines", [True, False])
def test_detection_of_squares(outlines: bool) -> None:
    card = _card("detection", outlines=outlines)
    frames = samples(squares(40, 0, outlines=outlines), 2)
    network = fit_dense(card, frames, FitSettings(steps=200, window=(16, 16), dropout=0.0), "cpu", None)
    runner = HeadRunner(Head("squares", card, network))
    figures = BoxFigures(NAMES, 0.3)
    overlap = []
    for labels, values in squares(20, 1):
        found = runner(_grid(values), None, None, np.full(2, 0.05, np.float32)).detections
        assert labels.labels is not None
        things = []
        for box, number in zip((labels.boxes * 160).round().int().tolist(), labels.numbers, strict=True):
            mask = np.zeros((160, 160), bool)
            mask[box[1] : box[3], box[0] : box[2]] = True
            things.append(Thing((NAMES[int(number)],), mask))
        figures.add(
            (160, 160),
            things,
            [Report(d.label, d.box, d.scores.probability, placed(d, (160, 160))) for d in found],
        )
        best = max(found, key=lambda one: one.scores.probability)
        shown = placed(best, (160, 160))
        overlap.append(max((shown & t.mask).sum() / (shown | t.mask).sum() for t in things))
    assert figures.mean().ap50 > 0.85
    assert np.mean(overlap) > 0.7


def test_segmentation_of_squares() -> None:
    card = _card("segmentation")
    network = fit_dense(
        card, samples(squares(30, 0), 2), FitSettings(steps=100, window=(16, 16), dropout=0.0), "cpu", None
    )
    runner = HeadRunner(Head("squares", card, network))
    right = []
    for labels, values in squares(10, 1):
        said = runner(_grid(values))
        assert said.labelled is not None and labels.labels is not None
        truth = np.where(labels.labels == len(NAMES), -1, labels.labels)
        right.append((said.labelled == truth).mean())
        assert {one.label for one in said.detections} <= set(NAMES)
    assert np.mean(right) > 0.93


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_a_head_begins_with_what_the_names_of_its_classes_find(task: str) -> None:
    card = replace(_card(task), settings=HeadSettings(width=32, blocks=1, enlargement=2, named=True))
    frames = squares(4, 0)
    texts = torch.nn.functional.normalize(torch.eye(2, DIM)[:, : DIM - 1], dim=1)
    settings = FitSettings(steps=1, window=(16, 16), dropout=0.0, learning_rate=1e-9)
    network = fit_dense(card, samples(frames, 2), settings, "cpu", None, texts)
    grid = frames[0][1]
    said = network(grid[None].float())
    scores = said.classes[0].T if task == "detection" else said[0, :2].flatten(1)
    cosines = grid.float().reshape(-1, DIM)[:, :2].T.reshape(2, *grid.shape[:2])
    cosines = cosines.repeat_interleave(2, 1).repeat_interleave(2, 2).flatten(1)
    for own, cosine in zip(scores.detach(), cosines, strict=True):
        assert np.corrcoef(own, cosine)[0, 1] > 0.95


def test_two_fits_of_one_seed_are_one() -> None:
    frames = samples(squares(6, 0), 2)
    fit = FitSettings(steps=5, batch=2, window=(16, 16), seed=3)
    first, second = (fit_dense(_card("detection"), frames, fit, "cpu", None) for _ in range(2))
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)
