"""Splits a region into the instances that it holds.

A region is split in two in a few ways, and a classifier says of each whether the two parts are two
instances: by the centres that an instance head votes for (after Panoptic-DeepLab, Cheng et al., CVPR
2020), by colour, by features, by depth, and by their border. Parts are split again in the same way.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from perception_contrast.core.arrays import BoolMask, FeatureArray, FloatArray
from perception_contrast.core.feature_grid import unit_vectors
from perception_contrast.segmentation.instances.region_part import CellFeatures, RegionPart, RegionView
from perception_contrast.segmentation.instances.split_classifier import (
    classifier_name,
    load_split_classifiers,
)
from perception_contrast.segmentation.instances.split_cues import SplitCues
from perception_contrast.segmentation.instances.split_evidence import SplitEvidence
from perception_contrast.segmentation.instances.two_means import Split
from perception_contrast.segmentation.regions.region import Region
from perception_contrast.segmentation.upsampling.logit_upsampler import LogitUpsampler

MAX_INSTANCES = 24  # of one region
MIN_PIXELS = 12  # coarse; in fewer no parts can be seen
MAX_SHARE = 0.12  # of the image; the classifiers were fitted to smaller regions, and walls are one instance
MIN_PART = 0.08  # of a region; smaller parts are no instances


class MeasuredSplit(NamedTuple):
    """A split and its evidence."""

    split: Split
    evidence: SplitEvidence


class Splitter:
    """Splits regions of one image. Cues are prepared when a region first needs them."""

    def __init__(self, upsampler: LogitUpsampler, image: NDArray[np.uint8], split_cues: SplitCues) -> None:
        """Takes an image and its cues.

        Args:
            upsampler: of the image, for the size of the coarse map that regions lie in.
            image: (H, W, 3) uint8 RGB.
            split_cues: of the image.
        """
        self._map_size, self._image, self._split_cues = upsampler.coarse_size, image, split_cues
        self._classifier = load_split_classifiers()[classifier_name(split_cues)]

    def __call__(self, region: Region) -> list[BoolMask]:
        """Masks in the region's box that share its pixels among instances; one mask if it is one."""
        pixels = np.count_nonzero(region.mask)
        if region.share > MAX_SHARE or pixels < 2 * MIN_PIXELS:
            return [region.mask]
        waiting: list[BoolMask] = [region.mask]
        instances: list[BoolMask] = []
        view = self._view(region)
        min_pixels = max(MIN_PIXELS, MIN_PART * pixels)
        while waiting:
            mask = waiting.pop()
            split = None
            if np.count_nonzero(mask) >= 2 * min_pixels and len(instances) + len(waiting) < MAX_INSTANCES - 1:
                split = self._best_split(view.part(mask), min_pixels)
            if split is None:
                instances.append(mask)
            else:
                waiting += split
        return instances

    def _best_split(self, part: RegionPart, min_pixels: float) -> Split | None:
        """The most probable split; None where none is probable enough."""
        classifier = self._classifier
        best, best_probability = None, 0.0
        for split in part.splits():
            if min(np.count_nonzero(side) for side in split) < min_pixels:
                continue
            probability = classifier(part.evidence(split, classifier.can_still_split))
            if best is None or probability > best_probability:
                best, best_probability = split, probability
        return best if best_probability >= classifier.split_from else None

    def measured_splits(self, region: Region) -> list[MeasuredSplit]:
        """Every split that is tried of a region, with all its evidence."""
        if np.count_nonzero(region.mask) < MIN_PIXELS:
            return []
        part = self._view(region).part(region.mask)
        return [MeasuredSplit(split, part.evidence(split)) for split in part.splits()]

    def _view(self, region: Region) -> RegionView:
        x0, y0, x1, y1 = region.box
        rows, columns = np.arange(y0, y1), np.arange(x0, x1)
        cues, votes, features, cell_area = self._split_cues, None, None, 1.0
        if cues.instance_votes is not None:
            votes = self._cells_under(self._votes, rows, columns)
            cells = cues.instance_votes.shape[0] * cues.instance_votes.shape[1]
            cell_area = self._map_size[0] * self._map_size[1] / cells
        if cues.features is not None:
            features = self._cells_under(cues.features.values, rows, columns)
            if not cues.features.normalized:
                # Of the region alone: most of an image is never split.
                features = replace(features, cells=unit_vectors(features.cells))
        depth = None if cues.depth is None else self._depth[y0:y1, x0:x1]
        rgb = np.multiply(self._small_image[y0:y1, x0:x1], np.float32(1 / 255), dtype=np.float32)
        return RegionView(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), votes, features, depth, cell_area)

    def _cells_under(
        self, grid: FeatureArray, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> CellFeatures:
        """The cells of a grid (h, w, c) under rows and columns of coarse pixels."""
        high, wide = self._map_size
        down = (2 * rows + 1) * grid.shape[0] // (2 * high)
        across = (2 * columns + 1) * grid.shape[1] // (2 * wide)
        window = grid[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
        cell_of_pixel = (down - down[0])[:, None] * window.shape[1] + (across - across[0])
        return CellFeatures(np.asarray(window, np.float32).reshape(-1, grid.shape[2]), cell_of_pixel)

    @cached_property
    def _votes(self) -> FloatArray:
        """(h, w, 4) as of ``RegionView.votes``."""
        raw = self._split_cues.instance_votes
        assert raw is not None
        rows, columns = (np.arange(n, dtype=np.float32) for n in raw.shape[:2])
        votes = np.empty(raw.shape, np.float32)
        votes[..., 2] = radius = np.exp(np.clip(raw[..., 2], -1.0, 5.0))
        votes[..., 0] = rows[:, None] + raw[..., 0] * radius
        votes[..., 1] = columns + raw[..., 1] * radius
        votes[..., 3] = expit(raw[..., 3])
        return votes

    @cached_property
    def _small_image(self) -> NDArray[np.uint8]:
        rows, columns = self._map_size
        image = np.ascontiguousarray(self._image)
        return np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)

    @cached_property
    def _depth(self) -> FloatArray:
        assert self._split_cues.depth is not None
        rows, columns = self._map_size
        small = cv2.resize(self._split_cues.depth, (columns, rows), interpolation=cv2.INTER_NEAREST)
        return np.where(small > 0, small, np.float32(np.nan)).astype(np.float32, copy=False)
