"""Fits thresholds and probabilities of a trained head on scenes kept apart from training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.frames.resize import resize_labels
from perception_contrast.frames.types import Frame
from perception_contrast.language.vocabulary import Exemplar, Query, Vocabulary
from perception_contrast.openvocab.calibration import Calibration
from perception_contrast.openvocab.search import PreparedQueries
from perception_contrast.pipeline import Pipeline, Seen
from perception_contrast.sim.catalogue import catalogue
from perception_contrast.sim.scenes import SceneSampler, SceneSettings

from .data.words import Concept, Words
from .evaluation.household import box_of
from .evaluation.metrics.reliability import expected_calibration_error
from .evaluation.questions import LEAST_SHARE, absent_questions, mask_of, present_questions
from .recipe import CalibrationSettings

# Down to where an untrained head's logits lie, so that it too gets its best level.
LEVELS = np.arange(-8.0, 3.01, 0.25)


@dataclass(frozen=True)
class _Case:
    """Logits of one query in one picture; truth None: absent; strict: then it bears on the threshold."""

    frame: Frame
    plane: NDArray[np.float32]
    truth: NDArray[np.bool_] | None
    seen: Seen
    prepared: PreparedQueries
    strict: bool = True


def _word_cases(pipeline: Pipeline, settings: CalibrationSettings, offline: bool) -> Iterator[_Case]:
    """Training words on scenes of their own seed: the kept-back words stay with the evaluation."""
    from rich.progress import track

    sampler = SceneSampler(settings.seed, SceneSettings(offline=offline))
    words, rng = Words(), np.random.default_rng(settings.seed)
    pictures = zip(range(settings.scenes), sampler, strict=False)
    for _, picture in track(pictures, "calibrating words", total=settings.scenes):
        frame = Frame(picture.rgb)
        seen = pipeline.see(frame)
        questions = [q for q in present_questions(picture, words, rng) if not q.kind.startswith("held-out")]
        questions += absent_questions(picture, words, rng, settings.absent)
        for question in questions:
            prepared = pipeline.prepare(Vocabulary().with_queries([Query(question.text)]))
            case = _case(pipeline, frame, seen, prepared, question.truth)
            # A wrong colour is a matter of degree; a name that is not there is simply wrong.
            yield replace(case, strict=question.kind == "absent name")


def _example_cases(pipeline: Pipeline, settings: CalibrationSettings, offline: bool) -> Iterator[_Case]:
    """Examples of training categories, searched in other scenes that have or lack the category."""
    from rich.progress import track

    sampler = SceneSampler(settings.seed + 1, SceneSettings(offline=offline))
    words, rng = Words(), np.random.default_rng(settings.seed)
    names = [c.name for c in catalogue() if not c.held_out]
    shown: dict[str, Exemplar] = {}
    pictures = zip(range(settings.scenes), sampler, strict=False)
    for _, picture in track(pictures, "calibrating examples", total=settings.scenes):
        frame = Frame(picture.rgb)
        seen = pipeline.see(frame)
        truths = {name: mask_of(picture, words, Concept(name)) for name in names}
        big = [n for n, t in truths.items() if t is not None and t.mean() >= LEAST_SHARE]
        none = [n for n, t in truths.items() if t is not None and not t.any() and n in shown]
        asked = [n for n in big if n in shown]
        asked += [none[int(i)] for i in rng.permutation(len(none))[: len(asked) + 2]]
        for name in asked:
            prepared = pipeline.prepare(Vocabulary().with_queries([Query(name, exemplars=(shown[name],))]))
            truth = truths[name]
            yield _case(pipeline, frame, seen, prepared, truth if truth is not None and truth.any() else None)
        for name in big:
            if any(thing.category == name for thing in picture.objects.values()):
                shown[name] = pipeline.exemplar(seen, box=box_of(picture, name))


def _case(
    pipeline: Pipeline, frame: Frame, seen: Seen, prepared: PreparedQueries, truth: NDArray[np.bool_] | None
) -> _Case:
    plane = pipeline.searcher.plane(frame.image, seen.semantic, seen.features, prepared)
    return _Case(frame, plane.astype(np.float16), truth, seen, prepared)


def _best_level(cases: list[_Case]) -> float:
    """The logit at which masks of present things overlap best with the truth."""
    totals = np.zeros(len(LEVELS))
    for case in cases:
        if case.truth is None:
            continue
        inside = np.histogram(case.plane[case.truth], bins=[*LEVELS, np.inf])[0][::-1].cumsum()[::-1]
        outside = np.histogram(case.plane[~case.truth], bins=[*LEVELS, np.inf])[0][::-1].cumsum()[::-1]
        totals += inside / np.maximum(outside + np.count_nonzero(case.truth), 1)
    return float(LEVELS[int(totals.argmax())])


@dataclass
class _Regions:
    features: list[tuple[float, ...]]
    correct: list[bool]
    case: list[int]


def _regions_of(pipeline: Pipeline, cases: list[_Case], seed: float, low: float) -> _Regions:
    gathered, levels = _Regions([], [], []), Calibration(seed=seed, low=low)
    for number, case in enumerate(cases):
        found, size = pipeline.searcher.candidates(
            case.frame.image, case.seen.semantic, case.seen.features, case.prepared, levels
        )
        truth = None if case.truth is None else resize_labels(case.truth, size)
        for candidate in found:
            x0, y0, x1, y1 = candidate.region.box
            hit = truth is not None and float(truth[y0:y1, x0:x1][candidate.region.mask].mean()) >= 0.5
            gathered.features.append(candidate.features)
            gathered.correct.append(hit)
            gathered.case.append(number)
    return gathered


def _logistic(
    features: NDArray[np.float64], correct: NDArray[np.bool_], steps: int = 50
) -> tuple[Any, float]:
    """Logistic regression by Newton steps with a little ridge: weights and offset."""
    x = np.column_stack([features, np.ones(len(features))])
    w = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ w, -30, 30)))
        gradient = x.T @ (p - correct) + 1e-2 * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-2 * np.eye(len(w))
        w -= np.linalg.solve(hessian, gradient)
    return w[:-1], float(w[-1])


def _fitted(
    pipeline: Pipeline, cases: list[_Case], most_fired: float
) -> tuple[Calibration, dict[str, float]]:
    level = _best_level(cases)
    low = seed = level
    regions = _regions_of(pipeline, cases, seed, low)
    if not regions.correct:  # nothing stands out: a head that was hardly trained
        return Calibration(seed=seed, low=low, mask=low), {"level": level, "regions": 0.0}
    features, correct = np.asarray(regions.features), np.asarray(regions.correct)
    weights, offset = _logistic(features, correct)
    fitted = Calibration(tuple(float(w) for w in weights), offset, seed, low, low, 0.5)
    probability = fitted.probability(features)
    threshold = _threshold(cases, regions, probability, most_fired)
    facts = {
        "level": level,
        "regions": float(len(correct)),
        "correct": float(correct.mean()),
        "ece": expected_calibration_error(probability, correct),
        "detection": threshold,
    }
    return replace(fitted, detection=threshold), facts


def _threshold(
    cases: list[_Case], regions: _Regions, probability: NDArray[np.float64], most_fired: float
) -> float:
    """Lowest threshold in [0.1, 0.9] at which at most ``most_fired`` of absent things are reported."""
    best = np.zeros(len(cases))
    for number, value in zip(regions.case, probability, strict=True):
        best[number] = max(best[number], value)
    absent = best[[case.truth is None and case.strict for case in cases]]
    return float(np.clip(np.quantile(absent, 1 - most_fired) + 1e-3, 0.1, 0.9)) if len(absent) else 0.5


def calibrate(
    pipeline: Pipeline, settings: CalibrationSettings, offline: bool = False
) -> tuple[Calibration, Calibration, dict[str, dict[str, float]]]:
    """Calibrations for words and for examples, and what was seen while fitting them."""
    cases = list(_word_cases(pipeline, settings, offline))
    words, about_words = _fitted(pipeline, cases, settings.most_fired)
    cases = list(_example_cases(pipeline, settings, offline))
    examples, about_examples = _fitted(pipeline, cases, settings.most_fired_examples)
    return words, examples, {"words": about_words, "examples": about_examples}
