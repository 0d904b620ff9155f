"""One region of one kind into the single things that it holds.

Two cues, each optional. A head that tells things apart gives every cell a vote for the middle of its
thing (after Panoptic-DeepLab, Cheng et al., CVPR 2020). Without one, regions are cut where depth jumps,
where the picture's features and colours change at once, and at necks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from ..encoders.grid import FeatureGrid
from .masks import Ground
from .regions import Region

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

MOST = 24  # things of one region
LEAST_MASS = 0.4  # of a thing's cells that must vote for a middle
NEAR = 0.7  # radii within which votes belong to one middle
DEPTH_JUMP = 0.05  # of the distance, between neighbouring coarse pixels
LEAST_PART = 0.06  # of a region; smaller pieces are no things of their own
SAME_COLOUR = 14.0  # distance of two parts' mean colours in CIELAB
NECK = 0.55  # width of a neck against the narrower of the parts that it joins


@dataclass(frozen=True)
class Clues:
    """What tells one thing from the next, each of it optional.

    things: (h, w, 4) float32 of ``AlignmentHead.grid``. depth: (H, W) float32 metres of the picture, NaN
    or 0 where unknown. features: of the picture alone.
    """

    things: Array | None = None
    depth: Array | None = None
    features: FeatureGrid | None = None


class Splitter:
    """Splits regions of one picture. Works nothing out before it is first asked."""

    def __init__(self, ground: Ground, image: NDArray[np.uint8], clues: Clues) -> None:
        self._ground, self._image, self._clues = ground, image, clues

    def __call__(self, region: Region) -> list[Mask]:
        """Masks in the region's box that share its pixels out among things; one mask if it is one thing."""
        if self._clues.things is not None:
            return self._by_votes(region)
        return self._by_cuts(region)

    # By votes.

    @cached_property
    def _votes(self) -> _Votes:
        assert self._clues.things is not None
        return _Votes(self._clues.things, self._ground.coarse)

    def _by_votes(self, region: Region) -> list[Mask]:
        votes = self._votes.under(region)
        # Most regions hold one thing, and their cells say so.
        if votes.count < 1.4 and self._clues.depth is None:
            return [region.mask]
        middles: list[_Middle] = []
        for piece in self._pieces(region):
            for middle in votes.middles(piece):
                # Parts of one thing that depth has cut apart still mean one middle.
                close = 0.35 if self._clues.depth is not None else NEAR
                if all(middle.far_from(other, close) for other in middles):
                    middles.append(middle)
        if len(middles) < 2:
            return [region.mask]
        return _shared_out(region.mask, votes.nearest(middles), len(middles))

    def _pieces(self, region: Region) -> list[Mask]:
        """Parts of a region between which depth jumps."""
        if self._clues.depth is None:
            return [region.mask]
        x0, y0, x1, y1 = region.box
        pieces = _components(region.mask & ~self._jumps[y0:y1, x0:x1], region.mask)
        return pieces or [region.mask]

    # By cuts.

    @cached_property
    def _jumps(self) -> Mask:
        """Coarse pixels at which depth jumps."""
        assert self._clues.depth is not None
        rows, columns = self._ground.coarse
        depth = cv2.resize(self._clues.depth, (columns, rows), interpolation=cv2.INTER_NEAREST)
        known = np.isfinite(depth) & (depth > 0)
        depth = np.where(known, depth, 0).astype(np.float32)
        low = cv2.erode(np.where(known, depth, np.float32(np.inf)), np.ones((3, 3), np.uint8))
        high = cv2.dilate(depth, np.ones((3, 3), np.uint8))
        return np.asarray(known & (high - low > 3 * DEPTH_JUMP * np.maximum(low, 1e-3)))

    @cached_property
    def _colours(self) -> Array:
        rows, columns = self._ground.coarse
        small = cv2.resize(np.ascontiguousarray(self._image), (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)

    @cached_property
    def _changes(self) -> Array:
        """How much colours, and features where they are there, change at a coarse pixel; 1 is an edge."""
        low, high = (f(self._colours, np.ones((3, 3), np.uint8)) for f in (cv2.erode, cv2.dilate))
        change = np.linalg.norm(high - low, axis=-1) / 40.0
        if self._clues.features is not None:
            apart = _unlikeness(self._clues.features)
            scale = 2.0 * max(float(np.median(apart)), 1e-3)
            wide = cv2.resize(apart / scale, change.shape[::-1], interpolation=cv2.INTER_LINEAR)
            # A pattern on a thing changes its colours alone, a thing's rim both.
            change = np.sqrt(np.maximum(change, 0) * np.maximum(wide, 0))
        return np.asarray(change, np.float32)

    def _by_cuts(self, region: Region) -> list[Mask]:
        x0, y0, x1, y1 = region.box
        window = (slice(y0, y1), slice(x0, x1))
        barred = self._changes[window] > 1.0
        if self._clues.depth is not None:
            barred |= self._jumps[window]
        parts = _components(region.mask & ~barred, region.mask)
        if len(parts) < 2:
            parts = _without_necks(region.mask)
        if len(parts) < 2:
            return [region.mask]
        labels = _grown(parts, region.mask, self._changes[window])
        labels = self._merged(labels, len(parts), window)
        return [mask for n in range(1, int(labels.max()) + 1) if (mask := labels == n).any()]

    def _merged(
        self, labels: NDArray[np.int32], count: int, window: tuple[slice, slice]
    ) -> NDArray[np.int32]:
        """Joins neighbouring parts that look alike with no jump of depth between them."""
        colours = self._colours[window]
        means = np.stack([colours[labels == n].mean(axis=0) for n in range(1, count + 1)])
        for first in range(1, count + 1):
            for second in range(first + 1, count + 1):
                border = _border(labels, first, second)
                if not border.any():
                    continue
                if self._clues.depth is not None and self._jumps[window][border].mean() > 0.4:
                    continue
                if float(np.linalg.norm(means[first - 1] - means[second - 1])) < SAME_COLOUR:
                    if self._clues.depth is None and _necked(labels, first, second, border):
                        continue
                    labels[labels == second] = first
        return labels


@dataclass(frozen=True)
class _Middle:
    place: Array
    radius: float

    def far_from(self, other: _Middle, radii: float) -> bool:
        return float(np.linalg.norm(self.place - other.place)) > radii * min(self.radius, other.radius)


class _Votes:
    """Where each cell's thing has its middle. Places are rows and columns of cells."""

    def __init__(self, things: Array, coarse: tuple[int, int]) -> None:
        rows, columns, _ = things.shape
        radius = np.exp(np.clip(things[..., 2], -1.0, 5.0))
        place = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1)
        self._radius = radius.astype(np.float32)
        self._votes = (place + things[..., :2] * radius[..., None]).astype(np.float32)
        self._row = ((np.arange(coarse[0]) + 0.5) * rows / coarse[0]).astype(np.int64)
        self._column = ((np.arange(coarse[1]) + 0.5) * columns / coarse[1]).astype(np.int64)

    def under(self, region: Region) -> _RegionVotes:
        x0, y0, x1, y1 = region.box
        place = np.ix_(self._row[y0:y1], self._column[x0:x1])
        pixels = (y1 - y0) * (x1 - x0) / max(1, np.unique(place[0]).size * np.unique(place[1]).size)
        return _RegionVotes(self._votes[place], self._radius[place], region.mask, pixels)


