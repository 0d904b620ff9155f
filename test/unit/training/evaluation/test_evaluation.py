"""Figures of the evaluation: worked by hand, or against scipy and independent transcriptions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from perception_contrast_sim.objects.catalogue import catalogue
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_sim.rooms.scenes import LabelledScene
from perception_contrast_training.calibration.fitting import platt
from perception_contrast_training.calibration.judged_regions import JudgedRegions, threshold_for_absent
from perception_contrast_training.evaluation.figures import PrecisionRecall, iou
from perception_contrast_training.evaluation.metrics.reliability import expected_calibration_error
from perception_contrast_training.household.alignment.household_figures import box_of
from perception_contrast_training.household.questions import (
    absent_questions,
    mask_of,
    present_questions,
)
from perception_contrast_training.household.words import UNSEEN_ELSEWHERE, Concept, Words

WORDS = Words(held_out=True, unseen=True)


def image() -> LabelledScene:
    """A red and a blue mug on a desk, a toy car, and a robot of no colour, in 40 by 60 pixels."""
    instances = np.zeros((40, 60), np.int32)
    instances[20:] = 3
    instances[10:20, 5:15], instances[12:20, 20:26] = 4, 5
    instances[12:20, 40:50], instances[22:30, 2:10] = 6, 7
    things = [
        SceneObject(0, "wall"), SceneObject(3, "desk", "brown", "wood"), SceneObject(4, "mug", "red", on=3),
        SceneObject(5, "mug", "blue", on=3), SceneObject(6, "toy car", "green", on=3),
        SceneObject(7, "toy robot", on=3),
    ]  # fmt: skip
    return LabelledScene(np.zeros((40, 60, 3), np.uint8), instances, {t.index: t for t in things})


# Overlap and average precision.


def test_overlap_by_hand() -> None:
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert iou(a, b) == 1.0
    a[:2], b[1:3] = True, True
    assert iou(a, b) == pytest.approx(4 / 12)


def gathered(correct: list[bool], truths: int) -> PrecisionRecall:
    return PrecisionRecall([1 - 0.01 * i for i in range(len(correct))], correct, truths)


def test_average_precision_by_hand() -> None:
    # Precision 1, 1/2, 2/3, 2/4, 3/5 at recall 1/3, 1/3, 2/3, 2/3, 1: area (1 + 2/3 + 3/5) / 3.
    assert gathered([True, False, True, False, True], 3).average_precision() == pytest.approx(34 / 45)
    # The second half is never found; a late hit lifts nothing before it.
    assert gathered([False, True], 2).average_precision() == pytest.approx(0.25)
    assert gathered([True, True], 2).average_precision() == 1.0
    assert gathered([False], 2).average_precision() == gathered([], 2).average_precision() == 0.0
    assert math.isnan(gathered([False], 0).average_precision())


def voc_ap(correct: list[bool], truths: int) -> float:
    """The development kit's way: sentinels at both ends, monotone precision, area where recall moves."""
    hits, recall, precision = 0, [0.0], [0.0]
    for rank, hit in enumerate(correct, 1):
        hits += hit
        recall.append(hits / truths)
        precision.append(hits / rank)
    recall.append(1.0)
    precision.append(0.0)
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_pascal_voc(seed: int) -> None:
    rng = np.random.default_rng(seed)
    correct = [bool(x) for x in rng.random(30) < 0.4]
    truths = sum(correct) + int(rng.integers(0, 5))
    shuffled = rng.permutation(30)
    scores = np.linspace(0.9, 0.1, 30)
    measured = PrecisionRecall([scores[i] for i in shuffled], [correct[i] for i in shuffled], truths)
    assert measured.average_precision() == pytest.approx(voc_ap(correct, truths), rel=1e-12)


def test_a_truth_is_found_once_and_the_best_score_has_it() -> None:
    figures = PrecisionRecall()
    figures.add([0.6, 0.9, 0.8], np.array([[0.9], [0.7], [0.2]]), [False], 0.5)
    assert sorted(zip(figures.scores, figures.correct, strict=True)) == [
        (0.6, False), (0.8, False), (0.9, True),
    ]  # fmt: skip
    assert figures.truths == 1


def test_small_truths_count_neither_for_nor_against() -> None:
    figures = PrecisionRecall()
    figures.add([0.9, 0.5], np.array([[0.8, 0.0], [0.0, 0.3]]), [True, False], 0.5)
    assert (figures.truths, figures.scores, figures.correct) == (1, [0.5], [False])
    figures.add([0.7], np.zeros((1, 0)), [], 0.5)
    assert figures.correct == [False, False]
    figures.add([], np.zeros((0, 2)), [False, False], 0.5)
    assert figures.truths == 3


