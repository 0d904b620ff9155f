"""Figures on labelled photographs, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from perception_contrast.core.detection import Detection, Scores
from perception_contrast_training.evaluation.metrics.photographs import PhotoFigures, PhotoTruth
from perception_contrast_training.photographs.base import (
    LabelledPhoto,
    PhotoRegion,
    SetFacts,
    TruthTable,
)
from perception_contrast_training.photographs.naming import Truth, load_naming

NAMES = ("chair", "cloud", "lamp", "sofa", "wall")
SIZE = (20, 40)
FACTS = SetFacts("set", "free", frozenset({"chair", "lamp", "sofa", "wall"}))


def truth() -> PhotoTruth:
    """A lamp on the left, a wall on the right, and between them a strip without a label."""
    numbers = np.zeros(SIZE, np.uint8)
    numbers[:, :10], numbers[:, 12:] = 1, 2
    photo = LabelledPhoto(
        "a", np.zeros((*SIZE, 3), np.uint8), numbers, (PhotoRegion("lamp", True), PhotoRegion("wall")), FACTS
    )
    table = TruthTable(load_naming(), FACTS)
    return PhotoTruth(photo, table.of_regions(photo.regions, NAMES), table.in_photo(photo, NAMES))


def detection(label: str, columns: tuple[int, int], probability: float) -> Detection:
    width = columns[1] - columns[0]
    mask = np.ones((SIZE[0], width), bool)
    scores = Scores(0.2, 0.5, probability)
    return Detection(
        label, scores, (columns[0], 0, columns[1], SIZE[0]), mask, np.zeros(4, np.float32), "s@1"
    )


def test_of_a_word_that_the_set_does_not_name_nothing_counts() -> None:
    figures = PhotoFigures(NAMES, published=0.5)
    figures.add_detections(truth(), [detection("cloud", (0, 40), 0.99)])
    found = figures.figures()
    assert np.isnan(found["precision"]) and found["false_names_per_image"] == 0


def test_precision_recall_and_presence_at_the_default_threshold() -> None:
    figures = PhotoFigures(NAMES, published=0.5)
    figures.add_detections(
        truth(),
        [
            detection("lamp", (0, 10), 0.9),  # right
            detection("sofa", (15, 35), 0.7),  # a wall is no sofa
            detection("chair", (0, 10), 0.4),  # below the threshold
            detection("wall", (0, 9), 0.6),  # wrong place
        ],
    )
    found = figures.figures()
    assert found["precision"] == pytest.approx(1 / 3)
    assert found["recall"] == pytest.approx(1 / 2)  # the lamp, not the wall
    assert found["false_names_per_image"] == 1  # sofa; the chair is below the threshold
    assert found["ap50"] == pytest.approx((1.0 + 0.0) / 2)


def test_names_that_the_model_never_learned_are_told_apart() -> None:
    one, found = truth(), []
    logits = np.stack([np.where(one.pixels(n) == Truth.TRUE, 3.0, -3.0) for n in range(len(NAMES))])
    logits[NAMES.index("wall"), :, 30:] = -3.0
    # The lamp's region is most like a sofa, the wall's most like a wall.
    cosines = np.array([[0.0, 0.0, 0.1, 0.2, 0.0], [0.0, 0.0, 0.0, 0.0, 0.3]], np.float32)
    for learned in (None, frozenset(NAMES), frozenset({"lamp"}), frozenset({"wall"})):
        figures = PhotoFigures(NAMES, published=0.5, learned=learned)
        figures.add_pixels(one, logits.astype(np.float32), 0.0)
        figures.add_names(one, cosines)
        found.append(figures.figures())
    assert [each["new_names"] for each in found] == [0, 0, 1, 1]
    assert np.isnan(found[0]["new_present_iou"]) and np.isnan(found[1]["new_region_naming"])
    assert (
        found[2]["new_present_iou"] == pytest.approx(18 / 28, abs=0.01) and found[2]["new_region_naming"] == 1
    )
    assert found[3]["new_present_iou"] == 1.0 and found[3]["new_region_naming"] == 0


def test_overlap_of_present_names_leaves_out_unknown_pixels() -> None:
    figures = PhotoFigures(NAMES, published=0.5)
    logits = np.full((len(NAMES), *SIZE), -5.0, np.float32)
    logits[NAMES.index("lamp"), :, :20] = 5.0  # the lamp, the strip, and as much of the wall as 8 columns
    logits[NAMES.index("wall"), :, 12:] = 4.0
    figures.add_pixels(truth(), logits, 0.0)
    found = figures.figures()["present_iou_by_name"]
    assert found == {"lamp": pytest.approx(10 / 18), "wall": pytest.approx(1.0)}


def test_presence_goes_by_the_highest_logit() -> None:
    figures = PhotoFigures(NAMES, published=0.5)
    highest = {"lamp": 0.9, "wall": 0.6, "sofa": 0.7, "chair": 0.4, "cloud": 5.0}
    logits = np.full((len(NAMES), *SIZE), -5.0, np.float32)
    for name, value in highest.items():
        logits[NAMES.index(name), 3, 7] = value
    figures.add_pixels(truth(), logits, 0.0)
    found = figures.figures()
    # Present lamp and wall, absent sofa and chair: three of four pairs are in order; cloud is unknown.
    assert found["presence_auc"] == pytest.approx(3 / 4)
    assert found["absent_at_recall"] == pytest.approx(1 / 2)


def test_the_best_name_that_is_not_unknown_names_a_region() -> None:
    figures = PhotoFigures(NAMES, published=0.5)
    cosines = np.array([[0.1, 0.9, 0.5, 0.2, 0.3], [0.9, 0.1, 0.1, 0.1, 0.8]], np.float32)
    figures.add_names(truth(), cosines)
    # Nobody knows whether the lamp is a cloud too, so lamp is the first; the wall is called a chair.
    assert figures.figures()["region_naming"] == pytest.approx(1 / 2)
