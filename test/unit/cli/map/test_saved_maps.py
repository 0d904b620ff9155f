"""`perception-contrast map COMMAND NAME`: what saved maps answer, and what becomes of them."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import map_examples
import numpy as np
import pytest
from map_examples import SECOND, jpeg, keyframe, map_object, sighting
from small_models import pipeline_of

from perception_contrast.cli.main import main
from perception_contrast.mapping.objects.map_object import MeanVector
from perception_contrast.mapping.objects.object_state import record_of
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.mapping.storage.map_state import MapChanges, MapState
from perception_contrast.mapping.storage.map_writer import MapWriter
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.sightings import Filters
from perception_contrast.pipeline import build


@pytest.fixture(autouse=True)
def maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MapFolder:
    monkeypatch.setenv("PERCEPTION_CONTRAST_MAPS", str(tmp_path / "maps"))
    monkeypatch.setattr(build, "build", lambda **_: pipeline_of("colours", short_side=112, max_tokens=256))
    return MapFolder()


def colour_vector(word: str) -> np.ndarray:
    with_words = pipeline_of("colours", short_side=112, max_tokens=256)
    return np.asarray(with_words.query_encoder.embed_texts([word])[0], np.float32)


def colour_space() -> str:
    return pipeline_of("colours").query_encoder.text_space


def state(**objects: tuple[int, float]) -> MapState:
    """Things by label, with their id and x; the label is the colour of their vector."""
    space = colour_space()
    records = [
        record_of(
            map_object(
                number,
                label,
                (x, 0.0, 0.5),
                language=MeanVector(colour_vector(label)),
                last_seen=time.time_ns(),
            )
        )
        for label, (number, x) in objects.items()
    ]
    facts = {
        "object_store": {
            "next_id": 1 + max((number for number, _ in objects.values()), default=0),
            "evicted": 0,
            "semantic_space": space,
            "spatial_space": "",
        }
    }
    return MapState(map_examples.header(semantic_space=space, spatial_space=""), objects=records, facts=facts)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["map", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["map", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def test_list_and_info(maps: MapFolder, capsys: pytest.CaptureFixture[str]) -> None:
    maps.save("kitchen", state(red=(1, 0.0), blue=(2, 2.0)))
    with MemoryStore(maps.memory_path("kitchen")) as memory:
        memory.add([sighting(5, 1), sighting(7, 2)], [keyframe(6)])
    assert [one["name"] for one in printed(capsys, "list")] == ["kitchen"]
    info = printed(capsys, "info", "kitchen")
    assert info["counts"]["objects"] == 2 and info["semantic_space"] == colour_space()
    assert info["memory"] == {
        "sightings": 2, "keyframes": 1, "objects": 2, "oldest": 5 * SECOND, "newest": 7 * SECOND
    }  # fmt: skip
    assert main(["map", "info", "kitchen"]) == 0
    assert "2 sightings of 2 objects, 1 keyframe," in capsys.readouterr().out


def test_one_of_a_kind_is_not_told_as_several(maps: MapFolder, capsys: pytest.CaptureFixture[str]) -> None:
    maps.save("kitchen", state(red=(1, 0.0)))
    with MemoryStore(maps.memory_path("kitchen")) as memory:
        memory.add([sighting(5, 1)], [keyframe(6)])
    assert main(["map", "list"]) == 0 and main(["map", "info", "kitchen"]) == 0
    told = capsys.readouterr().out
    assert "kitchen: 1 object, 0 voxels," in told and "1 map in " in told
    assert "holds     1 object\n" in told and "1 sighting of 1 object, 1 keyframe," in told


def test_list_tells_which_map_is_damaged(maps: MapFolder, capsys: pytest.CaptureFixture[str]) -> None:
    maps.save("kitchen", state())
    (maps.path("kitchen") / "map.json").write_text("{")
    assert main(["map", "list"]) == 1
    assert "refused: map 'kitchen' is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("info", "../kitchen"), "is not a name"),
        (("info", "attic"), "there is no map 'attic'"),
        (("query", "kitchen"), "nothing is asked for"),
        (("export", "kitchen", "map.xyz"), "no export has"),
        (("export", "kitchen", "map.npz"), "no voxels with vectors"),
        (("delete", "kitchen", "attic"), "there is no map 'attic'"),
        (("merge", "kitchen", "kitchen", "--save", "kitchen"), "choose another --save"),
        (("forget", "kitchen"), "nothing to forget"),
        (("reembed", "kitchen"), "no model is named"),
        (("recall", "kitchen"), "remembers nothing"),
        (("query", "kitchen", "red", "--radius", "-1", "--near", "0,0,0"), "radius -1 is not above 0"),
    ],
)
def test_bad_input_is_one_line_with_the_remedy(
    maps: MapFolder, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    maps.save("kitchen", state(red=(1, 0.0)))
    assert message in refused(capsys, *arguments)
    assert maps.names() == ["kitchen"]


@pytest.mark.parametrize("place", ["1,2", "a,b,c", "nan,0,0"])
def test_a_place_that_is_none_is_refused(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["map", "query", "kitchen", "red", "--near", place])
    assert "is not x,y,z in metres" in capsys.readouterr().err


def test_query_by_words_and_label(maps: MapFolder, capsys: pytest.CaptureFixture[str]) -> None:
    maps.save("kitchen", state(red=(1, 0.0), blue=(2, 2.0)))
    answers = printed(capsys, "query", "kitchen", "red", "--label", "blue")
    assert {name: answer["hits"][0]["id"] for name, answer in answers.items()} == {"red": 1, "blue": 2}
    assert answers["blue"]["hits"][0]["position"] == pytest.approx([2, 0, 0.5], abs=0.05)
    assert printed(capsys, "query", "kitchen", "--label", "blue", "--near", "0,0,0")["blue"]["hits"] == []
    assert printed(capsys, "query", "kitchen", "--label", "blue", "--box", "3,1,1", "1,-1,0")["blue"]["hits"]
    assert main(["map", "query", "kitchen", "--label", "blue", "--since", "1 hour"]) == 0
    assert "blue: 1 found\n  blue 2: 0." in capsys.readouterr().out


def test_a_map_of_other_weights_is_refused(maps: MapFolder, capsys: pytest.CaptureFixture[str]) -> None:
    other = state(red=(1, 0.0)).with_header(semantic_space="colours@other")
    maps.save("kitchen", other)
    assert "perception-contrast map reembed kitchen" in refused(capsys, "query", "kitchen", "red")


def remembered(maps: MapFolder) -> None:
    maps.save("kitchen", state(red=(1, 0.0)))
    space = colour_space()
    red, blue = colour_vector("red"), colour_vector("blue")

    def at(seconds_ago: int, number: int, x: float, vector: np.ndarray) -> Any:
        seen = sighting(0, number, (x, 0, 0), vector=vector, space=space, thumbnail=jpeg(number))
        return replace(seen, stamp=time.time_ns() - seconds_ago * SECOND)

    with MemoryStore(maps.memory_path("kitchen")) as memory:
        memory.add(
            [
                *(
                    at(seconds, 1, x, red)
                    for seconds, x in ((9000, 0.0), (7000, 0.0), (3000, 4.0), (2500, 4.0))
                ),
                at(1000, 2, 2.0, blue),
            ],
            [
                replace(
                    keyframe(0, vector=blue, space=space, place="hall"), stamp=time.time_ns() - 50 * SECOND
                )
            ],
        )


def test_recall(maps: MapFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    remembered(maps)
    everything = printed(capsys, "recall", "kitchen")
    assert [(one["object"], one["sightings"]) for one in everything] == [(2, 1), (1, 4)]
    assert [one["object"] for one in printed(capsys, "recall", "kitchen", "red", "--max", "1")] == [1]
    assert [one["object"] for one in printed(capsys, "recall", "kitchen", "--since", "30 minutes")] == [2]
    then = printed(capsys, "recall", "kitchen", "--at", "90 minutes", "--near", "0,0,0")
    assert [one["object"] for one in then] == [1]
    assert printed(capsys, "recall", "kitchen", "--at", "20 minutes", "--near", "0,0,0") == []
    moved = printed(capsys, "recall", "kitchen", "--moves", "--object", "1")
    assert [(one["from"][0], one["to"][0]) for one in moved] == [(0.0, 4.0)]
    assert printed(capsys, "recall", "kitchen", "blue", "--keyframes")[0]["place"] == "hall"
    assert main(["map", "recall", "kitchen", "--images", str(tmp_path / "out")]) == 0
    assert "mug (object 1): " in capsys.readouterr().out
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["sighting_4.jpg", "sighting_5.jpg"]
    assert "--moves needs --object" in refused(capsys, "recall", "kitchen", "--moves")


def test_export(maps: MapFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    held = map_examples.map_state(objects=2, voxels=9)
    maps.save("kitchen", replace(held, facts={}))
    for name in ("a.ply", "a.npz", "a.json"):
        assert main(["map", "export", "kitchen", str(tmp_path / name)]) == 0
        assert capsys.readouterr().out == f"{tmp_path / name}\n"
    assert b"element vertex 9\n" in (tmp_path / "a.ply").read_bytes()
    assert len(json.loads((tmp_path / "a.json").read_text())["features"]) == 2
    assert np.load(tmp_path / "a.npz")["feat"].shape == (9, 8)


def test_merge_joins_maps_and_memories(maps: MapFolder, capsys: pytest.CaptureFixture[str]) -> None:
    maps.save("one", state(red=(1, 0.0), blue=(2, 2.0)))
    maps.save("two", state(red=(1, 0.0), green=(2, 0.0)))
    for name in ("one", "two"):
        with MemoryStore(maps.memory_path(name)) as memory:
            memory.add([sighting(5, 1), sighting(6, 2)])
    assert main(["map", "merge", "one", "two", "--save", "both", "--transform", "2,0,0,90"]) == 0
    labels = {record["id"]: record["label"] for record in maps.load("both").objects}
    assert labels[1] == "red" and sorted(labels.values()) == ["blue", "green", "red", "red"]
    with MemoryStore(maps.memory_path("both"), read_only=True) as memory:
        assert memory.counts().sightings == 4
        assert {one.object_id for one in memory.sightings()} == set(labels)
        assert memory.sightings(Filters(object_id=max(labels)))[0].center[0] == pytest.approx(2.0)


def test_forget_leaves_no_bytes(maps: MapFolder, capsys: pytest.CaptureFixture[str]) -> None:
    path = maps.path("kitchen")
    with MapWriter(path, state().header) as writer:
        writer.snapshot(state(red=(1, 0.0)))
        writer.append(MapChanges(objects=state(blue=(2, 2.0)).objects))
    with MemoryStore(maps.memory_path("kitchen")) as memory:
        memory.add([sighting(31, 1, label="red"), sighting(32, 2, label="blue")], [keyframe(32)])

    def on_disk(data: bytes) -> bool:
        return any(data in file.read_bytes() for file in path.iterdir())

    assert all(map(on_disk, (jpeg(1), jpeg(2), jpeg(31), jpeg(32))))
    assert main(["map", "forget", "kitchen", "--label", "Blue"]) == 0
    assert "forgotten: 1 object, 1 sighting, 1 keyframe" in capsys.readouterr().out
    assert [on_disk(jpeg(number)) for number in (1, 2, 31, 32)] == [True, False, True, False]
    assert main(["map", "forget", "kitchen", "--near", "0,0,0.5", "--radius", "0.5"]) == 0
    assert maps.load("kitchen").objects == []


def test_reembed_makes_the_map_answer_again(maps: MapFolder, capsys: pytest.CaptureFixture[str]) -> None:
    from perception_contrast.images.files import encode_image

    red = np.zeros((60, 60, 3), np.uint8)
    red[...] = (230, 20, 20)
    held = state(red=(1, 0.0)).with_header(semantic_space="colours@other")
    record = {**held.objects[0], "thumbnail": encode_image(red, ".jpg")}
    maps.save("kitchen", replace(held, objects=[record]))
    with MemoryStore(maps.memory_path("kitchen")) as memory:
        memory.add([sighting(5, 1, thumbnail=record["thumbnail"])], [keyframe(5)])
    refused(capsys, "query", "kitchen", "red")
    assert main(["map", "reembed", "kitchen", "--language-model", "colours"]) == 0
    assert "new vectors for 1 object and 2 images" in capsys.readouterr().out
    assert printed(capsys, "query", "kitchen", "red")["red"]["hits"][0]["id"] == 1
    assert printed(capsys, "recall", "kitchen", "red")[0]["score"] > 0.9


def test_compact_and_delete(maps: MapFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with MapWriter(maps.path("kitchen"), state().header) as writer:
        writer.append(MapChanges(objects=state(red=(1, 0.0)).objects))
    with MemoryStore(maps.memory_path("kitchen")) as memory:
        memory.add([sighting(1)])
    assert main(["map", "compact", "kitchen"]) == 0
    assert not list(maps.path("kitchen").glob("journal.*"))
    assert len(maps.load("kitchen").objects) == 1
    assert main(["map", "delete", "kitchen"]) == 0
    assert maps.names() == [] and not maps.path("kitchen").exists()


def test_missing_folders_of_outputs_are_made(
    maps: MapFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    held = map_examples.map_state(objects=0, voxels=40)
    maps.save("kitchen", replace(state(red=(1, 0.0)), voxels=held.voxels))
    picture, objects = tmp_path / "new" / "a" / "map.png", tmp_path / "new" / "b" / "map.json"
    assert main(["map", "query", "kitchen", "--label", "red", "--picture", str(picture)]) == 0
    assert main(["map", "export", "kitchen", str(objects)]) == 0
    assert picture.is_file() and objects.is_file()
    capsys.readouterr()
    for arguments in (
        ("export", "kitchen", str(objects / "map.json")),
        ("query", "kitchen", "--label", "red", "--picture", str(objects / "map.png")),
    ):
        assert f"'{objects}' is a file; choose another" in refused(capsys, *arguments)


def test_a_picture_is_drawn(maps: MapFolder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    held = map_examples.map_state(objects=0, voxels=40)
    maps.save("kitchen", replace(state(red=(1, 0.0)), voxels=held.voxels))
    picture = tmp_path / "map.png"
    assert main(["map", "query", "kitchen", "--label", "red", "--picture", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
