"""A growing map and its memory on the disk: nothing is lost, and what is forgotten is gone."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from map_examples import SECOND, unit

from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.detection import Detection, RegionVectors, Scores
from perception_contrast.core.errors import StorageError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.mapping.storage import journal, map_writer
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.mapping.storage.map_format import journals
from perception_contrast.mapping.storage.map_state import MapError
from perception_contrast.mapping.storage.privacy import LabelPrivacy
from perception_contrast.mapping.storage.snapshot_thread import SnapshotThread
from perception_contrast.memory import map_files, pending_memory
from perception_contrast.memory.forgetting import Retention
from perception_contrast.memory.map_files import MapFiles
from perception_contrast.memory.sightings import Filters

SETTINGS = MapSettings(surface_voxel=0.0)
CAMERA = CameraModel(48, 64, 50.0, 50.0, 31.5, 23.5)
# Looks along the map's x, a metre above the floor.
POSE = RigidTransform(np.array([(0, -1, 0), (0, 0, -1), (1, 0, 0)], float).T, np.array([0.0, 0.0, 1.0]))


def frame(second: int, *labels: str) -> MapFrame:
    """A wall with things before it, side by side, which the labels name from left to right."""
    depth = np.full((48, 64), 3.0, np.float32)
    image = np.random.default_rng(7).integers(0, 255, (48, 64, 3), np.uint8)
    detections, vectors = [], []
    for place, label in enumerate(labels):
        x = 4 + 20 * place
        depth[16:32, x : x + 16] = 2.0
        box = (x, 16, x + 16, 32)
        detections.append(Detection(label, Scores(0.9, 0.9, 0.9), box, np.ones((16, 16), bool)))
        vectors.append(RegionVectors(unit(place)))
    return MapFrame(
        stamp=second * SECOND,
        camera_name="front",
        camera=CAMERA,
        depth=depth,
        pose=POSE,
        image=image,
        detections=tuple(detections),
        vectors=tuple(vectors),
        semantic_space="s@1",
    )


def grown(files: MapFiles, own: SemanticMap, *frames: MapFrame) -> None:
    for one in frames:
        own.integrate(one)
        files.note_frame(own, one)
        files.write_changes(own)


def opened(folder: Path, **options: object) -> tuple[MapFiles, SemanticMap]:
    files = MapFiles(MapFolder(folder), **options)  # type: ignore[arg-type]
    return files, files.open("kitchen", SETTINGS) or SemanticMap(SETTINGS)


def left(files: MapFiles) -> None:
    """As a process that was killed leaves its files: the lock is free, and nothing more is written."""
    assert files._writer is not None
    files._writer.close()


def labels_of(own: SemanticMap) -> list[str]:
    return sorted(one.label for one in own.objects.objects)


def held(folder: Path, data: bytes) -> bool:
    return any(data in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_map_whose_process_was_killed_goes_on(tmp_path: Path) -> None:
    files, own = opened(tmp_path)
    grown(files, own, frame(1, "mug", "bowl"), frame(2, "mug", "bowl"))
    before = {one.id: one.label for one in own.objects.objects}
    left(files)
    again, loaded = opened(tmp_path)
    assert {one.id: one.label for one in loaded.objects.objects} == before
    assert loaded.semantic_space == "s@1"
    assert again.memory is not None and again.memory.counts().sightings == 4
    # Whole images are kept once, for the camera did not move.
    assert [one.labels for one in again.memory.keyframes()] == [("bowl", "mug")]
    grown(again, loaded, frame(3, "mug", "bowl", "tray"))
    assert labels_of(loaded) == ["bowl", "mug", "tray"]
    assert max(one.id for one in loaded.objects.objects) > max(before)
    again.close(loaded)


def test_what_the_disk_refused_once_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, own = opened(tmp_path)
    grown(files, own, frame(1, "mug"))
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise StorageError("'journal' cannot be written: make room there")

        patched.setattr(journal.JournalWriter, "append", full)
        with pytest.raises(StorageError, match="make room"):
            grown(files, own, frame(2, "mug", "bowl"))
    files.write_changes(own)
    files._snapshots.wait()
    left(files)
    assert labels_of(opened(tmp_path)[1]) == ["bowl", "mug"]


def test_sightings_follow_objects_that_became_part_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, own = opened(tmp_path)
    grown(files, own, frame(1, "mug", "bowl"))
    mug, bowl = (one.id for one in own.objects.objects)
    taken = map_files.take_changes
    monkeypatch.setattr(map_files, "take_changes", lambda own: replace(taken(own), merged={bowl: mug}))
    files.write_changes(own)
    assert files.memory is not None
    assert len(files.memory.sightings(Filters(object_id=mug))) == 2
    files.close(own)


def test_what_was_noted_of_a_thing_before_it_was_forgotten_is_not_written_later(tmp_path: Path) -> None:
    files, own = opened(tmp_path)
    grown(files, own, frame(1, "mug", "bowl"))
    number = next(one.id for one in own.objects.objects if one.label == "mug")
    own.integrate(frame(2, "mug", "bowl"))
    own.forget([number])
    files.forget(own, [number])
    files.write_changes(own)
    assert files.memory is not None
    assert {one.label for one in files.memory.sightings()} == {"bowl"}
    files.close(own)


def test_the_ground_is_in_snapshots_that_are_written_while_frames_come(tmp_path: Path) -> None:
    files, own = opened(tmp_path, snapshot_period=1e-9)
    grown(files, own, frame(1, "mug"))
    files._snapshots.wait()
    known = int(np.count_nonzero(own.grid.snapshot().cells >= 0))
    left(files)
    loaded = opened(tmp_path)[1]
    assert known > 0 and int(np.count_nonzero(loaded.grid.snapshot().cells >= 0)) == known


def test_frames_and_the_journal_go_on_while_a_snapshot_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, own = opened(tmp_path)
    grown(files, own, frame(1, "mug"))
    writing, go_on = threading.Event(), threading.Event()
    whole = map_writer.write_snapshot

    def slow(*arguments: object) -> object:
        writing.set()
        assert go_on.wait(60)
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(map_writer, "write_snapshot", slow)
    saving = threading.Thread(target=files.save, args=("", own))
    saving.start()
    assert writing.wait(60)
    grown(files, own, frame(2, "mug", "bowl"))
    beside = MapFolder(tmp_path).load("kitchen")
    go_on.set()
    saving.join()
    for state in (beside, MapFolder(tmp_path).load("kitchen")):
        assert sorted(one["label"] for one in state.objects) == ["bowl", "mug"]
    files.close(own)


def test_a_snapshot_that_fails_is_told_until_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, own = opened(tmp_path)
    grown(files, own, frame(1, "mug"))
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise StorageError("'surface' cannot be written: make room there")

        patched.setattr(map_writer, "write_snapshot", full)
        with pytest.raises(StorageError, match="make room"):
            files.save("", own)
        with pytest.raises(StorageError, match="make room"):
            grown(files, own, frame(2, "mug", "bowl"))
    # The journal has what came since.
    assert len(MapFolder(tmp_path).load("kitchen").objects) == 2
    files.save("", own)
    grown(files, own, frame(3, "mug", "bowl"))
    files.close(own)


def test_a_folder_that_was_taken_away_is_told_and_written_anew(tmp_path: Path) -> None:
    files, own = opened(tmp_path)
    grown(files, own, frame(1, "mug"))
    shutil.rmtree(tmp_path / "kitchen")
    with pytest.raises(StorageError, match=r"'.*kitchen' was removed .* \(`~/save` "):
        grown(files, own, frame(2, "mug", "bowl"))
    files.save("", own)
    grown(files, own, frame(3, "mug", "bowl"))
    left(files)
    again, loaded = opened(tmp_path)
    assert labels_of(loaded) == ["bowl", "mug"]
    assert again.memory is not None and again.memory.counts().sightings == 5
    again.close(loaded)


def test_another_map_in_the_place_of_one_that_is_written_is_not_overwritten(tmp_path: Path) -> None:
    files, own = opened(tmp_path)
    grown(files, own, frame(1, "mug"))
    (tmp_path / "kitchen").rename(tmp_path / "moved")
    MapFolder(tmp_path).save("kitchen", MapFolder(tmp_path).load("moved"))
    with pytest.raises(MapError, match="another map was put in place"):
        files.save("", own)
    files.close(own)


def test_a_folder_without_the_right_to_write_is_told_and_the_journal_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, own = opened(tmp_path)
    grown(files, own, frame(1, "mug"))
    with monkeypatch.context() as patched:
        # To root every folder is open.
        patched.setattr(map_writer.os, "access", lambda path, mode: mode != os.W_OK | os.X_OK)
        with pytest.raises(StorageError, match=r"kitchen' cannot be written any more\. .* the right to"):
            grown(files, own, frame(2, "mug", "bowl"))
    assert len(MapFolder(tmp_path).load("kitchen").objects) == 2
    files.close(own)


def test_a_journal_that_was_taken_away_is_followed_by_a_snapshot(tmp_path: Path) -> None:
    files, own = opened(tmp_path)
    grown(files, own, frame(1, "mug"))
    for _, path in journals(tmp_path / "kitchen"):
        path.unlink()
    files._snapshots = SnapshotThread()
    grown(files, own, frame(2, "mug", "bowl"))
    files._snapshots.wait()
    left(files)
    assert labels_of(opened(tmp_path)[1]) == ["bowl", "mug"]


def test_a_forgotten_thing_is_in_no_file(tmp_path: Path) -> None:
    files, own = opened(tmp_path)
    grown(files, own, frame(1, "mug", "person"), frame(2, "mug", "person"))
    mug, person = sorted(own.objects.objects, key=lambda one: one.label)
    images = mug.thumbnail.jpeg, person.thumbnail.jpeg
    assert all(held(tmp_path, image) for image in images)
    own.forget([person.id])
    files.forget(own, [person.id], Filters(label="person"))
    assert [held(tmp_path, image) for image in images] == [True, False]
    assert files.memory is not None
    assert not files.memory.keyframes() and not files.memory.sightings(Filters(object_id=person.id))
    files.close(own)


def test_the_privacy_filter_sees_all_that_is_stored(tmp_path: Path) -> None:
    privacy = LabelPrivacy(refuse=("child",), blur=("person",))
    files, own = opened(tmp_path, privacy=privacy)
    grown(files, own, frame(1, "mug", "person", "child"))
    by_label = {one.label: one for one in own.objects.objects}
    assert held(tmp_path, by_label["mug"].thumbnail.jpeg)
    assert not held(tmp_path, by_label["person"].thumbnail.jpeg)
    files.save("", own)
    assert not held(tmp_path, by_label["child"].thumbnail.jpeg)
    assert files.memory is not None
    assert {one.label for one in files.memory.sightings()} == {"mug", "person"}
    assert not files.memory.keyframes()
    left(files)
    loaded = opened(tmp_path)[1]
    assert labels_of(loaded) == ["mug", "person"]
    assert [one.semantic is None for one in loaded.objects.objects] == [False, True]


def test_the_memory_stays_within_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_memory, "_RETAIN_EVERY", 3)
    files, own = opened(tmp_path, retention=Retention(sightings=3))
    grown(files, own, *(frame(second, "mug") for second in range(1, 10)))
    assert files.memory is not None
    assert 3 <= files.memory.counts().sightings <= 5
    files.close(own)
