"""What a writer was given is there again, however its process ended."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import map_examples
import pytest

from perception_contrast.core.errors import SpaceError, StorageError
from perception_contrast.mapping.storage import journal, map_format, map_writer
from perception_contrast.mapping.storage.map_changes import applied
from perception_contrast.mapping.storage.map_format import journals, load_map
from perception_contrast.mapping.storage.map_state import MapChanges, MapError, MapState
from perception_contrast.mapping.storage.map_writer import LOCK, MapWriter, save_map

CHANGES = [
    MapChanges(
        voxels=map_examples.voxel_table([(step, 0, 0), (step, 0, 1)], step),
        objects=[map_examples.object_record(step + 1)],
        facts={"next_object": step + 2},
    )
    for step in range(5)
]


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir() if file.name != LOCK)


def test_appended_changes_are_there_while_the_writer_runs_and_after_it(tmp_path: Path) -> None:
    path, empty = tmp_path / "kitchen", MapState(map_examples.header())
    with MapWriter(path, empty.header) as writer:
        for changes in CHANGES:
            writer.append(changes)
        map_examples.assert_same_state(load_map(path), applied(empty, CHANGES))
    map_examples.assert_same_state(load_map(path), applied(empty, CHANGES))


def test_a_map_is_continued_over_several_runs(tmp_path: Path) -> None:
    path, state = tmp_path / "kitchen", MapState(map_examples.header())
    MapWriter(path, state.header).close()
    for changes in CHANGES:
        writer, loaded = MapWriter.reopen(path)
        with writer:
            map_examples.assert_same_state(loaded, state)
            writer.append(changes)
        state = applied(state, [changes])
    map_examples.assert_same_state(load_map(path), state)
    # The first writer appended nothing, so its journal left with it.
    assert len(journals(path)) == 5


def test_a_snapshot_replaces_the_journals(tmp_path: Path) -> None:
    path, state = tmp_path / "kitchen", applied(MapState(map_examples.header()), CHANGES[:4])
    with MapWriter(path, state.header) as writer:
        for changes in CHANGES[:4]:
            writer.append(changes)
        before = writer.journal_bytes
        writer.snapshot(state)
        assert writer.journal_bytes < before / 4
        assert names(path) == ["journal.3.bin", "map.json", "objects.3.sqlite", "voxels.3.safetensors"]
        writer.append(CHANGES[4])
    map_examples.assert_same_state(load_map(path), applied(state, CHANGES[4:]))


def test_what_is_appended_while_a_snapshot_is_written_is_kept(tmp_path: Path) -> None:
    path, state = tmp_path / "kitchen", applied(MapState(map_examples.header()), CHANGES[:2])
    with MapWriter(path, state.header) as writer:
        for changes in CHANGES[:2]:
            writer.append(changes)
        number = writer.begin_snapshot()
        writer.append(CHANGES[2])
        map_examples.assert_same_state(load_map(path), applied(state, CHANGES[2:3]))
        writer.finish_snapshot(number, state)
        map_examples.assert_same_state(load_map(path), applied(state, CHANGES[2:3]))
        writer.append(CHANGES[3])
    map_examples.assert_same_state(load_map(path), applied(state, CHANGES[2:4]))


def test_a_snapshot_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, state = tmp_path / "kitchen", MapState(map_examples.header())

    def refuse(*_: object) -> None:
        raise StorageError("'x' cannot be written: make room there")

    with MapWriter(path, state.header) as writer:
        writer.append(CHANGES[0])
        with monkeypatch.context() as patched:
            patched.setattr(map_writer, "write_snapshot", refuse)
            with pytest.raises(StorageError, match="make room"):
                writer.snapshot(applied(state, CHANGES[:1]))
        writer.append(CHANGES[1])
        map_examples.assert_same_state(load_map(path), applied(state, CHANGES[:2]))
        writer.snapshot(applied(state, CHANGES[:2]))
    map_examples.assert_same_state(load_map(path), applied(state, CHANGES[:2]))


def no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_full_disk_leaves_no_files_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, state = tmp_path / "kitchen", MapState(map_examples.header())
    with MapWriter(path, state.header) as writer:
        writer.append(CHANGES[0])
        state = applied(state, CHANGES[:1])
        before, opened = names(path), open_files()
        with monkeypatch.context() as patched:
            patched.setattr(journal.os, "write", no_space)
            for _ in range(5):
                with pytest.raises(StorageError, match="make room"):
                    writer.snapshot(state)
        assert names(path) == before and open_files() == opened
        with monkeypatch.context() as patched:
            patched.setattr(map_format, "save_file", no_space)
            for _ in range(5):
                with pytest.raises(StorageError, match="make room"):
                    writer.snapshot(state)
        # The journal that the first of them began serves the others.
        assert len(names(path)) == len(before) + 1
        writer.append(CHANGES[1])
        map_examples.assert_same_state(load_map(path), applied(state, CHANGES[1:2]))
        writer.snapshot(applied(state, CHANGES[1:2]))
        assert len(names(path)) == 4
    with monkeypatch.context() as patched:
        patched.setattr(journal.os, "write", no_space)
        for _ in range(5):
            with pytest.raises(StorageError, match="make room"):
                MapWriter.reopen(path)
    map_examples.assert_same_state(load_map(path), applied(state, CHANGES[1:2]))
    assert len(names(path)) == 3


def test_a_map_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "kitchen"
    with MapWriter(path, map_examples.header()):
        for action in (
            lambda: MapWriter(path, map_examples.header()),
            lambda: MapWriter.reopen(path),
            lambda: save_map(path, map_examples.map_state()),
        ):
            with pytest.raises(MapError, match="map 'kitchen' is written by another process"):
                action()
    save_map(path, map_examples.map_state())


def test_a_map_that_is_refused_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "kitchen"
    save_map(path, map_examples.map_state())
    before = names(path)
    with pytest.raises(SpaceError):
        MapWriter.reopen(path, semantic_space="other@0")
    assert names(path) == before
    MapWriter.reopen(path)[0].close()


def test_another_map_of_the_same_name_takes_nothing_of_the_old_journal(tmp_path: Path) -> None:
    path = tmp_path / "kitchen"
    with MapWriter(path, map_examples.header()) as writer:
        writer.append(CHANGES[0])
    save_map(path, map_examples.map_state())
    map_examples.assert_same_state(load_map(path), map_examples.map_state())


def test_the_journal_wants_a_snapshot_when_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_writer, "_LEAST_JOURNAL", 10_000)
    with MapWriter(tmp_path / "kitchen", map_examples.header()) as writer:
        assert not writer.wants_snapshot
        writer.append(MapChanges(voxels=map_examples.voxel_table([(step, 0, 0) for step in range(6000)])))
        assert writer.wants_snapshot
        writer.snapshot(MapState(map_examples.header()))
        assert not writer.wants_snapshot


def test_twenty_killed_writers_lose_nothing_that_was_announced(tmp_path: Path) -> None:
    path = tmp_path / "kitchen"
    MapWriter(path, map_examples.header()).close()
    output = subprocess.run(
        [sys.executable, "-c", "import killed_writer; killed_writer.main()", str(path), "20"],
        stdout=subprocess.PIPE,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout
    runs = [json.loads(line) for line in output.splitlines()]
    assert len(runs) == 20
    for run in runs:
        # Each continues the map, so that what the ones before it announced must still be there.
        assert run["step"] >= run["announced"]
        assert run["objects"] == run["voxels"] == list(range(1, run["step"] + 1))
    assert runs[-1]["step"] > 20


def test_what_a_killed_writer_left_half_written_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "kitchen"
    save_map(path, map_examples.map_state())
    # The second is of safetensors, which writes under a name of its own.
    for name in (".voxels.9.safetensors.x1y2z3.part", ".tmpQ7xP0a"):
        (path / name).write_bytes(b"half")
    with MapWriter(path, map_examples.header()) as writer:
        writer.snapshot(map_examples.map_state())
        assert not [name for name in names(path) if name.startswith(".")]
