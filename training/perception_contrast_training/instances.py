"""Fits the judges of ``openvocab.instances`` on rendered scenes: are two parts two things?"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.cache import atomic_write
from perception_contrast.frames.resize import resize_labels
from perception_contrast.frames.types import Frame
from perception_contrast.openvocab.instances import Clues, Evidence, Mask, Splitter, kind_of
from perception_contrast.openvocab.masks import Ground
from perception_contrast.openvocab.regions import Region, measured
from perception_contrast.pipeline import Pipeline
from perception_contrast.sim.scenes import LabelledPicture, SceneSampler, SceneSettings

from .data.words import SURFACES
from .evaluation.figures import iou

logger = logging.getLogger(__name__)

NAMES = tuple(one.name for one in fields(Evidence))
SMALLEST, LARGEST = 1.5e-3, 0.08  # shares of the picture of things that are paired
LIKE_SIZES = 3.3
MOST_WRONG = 0.05  # share of single things that may be parted


@dataclass(frozen=True)
class Case:
    """What the splitter saw of one region. two: whether it was two things, parted rightly.

    lost: two things that it would part wrongly, whatever the judge says.
    """

    kind: str
    evidence: Evidence
    two: bool
    lost: bool = False


def gather(pipeline: Pipeline, scenes: int, seed: int, offline: bool = False) -> list[Case]:
    """Single things and pairs that touch, of any kinds, from scenes of a seed."""
    from rich.progress import track

    sampler = SceneSampler(seed, SceneSettings(offline=offline, depth=True))
    pictures = zip(range(scenes), sampler, strict=False)
    cases: list[Case] = []
    for _, picture in track(pictures, "looking at touching things", total=scenes):
        cases += _of_picture(pipeline, picture)
    return cases


def _of_picture(pipeline: Pipeline, picture: LabelledPicture) -> Iterator[Case]:
    seen = pipeline.see(Frame(picture.rgb))
    grid = seen.semantic or seen.features
    assert grid is not None
    ground = Ground(picture.rgb, grid.shape[:2])
    instances = resize_labels(picture.instances, ground.coarse)
    for things in (seen.things, None):
        for depth in (None, picture.depth):
            clues = Clues(things, depth, seen.features)
            if things is None or seen.things is not None:
                splitter = Splitter(ground, picture.rgb, clues)
                for region, truths in regions_of(instances, picture):
                    case = _case(kind_of(clues), splitter, region, truths)
                    if case is not None:
                        yield case
        if seen.things is None:
            break


def regions_of(instances: NDArray[np.int32], picture: LabelledPicture) -> Iterator[tuple[Region, list[Mask]]]:
    """Each thing alone, and each pair of like size that touches, with its exact masks in the region's box."""
    shares = {n: float((instances == n).mean()) for n in picture.objects}
    numbers = [
        n
        for n, thing in picture.objects.items()
        if thing.category not in SURFACES and SMALLEST <= shares[n] <= LARGEST
    ]
    for place, first in enumerate(numbers):
        yield _region(instances, [first])
        near = cv2.dilate((instances == first).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        for second in numbers[place + 1 :]:
            touching = np.count_nonzero(near & (instances == second)) >= 3
            if touching and 1 / LIKE_SIZES < shares[first] / shares[second] < LIKE_SIZES:
                yield _region(instances, [first, second])


def _region(instances: NDArray[np.int32], numbers: list[int]) -> tuple[Region, list[Mask]]:
    """The largest piece that the instances make together."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(
        np.isin(instances, numbers).astype(np.uint8), connectivity=8
    )
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, w, h, _ = (int(v) for v in stats[largest])
    window = np.s_[y : y + h, x : x + w]
    mask = np.ascontiguousarray(pieces[window] == largest)
    region = measured(np.zeros(mask.shape, np.float32), (x, y), mask, instances.size)
    return region, [mask & (instances[window] == n) for n in numbers]


def _case(kind: str, splitter: Splitter, region: Region, truths: list[Mask]) -> Case | None:
    found = splitter.evidence(region)
    if found is None:
        return None if len(truths) == 1 else Case(kind, Evidence(), two=True, lost=True)
    parts, evidence = found
    if len(truths) == 1:
        return Case(kind, evidence, two=False)
    right = all(max(iou(part, truth) for part in parts) >= 0.5 for truth in truths)
    return Case(kind, evidence, two=True, lost=not right)


def fitted(cases: list[Case]) -> dict[str, Any]:
    """A judge for each kind of cases, as ``openvocab/data/judges.json`` holds them."""
    from sklearn.linear_model import LogisticRegression

    found: dict[str, Any] = {}
    for kind in sorted({case.kind for case in cases}):
        own = [case for case in cases if case.kind == kind and not case.lost]
        x = np.array([[getattr(case.evidence, name) for name in NAMES] for case in own])
        two = np.array([case.two for case in own])
        model = LogisticRegression(C=10.0, max_iter=2000).fit(x, two)
        probability = model.predict_proba(x)[:, 1]
        found[kind] = {
            "weights": {name: round(float(w), 4) for name, w in zip(NAMES, model.coef_[0], strict=True)},
            "offset": round(float(model.intercept_[0]), 4),
            "split_from": round(float(np.quantile(probability[~two], 1 - MOST_WRONG)), 4),
        }
    return found


def figures(cases: list[Case], stored: dict[str, Any]) -> dict[str, dict[str, float]]:
    """By kind: share of touching pairs that are separated, share of single things that are parted."""
    found: dict[str, dict[str, float]] = {}
    for kind, one in stored.items():
        own = [case for case in cases if case.kind == kind]
        weights = np.array([one["weights"][name] for name in NAMES])
        scores = np.array([[getattr(c.evidence, n) for n in NAMES] for c in own]) @ weights + one["offset"]
        parted = 1.0 / (1.0 + np.exp(-scores)) >= one["split_from"]
        two, lost = (np.array([getattr(case, name) for case in own]) for name in ("two", "lost"))
        found[kind] = {
            "pairs": int(two.sum()),
            "separated": round(float((parted & ~lost)[two].mean()), 4),
            "singles": int((~two).sum()),
            "parted": round(float(parted[~two].mean()), 4),
        }
    return found


def fit_judges(
    pipeline: Pipeline, path: Path, scenes: int = 300, seed: int = 500_003, offline: bool = False
) -> None:
    """Fits on two thirds of the scenes, writes ``path``, and logs the figures of the last third."""
    cases = gather(pipeline, scenes * 2 // 3, seed, offline)
    stored = fitted(cases)
    atomic_write(path, (json.dumps(stored, indent=2) + "\n").encode())
    kept = gather(pipeline, scenes - scenes * 2 // 3, seed + 1, offline)
    logger.info("on scenes kept back: %s", json.dumps(figures(kept, stored), indent=1))
