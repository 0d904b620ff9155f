"""Fits the classifiers of ``segmentation.instances`` on rendered scenes: are two parts two instances?"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from perception_contrast.core.arrays import BoolMask
from perception_contrast.core.cache import atomic_write
from perception_contrast.core.frame import Frame
from perception_contrast.images.resize import resize_labels
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.instances.split_classifier import classifier_name
from perception_contrast.segmentation.instances.split_cues import SplitCues
from perception_contrast.segmentation.instances.split_evidence import SplitEvidence, evidence_terms
from perception_contrast.segmentation.instances.splitter import Splitter
from perception_contrast.segmentation.regions.region import Region, measure_region
from perception_contrast.segmentation.upsampling.logit_upsampler import LogitUpsampler
from perception_contrast_sim.rooms.scenes import LabelledScene, SceneSampler, SceneSettings
from perception_contrast_training.evaluation.figures import iou
from perception_contrast_training.household.words import SURFACES

logger = logging.getLogger(__name__)

NAMES = tuple(evidence_terms(SplitEvidence()))
SMALLEST, LARGEST = 1.5e-3, 0.08  # shares of the image of things that are paired
LIKE_SIZES = 3.3
MOST_WRONG = 0.06  # share of single things that may be parted


@dataclass(frozen=True)
class Case:
    """One region: two things or one. tried: evidence of each way to part it, and whether that is right."""

    kind: str
    two: bool
    tried: tuple[tuple[SplitEvidence, bool], ...]


def gather(pipeline: Pipeline, scenes: int, seed: int, offline: bool = False) -> list[Case]:
    """Single things and pairs that touch, of any kinds, from scenes of a seed."""
    from rich.progress import track

    sampler = SceneSampler(seed, SceneSettings(offline=offline, depth=True))
    images = zip(range(scenes), sampler, strict=False)
    cases: list[Case] = []
    for _, image in track(images, "looking at touching things", total=scenes):
        cases += _image_cases(pipeline, image)
    return cases


def _image_cases(pipeline: Pipeline, image: LabelledScene) -> Iterator[Case]:
    seen = pipeline.extract_features(Frame(image.rgb))
    grid = seen.semantic or seen.features
    assert grid is not None
    upsampler = LogitUpsampler(image.rgb, grid.shape[:2])
    instances = resize_labels(image.instances, upsampler.coarse_size)
    for things in (seen.instance_cues, None):
        for depth in (None, image.depth):
            split_cues = SplitCues(things, depth, seen.features)
            if things is None or seen.instance_cues is not None:
                splitter = Splitter(upsampler, image.rgb, split_cues)
                for region, truths in regions_of(instances, image):
                    yield _case(classifier_name(split_cues), splitter, region, truths)
        if seen.instance_cues is None:
            break


def regions_of(instances: NDArray[np.int32], image: LabelledScene) -> Iterator[tuple[Region, list[BoolMask]]]:
    """Each thing alone, and each pair of like size that touches, with its exact masks in the region's box."""
    shares = {n: float((instances == n).mean()) for n in image.objects}
    numbers = [
        n
        for n, thing in image.objects.items()
        if thing.category not in SURFACES and SMALLEST <= shares[n] <= LARGEST
    ]
    for place, first in enumerate(numbers):
        yield _region(instances, [first])
        near = cv2.dilate((instances == first).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        for second in numbers[place + 1 :]:
            touching = np.count_nonzero(near & (instances == second)) >= 3
            if touching and 1 / LIKE_SIZES < shares[first] / shares[second] < LIKE_SIZES:
                yield _region(instances, [first, second])


def _region(instances: NDArray[np.int32], numbers: list[int]) -> tuple[Region, list[BoolMask]]:
    """The largest piece that the instances make together."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(
        np.isin(instances, numbers).astype(np.uint8), connectivity=8
    )
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, w, h, _ = (int(v) for v in stats[largest])
    window = np.s_[y : y + h, x : x + w]
    mask = np.ascontiguousarray(pieces[window] == largest)
    region = measure_region(np.zeros(mask.shape, np.float32), (x, y), mask, instances.size)
    return region, [mask & (instances[window] == n) for n in numbers]


def _case(kind: str, splitter: Splitter, region: Region, truths: list[BoolMask]) -> Case:
    two = len(truths) == 2
    tried = [
        (evidence, two and all(max(iou(part, truth) for part in split) >= 0.5 for truth in truths))
        for split, evidence in splitter.measured_splits(region)
    ]
    return Case(kind, two, tuple(tried))


def fit_models(cases: list[Case]) -> dict[str, Any]:
    """A classifier for each kind of cases, as ``instances/data/split_classifiers.json`` holds them."""
    from sklearn.linear_model import LogisticRegression

    found: dict[str, Any] = {}
    for kind in sorted({case.kind for case in cases}):
        own = [case for case in cases if case.kind == kind]
        tried = [one for case in own for one in case.tried]
        right = np.array([right for _, right in tried])
        model = LogisticRegression(C=3.0, max_iter=10_000).fit(_table([seen for seen, _ in tried]), right)
        judge = {
            "weights": {name: round(float(w), 4) for name, w in zip(NAMES, model.coef_[0], strict=True)},
            "offset": round(float(model.intercept_[0]), 4),
        }
        singles = [_surest(case, judge)[0] for case in own if not case.two]
        found[kind] = {**judge, "split_from": round(float(np.quantile(singles, 1 - MOST_WRONG)), 4)}
    return found


def _table(seen: list[SplitEvidence]) -> NDArray[np.float64]:
    return np.array([list(evidence_terms(one).values()) for one in seen]).reshape(len(seen), len(NAMES))


def _surest(case: Case, judge: dict[str, Any]) -> tuple[float, bool]:
    """RandomSource of the parting that a judge likes best, and whether it is right."""
    if not case.tried:
        return 0.0, False
    weights = np.array([judge["weights"][name] for name in NAMES])
    scores = _table([seen for seen, _ in case.tried]) @ weights + judge["offset"]
    best = int(scores.argmax())
    return float(expit(scores[best])), case.tried[best][1]


def figures(cases: list[Case], stored: dict[str, Any]) -> dict[str, dict[str, float]]:
    """By kind: share of touching pairs that are separated, share of single things that are parted."""
    found: dict[str, dict[str, float]] = {}
    for kind, judge in stored.items():
        own = [(case.two, *_surest(case, judge)) for case in cases if case.kind == kind]
        pairs = [right and chance >= judge["split_from"] for two, chance, right in own if two]
        singles = [chance >= judge["split_from"] for two, chance, _ in own if not two]
        found[kind] = {
            "pairs": len(pairs),
            "separated": round(float(np.mean(pairs)), 4),
            "singles": len(singles),
            "parted": round(float(np.mean(singles)), 4),
        }
    return found


def fit_judges(
    pipeline: Pipeline, path: Path, scenes: int = 300, seed: int = 500_003, offline: bool = False
) -> None:
    """Fits on two thirds of the scenes, writes ``path``, and logs the figures of the last third."""
    cases = gather(pipeline, scenes * 2 // 3, seed, offline)
    stored = fit_models(cases)
    atomic_write(path, (json.dumps(stored, indent=2) + "\n").encode())
    kept = gather(pipeline, scenes - scenes * 2 // 3, seed + 1, offline)
    logger.info("on scenes kept back: %s", json.dumps(figures(kept, stored), indent=1))
