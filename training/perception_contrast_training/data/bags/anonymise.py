"""Hooks that make images anonymous before anything of them is written.

A hook is a function ``hook(image, seen) -> image``: image (H, W, 3) uint8 RGB, its own copy, which it may
change and give back. It must give back the same shape and dtype. Where a hook fails, the frame is left
out and counted, never stored as it was.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast_training.data.bags.messages import LabelledBox
from perception_contrast_training.data.bags.options import NONE

Image: TypeAlias = "NDArray[np.uint8]"

PEOPLE = frozenset({"person", "people", "face", "head", "human", "child", "man", "woman", "license plate"})


@dataclass(frozen=True)
class Seen:
    """What a hook may go by. boxes: of recorded Detection2DArray topics that `--text` names."""

    topic: str
    frame_id: str
    stamp: int
    boxes: tuple[LabelledBox, ...] = ()


Hook: TypeAlias = Callable[[Image, Seen], Image]


def load_hook(name: str) -> Hook | None:
    """The function that "package.module:function" names; None for "none". Raises PerceptionError."""
    if name == NONE:
        return None
    module, _, function = name.partition(":")
    if not module or not function:
        raise PerceptionError(f"--anonymise '{name}' must be none or package.module:function")
    try:
        hook = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise PerceptionError(
            f"--anonymise '{name}' cannot be loaded: {error}; is its folder in PYTHONPATH?"
        ) from error
    if not callable(hook):
        raise PerceptionError(f"--anonymise '{name}' is no function")
    found: Hook = hook
    return found


def anonymised(hook: Hook, image: Image, seen: Seen) -> Image:
    """The hook's image; ``image`` itself if nothing was changed. Raises FrameError "anonymise"."""
    try:
        result = hook(image.copy(), seen)
    except Exception as error:
        raise FrameError("anonymise", f"the anonymising hook failed: {error!r}") from error
    if not isinstance(result, np.ndarray) or result.shape != image.shape or result.dtype != np.uint8:
        raise FrameError("anonymise", "the anonymising hook must give back the same shape, uint8")
    return image if np.array_equal(result, image) else result


def blur_people(image: Image, seen: Seen) -> Image:
    """Blurs recorded boxes of people, faces and licence plates beyond recognition."""
    return blur_boxes(image, (one.box for one in seen.boxes if one.label.lower() in PEOPLE))


def blur_boxes(image: Image, boxes: Iterable[tuple[float, float, float, float]]) -> Image:
    """The image with each box (x_min, y_min, x_max, y_max) in pixels as a mosaic of at most 6 x 6 parts."""
    height, width = image.shape[:2]
    for x0, y0, x1, y1 in boxes:
        left, top = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
        right, bottom = min(width, int(np.ceil(x1))), min(height, int(np.ceil(y1)))
        if left < right and top < bottom:
            part = image[top:bottom, left:right]
            tiny = cv2.resize(part, (6, 6), interpolation=cv2.INTER_AREA)
            size = (right - left, bottom - top)
            image[top:bottom, left:right] = cv2.resize(tiny, size, interpolation=cv2.INTER_NEAREST)
    return image
