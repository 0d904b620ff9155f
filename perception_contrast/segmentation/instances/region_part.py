"""Candidate splits of a part of a region, and the evidence for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, FloatArray
from perception_contrast.segmentation.instances.median import median
from perception_contrast.segmentation.instances.split_evidence import MAX_DEPTH_STEP, SplitEvidence
from perception_contrast.segmentation.instances.two_means import Split, connected_split, two_means

ADJACENT, NEARBY = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)  # structuring elements


@dataclass(frozen=True)
class CellFeatures:
    """The cells of a grid under a region's box.

    Attributes:
        cells: (n, c) float32 values of each cell.
        cell_of_pixel: (h, w) row of ``cells`` of each coarse pixel.
    """

    cells: FloatArray
    cell_of_pixel: NDArray[np.int64]

    def at(self, pixels: NDArray[np.int64] | BoolMask) -> FloatArray:
        """(m, c) values of pixels, by a mask (h, w) or by flat indices (m,)."""
        by_mask = pixels.dtype == bool
        return self.cells[self.cell_of_pixel[pixels] if by_mask else self.cell_of_pixel.take(pixels)]


@dataclass(frozen=True)
class RegionView:
    """What is known of the coarse pixels (h, w) of a region's box.

    Attributes:
        colours: (h, w, 3) float32 CIELAB.
        votes: per cell the row and column of its instance's centre, the instance's radius, all in cells,
            and the probability of an edge; or None.
        features: unit features per cell, or None.
        depth: (h, w) float32 metres, NaN where unknown; or None.
        cell_area: coarse pixels per cell of ``votes``.
    """

    colours: FloatArray
    votes: CellFeatures | None
    features: CellFeatures | None
    depth: FloatArray | None
    cell_area: float

    def part(self, mask: BoolMask) -> RegionPart:
        """The part of the region under a mask (h, w) that is not empty."""
        return RegionPart(self, mask, np.flatnonzero(mask))


@dataclass(frozen=True)
class RegionPart:
    """A part of a region that may hold two instances.

    Attributes:
        view: of the region.
        mask: (h, w) of the region's box.
        pixels: (n,) flat indices of the mask's pixels.
    """

    view: RegionView
    mask: BoolMask
    pixels: NDArray[np.int64]

    @cached_property
    def colours_and_votes(self) -> FloatArray:
        """(n, 3) CIELAB, or (n, 7) with the votes of ``RegionView.votes`` beside them."""
        colours = self.view.colours.reshape(-1, 3).take(self.pixels, axis=0)
        if self.view.votes is None:
            return colours
        return np.concatenate([colours, self.view.votes.at(self.pixels)], axis=1)

    @cached_property
    def colour_and_vote_sums(self) -> FloatArray:
        """Column sums of ``colours_and_votes``."""
        return np.asarray(self.colours_and_votes.sum(axis=0))

    @cached_property
    def median_radius(self) -> float:
        """Median of the radii that are voted for, in cells."""
        return median(self.colours_and_votes[:, 5])

    @cached_property
    def log_count(self) -> float:
        """Log of the number of instances that the voted radii suggest."""
        areas = np.square(self.colours_and_votes[:, 5]) * np.float32(np.pi * self.view.cell_area)
        return float(np.log(max(float((1.0 / areas).sum()), 1e-3)))

    @cached_property
    def feature_cells(self) -> NDArray[np.int64]:
        """(n,) cell of ``RegionView.features`` of each pixel."""
        assert self.view.features is not None
        return self.view.features.cell_of_pixel.take(self.pixels)

    @cached_property
    def feature_sum(self) -> FloatArray:
        """(c,) sum of the pixels' features."""
        features = self.view.features
        assert features is not None
        counts = np.bincount(self.feature_cells, minlength=len(features.cells)).astype(np.float32)
        return np.asarray(counts @ features.cells)

    def splits(self) -> Iterator[Split]:
        """Splits in two connected parts: by colour, by votes, by depth."""
        for points in self._clustered_points():
            second = np.zeros(self.mask.shape, bool)
            second.ravel()[self.pixels] = two_means(points)
            split = connected_split(self.mask, second)
            if split is not None:
                yield split

    def _clustered_points(self) -> list[FloatArray]:
        """(n, c) of each cue: what two means are found of."""
        view, known = self.view, self.colours_and_votes
        rows, columns = np.divmod(self.pixels, self.mask.shape[1])
        position = np.stack([rows, columns], axis=1).astype(np.float32)
        radius = np.float32(np.sqrt(len(self.pixels) / np.pi))
        points = [np.concatenate([position / radius, known[:, :3] / np.float32(20.0)], axis=1)]
        if view.votes is not None:
            own = position / np.float32(np.sqrt(view.cell_area) * self.median_radius)
            points.append(np.concatenate([known[:, 3:5] / np.float32(self.median_radius), own], axis=1))
        if view.depth is not None:
            depth = _relative_depth(view.depth.ravel()[self.pixels])
            points.append(np.concatenate([0.3 * position / radius, depth], axis=1))
        return points

    def evidence(
        self, split: Split, worth_measuring: Callable[[SplitEvidence], bool] | None = None
    ) -> SplitEvidence:
        """Measures a split of this part.

        Args:
            split: masks that share this part's pixels.
            worth_measuring: by the evidence without features and depth, which take longest, whether those
                are measured too; None: always.
        """
        border = _dilated(split.first, ADJACENT) & split.second
        border_length = np.count_nonzero(border)
        in_first = split.first.ravel().take(self.pixels).astype(np.float32)
        first_size = np.count_nonzero(split.first)
        second_size = len(in_first) - first_size
        first_sum = in_first @ self.colours_and_votes
        difference = first_sum / first_size - (self.colour_and_vote_sums - first_sum) / second_size
        evidence = SplitEvidence(
            colour=float(np.linalg.norm(difference[:3])) / 20.0,
            border=border_length / float(np.sqrt(min(first_size, second_size))),
        )
        votes = self.view.votes
        if votes is not None:
            usual = float(self.colour_and_vote_sums[6]) / len(in_first)
            evidence = replace(
                evidence,
                count=self.log_count,
                votes=float(np.linalg.norm(difference[3:5])) / self.median_radius,
                edge=float(votes.at(border)[:, 3].mean()) - usual if border_length else 0.0,
            )
        if worth_measuring is not None and not worth_measuring(evidence):
            return evidence
        return replace(
            evidence,
            features=0.0 if self.view.features is None else self._feature_distance(in_first),
            depth=0.0 if self.view.depth is None else _depth_step(self.view.depth, split),
        )

    def _feature_distance(self, in_first: FloatArray) -> float:
        """1 - cosine of the mean features of both parts. in_first: (n,) 1 in the first, 0 in the second."""
        features = self.view.features
        assert features is not None
        counts = np.bincount(self.feature_cells, weights=in_first, minlength=len(features.cells))
        first = counts.astype(np.float32) @ features.cells
        second = self.feature_sum - first
        lengths = float(np.sqrt((first @ first) * (second @ second)))
        return 1.0 - float(first @ second) / max(lengths, 1e-12)


def _depth_step(depth: FloatArray, split: Split) -> float:
    """Hundredths of the distance by which depth (h, w) differs on the two sides of the border."""
    pairs = ((split.first, split.second), (split.second, split.first))
    sides = [depth[own & _dilated(other, NEARBY)] for own, other in pairs]
    known = [side[np.isfinite(side)] for side in sides]
    if min(len(side) for side in known) == 0:
        return 0.0
    near, far = sorted(median(side) for side in known)
    return min(MAX_DEPTH_STEP, 100.0 * (far - near) / near)


def _dilated(mask: BoolMask, kernel: NDArray[np.uint8]) -> BoolMask:
    return np.asarray(cv2.dilate(mask.view(np.uint8), kernel), np.uint8).view(bool)


def _relative_depth(depth: FloatArray) -> FloatArray:
    """(n, 1) difference from the median distance in tenths of it; 0 where depth (n,) is unknown."""
    known = np.isfinite(depth)
    middle = median(depth[known]) if known.any() else 1.0
    return np.asarray((np.where(known, depth, middle) / max(middle, 1e-6) - 1.0) * 10.0, np.float32)[:, None]
