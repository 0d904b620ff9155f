"""A map comes back as it was; one that is damaged, of a newer version or of another space is refused."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import map_examples
import numpy as np
import pytest

from perception_contrast.core.errors import SpaceError, StorageError
from perception_contrast.mapping.storage import map_format
from perception_contrast.mapping.storage.map_format import MANIFEST, load_map, read_manifest
from perception_contrast.mapping.storage.map_state import MapError, MapState
from perception_contrast.mapping.storage.map_writer import save_map


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_a_map_comes_back(tmp_path: Path) -> None:
    state = map_examples.map_state()
    save_map(tmp_path / "kitchen", state)
    loaded = load_map(tmp_path / "kitchen")
    map_examples.assert_same_state(loaded, state)
    assert loaded.header.calibration == state.header.calibration
    assert loaded.header.semantic_space == map_examples.SPACE
    assert loaded.header.updated >= loaded.header.created > 0


def test_an_empty_map_comes_back(tmp_path: Path) -> None:
    save_map(tmp_path / "kitchen", MapState(map_examples.header()))
    map_examples.assert_same_state(load_map(tmp_path / "kitchen"), MapState(map_examples.header()))


def test_saving_again_replaces_the_map_and_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    save_map(tmp_path / "kitchen", map_examples.map_state(objects=9, voxels=50))
    save_map(tmp_path / "kitchen", map_examples.map_state(objects=1))
    assert len(load_map(tmp_path / "kitchen").objects) == 1
    names = sorted(name for name in contents(tmp_path / "kitchen"))
    assert names == [
        "far_rays.2.safetensors",
        MANIFEST,
        "objects.2.sqlite",
        "voxels.2.safetensors",
        "writer.lock",
    ]


@pytest.mark.parametrize("which", ["semantic_space", "spatial_space"])
def test_a_map_of_another_space_is_refused_with_the_remedy(tmp_path: Path, which: str) -> None:
    save_map(tmp_path / "kitchen", map_examples.map_state())
    with pytest.raises(SpaceError, match=r"'other@0'.*perception-contrast map reembed kitchen"):
        load_map(tmp_path / "kitchen", **{which: "other@0"})  # type: ignore[arg-type]
    load_map(
        tmp_path / "kitchen", semantic_space=map_examples.SPACE, spatial_space=map_examples.SPATIAL_SPACE
    )


@pytest.mark.parametrize("part", ["voxels.1.safetensors", "objects.1.sqlite", MANIFEST])
@pytest.mark.parametrize("place", [0.02, 0.5, 0.98])
def test_a_spoilt_byte_is_refused_and_the_files_stay(tmp_path: Path, part: str, place: float) -> None:
    path = tmp_path / "kitchen"
    save_map(path, map_examples.map_state())
    content = bytearray((path / part).read_bytes())
    content[int(len(content) * place)] ^= 0x80
    (path / part).write_bytes(content)
    before = contents(path)
    with pytest.raises(MapError, match="kitchen"):
        load_map(path)
    assert contents(path) == before


@pytest.mark.parametrize("part", ["voxels.1.safetensors", "objects.1.sqlite"])
def test_a_missing_or_shortened_file_is_named(tmp_path: Path, part: str) -> None:
    path = tmp_path / "kitchen"
    save_map(path, map_examples.map_state())
    content = (path / part).read_bytes()
    (path / part).write_bytes(content[:-1])
    with pytest.raises(MapError, match=f"map 'kitchen' is damaged: .*{part}"):
        load_map(path)
    (path / part).unlink()
    with pytest.raises(MapError, match=f"map 'kitchen' is damaged: .*{part}.* is missing"):
        load_map(path)


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kitchen"
    save_map(path, map_examples.map_state())
    held = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(held | {"format_version": 2, "files": "of another kind"}))
    with pytest.raises(MapError, match="of format 2, and this version reads up to 1; update"):
        load_map(path)
    with pytest.raises(MapError, match="update"):
        save_map(path, map_examples.map_state())


def test_names_of_files_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "kitchen"
    save_map(path, map_examples.map_state())
    held = json.loads((path / MANIFEST).read_text())
    held["files"] = {"../other": {"bytes": 1, "sha256": "0"}}
    (path / MANIFEST).write_text(json.dumps(held))
    with pytest.raises(MapError, match="names of files that no map has"):
        load_map(path)


@pytest.mark.parametrize("failing", ["_write_part", "_write_objects", "_write_manifest"])
def test_a_snapshot_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path, old = tmp_path / "kitchen", map_examples.map_state(objects=3)
    save_map(path, old)
    before = contents(path)

    def refuse(*_: object) -> None:
        raise StorageError("'x' cannot be written: make room there")

    monkeypatch.setattr(map_format, failing, refuse)
    with pytest.raises(StorageError, match="make room"):
        save_map(path, map_examples.map_state(objects=1))
    assert contents(path) == before
    map_examples.assert_same_state(load_map(path), old)


def test_a_reader_that_meets_a_new_snapshot_reads_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kitchen"
    save_map(path, map_examples.map_state(objects=1))
    old = read_manifest(path)
    save_map(path, map_examples.map_state(objects=2))
    first = iter([old])
    real = map_format.read_manifest
    monkeypatch.setattr(map_format, "read_manifest", lambda folder: next(first, None) or real(folder))
    assert len(load_map(path).objects) == 2


def test_other_programs_find_objects_by_place(tmp_path: Path) -> None:
    state = map_examples.map_state(objects=3)
    save_map(tmp_path / "kitchen", state)
    with sqlite3.connect(tmp_path / "kitchen" / "objects.1.sqlite") as database:
        rows = database.execute(
            "SELECT o.id, o.label, o.confidence FROM objects o JOIN object_boxes b ON b.id = o.id "
            "WHERE b.min_x <= 2.05 AND b.max_x >= 1.95"
        ).fetchall()
        blob = database.execute("SELECT semantic FROM objects WHERE id = 3").fetchone()[0]
    database.close()
    assert rows == [(3, "mug", state.objects[2]["confidence"])]
    np.testing.assert_array_equal(np.frombuffer(blob, np.float32), map_examples.unit(3))
