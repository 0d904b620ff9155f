"""MapFiles: a growing map and its memory on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from block_room import Block, BlockRoom, looking

from perception_contrast.core.errors import SpaceError
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.mapping.storage.map_state import MapError
from perception_contrast.memory.map_files import MapFiles
from perception_contrast.memory.sightings import Filters

SETTINGS = MapSettings(surface_voxel=0.0)
MUG = Block("mug", (1.5, 0.2, 0.3), (0.3, 0.3, 0.6))
CHAIR = Block("chair", (1.4, -0.8, 0.4), (0.5, 0.5, 0.8))


@pytest.fixture
def files(tmp_path: Path) -> Iterator[MapFiles]:
    made = MapFiles(MapFolder(tmp_path))
    yield made
    made.close(SemanticMap(SETTINGS))


def frames(count: int = 4) -> list[MapFrame]:
    room = BlockRoom([MUG, CHAIR])
    poses = [looking((-0.5, -1.0 + 0.5 * n, 1.3), (1.5, -0.2, 0.3)) for n in range(count)]
    return [room.frame(pose, n, dense=True)[0] for n, pose in enumerate(poses)]


def see(files: MapFiles, own: SemanticMap, some: list[MapFrame]) -> None:
    for frame in some:
        own.integrate(frame)
        files.note_frame(own, frame)


def test_what_was_written_as_it_grew_comes_back(files: MapFiles, tmp_path: Path) -> None:
    own = SemanticMap(SETTINGS)
    assert files.open("kitchen", SETTINGS) is None and files.memory is not None
    for frame in frames():
        see(files, own, [frame])
        files.write_changes(own)
    assert len(files.memory.sightings()) == 8
    assert len(files.memory.keyframes()) == 4
    assert files.memory.keyframes()[0].thumbnail[:2] == b"\xff\xd8"
    # Neither saved nor closed, as after kill -9.
    loaded = MapFolder(tmp_path).load("kitchen")
    assert {one["label"] for one in loaded.objects} == {"mug", "chair"}
    assert own.voxels is not None and len(loaded.voxels["keys"]) == len(own.voxels)


def test_a_map_in_use_is_refused_to_others(files: MapFiles, tmp_path: Path) -> None:
    files.open("kitchen", SETTINGS)
    other = MapFiles(MapFolder(tmp_path))
    with pytest.raises(MapError, match="another process"):
        other.open("kitchen", SETTINGS)
    assert other.name == "" and files.name == "kitchen"


def test_a_saved_map_replaces_the_present_one_or_leaves_it(files: MapFiles) -> None:
    own = SemanticMap(SETTINGS)
    see(files, own, frames())
    with pytest.raises(MapError, match="no name"):
        files.save("", own)
    assert files.save("lab", own).objects == 2
    for name in ("../lab", "absent"):
        with pytest.raises(MapError):
            files.load(name, SETTINGS, own)
    other = SemanticMap(SETTINGS)
    other.semantic_space = "other@2"
    with pytest.raises(SpaceError, match="reembed"):
        files.load("lab", SETTINGS, other)
    assert len(files.load("lab", SETTINGS, own).objects) == 2


def test_what_is_forgotten_is_in_no_file(files: MapFiles, tmp_path: Path) -> None:
    own = SemanticMap(SETTINGS)
    files.open("kitchen", SETTINGS)
    see(files, own, frames())
    files.write_changes(own)
    assert files.memory is not None
    mug = next(one for one in own.objects.objects if one.label == "mug")
    own.forget([mug.id])
    files.forget(own, [mug.id])
    files.save("", own)
    assert not files.memory.sightings(Filters(object_id=mug.id))
    assert files.memory.sightings(Filters(label="chair"))
    for path in (tmp_path / "kitchen").iterdir():
        assert mug.thumbnail.jpeg not in path.read_bytes(), path.name
    own.clear()
    files.forget_all(own)
    assert not files.memory.sightings() and not files.memory.keyframes()
    assert not MapFolder(tmp_path).load("kitchen").objects


def test_keyframes_are_kept_where_the_camera_moved(files: MapFiles) -> None:
    own = SemanticMap(SETTINGS)
    files.open("kitchen", SETTINGS)
    still = frames(1) * 5
    see(files, own, still)
    files.write_changes(own)
    assert files.memory is not None and len(files.memory.keyframes()) == 1
    assert np.isfinite(files.memory.keyframes()[0].quality)
