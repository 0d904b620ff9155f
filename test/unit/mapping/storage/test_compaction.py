"""Compaction keeps what a map says, in one snapshot."""

from __future__ import annotations

from pathlib import Path

import map_examples
import pytest

from perception_contrast.mapping.storage.compaction import compact
from perception_contrast.mapping.storage.map_format import load_map
from perception_contrast.mapping.storage.map_state import MapChanges, MapError
from perception_contrast.mapping.storage.map_writer import MapWriter


def journalled(path: Path) -> Path:
    for step in range(1, 4):
        changes = MapChanges(objects=[map_examples.object_record(step, at=(step, 0, 0))])
        if step == 1:
            with MapWriter(path, map_examples.header()) as writer:
                writer.append(changes)
                writer.append(MapChanges(objects=[map_examples.object_record(9, at=(9, 0, 0))]))
        else:
            with MapWriter.reopen(path)[0] as writer:
                writer.append(changes)
    return path


def test_journals_become_a_snapshot(tmp_path: Path) -> None:
    path = journalled(tmp_path / "kitchen")
    before = load_map(path)
    done = compact(path)
    map_examples.assert_same_state(load_map(path), before)
    assert load_map(path).header.created == before.header.created
    assert sorted(file.name for file in path.iterdir()) == ["map.json", "objects.5.sqlite", "writer.lock"]
    assert done.after == sum(file.stat().st_size for file in path.iterdir())
    assert done.before > 0


def test_damage_is_left_out_on_request_alone(tmp_path: Path) -> None:
    path = journalled(tmp_path / "kitchen")
    journal = path / "journal.2.bin"
    content = bytearray(journal.read_bytes())
    content[200] ^= 1
    journal.write_bytes(content)
    for refused in (lambda: load_map(path), lambda: compact(path)):
        with pytest.raises(MapError, match=r"journal\.2\.bin' is damaged"):
            refused()
    assert journal.read_bytes() == content
    compact(path, recover=True)
    assert [one["id"] for one in load_map(path).objects] == [2, 3, 9]
