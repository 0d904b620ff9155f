"""Frames in tar shards that webdataset and plain tar read: key.jpg, key.json, key.depth.png, key.txt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.compressed import decode_compressed_depth
from perception_contrast_training.data.datasets.frame_notes import chosen_frames
from perception_contrast_training.data.datasets.manifest import SCHEMA, SHARDS, read_table, require_dataset
from perception_contrast_training.data.datasets.samples import (
    UNKNOWN,
    Sample,
    Transform,
    image_tensor,
    in_range,
    no_pose,
)
from perception_contrast_training.storage.place import Folder, Place


class ShardDataset:
    """Frames of an extracted dataset, by number; each is read at its place in its tar.

    part: only frames that ``data split`` put there. duplicates: also those that ``data dedup`` found to
    be near-duplicates. transform: applied to the (3, h, w) uint8 image. shards: where the tars are, None for
    the data set's own folder. rows: pyarrow Table of the
    frames' manifest rows without the thumbnails, in the order of the indices. group is the recording.
    Nothing stays open between reads, so worker processes and threads may share it. Raises
    PerceptionError.
    """

    classes: tuple[str, ...] = ()

    def __init__(
        self,
        path: Path | str,
        part: str | None = None,
        *,
        duplicates: bool = False,
        transform: Transform | None = None,
        shards: Place | None = None,
    ) -> None:
        self.path = Path(path)
        self.transform = transform
        self._shards = shards or Folder(self.path / SHARDS)
        table = read_table(require_dataset(self.path), [n for n in SCHEMA.names if n != "thumbnail"])
        chosen = chosen_frames(self.path, table["key"].to_pylist(), part, duplicates=duplicates)
        self.rows = table.filter(chosen)
        self.stamps: NDArray[np.int64] = self.rows["stamp"].to_numpy()
        self.groups: NDArray[np.int32] = self.rows["source"].to_numpy()
        self.poses = poses_of(self.rows)

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def __getitem__(self, index: int) -> Sample:
        index = in_range(index, len(self))
        row = self._row(index, ("key", "shard", "file", "offset", "size", "texts"))
        image = image_tensor(self._read(row["shard"], row["offset"], row["size"]), row["file"])
        pose = torch.from_numpy(self.poses[index].copy())
        return Sample(
            image=image if self.transform is None else self.transform(image),
            text="\n".join(row["texts"]),
            stamp=int(self.stamps[index]),
            pose=pose,
            group=int(self.groups[index]),
            label=UNKNOWN,
            index=index,
            key=row["key"],
        )

    def depth(self, index: int) -> NDArray[np.float32] | None:
        """(h, w) float32 metres, NaN where there is none; None if the frame has no depth."""
        row = self._row(in_range(index, len(self)), ("key", "shard", "depth_offset", "depth_size"))
        if row["depth_offset"] is None:
            return None
        data = self._read(row["shard"], row["depth_offset"], row["depth_size"])
        try:
            return decode_compressed_depth(data, "16UC1; png")
        except FrameError as error:
            raise FrameError(error.reason, f"depth of '{row['key']}': {error}") from error

    def stored(self, index: int) -> tuple[bytes, bytes | None]:
        """The bytes of a frame's image and, where it has one, of its depth image."""
        places = ("shard", "offset", "size", "depth_offset", "depth_size")
        row = self._row(in_range(index, len(self)), places)
        image = self._read(row["shard"], row["offset"], row["size"])
        if row["depth_offset"] is None:
            return image, None
        return image, self._read(row["shard"], row["depth_offset"], row["depth_size"])

    def _row(self, index: int, columns: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.rows[name][index].as_py() for name in columns}

    def _read(self, shard: str, offset: int, size: int) -> bytes:
        where = f"{self._shards.address}/{shard}"
        try:
            data = self._shards.read(shard, offset, size)
        except FileNotFoundError as error:
            raise PerceptionError(f"shard '{where}' does not exist; extract again") from error
        if len(data) != size:
            raise PerceptionError(
                f"shard '{where}' was cut short; delete it and the file beside it, and extract again"
            )
        return data


def poses_of(rows: Any) -> NDArray[np.float64]:
    """(n, 7), NaN for frames without a pose."""
    unknown = no_pose().tolist()
    filled = [unknown if pose is None else pose for pose in rows["pose"].to_pylist()]
    return np.array(filled, np.float64).reshape(len(filled), len(unknown))
