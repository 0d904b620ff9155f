"""GridSnapshot: the grid at one moment, as planners and messages read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array

FREE, OCCUPIED, UNKNOWN = 0, 100, -1
"""Values of cells, those of nav_msgs/OccupancyGrid."""

GridCells = NDArray[np.int8]
"""(rows, columns) int8 in the order of nav_msgs/OccupancyGrid: rows along y, columns along x."""


@dataclass(frozen=True)
class GridSnapshot:
    """Free, occupied and unknown cells of the floor.

    Attributes:
        resolution: Metres of a cell's side.
        origin: (x, y) of the outer corner of cell (0, 0) in the map, metres.
        cells: (rows, columns) int8, FREE, OCCUPIED or UNKNOWN; rows along y, columns along x.
        columns: (rows, columns, heights) bool, where something stands in the band of the robot's height.
        floor: Height of the floor in the map, metres.
        low: Height in the map at which the lowest of ``heights`` begins, metres; each is ``resolution`` high.
    """

    resolution: float
    origin: tuple[float, float]
    cells: GridCells
    columns: NDArray[np.bool_]
    floor: float
    low: float

    def indices(self, places: Float64Array) -> NDArray[np.int64]:
        """(n, 2) row and column of the cells that hold places (n, 2) as (x, y), inside of the grid or not."""
        at = np.floor((np.asarray(places, float) - self.origin) / self.resolution).astype(np.int64)
        return at[..., ::-1]

    def places(self, indices: NDArray[np.int64]) -> Float64Array:
        """(n, 2) centres (x, y) of cells given as (n, 2) row and column, metres."""
        return np.asarray((indices[..., ::-1] + 0.5) * self.resolution + self.origin, float)

    def inside(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether cells given as (n, 2) row and column are of the grid."""
        return np.asarray(((indices >= 0) & (indices < self.cells.shape)).all(axis=-1))
