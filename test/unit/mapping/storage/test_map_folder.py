"""Maps have plain names inside one folder."""

from __future__ import annotations

from pathlib import Path

import map_examples
import pytest

from perception_contrast.mapping.storage.map_folder import MapFolder, maps_folder
from perception_contrast.mapping.storage.map_state import MapError
from perception_contrast.mapping.storage.map_writer import MapWriter


@pytest.mark.parametrize(
    "name", ["", "..", "../kitchen", "/etc", "a/b", "Kitchen", ".hidden", "a\n", "x" * 65, "ä"]
)
def test_what_could_be_a_path_is_no_name(tmp_path: Path, name: str) -> None:
    maps = MapFolder(tmp_path / "maps")
    for action in (maps.path, maps.info, maps.load, maps.delete):
        with pytest.raises(MapError, match="is not a name; a name is made of a-z"):
            action(name)
    with pytest.raises(MapError, match="is not a name"):
        maps.save(name, map_examples.map_state())
    assert not (tmp_path / "maps").exists()


def test_maps_are_listed_loaded_and_deleted(tmp_path: Path) -> None:
    maps = MapFolder(tmp_path)
    for name in ("office", "kitchen"):
        maps.save(name, map_examples.map_state())
    (tmp_path / "not-a-map").mkdir()
    assert maps.names() == ["kitchen", "office"]
    assert len(maps.load("kitchen").objects) == 2
    maps.delete("kitchen")
    assert maps.names() == ["office"]
    assert not (tmp_path / "kitchen").exists()
    with pytest.raises(MapError, match=r"there is no map 'kitchen' in .*; there: office"):
        maps.load("kitchen")


def test_info_counts_without_loading_and_names_the_problem(tmp_path: Path) -> None:
    maps = MapFolder(tmp_path)
    path = maps.save("kitchen", map_examples.map_state(objects=3, voxels=7))
    info = maps.info("kitchen")
    assert info.manifest is not None
    assert (info.manifest.counts["objects"], info.manifest.counts["voxels"]) == (3, 7)
    assert info.bytes == sum(file.stat().st_size for file in path.iterdir())
    (path / "map.json").write_text("{")
    broken = maps.info("kitchen")
    assert broken.manifest is None and "map 'kitchen' is damaged" in broken.problem


def test_a_map_in_use_is_not_deleted(tmp_path: Path) -> None:
    maps = MapFolder(tmp_path)
    with (
        MapWriter(maps.path("kitchen"), map_examples.header()),
        pytest.raises(MapError, match="written by another process"),
    ):
        maps.delete("kitchen")
    assert maps.names() == ["kitchen"]


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_MAPS", str(tmp_path / "mine"))
    assert maps_folder() == MapFolder().folder == tmp_path / "mine"
    assert MapFolder().names() == []
