"""Tasks on saved maps: open, find, recall, approach, forget; without a robot and without models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from map_examples import SECOND, object_record, unit, voxel_table
from small_saved_map import save_objects, save_small_map

pytest.importorskip("nicegui")

from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.grid.grid_snapshot import FREE, GridSnapshot
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast_studio.maps.map_types import MapThing, RecallOptions
from perception_contrast_studio.maps.saved_map import saved_entries
from perception_contrast_studio.tasks.maps import saved_map

NAME = "kitchen"


def report(fraction: float, text: str) -> None:
    """Takes progress."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of one map."""
    save_small_map(tmp_path, NAME)
    return tmp_path


def opened_things(folder: Path) -> dict[str, MapThing]:
    layers, _ = saved_map.open_map(report, folder, NAME)
    return {one.id: one for one in layers.things}


def test_a_map_is_opened_with_all_that_is_drawn(folder: Path) -> None:
    layers, header = saved_map.open_map(report, folder, NAME)
    things = {one.id: one for one in layers.things}
    assert {(one.label, one.status) for one in things.values()} == {("mug", "confirmed"), ("chair", "gone")}
    np.testing.assert_allclose(things["2"].center, (1.0, 0.0, 0.0), atol=1e-5)
    assert things["1"].thumbnail[:2] == b"\xff\xd8" and things["1"].last_seen == 20 * SECOND
    # Without a surface the voxels are the cloud.
    assert layers.cloud is not None and len(layers.cloud.points) == 5
    assert layers.labels == ("chair", "cup", "mug") and layers.now == 20 * SECOND
    assert header.semantic_space.startswith("clip@")


def test_questions_by_label_and_likeness_are_answered(folder: Path) -> None:
    found = saved_map.find(report, folder, NAME, MapQuery(label="mug"), FindFilters())
    assert found.kind == "found" and {one.id for one in found.things} == {"1", "2"}
    missing = saved_map.find(report, folder, NAME, MapQuery(label="lamp"), FindFilters())
    assert missing.kind == "not_seen" and not missing.things and "not seen" in missing.message
    assert not saved_map.find(report, folder, NAME, MapQuery(label="chair"), FindFilters()).things
    too = saved_map.find(report, folder, NAME, MapQuery(label="chair"), FindFilters(include_gone=True))
    assert [one.status for one in too.things] == ["gone"]
    like = saved_map.find(report, folder, NAME, "1", FindFilters(min_score=0.0)).things
    assert like[0].id == "1" and like[0].score > 0.95 > like[1].score
    with pytest.raises(PerceptionError, match="no thing '77'"):
        saved_map.find(report, folder, NAME, "77", FindFilters())


def test_words_colour_points_by_the_voxel_they_lie_in(folder: Path) -> None:
    words = unit(9)[None]
    heat = saved_map.heat(report, folder, NAME, words)
    vectors = voxel_table(np.arange(15).reshape(5, 3))["vectors"].astype(np.float32)
    expected = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) @ words[0]
    np.testing.assert_allclose(np.sort(heat), np.sort(expected), atol=5e-3)


def test_the_memory_tells_what_was_seen_between_two_times(folder: Path) -> None:
    all_seen = saved_map.recall(report, folder, NAME, RecallOptions())
    assert [(one.stamp // SECOND, one.thing) for one in all_seen] == [(12, "1"), (11, "2"), (10, "1")]
    of_one = saved_map.recall(report, folder, NAME, RecallOptions(thing="1", until=11 * SECOND))
    assert [one.stamp // SECOND for one in of_one] == [10]
    with pytest.raises(PerceptionError, match="id of no thing"):
        saved_map.recall(report, folder, NAME, RecallOptions(thing="../x"))
    MapFolder(folder).memory_path(NAME).unlink()
    with pytest.raises(PerceptionError, match="remembers nothing"):
        saved_map.recall(report, folder, NAME, RecallOptions())


def test_what_is_forgotten_is_gone_from_the_map_and_the_memory(folder: Path) -> None:
    before = opened_things(folder)
    assert saved_map.forget(report, folder, NAME, ["1"]) == "forgotten: 1 thing, 2 sightings"
    after = opened_things(folder)
    assert set(before) - set(after) == {"1"}
    assert {one.thing for one in saved_map.recall(report, folder, NAME, RecallOptions())} == {"2"}


def test_a_map_that_was_written_meanwhile_is_read_again(folder: Path) -> None:
    assert len(opened_things(folder)) == 3
    save_objects(folder, NAME, [object_record(1)])
    assert len(opened_things(folder)) == 1


def test_where_no_floor_is_known_the_reason_is_told(folder: Path) -> None:
    things = opened_things(folder)
    with pytest.raises(PerceptionError, match="no floor was seen"):
        saved_map.approach(report, folder, NAME, things["1"])
    with pytest.raises(PerceptionError, match="not there any more"):
        saved_map.approach(report, folder, NAME, things["3"])


def test_a_thing_is_approached_from_the_free_floor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = np.full((80, 80), FREE, np.int8)
    grid = GridSnapshot(0.05, (-2.0, -2.0), cells, np.zeros((80, 80, 4), bool), 0.0, 0.1)
    things = opened_things(folder)
    opened = saved_map._opened(folder, NAME)
    monkeypatch.setattr(opened.own.grid, "snapshot", lambda: grid)
    place = saved_map.approach(report, folder, NAME, things["1"])
    x, y, _ = things["1"].center
    away = np.array([x - place.x, y - place.y])
    assert 0.3 <= np.linalg.norm(away) <= 1.3
    heading = np.array([np.cos(place.yaw), np.sin(place.yaw)])
    assert heading @ away / np.linalg.norm(away) == pytest.approx(1.0, abs=1e-6)


def test_a_damaged_map_is_listed_with_its_problem_and_refused(folder: Path) -> None:
    (folder / NAME / "map.json").write_text("{")
    entry = saved_entries(folder)[0]
    assert entry.name == NAME and entry.problem and entry.updated == 0
    with pytest.raises(PerceptionError):
        saved_map.open_map(report, folder, NAME)


def test_objects_are_exported_with_their_places(folder: Path) -> None:
    text = saved_map.objects_json(report, folder, NAME)
    assert '"FeatureCollection"' in text and text.count('"Feature"') == 3
