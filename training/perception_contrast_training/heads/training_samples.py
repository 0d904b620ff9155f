"""What the networks of heads are fitted to: features of frames with targets on their grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast_training.evaluation.readers.coco import boxes_of
from perception_contrast_training.heads.frame_features import mirrored
from perception_contrast_training.heads.labelled_frames import IGNORED, LabelledFrame

KEPT_SHARE = 0.3  # of a box that a crop must show, to find it there


@dataclass(frozen=True)
class FrameLabels:
    """The labels of a frame, small enough to keep many in memory.

    Attributes:
        key: Of the frame.
        size: (height, width) in pixels.
        boxes: (n, 4) float32 x0, y0, x1, y1 in shares of the image.
        numbers: (n,) int64 index of the class.
        ignored: (m, 4) boxes that count neither way.
        labels: (H', W') int16 as ``LabelledFrame.labels``, at most ``LONGEST`` a side; None without.
        classes: Indices of the classes that the image shows.
    """

    key: str
    size: tuple[int, int]
    boxes: Tensor
    numbers: Tensor
    ignored: Tensor
    labels: NDArray[np.int16] | None
    classes: tuple[int, ...]


LONGEST = 320  # pixels; a location is some pixels wide


def labels_of(frame: LabelledFrame, classes: Sequence[str]) -> FrameLabels:
    """The labels of a frame, without its pixels."""
    things = frame.things or ()
    height, width = frame.image.shape[:2]
    boxes = boxes_of([thing.mask for thing in things]) / np.array([width, height, width, height])
    counted = np.array([not thing.ignored for thing in things], bool)
    numbers = [classes.index(thing.names[0]) for thing in things if not thing.ignored]
    labels: NDArray[np.int16] | None = None
    if frame.labels is not None:
        step = max(1, -(-max(height, width) // LONGEST))
        labels = frame.labels[step // 2 :: step, step // 2 :: step].astype(np.int16)
    rows = torch.from_numpy(boxes.astype(np.float32))
    return FrameLabels(
        frame.key,
        (height, width),
        rows[counted],
        torch.tensor(numbers, dtype=torch.int64),
        rows[~counted],
        labels,
        frame.classes,
    )


@dataclass(frozen=True)
class Sample:
    """A frame on its grid.

    Attributes:
        grid: (h, w, c) float16 features.
        boxes: (n, 4) x0, y0, x1, y1 in cells.
        numbers: (n,) index of the class.
        ignored: (m, 4) boxes in cells.
        labels: (h * enlargement, w * enlargement) int64, IGNORED where nothing is known; None without.
        shown: (h, w) whether a cell is of the image, not of the rim of a crop.
    """

    grid: Tensor
    boxes: Tensor
    numbers: Tensor
    ignored: Tensor
    labels: Tensor | None
    shown: Tensor


def sample_of(
    labels: FrameLabels, grid: Tensor, enlargement: int, *, flipped: bool = False, cues: bool = False
) -> Sample:
    """A frame with its labels on its grid.

    Args:
        labels: Of the frame.
        grid: (h, w, c) its features.
        enlargement: Locations per cell and side.
        flipped: Mirrored, features and labels.
        cues: Whether instance cues stand behind the vectors.
    """
    rows, columns = grid.shape[:2]
    sides = torch.tensor([columns, rows, columns, rows])
    boxes, ignored = (_mirrored(one) if flipped else one for one in (labels.boxes, labels.ignored))
    pixels = None
    if labels.labels is not None:
        array = labels.labels[:, ::-1] if flipped else labels.labels
        whole = torch.from_numpy(np.ascontiguousarray(array))[None, None].float()
        size = (rows * enlargement, columns * enlargement)
        pixels = F.interpolate(whole, size=size, mode="nearest-exact")[0, 0].long()
    shown = torch.ones(rows, columns, dtype=torch.bool)
    values = mirrored(grid, cues=cues) if flipped else grid
    return Sample(values, boxes * sides, labels.numbers, ignored * sides, pixels, shown)


def _mirrored(boxes: Tensor) -> Tensor:
    return torch.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], dim=1)


def cropped(sample: Sample, size: tuple[int, int], enlargement: int, generator: torch.Generator) -> Sample:
    """A window of (rows, columns) cells of a frame at a place by chance; what lacks is empty.

    Things of which the window shows little count neither way.
    """
    rows, columns = sample.grid.shape[:2]
    top = _drawn(rows - size[0], generator)
    left = _drawn(columns - size[1], generator)
    part = np.s_[top : top + size[0], left : left + size[1]]
    grid, shown = _placed(sample.grid[part], size), _placed(sample.shown[part], size)
    high, wide = min(size[0], rows - top), min(size[1], columns - left)
    limits = torch.tensor([wide, high, wide, high], dtype=torch.float32)
    moved = sample.boxes - torch.tensor([left, top, left, top])
    within = torch.minimum(moved.clamp_min(0.0), limits)
    seen, whole = _areas(within), _areas(moved)
    kept = seen > KEPT_SHARE * whole
    ignored = torch.cat([sample.ignored - torch.tensor([left, top, left, top]), within[(seen > 0) & ~kept]])
    labels = None
    if sample.labels is not None:
        e = enlargement
        window = sample.labels[top * e : (top + size[0]) * e, left * e : (left + size[1]) * e]
        labels = torch.full((size[0] * e, size[1] * e), IGNORED)
        labels[: window.shape[0], : window.shape[1]] = window
    return Sample(grid, within[kept], sample.numbers[kept], ignored, labels, shown)


def _placed(values: Tensor, size: tuple[int, int]) -> Tensor:
    placed = values.new_zeros((*size, *values.shape[2:]))
    placed[: values.shape[0], : values.shape[1]] = values
    return placed


def _drawn(room: int, generator: torch.Generator) -> int:
    return int(torch.randint(room + 1, (1,), generator=generator)) if room > 0 else 0


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp_min(0.0).prod(dim=1)
