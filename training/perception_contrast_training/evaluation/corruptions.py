"""Images as a robot may get them on a bad day: blurred, too dark, too bright, turned."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torchvision.transforms.v2.functional as tf
from torch import Tensor

Change = Callable[[Tensor], Tensor]


def blurred(share: float) -> Change:
    """Gaussian blur with a deviation of ``share`` of the shorter side."""

    def change(image: Tensor) -> Tensor:
        sigma = max(share * min(image.shape[-2:]), 0.1)
        size = min(2 * int(3 * sigma) + 1, 2 * (min(image.shape[-2:]) // 2) - 1)
        changed: Tensor = tf.gaussian_blur(image, [max(size, 3)] * 2, [sigma] * 2)
        return changed

    return change


def lit(factor: float) -> Change:
    """Light times ``factor``, clipped as a sensor does it; in linear light, so sRGB is undone and redone."""

    def change(image: Tensor) -> Tensor:
        linear = (image.float() / 255).pow(2.2) * factor
        return (linear.clamp(0, 1).pow(1 / 2.2) * 255).round().to(torch.uint8)

    return change


def turned(degrees: float) -> Change:
    """Rotated about the middle; corners that come from outside are grey."""

    def change(image: Tensor) -> Tensor:
        changed: Tensor = tf.rotate(image, degrees, tf.InterpolationMode.BILINEAR, fill=[128.0] * 3)
        return changed

    return change


CHANGES: dict[str, Change] = {
    "blur 1 %": blurred(0.01),
    "blur 3 %": blurred(0.03),
    "light / 4": lit(0.25),
    "light x 3": lit(3.0),
    "turned 10": turned(10.0),
    "turned 90": turned(90.0),
}
