"""What a frame sees behind of leaves the voxels; what stands still, or nothing is known of, stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block_room import LANGUAGE, SECOND, Block, BlockRoom, looking, vector

from perception_contrast.core.arrays import DepthImage
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.language.carving import THROUGH_FRAMES, seen_through
from perception_contrast.mapping.language.frame_pooling import pool_frame
from perception_contrast.mapping.language.voxel_store import VoxelStore
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.semantic_map import SemanticMap

MUG = Block("mug", (1.5, 0.2, 0.3), (0.3, 0.3, 0.6))
CHAIR = Block("chair", (1.4, -0.8, 0.4), (0.5, 0.5, 0.8))
SIZE = 0.05


def pose(step: int) -> RigidTransform:
    return looking((-0.5, -1.0 + 0.1 * step, 1.3), (1.5, -0.2, 0.3))


def shown(*blocks: Block, step: int) -> MapFrame:
    """A frame without detections."""
    frame = BlockRoom(list(blocks)).frame(pose(step), step, dense=True)[0]
    return replace(frame, detections=(), vectors=())


def fused(voxels: VoxelStore, frame: MapFrame) -> int:
    """How many voxels left after a frame had been added."""
    pooled = pool_frame(frame, SIZE)
    voxels.add(pooled.keys, pooled.vectors, pooled.counts, frame.stamp)
    rows = seen_through(voxels, frame)
    voxels.remove(rows)
    return len(rows)


def seen(*blocks: Block, frames: int = 4) -> VoxelStore:
    voxels = VoxelStore(LANGUAGE, SIZE)
    for step in range(frames):
        fused(voxels, shown(*blocks, step=step))
    return voxels


def left_of(voxels: VoxelStore, block: Block) -> int:
    """Voxels of a block, above what the floor's reach into."""
    places = voxels.positions()
    inside = (places > block.low - SIZE / 2) & (places < block.high + SIZE / 2)
    return int((inside.all(axis=1) & (places[:, 2] > 0.11)).sum())


def test_what_no_detection_named_leaves_after_some_frames_that_see_behind_it() -> None:
    voxels = seen(MUG, CHAIR)
    before = left_of(voxels, MUG), left_of(voxels, CHAIR)
    assert min(before) > 50
    for step in range(THROUGH_FRAMES - 1):
        assert not fused(voxels, shown(CHAIR, step=4 + step))
    fused(voxels, shown(CHAIR, step=6))
    assert left_of(voxels, MUG) < before[0] / 20 and left_of(voxels, CHAIR) >= before[1]


def alike(own: SemanticMap, block: Block) -> int:
    """Voxels around a block that look as it does."""
    assert own.voxels is not None
    places = own.voxels.positions()
    inside = ((places > block.low - 0.1) & (places < block.high + 0.1)).all(axis=1)
    return int((own.voxels.scores(vector(block.label, LANGUAGE)[None])[0][inside] > 0.75).sum())


def test_neither_words_nor_what_it_stood_on_tell_of_it_any_more() -> None:
    own = SemanticMap(MapSettings(surface_voxel=0.0))
    for step in range(4):
        own.integrate(shown(MUG, CHAIR, step=step))
    assert alike(own, MUG) > 200 and alike(own, CHAIR) > 200
    for step in range(4, 8):
        own.integrate(shown(CHAIR, step=step))
    assert alike(own, MUG) == 0 and alike(own, CHAIR) > 200


def nothing(depth: DepthImage) -> DepthImage:
    return np.full_like(depth, np.nan)


def zero(depth: DepthImage) -> DepthImage:
    return np.zeros_like(depth)


def infinite(depth: DepthImage) -> DepthImage:
    return np.full_like(depth, np.inf)


def beyond(depth: DepthImage) -> DepthImage:
    return depth + 5.0


def holes(depth: DepthImage) -> DepthImage:
    """Unknown wherever the mug was: what it hid is told around it alone."""
    _, numbers = BlockRoom([MUG]).cast(pose(4))
    return np.where(numbers == 0, np.float32(np.nan), depth)


@pytest.mark.parametrize("spoilt", [nothing, zero, infinite, beyond])
def test_depth_that_says_nothing_clears_nothing(spoilt: object) -> None:
    voxels = seen(MUG, CHAIR)
    count = len(voxels)
    for step in range(4, 10):
        frame = shown(CHAIR, step=step)
        frame = replace(frame, depth=spoilt(frame.depth))  # type: ignore[operator]
        assert not len(seen_through(voxels, frame))
    assert len(voxels) == count


def test_a_hole_in_the_depth_clears_nothing_of_what_may_be_in_it() -> None:
    voxels = seen(MUG, CHAIR)
    before = left_of(voxels, MUG)
    for step in range(6):
        frame = replace(shown(CHAIR, step=4), stamp=(10 + step) * SECOND)
        fused(voxels, replace(frame, depth=holes(frame.depth)))
    assert left_of(voxels, MUG) > 0.95 * before


def test_what_is_seen_in_between_is_counted_anew() -> None:
    voxels = seen(MUG, CHAIR, frames=1)
    before = left_of(voxels, MUG)
    for step in range(1, 13):
        blocks = (MUG, CHAIR) if step % THROUGH_FRAMES == 0 else (CHAIR,)
        assert not fused(voxels, replace(shown(*blocks, step=0), stamp=step * SECOND))
    assert left_of(voxels, MUG) == before


def test_noise_of_depth_and_pose_erases_hardly_anything_that_stands_still() -> None:
    rng = np.random.default_rng(3)
    lamp, table = (
        Block("lamp", (2.5, -1.5, 0.75), (0.06, 0.06, 1.5)),
        Block("table", (2.2, 0.9, 0.4), (0.8, 0.8, 0.8)),
    )
    room = BlockRoom([MUG, CHAIR, lamp, table])
    voxels, true, removed = VoxelStore(LANGUAGE, SIZE), set[tuple[int, ...]](), set[tuple[int, ...]]()
    for step in range(40):
        around = 2 * np.pi * step / 40
        eye = (1.2 * np.cos(around), 1.2 * np.sin(around), 1.3)
        frame = room.frame(looking(eye, (1.5, 0.3 * np.sin(3 * around), 0.4)), step, dense=True)[0]
        true.update(map(tuple, pool_frame(frame, SIZE).keys.tolist()))
        noisy = frame.depth + rng.normal(0, 0.003, frame.depth.shape) * frame.depth**2
        noisy[rng.random(noisy.shape) < 0.1] = np.nan
        off = RigidTransform.of_quaternion(rng.normal(0, 0.01, 3), [*rng.normal(0, 0.002, 3), 1.0])
        frame = replace(frame, depth=noisy.astype(np.float32), pose=off @ frame.pose)
        pooled = pool_frame(frame, SIZE)
        voxels.add(pooled.keys, pooled.vectors, pooled.counts, frame.stamp)
        rows = seen_through(voxels, frame)
        removed.update(map(tuple, voxels.keys(rows).tolist()))
        voxels.remove(rows)
    lost = (true & removed) - set(map(tuple, voxels.keys().tolist()))
    assert len(lost) < 0.003 * len(true)