@dataclass(frozen=True)
class _RegionVotes:
    """votes (h, w, 2), radius (h, w): of the coarse pixels of a region's box. pixels: of a cell."""

    votes: Array
    radius: Array
    mask: Mask
    pixels: float

    @cached_property
    def _weight(self) -> Array:
        """Of a thing that is seen whole the weights of all its pixels sum up to 1."""
        return np.asarray(1.0 / (np.pi * self.radius**2 * self.pixels), np.float32)

    @property
    def count(self) -> float:
        """How many things the pixels think they are."""
        return float(self._weight[self.mask].sum())

    def middles(self, piece: Mask) -> list[_Middle]:
        """Places that enough pixels of a piece vote for, the surest first."""
        votes, radius, weight = self.votes[piece], self.radius[piece], self._weight[piece]
        least = votes.min(axis=0) - 3
        shape = np.minimum(np.ceil(votes.max(axis=0) - least).astype(int) + 4, 400)
        index = np.minimum(np.round(votes - least).astype(int), shape - 1)
        flat = index[:, 0] * shape[1] + index[:, 1]
        found: list[_Middle] = []
        free = np.ones(len(votes), bool)
        sigma = max(0.7, 0.25 * float(np.median(radius)))
        while len(found) < MOST and free.any():
            ballot = np.bincount(flat, weights=weight * free, minlength=shape[0] * shape[1])
            heap = cv2.GaussianBlur(ballot.reshape(shape).astype(np.float32), (0, 0), sigma)
            peak = np.unravel_index(int(heap.argmax()), heap.shape)
            centre = np.asarray(peak, np.float32) + least
            member = free & (np.linalg.norm(votes - centre, axis=1) < NEAR * radius)
            if member.any():
                centre = np.average(votes[member], axis=0, weights=weight[member]).astype(np.float32)
                member |= free & (np.linalg.norm(votes - centre, axis=1) < NEAR * radius)
            if float(weight[member].sum()) < LEAST_MASS:
                break
            found.append(_Middle(centre, float(np.median(radius[member]))))
            free &= ~member
        return found

    def nearest(self, middles: list[_Middle]) -> NDArray[np.int32]:
        """(h, w): 1 + the middle that each pixel's vote is nearest to, in radii of that thing."""
        distances = [np.linalg.norm(self.votes - m.place, axis=-1) / m.radius for m in middles]
        return np.asarray(np.argmin(distances, axis=0) + 1, np.int32)


