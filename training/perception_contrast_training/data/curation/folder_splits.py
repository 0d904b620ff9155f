"""Parts of images that lie in folders: each class is parted on its own, by recordings or by order of names.

Plain images have no times. Their order is that of their names, with numbers by value, and an image counts as
a second: of ``SplitOptions``, ``gap`` and ``guard_time`` are numbers of images there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.file_listing import natural_order
from perception_contrast_training.data.bags.options import NANOSECONDS
from perception_contrast_training.data.curation.splits import Placed, SplitOptions, split_frames
from perception_contrast_training.data.datasets.folder_classes import names_a_recording
from perception_contrast_training.data.datasets.folders import FolderDataset


def split_folder(frames: FolderDataset, options: SplitOptions) -> tuple[list[str], SplitOptions]:
    """The part of each image, and the options that were used.

    Args:
        frames: All images of a folder.
        options: With ``by`` "" the way is chosen: recordings where every class has enough of them, else the
            order of names. Without a ``guard_time`` there is none.

    Raises:
        PerceptionError: There are too few images of a class, or ``by`` is "place".
    """
    if options.by == "place":
        raise PerceptionError("images in folders have no poses, so no places; split them by bag or by time")
    recordings = np.array([_recording(folder) for folder in frames.folders], str)
    labels = np.array(frames.labels)
    enough = all(
        len(np.unique(recordings[labels == label])) >= len(options.shares) for label in np.unique(labels)
    )
    used = replace(
        options,
        by=options.by or ("bag" if enough else "time"),
        guard_time=0.0 if options.guard_time is None else options.guard_time,
    )
    parts = np.full(len(frames), "", object)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        try:
            parts[own] = split_frames(_placed([frames.names[i] for i in own], recordings[own]), used)
        except PerceptionError as error:
            if label < 0:
                raise
            raise PerceptionError(f"class '{frames.classes[label]}': {error}") from error
    return parts.tolist(), used


def _recording(folder: str) -> str:
    """The parts of a folder's path that name a recording, joined; "" for none."""
    return "/".join(part for part in PurePosixPath(folder).parts if names_a_recording(part))


def _placed(names: list[str], recordings: np.typing.NDArray[np.str_]) -> Placed:
    order = sorted(range(len(names)), key=lambda index: natural_order(names[index]))
    stamps = np.empty(len(names), np.int64)
    stamps[order] = np.arange(len(names)) * NANOSECONDS
    _, sources = np.unique(recordings, return_inverse=True)
    return Placed(
        stamps,
        np.asarray(sources, np.int64).reshape(-1),
        np.full((len(names), 3), np.nan),
        np.zeros(len(names), np.int64),
    )
