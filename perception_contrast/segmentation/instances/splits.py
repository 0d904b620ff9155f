"""Ways in which a region of one kind falls in two, and what is known of the two parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, FloatArray

Parts = tuple[BoolMask, BoolMask]

STOP = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 8, 0.0)  # rounds of two means, and least move
SAMPLE = 300  # points that they are found from
DEEPEST = 30.0  # jump of depth, in hundredths of the distance, that is told apart from larger ones
NEXT_TO, NEAR_TO = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)


@dataclass(frozen=True)
class Evidence:
    """What is known of two parts of a region; 0 for what cannot be known.

    count: log of how many things the cells think the region is. votes: radii between the two parts'
    middles. colour: CIELAB distance of their mean colours in steps of 20. features: 1 - cosine of their
    mean features. edge: how much surer than elsewhere cells along their border are of lying at an edge.
    border: its length against the side of the smaller part. depth: jump of depth across the border, in
    hundredths of the distance, at most DEEPEST.
    """

    count: float = 0.0
    votes: float = 0.0
    colour: float = 0.0
    features: float = 0.0
    edge: float = 0.0
    border: float = 0.0
    depth: float = 0.0


@dataclass(frozen=True)
class CellFeatures:
    """cells (n, c): what is known of each cell of a grid. number (h, w): cell of each coarse pixel."""

    cells: FloatArray
    number: NDArray[np.int64]

    def at(self, places: NDArray[np.int64] | BoolMask) -> FloatArray:
        """(m, c) of pixels, by a mask (h, w) or by their places in a flat image."""
        return self.cells[self.number[places] if places.dtype == bool else self.number.take(places)]


@dataclass(frozen=True)
class View:
    """What is known of each coarse pixel (h, w) of a region's box.

    colours: (h, w, 3) CIELAB. things: row and column of the cell where a cell's thing has its middle, the
    thing's radius in cells, and the probability of an edge, (n, 4). cell: pixels of a cell of ``things``.
    """

    colours: FloatArray
    things: CellFeatures | None
    features: CellFeatures | None
    depth: FloatArray | None
    cell: float

    def piece(self, mask: BoolMask) -> RegionPart:
        """The part of the region under a mask (h, w) that is not empty."""
        return RegionPart(self, mask, np.flatnonzero(mask))


@dataclass(frozen=True)
class RegionPart:
    """One mask of a region that may be two things. inside: (n,) flat places of its pixels."""

    view: View
    mask: BoolMask
    inside: NDArray[np.int64]

    @cached_property
    def known(self) -> FloatArray:
        """(n, 3) lightness and colour, or (n, 7) with what ``View.things`` knows beside them."""
        colours = self.view.colours.reshape(-1, 3).take(self.inside, axis=0)
        if self.view.things is None:
            return colours
        return np.concatenate([colours, self.view.things.at(self.inside)], axis=1)

    @cached_property
    def total(self) -> FloatArray:
        """Sum of ``known``."""
        return np.asarray(self.known.sum(axis=0))

    @cached_property
    def size(self) -> float:
        """The middle one of the radii of the things that are seen here, in cells."""
        return median(self.known[:, 5])

    @cached_property
    def count(self) -> float:
        """Log of how many things the cells think are here."""
        areas = np.square(self.known[:, 5]) * np.float32(np.pi * self.view.cell)
        return float(np.log(max(float((1.0 / areas).sum()), 1e-3)))

    @cached_property
    def looks(self) -> tuple[NDArray[np.int64], FloatArray]:
        """Of ``View.features``: cell of each pixel (n,), sum of the pixels' vectors (c,)."""
        looked = self.view.features
        assert looked is not None
        number = looked.number.take(self.inside)
        pixels = np.bincount(number, minlength=len(looked.cells)).astype(np.float32)
        return number, pixels @ looked.cells

    def partings(self) -> Iterator[Parts]:
        """Ways in which the mask falls in two, each part in one piece: by votes, by colours, by depth."""
        view, count = self.view, len(self.inside)
        rows, columns = np.divmod(self.inside, self.mask.shape[1])
        place = np.stack([rows, columns], axis=1).astype(np.float32)
        across = np.float32(np.sqrt(count / np.pi))
        tried = [np.concatenate([place / across, self.known[:, :3] / np.float32(20.0)], axis=1)]
        if view.things is not None:
            own = place / np.float32(np.sqrt(view.cell) * self.size)
            tried.append(np.concatenate([self.known[:, 3:5] / np.float32(self.size), own], axis=1))
        if view.depth is not None:
            deep = _standard(view.depth.ravel()[self.inside])
            tried.append(np.concatenate([0.3 * place / across, deep], axis=1))
        for points in tried:
            second = np.zeros(self.mask.shape, bool)
            second.ravel()[self.inside] = two_means(points)
            parts = _in_two_pieces(self.mask, second)
            if parts is not None:
                yield parts

    def evidence(self, parts: Parts, worth: Callable[[Evidence], bool] | None = None) -> Evidence:
        """parts: (h, w) masks that share the mask's pixels between them.

        worth: whether features and depth, which take longest, are to be looked at too, by what is known
        without them; None: always.
        """
        first, second = parts
        border = _grown(first, NEXT_TO) & second
        length = np.count_nonzero(border)
        own = first.ravel().take(self.inside).astype(np.float32)
        ones = np.count_nonzero(first)
        part, rest = own @ self.known, len(own) - ones
        apart = part / ones - (self.total - part) / rest
        colour = float(np.linalg.norm(apart[:3])) / 20.0
        seen = Evidence(colour=colour, border=length / float(np.sqrt(min(ones, rest))))
        view = self.view
        if view.things is not None:
            usual = float(self.total[6]) / len(own)
            edge = float(view.things.at(border)[:, 3].mean()) - usual if length else 0.0
            votes = float(np.linalg.norm(apart[3:5])) / self.size
            seen = replace(seen, count=self.count, votes=votes, edge=edge)
        if worth is not None and not worth(seen):
            return seen
        features = 0.0 if view.features is None else self._unlike(own)
        return replace(
            seen, features=features, depth=0.0 if view.depth is None else self._jump(first, second)
        )

    def _unlike(self, own: FloatArray) -> float:
        """1 less the cosine of the mean features of the pixels of a part, by 1 and 0, and of the others."""
        looked = self.view.features
        assert looked is not None
        number, total = self.looks
        part = np.bincount(number, weights=own, minlength=len(looked.cells)).astype(np.float32)
        one = part @ looked.cells
        other = total - one
        lengths = float(np.sqrt((one @ one) * (other @ other)))
        return 1.0 - float(one @ other) / max(lengths, 1e-12)

    def _jump(self, first: BoolMask, second: BoolMask) -> float:
        """Hundredths of the distance by which depth differs on the two sides of the border."""
        depth = self.view.depth
        assert depth is not None
        sides = [depth[own & _grown(other, NEAR_TO)] for own, other in ((first, second), (second, first))]
        known = [side[np.isfinite(side)] for side in sides]
        if min(len(side) for side in known) == 0:
            return 0.0
        near, far = sorted(median(side) for side in known)
        return min(DEEPEST, 100.0 * (far - near) / near)


