"""One region of one kind into the single things that it holds.

A region is parted in two in a few ways, and a fitted judge says of each whether the two are things of
their own: by where a head that tells things apart puts the middles of their cells (after
Panoptic-DeepLab, Cheng et al., CVPR 2020), by colour, by features, by depth, and by how they meet.
Parts are looked at again in the same way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..encoders.grid import FeatureGrid
from ..errors import ModelError
from .masks import Ground
from .regions import Region

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Parts = tuple[Mask, Mask]

MOST = 24  # things of one region
LEAST_PIXELS = 12  # coarse; less shows no parts
LARGEST = 0.12  # share of the picture; the judges have seen no larger regions, and walls are one thing
LEAST_PART = 0.06  # of a region; smaller pieces are no things of their own
ROUNDS = 8  # of two means
SAMPLE = 300  # points that they are found from


@dataclass(frozen=True)
class Clues:
    """What tells one thing from the next, each of it optional.

    things: (h, w, 4) float32 of ``AlignmentHead.grid``. depth: (H, W) float32 metres of the picture, NaN
    or 0 where unknown. features: of the picture alone.
    """

    things: Array | None = None
    depth: Array | None = None
    features: FeatureGrid | None = None


@dataclass(frozen=True)
class Evidence:
    """What is known of two parts of a region; 0 for what cannot be known.

    count: log of how many things the cells think the region is. votes: radii between the two parts'
    middles. colour: CIELAB distance of their mean colours in steps of 20. features: 1 - cosine of their
    mean features. edge: how much surer than elsewhere cells along their border are of lying at an edge.
    border: its length against the side of the smaller part. depth: jump of depth across the border, in
    hundredths of the distance, at most 30.
    """

    count: float = 0.0
    votes: float = 0.0
    colour: float = 0.0
    features: float = 0.0
    edge: float = 0.0
    border: float = 0.0
    depth: float = 0.0


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
class Judge:
    """Probability that two parts are two things: logistic(weights . terms + offset), fitted on scenes.

    weights: by the names of ``terms``. split_from: probability from which a region is parted.
    """

    weights: Mapping[str, float]
    offset: float
    split_from: float

    def __call__(self, seen: Evidence) -> float:
        score = sum(self.weights[name] * value for name, value in terms(seen).items()) + self.offset
        return 1.0 / (1.0 + math.exp(-min(max(score, -40.0), 40.0)))


JUDGES_FILE = Path(__file__).parent / "data" / "judges.json"


@cache
def judges(path: Path = JUDGES_FILE) -> dict[str, Judge]:
    """By what there is to judge by, see ``kind_of``. Raises ModelError for a file that is not readable."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        found = {
            kind: Judge(
                {name: float(one["weights"][name]) for name in terms(Evidence())},
                float(one["offset"]),
                float(one["split_from"]),
            )
            for kind, one in stored.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not readable ({error}); reinstall the package") from error
    return found


def kind_of(clues: Clues) -> str:
    """Name of the judge for these clues."""
    return ("votes" if clues.things is not None else "looks") + ("" if clues.depth is None else "+depth")


