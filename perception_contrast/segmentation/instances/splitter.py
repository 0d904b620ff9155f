"""One region of one kind into the single things that it holds.

A region is parted in two in a few ways, and a fitted judge says of each whether the two are things of
their own: by where a head that tells things apart puts the middles of their cells (after
Panoptic-DeepLab, Cheng et al., CVPR 2020), by colour, by features, by depth, and by how they meet.
Parts are looked at again in the same way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, FloatArray
from perception_contrast.core.errors import ModelError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.segmentation.instances.splits import (
    DEEPEST,
    CellFeatures,
    Evidence,
    Parts,
    RegionPart,
    View,
)
from perception_contrast.segmentation.regions import Region
from perception_contrast.segmentation.upsampling import LogitUpsampler

MOST = 24  # things of one region
LEAST_PIXELS = 12  # coarse; less shows no parts
LARGEST = 0.12  # share of the image; the judges have seen no larger regions, and walls are one thing
LEAST_PART = 0.08  # of a region; smaller pieces are no things of their own


@dataclass(frozen=True)
class SplitCues:
    """What tells one thing from the next, each of it optional.

    things: (h, w, 4) float32 of ``AlignmentHead.grid``. depth: (H, W) float32 metres of the image, NaN
    or 0 where unknown. features: of the image alone.
    """

    things: FloatArray | None = None
    depth: FloatArray | None = None
    features: FeatureGrid | None = None


def terms(seen: Evidence) -> dict[str, float]:
    """What a judge weighs: the evidence, where more of it says ever less, and what counts only together."""
    deep = math.log1p(seen.depth)
    return {
        **vars(seen),
        "log_depth": deep,
        "some_depth": min(seen.depth, 5.0),
        "some_colour": min(seen.colour, 1.0),
        "root_features": math.sqrt(max(seen.features, 0.0)),
        "count_and_depth": seen.count * deep,
        "border_squared": seen.border**2,
    }


@dataclass(frozen=True)
class SplitClassifier:
    """Probability that two parts are two things: logistic(weights . terms + offset), fitted on scenes.

    weights: by the names of ``terms``. split_from: probability from which a region is parted.
    """

    weights: Mapping[str, float]
    offset: float
    split_from: float

    def __call__(self, seen: Evidence) -> float:
        return _logistic(self._score(seen))

    def could_part(self, seen: Evidence) -> bool:
        """Whether features and depth that are not known yet can still make two things of what is seen."""
        deepest = self.weights["count_and_depth"] * seen.count * math.log1p(DEEPEST)
        return _logistic(self._score(seen) + self._most + max(0.0, deepest)) >= self.split_from

    @cached_property
    def _most(self) -> float:
        """The most that features and depth can add, but for what counts only together: each term alone."""
        most = terms(Evidence(features=2.0, depth=DEEPEST))
        # A cosine may pass 1 by a rounding.
        return sum(max(0.0, self.weights[name] * value) for name, value in most.items()) + 1e-3

    def _score(self, seen: Evidence) -> float:
        return sum(self.weights[name] * value for name, value in terms(seen).items()) + self.offset


def _logistic(score: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(score, -40.0), 40.0)))


JUDGES_FILE = Path(__file__).parent / "data" / "judges.json"


@cache
def split_classifiers(path: Path = JUDGES_FILE) -> dict[str, SplitClassifier]:
    """By what there is to judge by, see ``kind_of``. Raises ModelError for a file that is not readable."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        found = {
            kind: SplitClassifier(
                {name: float(one["weights"][name]) for name in terms(Evidence())},
                float(one["offset"]),
                float(one["split_from"]),
            )
            for kind, one in stored.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not readable ({error}); reinstall the package") from error
    return found


def kind_of(split_cues: SplitCues) -> str:
    """Name of the judge for these clues."""
    return ("votes" if split_cues.things is not None else "looks") + (
        "" if split_cues.depth is None else "+depth"
    )