def _shared_out(mask: Mask, labels: NDArray[np.int32], count: int) -> list[Mask]:
    """Each label's largest piece; what is left goes to the piece it lies next to."""
    cores: list[Mask] = []
    for number in range(1, count + 1):
        own = (mask & (labels == number)).astype(np.uint8)
        found, pieces, stats, _ = cv2.connectedComponentsWithStats(own, connectivity=8)
        if found > 1:
            cores.append(pieces == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))
    cores = [core for core in cores if np.count_nonzero(core) >= LEAST_PART * np.count_nonzero(mask) / 2]
    if len(cores) < 2:
        return [mask]
    grown = _grown(cores, mask, np.zeros(mask.shape, np.float32))
    return [grown == n for n in range(1, len(cores) + 1)]


def _components(open_: Mask, whole: Mask) -> list[Mask]:
    """Connected pieces that are not too small a part of the whole, largest first."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(open_.astype(np.uint8), connectivity=4)
    least = max(2.0, LEAST_PART * np.count_nonzero(whole))
    order = np.argsort(-stats[1:count, cv2.CC_STAT_AREA]) + 1
    return [labels == n for n in order[:MOST] if stats[n, cv2.CC_STAT_AREA] >= least]


def _without_necks(mask: Mask) -> list[Mask]:
    """The bodies of a shape that hang together by necks alone."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    widest = float(distance.max())
    for level in (0.3, 0.45, 0.6):
        bodies = _components(distance > level * widest, mask)
        narrow = [body for body in bodies if float(distance[body].max()) * NECK > level * widest]
        if len(narrow) > 1:
            return narrow
    return []


def _grown(parts: list[Mask], mask: Mask, cost: Array) -> NDArray[np.int32]:
    """(h, w) int32: 1 + the part that reaches a pixel of the mask first, 0 outside. Costly ground is slow."""
    markers = np.zeros(mask.shape, np.int32)
    for number, part in enumerate(parts, start=1):
        markers[part] = number
    # OpenCV's watershed leaves lines between basins and a rim; both are filled by the nearest basin.
    level = np.clip(cost * 60.0, 0, 255).astype(np.uint8)
    seeded = np.where(mask, markers, len(parts) + 1).astype(np.int32)
    flooded = cv2.watershed(cv2.merge([level] * 3), np.pad(seeded, 0))
    flooded[(flooded > len(parts)) | (flooded < 1)] = 0
    flooded[(markers > 0) & (flooded == 0)] = markers[(markers > 0) & (flooded == 0)]
    if not flooded.any():
        return markers
    _, nearest = cv2.distanceTransformWithLabels(
        (flooded == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(nearest.max()) + 1, np.int32)
    owner[nearest[flooded > 0]] = flooded[flooded > 0]
    return np.asarray(np.where(mask, owner[nearest], 0), np.int32)


def _border(labels: NDArray[np.int32], first: int, second: int) -> Mask:
    """Pixels of the one part that touch the other."""
    touched = cv2.dilate((labels == first).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.asarray(touched & (labels == second))


def _necked(labels: NDArray[np.int32], first: int, second: int, border: Mask) -> bool:
    """Whether two parts meet along less than they are wide."""
    narrower = min(np.count_nonzero(labels == n) for n in (first, second))
    return bool(np.count_nonzero(border) < NECK * 2 * np.sqrt(narrower / np.pi))


def _unlikeness(grid: FeatureGrid) -> Array:
    """(h, w): 1 - cosine of each cell with the least like of its four neighbours."""
    unit = grid.unit().values.astype(np.float32)
    worst = np.zeros(unit.shape[:2], np.float32)
    for axis in (0, 1):
        ahead, behind = (np.delete(unit, end, axis=axis) for end in (0, -1))
        apart = 1.0 - (ahead * behind).sum(-1)
        for pad in ((1, 0), (0, 1)):
            widened = np.pad(apart, [pad if axis == side else (0, 0) for side in (0, 1)])
            worst = np.maximum(worst, widened)
    return worst
