"""Random crops, colours and blur, by torchvision's functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from perception_contrast_training.views.draws import Colours
from perception_contrast_training.views.observer import CROP, tell
from perception_contrast_training.views.random_source import RandomSource

Range = tuple[float, float]
RATIO = (3 / 4, 4 / 3)
BILINEAR, BICUBIC = InterpolationMode.BILINEAR, InterpolationMode.BICUBIC


def cropped(
    image: Tensor,
    box: tuple[int, int, int, int],
    size: int,
    interpolation: InterpolationMode = BICUBIC,
) -> Tensor:
    """The part of (3, h, w) in a box (top, left, height, width), resized to a square."""
    top, left, height, width = box
    cut: Tensor = tv.resized_crop(
        image, top, left, height, width, [size, size], interpolation=interpolation, antialias=True
    )
    tell(CROP, cut, top=top, left=left, height=height, width=width)
    return cut


def crop_box(
    height: int, width: int, area: Range, chance: RandomSource, ratio: Range = RATIO
) -> tuple[int, int, int, int]:
    """(top, left, height, width) with a random share of the area and a random ratio of sides.

    Inception's crop (Szegedy et al. 2015), drawn as torchvision draws it; where ten draws do not fit, the
    largest box that does, in the middle.
    """
    for _ in range(10):
        wanted = height * width * chance.uniform(*area)
        sides = math.exp(chance.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(wanted * sides)), round(math.sqrt(wanted / sides))
        if 0 < w <= width and 0 < h <= height:
            return chance.integer(height - h + 1), chance.integer(width - w + 1), h, w
    w, h = width, height
    if width / height < ratio[0]:
        h = round(width / ratio[0])
    elif width / height > ratio[1]:
        w = round(height * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


def flipped(image: Tensor, flip: bool) -> Tensor:
    """Mirrored left to right, or not."""
    mirrored = image.flip(-1) if flip else None
    tell("flip", mirrored)
    return image if mirrored is None else mirrored


def to_float(image: Tensor) -> Tensor:
    """uint8 to float32 in [0, 1]."""
    return image.to(torch.float32) / 255.0


def drawn_colours(
    brightness: float, contrast: float, saturation: float, hue: float, chance: RandomSource
) -> Colours:
    """Factors in 1 - x to 1 + x and a turn in -x to x, in random order."""
    bright, hard, strong = (
        chance.uniform(max(0.0, 1 - x), 1 + x) for x in (brightness, contrast, saturation)
    )
    turn = chance.uniform(-hue, hue)
    first, second, third, fourth = chance.order(4)
    return Colours(bright, hard, strong, turn, (first, second, third, fourth))


def jittered(image: Tensor, colours: Colours, changed: Sequence[bool]) -> Tensor:
    """(3, h, w) in [0, 1] with other colours. changed: which of the four are changed at all."""
    for which in colours.order:
        if not changed[which]:
            continue
        if which == 0:
            image = tv.adjust_brightness(image, colours.brightness)
            tell("brightness", image, factor=colours.brightness)
        elif which == 1:
            image = tv.adjust_contrast(image, colours.contrast)
            tell("contrast", image, factor=colours.contrast)
        elif which == 2:
            image = tv.adjust_saturation(image, colours.saturation)
            tell("saturation", image, factor=colours.saturation)
        else:
            image = turned(image, colours.hue)
            tell("hue", image, turn=colours.hue)
    return image


def turned(image: Tensor, turn: float) -> Tensor:
    """Hues of (3, h, w) in [0, 1] moved by ``turn`` of the circle."""
    colours = cv2.cvtColor(_for_opencv(image), cv2.COLOR_RGB2HSV)
    colours[..., 0] = (colours[..., 0] + 360.0 * turn) % 360.0
    return torch.from_numpy(cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)).permute(2, 0, 1).contiguous()


def _for_opencv(image: Tensor) -> NDArray[np.float32]:
    """(h, w, 3) as it lies in memory."""
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def grey(image: Tensor) -> Tensor:
    found: Tensor = tv.rgb_to_grayscale(image, num_output_channels=3)
    return found


def blurred(image: Tensor, kernel: int, sigma: float) -> Tensor:
    """Gaussian; kernel: side in pixels, odd. OpenCV's takes a twentieth of the time of torchvision's."""
    soft = cv2.GaussianBlur(_for_opencv(image), (kernel, kernel), sigma)
    blurry = torch.from_numpy(soft).permute(2, 0, 1).contiguous()
    tell("blur", blurry, sigma=sigma)
    return blurry


def tenth(size: int) -> int:
    """The odd number next to a tenth of a side, 3 at least: SimCLR's kernel."""
    return max(3, int(size * 0.1) // 2 * 2 + 1)


def solarised(image: Tensor) -> Tensor:
    """Bright parts become dark ones, from the middle on."""
    return torch.where(image >= 0.5, 1.0 - image, image)


def normalised(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(3, h, w) in [0, 1] less the mean, over the deviation, per channel."""
    found: Tensor = tv.normalize(image, list(mean), list(std))
    return found