# Questions.


def test_questions_have_the_masks_of_what_they_ask_for() -> None:
    shown = image()
    questions = list(present_questions(shown, WORDS, np.random.default_rng(0)))
    by_text = {q.text: q for q in questions}
    mugs = np.isin(shown.instances, [4, 5])
    assert np.array_equal(by_text["mug"].truth, mugs) and by_text["mug"].kind == "category"
    assert np.array_equal(by_text["beaker"].truth, mugs) and by_text["beaker"].kind == "held-out synonym"
    assert np.array_equal(by_text["red mug"].truth, shown.instances == 4)
    assert by_text["red mug"].kind == by_text["blue mug"].kind == "new colour-object pair"
    assert by_text["green toy car"].kind == "colour and category"
    assert sum(q.kind == "held-out phrasing" for q in questions) >= 6


def test_a_colour_that_is_not_known_leaves_the_answer_open() -> None:
    assert mask_of(image(), WORDS, Concept("toy robot", color="red")) is None
    assert not mask_of(image(), WORDS, Concept("banana", color="red")).any()


def test_absent_things_are_not_there_by_any_name() -> None:
    shown = image()
    questions = list(absent_questions(shown, WORDS, np.random.default_rng(1), 400))
    names = {q.text for q in questions if q.kind == "absent name"}
    assert sum(q.kind == "absent name" for q in questions) == 400 and all(q.truth is None for q in questions)
    assert not names & {"mug", "desk", "toy car", "toy robot", "car"}
    assert names & set(UNSEEN_ELSEWHERE), "things that training never named are asked for"
    assert names & {c.name for c in catalogue() if c.held_out}
    colours = {q.text for q in questions if q.kind == "absent colour"}
    assert colours and not colours & {"red mug", "blue mug", "brown desk", "green toy car"}
    assert not any("robot" in c for c in colours)


def test_the_box_of_a_category_is_its_largest_things() -> None:
    assert box_of(image(), "mug") == (5.0, 10.0, 15.0, 20.0)


# Calibration.


def test_expected_calibration_error_by_hand() -> None:
    probability = np.array([0.05, 0.15, 0.95, 0.85, 1.0])
    correct = np.array([False, True, True, False, True])
    # Ten bins: gaps 0.05, 0.85, |0.975 - 1| for two and 0.85, each by its share.
    expected = (0.05 + 0.85 + 2 * 0.025 + 0.85) / 5
    assert expected_calibration_error(probability, correct, bins=10) == pytest.approx(expected)
    assert expected_calibration_error(np.full(4, 0.5), np.array([1, 0, 1, 0], bool)) == 0.0


@pytest.mark.parametrize(("count", "steepness"), [(40, 1.0), (400, 1.0), (400, 8.0), (40, 50.0)])
def test_logistic_regression_finds_scipys_optimum(count: int, steepness: float) -> None:
    rng = np.random.default_rng(count)
    features = rng.normal(0, 1, (count, 4)) * [3, 2, 0.8, 3] + [-1, -2, -2.5, -1]
    chance = 1 / (1 + np.exp(-steepness * (features @ [1, 0.5, 0.2, 1.5] + 2).clip(-12, 12)))
    correct = rng.random(count) < chance
    design = np.column_stack([features, np.ones(count)])

    def penalised(w: np.ndarray) -> float:
        return float(np.logaddexp(0, design @ w).sum() - (design @ w)[correct].sum() + 0.005 * w @ w)

    weights, offset = platt(features, correct)
    best = minimize(penalised, np.zeros(5), method="BFGS", options={"gtol": 1e-8})
    assert penalised(np.append(weights, offset)) == pytest.approx(best.fun, rel=1e-6, abs=1e-8)


def test_the_threshold_lets_no_more_absent_things_through_than_asked() -> None:
    rng = np.random.default_rng(0)
    absent = np.arange(250) < 200
    probability = rng.uniform(0.2, 0.85, 200)

    def regions(names: int, absent: np.ndarray) -> JudgedRegions:
        group = np.full(names, "images", np.str_)
        return JudgedRegions(
            np.zeros((names, 1)), np.zeros(names, bool), group, np.arange(names), ~absent, absent
        )

    threshold = threshold_for_absent(probability, regions(200, absent), 0.1)
    assert 0.05 <= np.mean(probability >= threshold) <= 0.1
    assert threshold_for_absent(np.zeros(0), regions(0, absent), 0.1) == pytest.approx(0.02)
    assert threshold_for_absent(np.ones(1), regions(1, np.zeros(3, bool)), 0.1) == 0.5
