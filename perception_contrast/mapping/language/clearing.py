"""Takes out of the voxels what is not there any more, without what the present frame shows in its place."""

from __future__ import annotations

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.mapping.language.carving import beside, seen_through
from perception_contrast.mapping.language.frame_pooling import PooledFrame
from perception_contrast.mapping.language.voxel_keys import voxel_keys
from perception_contrast.mapping.language.voxel_store import VoxelStore
from perception_contrast.mapping.map_frame import MapFrame


def carve(
    voxels: VoxelStore, frame: MapFrame, pooled: PooledFrame | None, submap: int, max_range: float
) -> None:
    """Takes the voxels out that the depth sees behind; those beside them become as the frame shows them.

    The features of a thing reach beyond its edges, into what it stood on.

    Args:
        voxels: With what the frame shows already.
        frame: With depth and pose.
        pooled: The frame's features; None where it has none.
        submap: Number of the submap that it belongs to.
        max_range: Metres along the optical axis, beyond which depth says nothing.
    """
    doomed = seen_through(voxels, frame, max_range)
    if not len(doomed):
        return
    around = beside(voxels, doomed)
    voxels.remove(np.concatenate([doomed, around[voxels.last_seen[around] == frame.stamp]]))
    see_again(voxels, pooled, frame.stamp, submap)


def see_again(voxels: VoxelStore, pooled: PooledFrame | None, stamp: int, submap: int) -> None:
    """Gives a frame's voxels back that were taken out, as the frame sees them."""
    if pooled is None:
        return
    taken = voxels.rows(pooled.keys) < 0
    voxels.add(pooled.keys[taken], pooled.vectors[taken], pooled.counts[taken], stamp, submap)


def clear_places(voxels: VoxelStore, points: FloatArray, reach: float) -> None:
    """Takes the voxels out of some places, so that words do not find what was there any more.

    Args:
        voxels: Of the map.
        points: (n, 3) metres.
        reach: Metres around each that are taken too: the features of a thing reach beyond its mask.
    """
    if not len(points):
        return
    steps = np.linspace(-reach, reach, 2 * int(np.ceil(reach / voxels.size)) + 1)
    around = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    keys = voxel_keys((points[:, None] + around.astype(np.float32)).reshape(-1, 3), voxels.size)
    rows = voxels.rows(np.unique(keys, axis=0))
    voxels.remove(rows[rows >= 0])
