"""Camera bytes to encoder inputs on a device: one upload, one conversion, one resize for several encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.images.decode import decode_raw
from perception_contrast.preprocessing.device_color import colour_planes, image_size
from perception_contrast.preprocessing.device_resize import DeviceResize
from perception_contrast.preprocessing.pinned_upload import PinnedUpload
from perception_contrast.preprocessing.to_array import normalised, scale_and_offset, stretched

_CACHED_SCALES = 64


@dataclass(frozen=True)
class Target:
    """What an encoder takes: size (height, width) in pixels; mean and std of RGB in [0, 1].

    bilinear: whether images are resized bilinearly and not bicubically, antialiased in both cases.

    Raises ValueError for a side under 1 pixel, or where mean or std are not 3 or a std is not positive.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bilinear: bool = False

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"size {self.size} must be (height, width), both at least 1")
        scale_and_offset(self.mean, self.std)


class DeviceImages:
    """Prepares images on a device, to the level as ``decode_raw`` and ``image_array`` do on the CPU.

    On an accelerator the camera's bytes are uploaded as they are, then converted and resized there. On a
    CPU OpenCV converts and Pillow resizes: from 480 x 640 to 336 x 448 Pillow took 3 to 7 ms on two cores,
    the products of the accelerator's path 25 ms. No GPU has been measured yet. ``by_torch`` chooses that
    path (True) or the CPU's (False) whatever the device. May be called from any thread.
    """

    def __init__(self, device: torch.device | str, *, by_torch: bool | None = None) -> None:
        self._device = torch.device(device)
        self._by_torch = self._device.type != "cpu" if by_torch is None else by_torch
        self._staging = PinnedUpload(self._device)
        self._resize = DeviceResize(self._device)
        self._scales = lru_cache(maxsize=_CACHED_SCALES)(self._make_scales)

    def prepare(self, pixels: NDArray[np.uint8], encoding: str, targets: Sequence[Target]) -> list[Tensor]:
        """(1, 3, height, width) float32 on the device for each target.

        pixels: of a shape that ``image_size`` takes, rows of any stride; ``message_pixels`` makes them of
        a message. Raises FrameError for an encoding or a size that cannot be, ValueError for another array.
        """
        return self.prepare_batch([pixels], encoding, targets)

    def prepare_batch(
        self, images: Sequence[NDArray[np.uint8]], encoding: str, targets: Sequence[Target]
    ) -> list[Tensor]:
        """(B, 3, height, width) float32 on the device for each target, of B cameras' pixels of one shape.

        Raises as ``prepare`` does, and ValueError where there is no image or the shapes differ.
        """
        shapes = {image.shape for image in images}
        if len(shapes) != 1:
            raise ValueError(f"images of one shape are needed, not {sorted(shapes) or 'none'}")
        for image in images:
            if image.dtype != np.uint8:
                raise ValueError(f"{encoding} pixels must be uint8, not {image.dtype}")
        size = image_size(shapes.pop(), encoding)
        if self._by_torch:
            with torch.no_grad():
                return self._finished(colour_planes(self._staging.upload(images), encoding), targets)
        decoded = [_decoded(image, encoding, size) for image in images]
        return [target.to(self._device) for target in _by_pillow(decoded, targets)]

    def prepare_rgb(self, images: Tensor, targets: Sequence[Target]) -> list[Tensor]:
        """(B, 3, height, width) float32 for each target, of images (B, H, W, 3) uint8 RGB on the device."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
            raise ValueError(f"images must be (B, H, W, 3) uint8, not {tuple(images.shape)} {images.dtype}")
        if self._by_torch:
            with torch.no_grad():
                return self._finished(images.to(self._device).permute(0, 3, 1, 2).contiguous(), targets)
        arrays = list(images.cpu().numpy())
        return [target.to(self._device) for target in _by_pillow(arrays, targets)]

    def _finished(self, planes: Tensor, targets: Sequence[Target]) -> list[Tensor]:
        """planes (B, 3, H, W) uint8, or (B, 1, H, W) where the image is grey."""
        resized = {
            (size, bilinear): made
            for bilinear in {target.bilinear for target in targets}
            for size, made in self._resize.stretch(
                planes, [one.size for one in targets if one.bilinear == bilinear], bilinear=bilinear
            ).items()
        }
        finished = []
        for target in targets:
            scale, offset = self._scales(target.mean, target.std)
            finished.append(
                torch.addcmul(offset, resized[target.size, target.bilinear].to(torch.float32), scale)
            )
        return finished

    def _make_scales(self, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Tensor, Tensor]:
        scale, offset = (torch.from_numpy(x).view(1, 3, 1, 1) for x in scale_and_offset(mean, std))
        return scale.to(self._device), offset.to(self._device)


def _decoded(pixels: NDArray[np.uint8], encoding: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB by OpenCV."""
    rows = np.ascontiguousarray(pixels)
    return decode_raw(
        rows.reshape(-1),
        height=size[0],
        width=size[1],
        step=rows.nbytes // rows.shape[0],
        encoding=encoding,
        is_bigendian=False,
    )


def _by_pillow(images: Sequence[NDArray[np.uint8]], targets: Sequence[Target]) -> list[Tensor]:
    resized: dict[tuple[tuple[int, int], bool], list[NDArray[np.uint8]]] = {}
    inputs = []
    for target in targets:
        kind = target.size, target.bilinear
        if kind not in resized:
            resized[kind] = [stretched(image, target.size, bilinear=target.bilinear) for image in images]
        parts = [normalised(image, target.mean, target.std) for image in resized[kind]]
        inputs.append(torch.from_numpy(np.concatenate(parts)))
    return inputs
