"""What the cells of one frame's features say: similarities to one of them, likeness to a box, clusters."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.feature_grid import FeatureGrid, unit_vectors

# A click stands for the cells that hang together with its cell and are at least as similar as this.
REGION_COSINE = 0.6
# A region of more than this share of the image is no thing that somebody clicked on.
LARGEST_REGION = 0.4
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class CellSimilarity:
    """Similarity of each cell to a chosen one, or to those of a box.

    Attributes:
        cosines: (h, w) float32.
        cell: (row, column) of the cell, or of the middle of the box.
        threshold: Cosine from which a cell counts as a neighbour.
        box: x0, y0, x1, y1 in pixels of the image, of what was chosen.
    """

    cosines: NDArray[np.float32]
    cell: tuple[int, int]
    threshold: float
    box: Box

    def bytes(self) -> tuple[bytes, float, float]:
        """One byte for each cell from the lowest cosine to the highest, and these two."""
        low, high = float(self.cosines.min()), float(self.cosines.max())
        scaled = (self.cosines - low) * (255.0 / max(high - low, 1e-6))
        return np.round(scaled).astype(np.uint8).tobytes(), low, high


def cell_at(grid: FeatureGrid, x: float, y: float) -> tuple[int, int]:
    """(row, column) of the cell nearest to a pixel."""
    column, row = grid.grid_to_image.to_grid(x, y)
    rows, columns, _ = grid.shape
    return min(max(round(row), 0), rows - 1), min(max(round(column), 0), columns - 1)


def similarity_to_point(grid: FeatureGrid, x: float, y: float) -> CellSimilarity:
    """Of each cell to the one at a pixel; ``box`` bounds the connected cells that are like it."""
    vectors = grid.unit().values
    row, column = cell_at(grid, x, y)
    cosines = np.asarray(vectors @ vectors[row, column], np.float32)
    _, regions = cv2.connectedComponents((cosines >= REGION_COSINE).astype(np.uint8), connectivity=4)
    region = regions == regions[row, column]
    if not regions[row, column] or region.mean() > LARGEST_REGION:
        region = np.zeros_like(region)
        region[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    cells = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return CellSimilarity(cosines, (row, column), REGION_COSINE, _pixels(grid, cells))


def similarity_to_box(grid: FeatureGrid, box: Box) -> CellSimilarity:
    """Of each cell to the mean of the cells whose centres lie in a box of pixels."""
    vectors = grid.unit().values
    first, last = cell_at(grid, box[0], box[1]), cell_at(grid, box[2] - 1, box[3] - 1)
    inside = slice(first[0], last[0] + 1), slice(first[1], last[1] + 1)
    cells = vectors[inside].reshape(-1, vectors.shape[2])
    mean = unit_vectors(cells.mean(axis=0))
    cosines = np.asarray(vectors @ mean, np.float32)
    own = cosines[inside]
    # Of what was shown itself, most cells count.
    threshold = max(float(np.quantile(own, 0.25)), REGION_COSINE)
    middle = (first[0] + last[0]) // 2, (first[1] + last[1]) // 2
    return CellSimilarity(cosines, middle, threshold, box)


def _pixels(grid: FeatureGrid, cells: tuple[int, int, int, int]) -> Box:
    """The pixels that cells (row, column, row behind, column behind) cover, within the image."""
    height, width = grid.image_size
    x0, y0 = grid.grid_to_image.to_image(cells[1] - 0.5, cells[0] - 0.5)
    x1, y1 = grid.grid_to_image.to_image(cells[3] - 0.5, cells[2] - 0.5)
    return (
        float(np.clip(round(x0 + 0.5), 0, width - 1)),
        float(np.clip(round(y0 + 0.5), 0, height - 1)),
        float(np.clip(round(x1 + 0.5), 1, width)),
        float(np.clip(round(y1 + 0.5), 1, height)),
    )


class FeatureClusters:
    """Groups the cells of successive frames (k-means); a group keeps its number from frame to frame.

    Args:
        count: Number of groups.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._centres: NDArray[np.float32] | None = None
        self._space = ""
        self._lock = threading.Lock()

    def assign(self, grid: FeatureGrid) -> NDArray[np.uint8]:
        """(h, w) uint8, the number of each cell's group from 1 on. Any thread may call."""
        with self._lock:
            return self._assigned(grid)

    def _assigned(self, grid: FeatureGrid) -> NDArray[np.uint8]:
        rows, columns, channels = grid.shape
        vectors = np.ascontiguousarray(grid.unit().values.reshape(-1, channels), np.float32)
        count = min(self._count, len(vectors))
        criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 6, 1e-3)
        known = self._centres
        if known is None or known.shape != (count, channels) or self._space != grid.space:
            cv2.setRNGSeed(0)
            _, labels, centres = cv2.kmeans(vectors, count, None, criteria, 2, cv2.KMEANS_PP_CENTERS)
        else:
            # Beginning at the former groups, so that their numbers, and so their colours, stay.
            start = (vectors @ known.T - 0.5 * (known**2).sum(1)).argmax(1).astype(np.int32)[:, None]
            _, labels, centres = cv2.kmeans(vectors, count, start, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
        self._centres, self._space = np.asarray(centres, np.float32), grid.space
        return np.asarray(labels.reshape(rows, columns) + 1, np.uint8)
