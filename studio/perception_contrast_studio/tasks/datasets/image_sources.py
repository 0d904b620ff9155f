"""The images that a visitor chose, as training opens them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.datasets.frame_table import Frames, frames_of
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.samples import Images, image_tensor
from perception_contrast_training.data.datasets.subset import captioned
from perception_contrast_training.data.pairs.positive_pairs import PairSettings, PositivePairs

OPEN = 4  # datasets kept open in one process


class OneImage:
    """One image as a dataset.

    Args:
        data: Bytes of an image file.
        name: For error messages.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._image = image_tensor(data, name)

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        return {"image": self._image, "text": "", "key": ""}


class PositionedFrames(PositivePairs):
    """Partners as training draws them; where frames were taken is told in seconds and metres.

    Args:
        frames: Of the dataset.
        settings: The recipe's.
    """

    def __init__(self, frames: Frames, settings: PairSettings) -> None:
        super().__init__(frames, settings, negatives=False)
        self._plain = frames.where(1.0, 1.0)

    def where(self, first: int, second: int) -> torch.Tensor | None:
        """(2, 7) float64 as ``FRAME_POSITIONS``, whose radii are 1 s and 1 m."""
        return self._plain[[first, second]]


@lru_cache(OPEN)
def dataset(path: str) -> Images:
    """The dataset at a path, without near-duplicates, as a run opens it. Raises PerceptionError."""
    return open_dataset(path)


_one_image = lru_cache(OPEN)(OneImage)


def chosen_image(source: Mapping[str, Any]) -> tuple[Images, int]:
    """A dataset and the number in it of the image that a visitor chose.

    Args:
        source: ``path`` and ``index`` of a dataset's image, or ``data`` and ``name`` of an image file.

    Raises:
        PerceptionError: It is not there or no image.
    """
    if "data" in source:
        return _one_image(source["data"], source["name"]), 0
    images = dataset(source["path"])
    index = int(source["index"])
    if not 0 <= index < len(images):
        raise PerceptionError(f"'{Path(source['path']).name}' has {len(images)} images, no number {index}")
    return images, index


def positives_of(images: Images, settings: PairSettings) -> PositionedFrames | None:
    """Partners and positions of frames; None for images whose times nobody knows."""
    frames = frames_of(images)
    return None if frames is None else PositionedFrames(frames, settings)


def describe(report: object, path: str) -> dict[str, Any]:
    """What a dataset has.

    Args:
        report: Not used.
        path: Of the dataset.

    Returns:
        ``count`` of images, ``captions`` (how many have one), ``classes`` (names), ``timed`` and ``posed``.
    """
    images = dataset(path)
    frames = frames_of(images)
    knows_texts = hasattr(images, "texts") or hasattr(images, "rows")
    return {
        "count": len(images),
        "captions": len(captioned(images)) if knows_texts else 0,
        "classes": list(getattr(images, "classes", ())),
        "timed": frames is not None,
        "posed": frames is not None and bool(frames.known.any()),
    }
