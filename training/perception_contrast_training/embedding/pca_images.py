"""Patch features as colours: three principal components, one basis for all frames, made from a sample."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError, StorageError
from perception_contrast.core.file_writing import writing
from perception_contrast.images.files import save_image
from perception_contrast.visualization.pca import MAX_WIDTH
from perception_contrast_training.embedding.frame_items import EmbedSource
from perception_contrast_training.embedding.patch_store import safe_name, zarr_library

_SAMPLE_FRAMES = 64
_RATE = 10.0  # frames a second
VIDEO = ".mp4"
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PcaBasis:
    """Colours of patch features.

    Attributes:
        mean: (c,), of the sample.
        axes: (c, 3), unit vectors, the strongest component first.
        low, high: (3,), between which a component goes from dark to bright.
    """

    mean: Floats
    axes: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, features: Floats) -> PcaBasis:
        """The basis of a sample (n, c) of features; components have the sign of their largest number."""
        mean = features.mean(axis=0)
        centred = (features - mean).astype(np.float64)
        axes = np.linalg.eigh(centred.T @ centred)[1][:, :-4:-1]
        strongest = np.abs(axes).argmax(axis=0)
        axes = axes * np.where(axes[strongest, range(axes.shape[1])] < 0, -1.0, 1.0)
        shades = centred @ axes
        low, high = np.percentile(shades, (2, 98), axis=0)
        return cls(mean, axes.astype(np.float32), low.astype(np.float32), high.astype(np.float32))

    def colours(self, features: Floats) -> Floats:
        """(..., c) to (..., 3) from 0 to 1."""
        shades = (features - self.mean) @ self.axes
        found: Floats = np.clip((shades - self.low) / np.maximum(self.high - self.low, 1e-9), 0, 1)
        return found


def pca_patches(out: str) -> str:
    """Where the patch features of images lie that are to be drawn and not kept."""
    return f"{out.rstrip('/')}.patches"


def draw_pca(patches: str, sources: Sequence[EmbedSource], out: str, *, keep: bool) -> int:
    """Draws the frames of a Zarr group of patch features; gives their number.

    Args:
        patches: Path or address of the group.
        sources: Whose frames are drawn, in this order.
        out: A video that ends with .mp4, or a folder of PNGs.
        keep: Whether the group stays.

    Raises:
        PerceptionError: There are no features.
        StorageError: The video cannot be written.
    """
    group = zarr_library().open_group(patches, mode="r")
    arrays = [array for source in sources for array in _arrays(group, safe_name(source.name))]
    if not arrays:
        raise PerceptionError(f"'{patches}' holds no patch features to draw")
    basis = PcaBasis.of(_sample(arrays))
    with _writer(out) as write:
        count = 0
        for frame in _frames(arrays):
            write(_drawn(basis, *frame))
            count += 1
    if not keep:
        shutil.rmtree(patches, ignore_errors=True)
    return count


def _arrays(group: Any, folder: str) -> list[Any]:
    return [array for _, array in sorted(group[folder].arrays())] if folder in group else []


def _sample(arrays: Sequence[Any]) -> Floats:
    """Features (n, c) of frames that are spread over all arrays."""
    total = sum(array.shape[0] for array in arrays)
    chosen = np.unique(np.linspace(0, total - 1, min(total, 2 * _SAMPLE_FRAMES)).round().astype(int))
    found, start = list[Floats](), 0
    for array in arrays:
        for index in chosen[(chosen >= start) & (chosen < start + array.shape[0])] - start:
            values = np.asarray(array[int(index)], np.float32)
            if np.isfinite(values).all():
                found.append(values.reshape(-1, values.shape[-1]))
        start += array.shape[0]
    if not found:
        raise PerceptionError("none of the sampled frames has patch features")
    widths = {one.shape[1] for one in found}
    if len(widths) > 1:
        raise PerceptionError("the patch features are of several models; draw them one by one")
    return np.concatenate(found)


def _frames(arrays: Sequence[Any]) -> Iterator[tuple[Floats, tuple[int, int]]]:
    """Features (h, w, c) of each frame and the size of its image, a chunk in memory at a time."""
    for array in arrays:
        height, width = array.attrs["image_size"]
        step = array.chunks[0]
        for start in range(0, array.shape[0], step):
            for values in np.asarray(array[start : start + step], np.float32):
                if np.isfinite(values).all():
                    yield values, (int(height), int(width))


def _drawn(basis: PcaBasis, values: Floats, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of the image's size, at most ``MAX_WIDTH`` wide and even."""
    scale = min(1.0, MAX_WIDTH / size[1])
    shown = tuple(max(2, round(side * scale) // 2 * 2) for side in (size[1], size[0]))
    large = cv2.resize(basis.colours(values), shown, interpolation=cv2.INTER_CUBIC)
    return np.asarray((np.clip(large, 0, 1) * 255).astype(np.uint8))


@contextmanager
def _writer(out: str) -> Iterator[Any]:
    """What takes images one by one: a video, renamed when it is whole, or PNGs in a folder."""
    if not out.lower().endswith(VIDEO):
        numbers = iter(range(10**9))
        yield lambda image: save_image(Path(out) / f"{next(numbers):08d}.png", image)
        return
    with writing(Path(out)) as part:
        # OpenCV takes the container from the suffix.
        file = part.with_suffix(VIDEO)
        video = _Video(file)
        try:
            yield video.add
            video.close()
            file.replace(part)
        finally:
            video.close()
            file.unlink(missing_ok=True)


class _Video:
    """Frames of any size, brought to that of the first."""

    def __init__(self, path: Path) -> None:
        self._path, self._size = path, (0, 0)
        self._writer: Any = None

    def add(self, image: NDArray[np.uint8]) -> None:
        if self._writer is None:
            self._size = image.shape[1], image.shape[0]
            codec = cv2.VideoWriter_fourcc(*"mp4v")  # type: ignore[attr-defined, unused-ignore]
            self._writer = cv2.VideoWriter(str(self._path), codec, _RATE, self._size)
            if not self._writer.isOpened():
                raise StorageError(f"video '{self._path}' cannot be written; draw PNGs: --pca FOLDER")
        if (image.shape[1], image.shape[0]) != self._size:
            image = cv2.resize(image, self._size)
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()
            self._writer = None
