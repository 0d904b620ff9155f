"""Ways in which a region of one kind falls in two, and what is known of the two parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Parts = tuple[Mask, Mask]

ROUNDS = 8  # of two means
SAMPLE = 300  # points that they are found from
NEXT_TO, NEAR_TO = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)


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


def radius(things: Array) -> Array:
    """Of the thing that each cell belongs to, in cells. things: (..., 4) of ``AlignmentHead.grid``."""
    return np.asarray(np.exp(np.clip(things[..., 2], -1.0, 5.0)), np.float32)


@dataclass(frozen=True)
class Looked:
    """cells (n, c): vectors of a grid. number (h, w): of the cell in which each coarse pixel lies."""

    cells: Array
    number: NDArray[np.int64]

    def means(self, pieces: tuple[Mask, Mask]) -> list[Array]:
        """Mean vector (c,) of the pixels of each of two masks."""
        counts = [np.bincount(self.number[mask], minlength=len(self.cells)) for mask in pieces]
        there = np.flatnonzero(counts[0] + counts[1])
        weights = np.stack([count[there] for count in counts]).astype(np.float32)
        return list((weights @ self.cells[there]) / weights.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class View:
    """What is known of each coarse pixel (h, w) of a region's box. cell: pixels of a cell of ``things``.

    votes: (h, w, 2), row and column of the cell where each one's thing has its middle.
    """

    colours: Array
    things: Array | None
    votes: Array | None
    features: Looked | None
    depth: Array | None
    cell: float

    @cached_property
    def sizes(self) -> Array:
        """(h, w): radius in cells of the thing that is seen at each pixel."""
        assert self.things is not None
        return radius(self.things)

    @cached_property
    def edges(self) -> Array:
        """(h, w): probability of an edge."""
        assert self.things is not None
        return np.asarray(1.0 / (1.0 + np.exp(-self.things[..., 3])), np.float32)

    @cached_property
    def known(self) -> Array:
        """(h * w, k): lightness and colour, then votes, then edges, of those that there are."""
        columns = [self.colours]
        if self.votes is not None:
            columns += [self.votes, self.edges[..., None]]
        flat = np.concatenate(columns, axis=2)
        return flat.reshape(-1, flat.shape[2])

    def piece(self, mask: Mask) -> Piece:
        """The part of the region under a mask (h, w) that is not empty."""
        return Piece(self, mask, np.flatnonzero(mask))


@dataclass(frozen=True)
class Piece:
    """One mask of a region that may be two things. inside: (n,) flat places of its pixels."""

    view: View
    mask: Mask
    inside: NDArray[np.int64]

    @cached_property
    def known(self) -> Array:
        """(n, k): rows of ``View.known``."""
        return np.take(self.view.known, self.inside, axis=0)

    @cached_property
    def sizes(self) -> Array:
        """(n,) radii in cells."""
        return np.asarray(self.view.sizes.ravel()[self.inside])

    @cached_property
    def size(self) -> float:
        """The middle one of the radii."""
        return float(np.median(self.sizes))

    def partings(self) -> Iterator[Parts]:
        """Ways in which the mask falls in two, each part in one piece: by votes, by colours, by depth."""
        view, count = self.view, len(self.inside)
        rows, columns = np.divmod(self.inside, self.mask.shape[1])
        place = np.stack([rows, columns], axis=1).astype(np.float32)
        across = np.float32(np.sqrt(count / np.pi))
        tried = [np.concatenate([place / across, self.known[:, :3] / 20.0], axis=1)]
        if view.votes is not None:
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

    def evidence(self, parts: Parts) -> Evidence:
        """parts: (h, w) masks that share the mask's pixels between them."""
        first, second = parts
        border = _grown(first, NEXT_TO) & second
        length = np.count_nonzero(border)
        own = first.ravel()[self.inside].astype(np.float32)
        ones, total = float(own.sum()), self.known.sum(axis=0)
        part = own @ self.known
        rest = len(own) - ones
        apart = part / ones - (total - part) / rest
        found = {
            "colour": float(np.linalg.norm(apart[:3])) / 20.0,
            "border": length / float(np.sqrt(min(ones, rest))),
        }
        view = self.view
        if view.things is not None:
            count = float((1.0 / (np.pi * self.sizes**2 * view.cell)).sum())
            found["count"] = float(np.log(max(count, 1e-3)))
            found["votes"] = float(np.linalg.norm(apart[3:5])) / self.size
            at_edge = float(view.edges[border].mean() - total[5] / len(own)) if length else 0.0
            found["edge"] = at_edge
        if view.features is not None:
            one, other = view.features.means(parts)
            lengths = float(np.sqrt((one @ one) * (other @ other)))
            found["features"] = 1.0 - float(one @ other) / max(lengths, 1e-12)
        if view.depth is not None:
            found["depth"] = self._jump(first, second)
        return Evidence(**found)

    def _jump(self, first: Mask, second: Mask) -> float:
        """Hundredths of the distance by which depth differs on the two sides of the border."""
        depth = self.view.depth
        assert depth is not None
        sides = [depth[own & _grown(other, NEAR_TO)] for own, other in ((first, second), (second, first))]
        known = [side[np.isfinite(side)] for side in sides]
        if min(len(side) for side in known) == 0:
            return 0.0
        near, far = sorted(float(np.median(side)) for side in known)
        return min(30.0, 100.0 * (far - near) / near)


def _grown(mask: Mask, kernel: NDArray[np.uint8]) -> Mask:
    return np.asarray(cv2.dilate(mask.view(np.uint8), kernel), np.uint8).view(bool)


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


def _in_two_pieces(mask: Mask, second: Mask) -> Parts | None:
    """Two parts of a mask, each the largest piece of its side and what that surrounds or touches.

    second: which of the mask's pixels are the second's. None where a side has no pixel.
    """
    cores: list[Mask] = []
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


def _distance(mask: Mask) -> Array:
    return np.asarray(cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, 3), np.float32)
