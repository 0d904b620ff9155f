"""Logits against scipy, and calibrations through their file form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from perception_contrast.core.errors import ModelError
from perception_contrast.core.vocabulary import Exemplar
from perception_contrast.segmentation.calibration import FEATURES, Calibration
from perception_contrast.segmentation.scoring.base import QueryVectors, Scorer
from perception_contrast.segmentation.scoring.contrast_scorer import ContrastScorer
from perception_contrast.segmentation.scoring.exemplar_scorer import ExemplarScorer
from perception_contrast.segmentation.scoring.name_bank import NameBank
from perception_contrast.segmentation.scoring.sigmoid_scorer import SigmoidScorer
from perception_contrast.segmentation.thresholds import probability_to_logit

NONE = np.zeros((0, 8), np.float32)


def unit(seed: int, *shape: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(*shape, 8)).astype(np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


SCORERS = [SigmoidScorer((10.0, 5.0), (-3.0, -1.0)), ContrastScorer(NameBank(unit(9, 30)), 5.0)]
FRAME = (5, 8)  # rows and columns of 40 cells


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_querys_logits_do_not_depend_on_the_other_queries(scorer: Scorer) -> None:
    cells, distractors = unit(0, 40), unit(1, 2)
    queries = [QueryVectors(unit(10 + n, 1 + n % 3), NONE, unit(30 + n, n % 2)) for n in range(12)]
    alone = np.concatenate([scorer.logits(cells, [query], distractors, FRAME) for query in queries])
    np.testing.assert_allclose(scorer.logits(cells, queries, distractors, FRAME), alone, rtol=1e-4, atol=1e-4)
    order = np.random.default_rng(0).permutation(12)[:7]
    some = scorer.logits(cells, [queries[n] for n in order], distractors, FRAME)
    np.testing.assert_allclose(some, alone[order], rtol=1e-5, atol=1e-5)


def test_a_negative_competes_with_its_own_query_alone() -> None:
    scorer = SigmoidScorer((10.0, 5.0), (-5.0, 0.0))
    cells = np.eye(8, dtype=np.float32)
    bowl, both = cells[1:2], (cells[:1] + cells[1:2]) / np.sqrt(np.float32(2))
    plain, doubted = (
        scorer.logits(np.concatenate([cells[:3], both]), queries, NONE)
        for queries in (
            [QueryVectors(both, NONE), QueryVectors(both, NONE)],
            [QueryVectors(both, NONE, bowl), QueryVectors(both, NONE)],
        )
    )
    np.testing.assert_allclose(doubted[1], plain[1], atol=1e-5)
    assert doubted[0, 1] < plain[0, 1] - 1.0, "a bowl is not what was asked for"
    assert doubted[0, 0] > plain[0, 0] - 0.6, "a mug still is"


def test_sigmoid_takes_the_better_of_words_and_examples() -> None:
    cells, words, shown = unit(0, 20), unit(1, 2), unit(2, 3)
    scorer = SigmoidScorer((10.0, 5.0), (-3.0, -1.0))
    by_word, by_example = 10 * (cells @ words.T).max(1) - 3, 5 * (cells @ shown.T).max(1) - 1
    queries = [QueryVectors(words, shown), QueryVectors(words, NONE), QueryVectors(NONE, shown)]
    expected = [np.maximum(by_word, by_example), by_word, by_example]
    assert np.allclose(scorer.logits(cells, queries, NONE), expected, atol=1e-4)


def test_a_distractor_lowers_what_it_explains_and_nothing_else() -> None:
    cells = np.eye(8, dtype=np.float32)
    query, scorer = [QueryVectors(cells[:2], NONE)], SigmoidScorer((10.0, 5.0), (-5.0, 0.0))
    near = np.array([[0, 1, 0.1, 0, 0, 0, 0, 0]], np.float32) / np.sqrt(np.float32(1.01))
    plain, rivalled = (scorer.logits(cells, query, distractors)[0] for distractors in (NONE, near))
    assert plain[0] == plain[1] == pytest.approx(5.0)
    assert rivalled[0] == pytest.approx(5.0, abs=1e-3)
    as_strong = 10 * float(near[0, 1]) - 5
    assert rivalled[1] == pytest.approx(5.0 - np.logaddexp(0, 2 * (as_strong - 5)) / 2, abs=1e-4)
    vague = [QueryVectors((cells[:1] + cells[3:4]) / np.sqrt(np.float32(2)), NONE)]
    assert scorer.logits(cells, vague, cells[:1])[0, 0] < scorer.logits(cells, vague, NONE)[0, 0] - 2.5


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_distractor_that_is_asked_for_steps_back_for_that_query_alone(
    scorer: Scorer,
) -> None:
    cells, distractors = unit(0, 40), unit(1, 3)
    wall, other = QueryVectors(distractors[1:2], NONE), QueryVectors(unit(2, 2), NONE, unit(3, 1))
    found = scorer.logits(cells, [wall, other], distractors, FRAME)
    for index, (query, rivals) in enumerate(((wall, distractors[[0, 2]]), (other, distractors))):
        one = scorer.logits(cells, [query], rivals, FRAME)[0]
        np.testing.assert_allclose(found[index], one, rtol=1e-4, atol=1e-4)
    alone = scorer.logits(cells, [wall], distractors[1:2], FRAME)
    np.testing.assert_allclose(alone, scorer.logits(cells, [wall], NONE, FRAME), rtol=1e-4, atol=1e-4)


def test_the_shown_thing_outscores_its_surroundings() -> None:
    thing, backdrop = np.eye(8, dtype=np.float32)[:2]
    centre = (thing + 9 * backdrop) / 10

    def less(vector: np.ndarray) -> np.ndarray:
        return ((vector - centre) / np.linalg.norm(vector - centre))[None]

    shown = Exemplar(thing, "a@1", centre, less(thing), less(backdrop))
    logits = ExemplarScorer().logits(np.stack([thing, backdrop]), shown)
    assert logits[0] > 3 and logits[1] < -3
    bare = ExemplarScorer().logits(np.stack([thing, backdrop]), Exemplar(thing, "a@1"))
    assert bare[0] > 3 and bare[1] < -3


def test_what_all_exemplars_take_for_the_thing_outscores_what_one_takes() -> None:
    first, second, both, none = np.eye(8, dtype=np.float32)[:4]
    both = (both + first + second) / np.sqrt(3, dtype=np.float32)
    centre = np.zeros(8, np.float32)
    shown = [Exemplar(one, "a@1", centre, one[None], None, one) for one in (first, second)]
    cells, scorer = np.stack([first, both, none]), ExemplarScorer()
    one_view, agreed, other = scorer.logits_together(cells, shown)
    alone = scorer.logits(cells, shown[0])
    assert agreed == pytest.approx(alone[1], abs=1e-5)  # what both reach alike counts in full
    assert alone[0] > one_view > 0 > other  # a view from one side alone is still found


def test_calibration_is_a_logistic_regression_that_survives_its_file_form() -> None:
    weights = tuple(np.linspace(-0.5, 1.2, len(FEATURES)).tolist())
    calibration = Calibration(weights, -0.4, 0.2, -0.8, 0.1, 0.6)
    features = np.random.default_rng(0).normal(0, 3, (9, len(FEATURES)))
    assert np.allclose(calibration.probability(features), special.expit(features @ weights - 0.4))
    assert np.allclose(calibration.probability(1e9 * features), features @ weights > 0)
    assert Calibration.loaded(calibration.dumped()) == calibration


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weights": "abcd"}', '{"weights": [1, 2, 3, 4], "new": 1}']
)
def test_a_calibration_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="calibration"):
        Calibration.loaded(text)


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.9])
def test_thresholds_are_scipys_logits(probability: float) -> None:
    assert probability_to_logit(probability) == pytest.approx(special.logit(probability))
    assert np.isfinite([probability_to_logit(0.0), probability_to_logit(1.0)]).all()


def test_a_query_without_vectors_leaves_the_others_as_they_are() -> None:
    rng = np.random.default_rng(3)
    cells, words = (rng.standard_normal((n, 6)).astype(np.float32) for n in (5, 3))
    none = np.zeros((0, 6), np.float32)
    queries = [QueryVectors(words[:2], none), QueryVectors(none, none), QueryVectors(words[2:], words[:1])]
    sigmoid = SigmoidScorer((2.0, 3.0), (-1.0, -2.0)).logits(cells, queries, none)
    expected = np.maximum(2.0 * (cells @ words[2]) - 1.0, 3.0 * (cells @ words[0]) - 2.0)
    first = 2.0 * (cells @ words[:2].T).max(axis=1) - 1.0
    np.testing.assert_allclose(sigmoid[0], first, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(sigmoid[1], np.full(5, -20.0))
    np.testing.assert_allclose(sigmoid[2], expected, rtol=1e-5, atol=1e-5)
    contrast = ContrastScorer(NameBank(words), 10.0).logits(cells, queries, none, (1, 5))
    assert contrast.shape == (3, 5) and np.isfinite(contrast).all() and (contrast[1] < -10).all()