class Splitter:
    """Splits regions of one image. Works nothing out before it is first asked."""

    def __init__(self, ground: LogitUpsampler, image: NDArray[np.uint8], split_cues: SplitCues) -> None:
        self._ground, self._image, self._clues = ground, image, split_cues
        self._judge = split_classifiers()[kind_of(split_cues)]

    def __call__(self, region: Region) -> list[BoolMask]:
        """Masks in the region's box that share its pixels out among things; one mask if it is one thing."""
        waiting: list[BoolMask] = [region.mask]
        things: list[BoolMask] = []
        pixels = np.count_nonzero(region.mask)
        if region.share > LARGEST or pixels < 2 * LEAST_PIXELS:
            return [region.mask]
        view = self._view(region)
        least = max(LEAST_PIXELS, LEAST_PART * pixels)
        while waiting:
            mask = waiting.pop()
            parts = None
            if np.count_nonzero(mask) >= 2 * least and len(things) + len(waiting) < MOST - 1:
                parts = self._best(view.piece(mask), least)
            if parts is None:
                things.append(mask)
            else:
                waiting += parts
        return things

    def _best(self, piece: RegionPart, least: float) -> Parts | None:
        """The parts that are surest to be two things; None where none is sure enough."""
        judged = [
            (self._judge(piece.evidence(parts, self._judge.could_part)), parts)
            for parts in piece.partings()
            if min(np.count_nonzero(part) for part in parts) >= least
        ]
        chance, parts = max(judged, key=lambda one: one[0], default=(0.0, None))
        return parts if chance >= self._judge.split_from else None

    def partings(self, region: Region) -> list[tuple[Parts, Evidence]]:
        """Every way in which a region is tried to be parted, and what is known of the two parts."""
        if np.count_nonzero(region.mask) < LEAST_PIXELS:
            return []
        piece = self._view(region).piece(region.mask)
        return [(parts, piece.evidence(parts)) for parts in piece.partings()]

    def _view(self, region: Region) -> View:
        x0, y0, x1, y1 = region.box
        rows, columns = np.arange(y0, y1), np.arange(x0, x1)
        things = features = None
        if self._clues.things is not None:
            things = self._looked(self._known, rows, columns)
        if self._clues.features is not None:
            features = self._looked(self._unit, rows, columns)
        depth = None if self._clues.depth is None else self._depth[y0:y1, x0:x1]
        cell = 1.0
        if self._clues.things is not None:
            area = self._clues.things.shape[0] * self._clues.things.shape[1]
            cell = self._ground.coarse[0] * self._ground.coarse[1] / area
        part = np.multiply(self._small[y0:y1, x0:x1], np.float32(1 / 255), dtype=np.float32)
        return View(cv2.cvtColor(part, cv2.COLOR_RGB2LAB), things, features, depth, cell)

    def _looked(self, grid: FloatArray, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> CellFeatures:
        """The part of a grid (h, w, c) that is looked up from coarse pixels."""
        high, wide = self._ground.coarse
        down = (2 * rows + 1) * grid.shape[0] // (2 * high)
        across = (2 * columns + 1) * grid.shape[1] // (2 * wide)
        part = grid[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
        number = (down - down[0])[:, None] * part.shape[1] + (across - across[0])
        return CellFeatures(part.reshape(-1, grid.shape[2]), number)

    @cached_property
    def _known(self) -> FloatArray:
        """(h, w, 4) as of ``View.things``."""
        assert self._clues.things is not None
        things = self._clues.things
        rows, columns = (np.arange(n, dtype=np.float32) for n in things.shape[:2])
        known = np.empty(things.shape, np.float32)
        known[..., 2] = size = np.exp(np.clip(things[..., 2], -1.0, 5.0))
        known[..., 0] = rows[:, None] + things[..., 0] * size
        known[..., 1] = columns + things[..., 1] * size
        known[..., 3] = 1.0 / (1.0 + np.exp(-things[..., 3]))
        return known

    @cached_property
    def _unit(self) -> FloatArray:
        assert self._clues.features is not None
        return np.asarray(self._clues.features.unit().values, np.float32)

    @cached_property
    def _small(self) -> NDArray[np.uint8]:
        rows, columns = self._ground.coarse
        whole = np.ascontiguousarray(self._image)
        return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)

    @cached_property
    def _depth(self) -> FloatArray:
        assert self._clues.depth is not None
        rows, columns = self._ground.coarse
        small = cv2.resize(self._clues.depth, (columns, rows), interpolation=cv2.INTER_NEAREST)
        return np.where(small > 0, small, np.float32(np.nan)).astype(np.float32, copy=False)
