"""What views do to pixels, for many images at once, each by its own draw, on any device.

The same as ``pixels``, which works on one image with OpenCV's help: resampling is torchvision's antialiased
one as two matrix products, so that crops of all sizes go together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as tv
from torch import Tensor
from torchvision.transforms import InterpolationMode

AT_ONCE = 32  # whole images as float32 at a time


def resized_crops(
    sources: Tensor, boxes: Tensor, flip: Tensor, size: int, interpolation: InterpolationMode
) -> Tensor:
    """Crops of whole images, resized, and mirrored where asked.

    Args:
        sources: (n, 3, h, w) uint8.
        boxes: (n, 4) top, left, height, width in pixels.
        flip: (n,) bool.
        size: Side in pixels.
        interpolation: BICUBIC or BILINEAR, both antialiased.

    Returns:
        (n, 3, size, size) float32 in [0, 1] in steps of 1/255.
    """
    made = []
    for part in range(0, len(sources), AT_ONCE):
        rows = slice(part, part + AT_ONCE)
        box = boxes[rows].to(sources.device, torch.float32)
        down = _weights(sources.shape[-2], box[:, 0], box[:, 2], size, None, interpolation)
        across = _weights(
            sources.shape[-1], box[:, 1], box[:, 3], size, flip[rows].to(sources.device), interpolation
        )
        # As for an image of bytes: across first, rounded, then down.
        wide = _bytes(sources[rows].float() @ across.transpose(1, 2).unsqueeze(1))
        made.append(_bytes(down.unsqueeze(1) @ wide))
    return torch.cat(made) / 255


def _bytes(values: Tensor) -> Tensor:
    return values.round_().clamp_(0, 255)


def _weights(
    pixels: int, start: Tensor, length: Tensor, size: int, flip: Tensor | None, kind: InterpolationMode
) -> Tensor:
    """(n, size, pixels): of each pixel of a source's side in each pixel of the crop's."""
    place = torch.arange(size, device=start.device, dtype=torch.float32).expand(len(start), size)
    if flip is not None:
        place = torch.where(flip[:, None], size - 1 - place, place)
    scale = (length / size)[:, None]
    # Shrinking widens the filter, so that nothing between two pixels is left out.
    widening = scale.clamp(min=1)[..., None]
    inside = torch.arange(pixels, device=start.device, dtype=torch.float32) - start[:, None]
    distance = (inside[:, None, :] + 0.5 - (scale * (place + 0.5))[..., None]) / widening
    weights = _cubic(distance) if kind == InterpolationMode.BICUBIC else (1 - distance.abs()).clamp(min=0)
    weights = weights * ((inside >= 0) & (inside < length[:, None]))[:, None, :]
    return weights / weights.sum(dim=-1, keepdim=True)


def _cubic(x: Tensor) -> Tensor:
    """Keys' filter with a = -1/2, of two pixels to each side."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def adjusted(images: Tensor, which: int, amounts: Tensor) -> Tensor:
    """(n, 3, h, w) in [0, 1] with one change. which: 0 brightness, 1 contrast, 2 saturation, 3 hue.

    amounts: (n,) factors, or turns of the circle.
    """
    factor = amounts.to(images.device, images.dtype)[:, None, None, None]
    if which == 3:
        return turned(images, factor)
    other = torch.zeros_like(images[:, :1])
    if which:
        other = tv.rgb_to_grayscale(images)
    if which == 1:
        other = other.mean(dim=(-3, -2, -1), keepdim=True)
    return (images * factor + other * (1 - factor)).clamp_(0, 1)


def turned(images: Tensor, turn: Tensor) -> Tensor:
    """Hues moved by ``turn`` of the circle, by way of HSV."""
    value, low = images.amax(dim=1, keepdim=True), images.amin(dim=1, keepdim=True)
    chroma = value - low
    red, green, blue = torch.split(images, 1, dim=1)
    safe = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = sixth + 6 * turn
    shifts = torch.tensor([5.0, 3.0, 1.0], device=images.device, dtype=images.dtype)[:, None, None]
    k = (shifts + hue) % 6
    return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)


def blurred(images: Tensor, kernel: int, sigma: Tensor) -> Tensor:
    """Gaussian of (n, 3, h, w), each with its own deviation (n,) in pixels. kernel: side, odd."""
    n, c = images.shape[:2]
    away = torch.arange(kernel, device=images.device, dtype=images.dtype) - (kernel - 1) / 2
    line = torch.exp(-0.5 * (away / sigma.to(images.device, images.dtype)[:, None]) ** 2)
    line = (line / line.sum(dim=1, keepdim=True)).repeat_interleave(c, dim=0)
    half = kernel // 2
    together = F.pad(images, (half, half, half, half), mode="reflect").flatten(0, 1).unsqueeze(0)
    across = F.conv2d(together, line[:, None, None, :], groups=n * c)
    return F.conv2d(across, line[:, None, :, None], groups=n * c).view_as(images)


def grey(images: Tensor) -> Tensor:
    found: Tensor = tv.rgb_to_grayscale(images, num_output_channels=3)
    return found


def solarised(images: Tensor) -> Tensor:
    return torch.where(images >= 0.5, 1.0 - images, images)


def normalised(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    found: Tensor = tv.normalize(images, list(mean), list(std))
    return found
