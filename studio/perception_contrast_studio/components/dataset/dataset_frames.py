"""What is known of the frames of a dataset, as arrays: plain values that processes can send each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NANOSECONDS = 1e9
SHARDS = "shards"
NO_PART = -1


@dataclass(frozen=True)
class DatasetFrames:
    """n frames of a dataset that `data extract` made, or of a folder of images.

    Attributes:
        folder: Of the dataset.
        extracted: Whether `data extract` made it.
        finished: Whether its extraction is done.
        keys: Names of the frames; of a folder their paths in it.
        files: (n,) names of the image files; of a folder as ``keys``.
        shard_names: Of the shards.
        shards: (n,) int32 numbers of them, -1 in a folder.
        offsets: (n,) int64 first byte of the image in its shard; sizes: (n,) int64 bytes.
        lanes: Recording and topic that frames are of.
        lane: (n,) int32 number of its lane.
        stamps: (n,) int64 nanoseconds, -1 for none.
        heights, widths: (n,) int32 pixels, 0 where they are not recorded.
        positions: (n, 3) float32 metres, NaN for none.
        measures: (n,) float32 by name: sharpness, brightness, change, similarity; NaN for none.
        part_names: Of `data split`, empty where it was not run.
        parts: (n,) int32 numbers of them, ``NO_PART`` for none.
        duplicate_of: (n,) int64 number of the frame whose near-duplicate it is, -1 for none.
        duplicate_similarity: (n,) float32.
        clusters: (n,) int64, -1 for none.
        facts: Of `data dedup` and `data split`, by "dedup" and "split".
        results: Counts that the extraction wrote of each recording.
        options: Of the extraction.
        recordings: Paths of the recordings.
    """

    folder: Path
    extracted: bool
    finished: bool
    keys: tuple[str, ...]
    files: tuple[str, ...]
    shard_names: tuple[str, ...]
    shards: NDArray[np.int32]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    lanes: tuple[tuple[str, str], ...]
    lane: NDArray[np.int32]
    stamps: NDArray[np.int64]
    heights: NDArray[np.int32]
    widths: NDArray[np.int32]
    positions: NDArray[np.float32]
    measures: dict[str, NDArray[np.float32]]
    part_names: tuple[str, ...]
    parts: NDArray[np.int32]
    duplicate_of: NDArray[np.int64]
    duplicate_similarity: NDArray[np.float32]
    clusters: NDArray[np.int64]
    facts: dict[str, dict[str, str]] = field(default_factory=dict)
    results: tuple[dict[str, Any], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    recordings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def duplicates(self) -> NDArray[np.bool_]:
        """(n,) which frames readers skip."""
        return np.asarray(self.duplicate_of >= 0)

    def seconds(self) -> NDArray[np.float64]:
        """(n,) since the first frame of the recording; NaN without stamps."""
        found = np.full(len(self), np.nan)
        bags = {bag: number for number, bag in enumerate(dict.fromkeys(bag for bag, _ in self.lanes))}
        of = np.array([bags[bag] for bag, _ in self.lanes], np.int64)[self.lane] if self.lanes else self.lane
        for number in np.unique(of):
            own = (of == number) & (self.stamps >= 0)
            if own.any():
                found[own] = (self.stamps[own] - self.stamps[own].min()) / NANOSECONDS
        return found

    def part_of(self, index: int) -> str:
        """Name of a frame's part, "" without one."""
        number = int(self.parts[index])
        return "" if number == NO_PART else self.part_names[number]

    def counts(self) -> dict[str, int]:
        """Images that the extraction looked at, by their fate; "read" has all."""
        found: dict[str, int] = {}
        for result in self.results:
            for fates in result.get("topics", {}).values():
                for fate, count in fates.items():
                    found[fate] = found.get(fate, 0) + int(count)
        return found


@dataclass(frozen=True)
class LeftOutFrames:
    """Frames that an extraction left out, found again in the recordings.

    Attributes:
        reasons: Names of the reasons.
        reason: (m,) int32 numbers of them.
        lanes: Recording and topic; lane: (m,) int32 number of it, -1 where the dataset has no frame of it.
        stamps: (m,) int64 nanoseconds.
        examples: JPEGs by reason, each with its stamp and its lane's name; evenly from the recordings.
        failed: Why a recording could not be looked at, by its name.
    """

    reasons: tuple[str, ...]
    reason: NDArray[np.int32]
    lanes: tuple[tuple[str, str], ...]
    lane: NDArray[np.int32]
    stamps: NDArray[np.int64]
    examples: dict[str, list[tuple[int, str, bytes]]]
    failed: dict[str, str]
