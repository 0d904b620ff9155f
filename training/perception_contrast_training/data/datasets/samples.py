"""One image and what is known about it, as every dataset here gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor

from perception_contrast.images.files import decode_image_file

UNKNOWN = -1
"""Stamp or label of an image that has none."""

POSE_LENGTH = 7


class Sample(TypedDict):
    """image: (3, h, w) uint8 RGB, or whatever the dataset's transform made of it.

    text: caption, "" for none. stamp: nanoseconds, -1 for none. pose: (7,) float64, position in metres
    and quaternion x, y, z, w of the camera in its fixed frame; NaN for none. group: images of one
    recording, or of one class, share a number from 0 on. label: class number, -1 for none. index: where
    in the dataset. key: unique name. ``torch.utils.data.default_collate`` takes it as it is.
    """

    image: Any
    text: str
    stamp: int
    pose: Tensor
    group: int
    label: int
    index: int
    key: str


Transform = Callable[[Tensor], Any]


class Images(Protocol):
    """Images by number, each a ``Sample`` or a part of one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class ImageDataset(Protocol):
    """Random access to samples; safe in the worker processes of a DataLoader.

    classes: names of the classes that ``label`` counts, empty where there are none.
    """

    classes: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


def image_tensor(data: bytes, name: str) -> Tensor:
    """(3, h, w) uint8 RGB of an image file's bytes. Raises FrameError that says which image it was."""
    image = decode_image_file(data, name)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def no_pose() -> Tensor:
    return torch.full((POSE_LENGTH,), torch.nan, dtype=torch.float64)


def in_range(index: int, count: int) -> int:
    """The index counted from 0. Raises IndexError, as sequences do."""
    if not -count <= index < count:
        raise IndexError(f"index {index} of {count} images")
    return index % count