class Splitter:
    """Splits regions of one picture. Works nothing out before it is first asked."""

    def __init__(self, ground: Ground, image: NDArray[np.uint8], clues: Clues) -> None:
        self._ground, self._image, self._clues = ground, image, clues
        self._judge = judges()[kind_of(clues)]

    def __call__(self, region: Region) -> list[Mask]:
        """Masks in the region's box that share its pixels out among things; one mask if it is one thing."""
        waiting: list[Mask] = [region.mask]
        things: list[Mask] = []
        if region.share > LARGEST:
            return [region.mask]
        view = self._view(region)
        least = max(LEAST_PIXELS, LEAST_PART * np.count_nonzero(region.mask))
        while waiting:
            mask = waiting.pop()
            parts = None
            if np.count_nonzero(mask) >= 2 * least and len(things) + len(waiting) < MOST - 1:
                parts = self._best(view, mask, least)
            if parts is None:
                things.append(mask)
            else:
                waiting += parts
        return things

    def _best(self, view: _View, mask: Mask, least: float) -> Parts | None:
        """The parts that are surest to be two things; None where none is sure enough."""
        judged = [
            (self._judge(view.evidence(mask, parts)), parts)
            for parts in view.partings(mask)
            if min(np.count_nonzero(part) for part in parts) >= least
        ]
        chance, parts = max(judged, key=lambda one: one[0], default=(0.0, None))
        return parts if chance >= self._judge.split_from else None

    def partings(self, region: Region) -> list[tuple[Parts, Evidence]]:
        """Every way in which a region is tried to be parted, and what is known of the two parts."""
        if np.count_nonzero(region.mask) < LEAST_PIXELS:
            return []
        view = self._view(region)
        return [(parts, view.evidence(region.mask, parts)) for parts in view.partings(region.mask)]

    def _view(self, region: Region) -> _View:
        x0, y0, x1, y1 = region.box
        rows, columns = np.arange(y0, y1), np.arange(x0, x1)
        things = features = votes = None
        if self._clues.things is not None:
            place = self._cells(rows, columns, self._clues.things.shape)
            things, votes = self._clues.things[place], self._votes[place]
        if self._clues.features is not None:
            places = self._cells(rows, columns, self._unit.shape)
            number = places[0] * self._unit.shape[1] + places[1]
            features = _Looked(self._unit.reshape(-1, self._unit.shape[2]), number)
        depth = None if self._clues.depth is None else self._depth[y0:y1, x0:x1]
        cell = 1.0
        if self._clues.things is not None:
            area = self._clues.things.shape[0] * self._clues.things.shape[1]
            cell = self._ground.coarse[0] * self._ground.coarse[1] / area
        return _View(self._colours[y0:y1, x0:x1], things, votes, features, depth, cell)

    def _cells(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, ...]
    ) -> tuple[NDArray[np.int64], ...]:
        """Of coarse pixels the cells of a grid in which they lie."""
        high, wide = self._ground.coarse
        return np.ix_((2 * rows + 1) * shape[0] // (2 * high), (2 * columns + 1) * shape[1] // (2 * wide))

    @cached_property
    def _votes(self) -> Array:
        """(h, w, 2): row and column of the cell where each cell's thing has its middle."""
        assert self._clues.things is not None
        things = self._clues.things
        place = np.stack(np.meshgrid(*(np.arange(n) for n in things.shape[:2]), indexing="ij"), axis=-1)
        return np.asarray(place + things[..., :2] * _radius(things)[..., None], np.float32)

    @cached_property
    def _unit(self) -> Array:
        assert self._clues.features is not None
        return np.asarray(self._clues.features.unit().values, np.float32)

    @cached_property
    def _colours(self) -> Array:
        rows, columns = self._ground.coarse
        small = cv2.resize(np.ascontiguousarray(self._image), (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)

    @cached_property
    def _depth(self) -> Array:
        assert self._clues.depth is not None
        rows, columns = self._ground.coarse
        small = cv2.resize(self._clues.depth, (columns, rows), interpolation=cv2.INTER_NEAREST)
        return np.where(small > 0, small, np.float32(np.nan)).astype(np.float32)


def _radius(things: Array) -> Array:
    """Of the thing that each cell belongs to, in cells."""
    return np.asarray(np.exp(np.clip(things[..., 2], -1.0, 5.0)), np.float32)


@dataclass(frozen=True)
class _Looked:
    """cells (n, c): vectors of a grid. number (h, w): of the cell in which each coarse pixel lies."""

    cells: Array
    number: NDArray[np.int64]

    def mean(self, mask: Mask) -> Array:
        """Mean vector (c,) of the pixels of a mask."""
        counts = np.bincount(self.number[mask])
        there = np.flatnonzero(counts)
        weights = counts[there].astype(np.float32)
        return np.asarray(weights @ self.cells[there] / weights.sum(), np.float32)


@dataclass(frozen=True)
class _View:
    """What is known of each coarse pixel (h, w) of a region's box. cell: pixels of a cell of ``things``."""

    colours: Array
    things: Array | None
    votes: Array | None
    features: _Looked | None
    depth: Array | None
    cell: float

    def partings(self, mask: Mask) -> Iterator[Parts]:
        """Ways in which a mask falls in two, each part in one piece: by votes, by colours, by depth."""
        place = np.stack(np.nonzero(mask), axis=1).astype(np.float32)
        size = np.float32(np.sqrt(len(place) / np.pi))
        tried = [np.concatenate([place / size, self.colours[mask] / 20.0], axis=1)]
        if self.votes is not None and self.things is not None:
            radius = float(np.median(_radius(self.things)[mask]))
            own = place / np.float32(np.sqrt(self.cell) * radius)
            tried.append(np.concatenate([self.votes[mask] / radius, own], axis=1))
        if self.depth is not None:
            tried.append(np.concatenate([0.3 * place / size, _standard(self.depth[mask])], axis=1))
        for points in tried:
            labels = np.zeros(mask.shape, np.int32)
            labels[mask] = 1 + two_means(points)
            parts = _in_two_pieces(labels)
            if parts is not None:
                yield parts

    def evidence(self, mask: Mask, parts: Parts) -> Evidence:
        first, second = parts
        grown = cv2.dilate(first.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        border = grown & second
        smaller = min(np.count_nonzero(part) for part in parts)
        lab = [self.colours[part].mean(axis=0) for part in parts]
        found = {
            "colour": float(np.linalg.norm(lab[0] - lab[1])) / 20.0,
            "border": float(np.count_nonzero(border) / np.sqrt(smaller)),
        }
        if self.things is not None and self.votes is not None:
            radius = _radius(self.things)
            count = float((1.0 / (np.pi * radius[mask] ** 2 * self.cell)).sum())
            middles = [self.votes[part].mean(axis=0) for part in parts]
            edge = 1.0 / (1.0 + np.exp(-self.things[..., 3]))
            found["count"] = float(np.log(max(count, 1e-3)))
            found["votes"] = float(np.linalg.norm(middles[0] - middles[1]) / np.median(radius[mask]))
            found["edge"] = float(edge[border].mean() - edge[mask].mean()) if border.any() else 0.0
        if self.features is not None:
            means = [self.features.mean(part) for part in parts]
            cosine = means[0] @ means[1] / max(float(np.prod([np.linalg.norm(m) for m in means])), 1e-12)
            found["features"] = float(1.0 - cosine)
        if self.depth is not None:
            found["depth"] = self._jump(first, second)
        return Evidence(**found)

    def _jump(self, first: Mask, second: Mask) -> float:
        """Hundredths of the distance by which depth differs on the two sides of the border."""
        assert self.depth is not None
        kernel = np.ones((5, 5), np.uint8)
        sides = [
            self.depth[own & (cv2.dilate(other.astype(np.uint8), kernel) > 0)]
            for own, other in ((first, second), (second, first))
        ]
        known = [side[np.isfinite(side)] for side in sides]
        if min(len(side) for side in known) == 0:
            return 0.0
        near, far = sorted(float(np.median(side)) for side in known)
        return min(30.0, 100.0 * (far - near) / near)


def _standard(depth: Array) -> Array:
    """(n, 1): depth in twentieths of the median distance, the median where it is unknown."""
    known = np.isfinite(depth)
    middle = float(np.median(depth[known])) if known.any() else 1.0
    return np.asarray((np.where(known, depth, middle) / max(middle, 1e-6) - 1.0) * 10.0, np.float32)[:, None]


def two_means(points: Array) -> NDArray[np.bool_]:
    """Of points (n, c), which are nearer to the second of two means (Lloyd's algorithm), at first far apart.

    The means are found from SAMPLE points at most.
    """
    sample = points[:: max(1, len(points) // SAMPLE)]
    total = sample.sum(axis=0)
    far = sample[int(((sample - total / len(sample)) ** 2).sum(axis=1).argmax())]
    first, second = far, sample[int(((sample - far) ** 2).sum(axis=1).argmax())]
    for _ in range(ROUNDS):
        owned = _nearer(sample, first, second).astype(np.float32)
        count = float(owned.sum())
        if not 0 < count < len(sample):
            break
        part = owned @ sample
        before, second, first = second, part / count, (total - part) / (len(sample) - count)
        if np.array_equal(before, second):
            break
    return _nearer(points, first, second)


def _nearer(points: Array, first: Array, second: Array) -> NDArray[np.bool_]:
    """Whether each point is nearer to the second place: a question of one product."""
    middle = 0.5 * float(second @ second - first @ first)
    return np.asarray(points @ (second - first) > middle)


def _in_two_pieces(labels: NDArray[np.int32]) -> Parts | None:
    """Parts 1 and 2 of a picture (0 is neither), each its largest piece and what it surrounds or touches."""
    cores: list[Mask] = []
    for number in (1, 2):
        own = (labels == number).astype(np.uint8)
        found, pieces, stats, _ = cv2.connectedComponentsWithStats(own, connectivity=8)
        if found < 2:
            return None
        cores.append(pieces == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))
    loose = (labels > 0) & ~cores[0] & ~cores[1]
    if loose.any():
        nearer = _distance(cores[0]) <= _distance(cores[1])
        cores = [cores[0] | (loose & nearer), cores[1] | (loose & ~nearer)]
    return cores[0], cores[1]


def _distance(mask: Mask) -> Array:
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3), np.float32)
