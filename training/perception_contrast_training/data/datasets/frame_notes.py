"""What `data dedup` and `data split` noted about frames: in files of their own beside them, by key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.datasets.manifest import DUPLICATES, SPLIT, read_table


def chosen_frames(folder: Path, keys: Sequence[str], part: str | None, *, duplicates: bool) -> NDArray[Any]:
    """Which frames a reader gives.

    Args:
        folder: Of the dataset or the images.
        keys: Of all frames, in their order.
        part: Only those that ``data split`` put there; None for all.
        duplicates: Also those that ``data dedup`` found to be near-duplicates.

    Returns:
        (n,) bool.

    Raises:
        PerceptionError: There is no such part, or the notes know not all frames.
    """
    chosen = np.ones(len(keys), bool)
    if not duplicates and (folder / DUPLICATES).is_file():
        chosen &= ~np.array(_aligned(folder / DUPLICATES, "duplicate", keys), bool)
    if part is not None:
        chosen &= _in_part(folder / SPLIT, keys, part)
    return chosen


def frame_notes(folder: Path, keys: Sequence[str]) -> dict[str, list[Any]]:
    """ "part" and "duplicate" of each frame, as far as the commands have run. Raises PerceptionError."""
    files = {"part": folder / SPLIT, "duplicate": folder / DUPLICATES}
    return {name: _aligned(file, name, keys) for name, file in files.items() if file.is_file()}


def _aligned(path: Path, column: str, keys: Sequence[str]) -> list[Any]:
    """A column of a file about frames, in the order of the keys."""
    found = read_table(path, ["key", column])
    known = dict(zip(found["key"].to_pylist(), found[column].to_pylist(), strict=True))
    if not set(keys) <= known.keys():
        raise PerceptionError(
            f"'{path}' knows not all frames of the dataset, which has grown since; make it again "
            f"with `perception-contrast data {'split' if path.name == SPLIT else 'dedup'}`"
        )
    return [known[key] for key in keys]


def _in_part(path: Path, keys: Sequence[str], part: str) -> NDArray[np.bool_]:
    if not path.is_file():
        raise PerceptionError(
            f"dataset '{path.parent}' is not split, so it has no part '{part}'; run "
            f"`perception-contrast data split {path.parent}`"
        )
    parts = np.array(_aligned(path, "part", keys), str)
    if part not in parts:
        raise PerceptionError(
            f"dataset '{path.parent}' has no part '{part}'; it has: {', '.join(sorted(set(parts)))}"
        )
    return np.asarray(parts == part)
