"""When, by which camera and from where each frame of a data set was taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast_training.data.bags.options import NANOSECONDS
from perception_contrast_training.data.bags.transforms import WORLD_FRAMES, rotated
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.shards import ShardDataset
from perception_contrast_training.data.datasets.subset import Chosen

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Frames:
    """n frames. stamps: nanoseconds. sources, cameras: number of the recording, and of its topic.

    positions: (n, 3) metres, NaN for none. directions: (n, 3) unit, where the camera looks. worlds: number
    of the fixed frame that both are told in.
    """

    stamps: Indices
    sources: Indices
    cameras: Indices
    positions: NDArray[np.float64]
    directions: NDArray[np.float64]
    worlds: Indices

    def __len__(self) -> int:
        return len(self.stamps)

    @classmethod
    def of(cls, dataset: ShardDataset) -> Frames:
        rows = dataset.rows
        sources = dataset.groups.astype(np.int64)
        parents = rows["pose_parent"].to_pylist()
        worlds = [
            (parent, -1 if parent in WORLD_FRAMES else source)
            for parent, source in zip(parents, sources.tolist(), strict=True)
        ]
        cameras = list(zip(sources.tolist(), rows["topic"].to_pylist(), strict=True))
        children = [child or "" for child in rows["pose_child"].to_pylist()]
        return cls(
            dataset.stamps.astype(np.int64),
            sources,
            _numbered(cameras),
            dataset.poses[:, :3],
            viewing_directions(dataset.poses[:, 3:], children),
            _numbered(worlds),
        )

    def at(self, indices: Indices) -> Frames:
        """Those at ``indices``, in that order."""
        return Frames(*(getattr(self, one.name)[indices] for one in fields(self)))

    @property
    def known(self) -> Flags:
        """(n,): whether it is known where the camera was and where it looked."""
        placed = np.concatenate([self.positions, self.directions], axis=1)
        return np.asarray(np.isfinite(placed).all(axis=1), bool)

    def where(self, seconds: float, metres: float) -> Tensor:
        """(n, 7) float64, as ``negative_mask.FRAME_POSITIONS``, for these radii; 0 for none."""
        times = np.zeros(len(self))
        for source in np.unique(self.sources):
            own = self.sources == source
            # Differences within a recording alone count, and small numbers keep nanoseconds exact.
            times[own] = (self.stamps[own] - self.stamps[own].min()) / NANOSECONDS
        times = times / seconds if seconds else np.full(len(self), np.nan)
        places = np.where(self.known[:, None] & bool(metres), self.positions, np.nan) / (metres or 1.0)
        columns = [np.arange(len(self)), self.sources, times, self.worlds, places]
        return torch.from_numpy(np.column_stack(columns).astype(np.float64))


def frames_of(images: Images) -> Frames | None:
    """Those of an extracted dataset, or of some of its frames; None for data that knows no times."""
    if isinstance(images, Chosen):
        whole = frames_of(images.images)
        return None if whole is None else whole.at(images.indices)
    return Frames.of(images) if isinstance(images, ShardDataset) else None


def viewing_directions(rotations: NDArray[np.float64], children: Sequence[str]) -> NDArray[np.float64]:
    """(n, 3) unit: the z axis of optical frames, the x axis of others (REP 103).

    rotations: (n, 4) quaternions x, y, z, w. children: names of the frames they turn.
    """
    optical = np.array(["optical" in child for child in children], bool)
    forward = np.where(optical[:, None], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]).reshape(len(children), 3)
    return rotated(rotations, forward)


def _numbered(values: Sequence[Any]) -> Indices:
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([numbers[value] for value in values], np.int64).reshape(len(values))
