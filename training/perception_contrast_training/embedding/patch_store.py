"""Patch features as a Zarr group: an array for each source and size of image, chunked by frames.

The array ``SOURCE/ROWSxCOLUMNS_of_HEIGHTxWIDTH`` is (frames, rows, columns, channels) float16; its first
axis is the frame's ``index`` in the source, so workers write whole chunks without knowing of each other, and
a chunk that is written twice is the same. Frames of another size, or that cannot be read, are NaN; a chunk
of such frames alone is not stored. Needs zarr.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.errors import PerceptionError, StorageError, one_line
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast_training.embedding.settings import CHUNK_FRAMES

_UNSAFE = re.compile(r"[^\w.+-]+")


def zarr_library() -> Any:
    """The library. Raises PerceptionError where it is not installed or too old."""
    try:
        import zarr
    except ModuleNotFoundError as error:
        raise PerceptionError(
            "--patches and --pca need the library zarr; install it with `pip install 'zarr>=3'`"
        ) from error
    return zarr


def safe_name(source: str) -> str:
    """The folder of a source's arrays in the group."""
    return _UNSAFE.sub("_", source).strip("_.") or "source"


def array_name(source: str, grid: FeatureGrid) -> str:
    """Where in the group the features of a source's images of one size lie."""
    (rows, columns, _), (height, width) = grid.shape, grid.image_size
    return f"{safe_name(source)}/{rows}x{columns}_of_{height}x{width}"


class PatchStore:
    """A Zarr group that patch features are written to, on a disk or in a bucket.

    Args:
        path: Of the group; made where it is not there.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        zarr = zarr_library()
        try:
            self._group = zarr.open_group(self.path, mode="a")
        except Exception as error:  # zarr's, fsspec's and the bucket library's own kinds
            raise StorageError(
                f"'{self.path}' cannot be opened as a Zarr group ({one_line(error)}); choose another "
                "--patches"
            ) from error
        self._arrays: dict[str, Any] = {}

    def write(self, source: str, start: int, count: int, grids: Mapping[int, FeatureGrid]) -> None:
        """Writes one chunk of frames.

        Args:
            source: Name of the source.
            start: Index of the chunk's first frame, a multiple of ``CHUNK_FRAMES``.
            count: Frames that the source is known to have, at least.
            grids: By index, from ``start`` until before ``start + CHUNK_FRAMES``.
        """
        named: dict[str, dict[int, FeatureGrid]] = {}
        for index, grid in grids.items():
            named.setdefault(array_name(source, grid), {})[index] = grid
        for name, members in named.items():
            first = next(iter(members.values()))
            array = self._array(name, first, max(count, max(members) + 1))
            stop = min(start + CHUNK_FRAMES, array.shape[0])
            block = np.full((stop - start, *first.shape), np.nan, np.float16)
            for index, grid in members.items():
                block[index - start] = grid.values
            try:
                array[start:stop] = block
            except OSError as error:
                raise StorageError(
                    f"'{self.path}' cannot be written ({one_line(error)}): make room there, or check its "
                    "rights"
                ) from error

    def settle(self, source: str, frames: int) -> None:
        """Gives the arrays of a source, all of which was read, as many rows as it has frames."""
        folder = safe_name(source)
        for name, array in self._group[folder].arrays() if folder in self._group else ():
            if array.shape[0] != frames:
                array.resize((frames, *array.shape[1:]))
                self._arrays.pop(f"{folder}/{name}", None)

    def _array(self, name: str, grid: FeatureGrid, frames: int) -> Any:
        if name not in self._arrays:
            self._arrays[name] = self._group[name] if name in self._group else self._made(name, grid, frames)
        array = self._arrays[name]
        if array.shape[0] < frames:
            array.resize((frames, *grid.shape))
        return array

    def _made(self, name: str, grid: FeatureGrid, frames: int) -> Any:
        try:
            return self._group.create_array(
                name,
                shape=(frames, *grid.shape),
                chunks=(CHUNK_FRAMES, *grid.shape),
                dtype="float16",
                fill_value=np.nan,
                attributes=_attributes(grid),
                dimension_names=("frame", "row", "column", "channel"),
            )
        except ValueError:
            # Another worker was first; its array is the same.
            return self._group[name]


def _attributes(grid: FeatureGrid) -> dict[str, Any]:
    """What a reader needs to find a patch's place in the image and to compare its vector."""
    place = grid.grid_to_image
    return {
        "model": grid.model,
        "space": grid.space,
        "unit_vectors": grid.normalized,
        "image_size": list(grid.image_size),
        "grid_to_image": {"sx": place.sx, "sy": place.sy, "ox": place.ox, "oy": place.oy},
        "stride": [place.sy, place.sx],
        "about": "the centre of patch (row i, column j) is at pixel x = sx * j + ox, y = sy * i + oy, pixel "
        "centres at whole numbers",
    }
