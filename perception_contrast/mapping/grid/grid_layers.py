"""GridLayers: what is known of the ground, in an area that grows and whose submaps move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform

_BLOCK = 32
"""Cells by which the area grows."""

_NOWHERE = -1


@dataclass
class GridLayers:
    """Arrays over one area of the ground.

    Attributes:
        hits: (rows, columns, heights) uint8, how surely something is there.
        floor: (rows, columns) uint8, how often the floor was seen there.
        submap: (rows, columns) int32, number of the submap that last saw it; -1 where nothing was seen.
        corner: (2,) int64 row and column in the map of the first cell: y and x over the resolution, rounded
            down.
    """

    hits: NDArray[np.uint8]
    floor: NDArray[np.uint8]
    submap: NDArray[np.int32]
    corner: NDArray[np.int64]

    @classmethod
    def empty(
        cls, rows: int, columns: int, heights: int, corner: NDArray[np.int64] | None = None
    ) -> GridLayers:
        """An area of which nothing is known."""
        return cls(
            np.zeros((rows, columns, heights), np.uint8),
            np.zeros((rows, columns), np.uint8),
            np.full((rows, columns), _NOWHERE, np.int32),
            np.zeros(2, np.int64) if corner is None else corner,
        )

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], heights: int) -> GridLayers:
        """The layers of ``arrays``.

        Raises:
            PerceptionError: One is missing, or they fit neither each other nor the heights.
        """
        try:
            layers = cls(
                np.array(arrays["hits"], np.uint8),
                np.array(arrays["floor"], np.uint8),
                np.array(arrays["submap"], np.int32),
                np.array(arrays["corner"], np.int64),
            )
        except KeyError as error:
            raise PerceptionError(f"the grid has no array {error}; load another copy of the map") from error
        if (
            layers.hits.shape != (*layers.floor.shape, heights)
            or layers.submap.shape != layers.floor.shape
            or layers.corner.shape != (2,)
        ):
            raise PerceptionError(
                f"the grid's arrays of shape {layers.hits.shape} and {layers.floor.shape} do not fit "
                f"{heights} heights; use the grid settings of the map, or clear it"
            )
        return layers

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.floor.shape[0], self.floor.shape[1]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of everything that ``of_arrays`` needs."""
        return {name: getattr(self, name).copy() for name in ("hits", "floor", "submap", "corner")}

    def inside(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether cells given as (n, 2) row and column of the arrays are in them."""
        return np.asarray(((cells >= 0) & (cells < self.shape)).all(axis=1))

    def area(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> tuple[slice, slice]:
        """The part of the arrays from row and column ``low`` of the map up to ``high``."""
        first = np.clip(low - self.corner, 0, self.shape)
        last = np.clip(high - self.corner, 0, self.shape)
        return slice(first[0], last[0]), slice(first[1], last[1])

    def grow(self, low: NDArray[np.int64], high: NDArray[np.int64], most: int) -> None:
        """Makes the arrays hold rows and columns ``low`` of the map up to ``high``, but at most ``most``."""
        known = self.floor.size > 0
        begin = self.corner if known else low
        end = begin + self.shape
        if known and (low >= begin).all() and (high <= end).all():
            return
        low = np.where(low < begin, low // _BLOCK * _BLOCK, begin)
        high = np.where(high > end, -(-high // _BLOCK) * _BLOCK, end)
        low = np.maximum(low, end - most) if known else low
        high = np.minimum(high, low + most)
        rows, columns = (int(one) for one in high - low)
        if (rows, columns) == self.shape:
            return
        grown = GridLayers.empty(rows, columns, self.hits.shape[2], low)
        place = grown.area(begin, end)
        grown.hits[place], grown.floor[place], grown.submap[place] = self.hits, self.floor, self.submap
        self.hits, self.floor, self.submap, self.corner = grown.hits, grown.floor, grown.submap, grown.corner

    def move(self, moves: Mapping[int, RigidTransform], resolution: float, most: int) -> None:
        """Moves what submaps last saw.

        Args:
            moves: new_map_from_old_map of each submap that moves, by number.
            resolution: Metres of a cell's side.
            most: Rows and columns that the area has at most.
        """
        moved = np.isin(self.submap, list(moves))
        if not moved.any():
            return
        old = GridLayers(**self.arrays())
        self.hits[moved], self.floor[moved], self.submap[moved] = 0, 0, _NOWHERE
        for number, move in sorted(moves.items()):
            self._place(old, number, move, resolution, most)

    def _place(
        self, old: GridLayers, number: int, move: RigidTransform, resolution: float, most: int
    ) -> None:
        """Writes the cells of one submap to their new places, which ask where they were: no gap is left."""
        cells = np.argwhere(old.submap == number)
        if not len(cells):
            return
        centres = _centres(cells + old.corner, resolution)
        flat, rise = _planar(move, centres)
        low, high = extent(flat.apply(centres), resolution)
        self.grow(low, high, most)
        rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]]
        targets = np.stack([rows, columns], -1).reshape(-1, 2)
        before = flat.inverse().apply(_centres(targets, resolution))
        sources = np.floor(before[:, 1::-1] / resolution).astype(np.int64) - old.corner
        targets = targets - self.corner
        fits = self.inside(targets) & old.inside(sources)
        targets, sources = targets[fits], sources[fits]
        own = old.submap[sources[:, 0], sources[:, 1]] == number
        to, source = tuple(targets[own].T), tuple(sources[own].T)
        self.hits[to] = np.maximum(self.hits[to], _raised(old.hits[source], round(rise / resolution)))
        self.floor[to] = np.maximum(self.floor[to], old.floor[source])
        self.submap[to] = np.maximum(self.submap[to], number)


def extent(
    points: FloatArray | Float64Array, resolution: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Least row and column in the map that points (n, 3) lie in, and one more than the largest."""
    plane = np.ascontiguousarray(points[:, 1::-1].T)
    low = np.floor(plane.min(axis=1) / resolution).astype(np.int64)
    return low, np.floor(plane.max(axis=1) / resolution).astype(np.int64) + 1


def _centres(cells: NDArray[np.int64], resolution: float) -> Float64Array:
    """(n, 3) middles at height 0 of cells (n, 2) given as row and column in the map."""
    plane = (cells[:, ::-1] + 0.5) * resolution
    return np.column_stack([plane, np.zeros(len(cells))])


def _planar(move: RigidTransform, places: Float64Array) -> tuple[RigidTransform, float]:
    """The part of a move in the plane, exact at the middle of places (n, 3), and how far it lifts that."""
    yaw = float(np.arctan2(move.rotation[1, 0], move.rotation[0, 0]))
    cosine, sine = np.cos(yaw), np.sin(yaw)
    rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    middle = places.mean(axis=0)
    shift = move.apply(middle) - rotation @ middle
    return RigidTransform(rotation, np.array([shift[0], shift[1], 0.0])), float(shift[2])


def _raised(hits: NDArray[np.uint8], layers: int) -> NDArray[np.uint8]:
    """hits (n, heights) moved up by a number of layers."""
    if not layers:
        return hits
    moved = np.zeros_like(hits)
    if abs(layers) < hits.shape[1]:
        if layers > 0:
            moved[:, layers:] = hits[:, :-layers]
        else:
            moved[:, :layers] = hits[:, -layers:]
    return moved