def median(values: FloatArray) -> float:
    """Of (n,) values, none of them NaN: as NumPy's, without its checks, which take longer than the search."""
    middle = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, middle)[middle])
    low, high = np.partition(values, (middle - 1, middle))[middle - 1 : middle + 1]
    return float((low + high) / 2)


def _grown(mask: BoolMask, kernel: NDArray[np.uint8]) -> BoolMask:
    return np.asarray(cv2.dilate(mask.view(np.uint8), kernel), np.uint8).view(bool)


def _standard(depth: FloatArray) -> FloatArray:
    """(n, 1): depth in twentieths of the median distance, the median where it is unknown."""
    known = np.isfinite(depth)
    middle = median(depth[known]) if known.any() else 1.0
    return np.asarray((np.where(known, depth, middle) / max(middle, 1e-6) - 1.0) * 10.0, np.float32)[:, None]


def two_means(points: FloatArray) -> NDArray[np.bool_]:
    """Of points (n, c), which are nearer to the second of two means (Lloyd's algorithm), at first far apart.

    The means are found from SAMPLE points at most.
    """
    sample = np.ascontiguousarray(points[:: max(1, len(points) // SAMPLE)])
    total = sample.sum(axis=0)
    far = sample[int(((sample - total / len(sample)) ** 2).sum(axis=1).argmax())]
    first, second = far, sample[int(((sample - far) ** 2).sum(axis=1).argmax())]
    owned = _nearer(sample, first, second)
    if 0 < np.count_nonzero(owned) < len(sample):
        start = owned.astype(np.int32)[:, None]
        _, _, means = cv2.kmeans(sample, 2, start, STOP, 1, cv2.KMEANS_USE_INITIAL_LABELS)
        first, second = means
    return _nearer(points, first, second)


def _nearer(points: FloatArray, first: FloatArray, second: FloatArray) -> NDArray[np.bool_]:
    """Whether each point is nearer to the second place: a question of one product."""
    middle = 0.5 * float(second @ second - first @ first)
    return np.asarray(points @ (second - first) > middle)


def _in_two_pieces(mask: BoolMask, second: BoolMask) -> Parts | None:
    """Two parts of a mask, each the largest piece of its side and what that surrounds or touches.

    second: which of the mask's pixels are the second's. None where a side has no pixel.
    """
    cores: list[BoolMask] = []
    loose = mask.copy()
    for side in (mask & ~second, second):
        _, pieces = cv2.connectedComponents(side.view(np.uint8), connectivity=8)
        areas = np.bincount(pieces.ravel())[1:]
        if not len(areas):
            return None
        core = pieces == 1 + int(areas.argmax())
        loose &= ~core
        cores.append(core)
    if loose.any():
        nearer = _distance(cores[0]) <= _distance(cores[1])
        cores = [cores[0] | (loose & nearer), cores[1] | (loose & ~nearer)]
    return cores[0], cores[1]


def _distance(mask: BoolMask) -> FloatArray:
    return np.asarray(cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, 3), np.float32)
