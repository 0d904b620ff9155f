"""ObjectStore in rooms of blocks with exact depth: one object a thing, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from block_room import LANGUAGE, Block, BlockRoom, looking, vector

from perception_contrast.core.errors import PerceptionError, SpaceError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.mapping.objects.object_reports import UpdateReport
from perception_contrast.mapping.objects.object_settings import ObjectSettings
from perception_contrast.mapping.objects.object_store import ObjectStore
from perception_contrast.mapping.objects.object_update import unseen
from perception_contrast.mapping.objects.visibility import DepthView, PointState, Visibility

MUG = Block("mug", (0.4, 0.0, 0.1), (0.15, 0.15, 0.2))
BOX = Block("box", (-0.4, 0.2, 0.15), (0.3, 0.25, 0.3))
CHAIR = Block("chair", (0.0, -0.7, 0.4), (0.4, 0.4, 0.8))


def around(count: int, radius: float = 2.0, height: float = 1.2, start: float = 0.0) -> list[RigidTransform]:
    angles = start + np.arange(count) * 2 * np.pi / count
    return [looking((radius * np.cos(a), radius * np.sin(a), height), (0, 0, 0.2)) for a in angles]


def watch(
    store: ObjectStore, room: BlockRoom, poses: Sequence[RigidTransform], first: int = 0, **how: object
) -> list[UpdateReport]:
    reports = []
    for number, pose in enumerate(poses):
        frame, lifted = room.frame(pose, first + number, **how)  # type: ignore[arg-type]
        reports.append(store.update(frame, lifted, submap=(first + number) // 4))
    return reports


def thing(store: ObjectStore, number: int) -> MapObject:
    one = store.by_id(number)
    assert one is not None
    return one


def named(store: ObjectStore, label: str) -> list[int]:
    return [one.id for one in store.objects if one.label == label and one.status != "gone"]


def test_a_loop_around_three_things_makes_three_objects() -> None:
    store, room = ObjectStore(), BlockRoom([MUG, BOX, CHAIR])
    reports = watch(store, room, around(12))
    assert len(store) == 3 and {one.label for one in store.objects} == {"mug", "box", "chair"}
    for block in room.blocks:
        (one,) = [thing(store, number) for number in named(store, block.label)]
        assert one.status == "confirmed" and one.sightings >= 6
        np.testing.assert_allclose(one.centre, block.centre, atol=0.06)
        np.testing.assert_allclose(one.high - one.low, block.size, atol=0.12)
        assert one.semantic == pytest.approx(vector(block.label, LANGUAGE), abs=1e-5)
        assert one.thumbnail.jpeg[:2] == b"\xff\xd8"
    assert len({number for report in reports for number in report.new}) == 3
    assert all(None not in report.object_ids for report in reports)
    ids, scores = store.scores(np.stack([vector("box", LANGUAGE)]))
    assert ids[int(scores[0].argmax())] == named(store, "box")[0] and scores.max() == pytest.approx(1.0)


def test_things_that_touch_stay_two_and_halves_of_one_become_one() -> None:
    """Two unlike blocks side by side, and a long one of which each camera shows another half."""
    store = ObjectStore()
    beside = BOX.at(0.4 + 0.075 + 0.15, 0.0, 0.15)
    watch(store, BlockRoom([MUG, beside]), around(8))
    assert len(named(store, "mug")) == len(named(store, "box")) == 1
    long = Block("table", (0.0, 0.0, 0.3), (3.0, 0.5, 0.6))
    parts = ObjectStore()
    ends = [looking((x, -1.6, 1.0), (x, 0, 0.3)) for x in (-1.6, 1.6, -0.8, 0.0, 0.8, 0.2)]
    watch(parts, BlockRoom([long]), ends)
    assert len(named(parts, "table")) == 1
    assert parts.objects[0].extents[0] > 2.4


def test_the_sides_of_one_thing_are_one_object_and_two_of_a_kind_are_two() -> None:
    """Low views along the sides of a wardrobe share few voxels; two wardrobes stand a hand apart."""
    wardrobe = Block("wardrobe", (0.0, 0.0, 0.9), (0.8, 0.8, 1.8))
    store, room = ObjectStore(), BlockRoom([wardrobe])
    sides = [looking((x, y, 0.9), (0, 0, 0.9)) for x, y in ((2.0, 0.0), (0.0, 2.0), (-2.0, 0.0), (0.0, -2.0))]
    watch(store, room, sides)
    watch(store, room, around(4, height=1.0, start=np.pi / 4), first=4)
    assert len(store) == 1
    pair = BlockRoom([wardrobe.at(-0.45, 0.0, 0.9), wardrobe.at(0.45, 0.0, 0.9)])
    twins = ObjectStore()
    watch(twins, pair, around(8, radius=2.5, start=0.3))
    assert len(named(twins, "wardrobe")) == 2


def test_two_names_of_one_region_are_votes_for_one_object() -> None:
    store, room = ObjectStore(), BlockRoom([replace(MUG, probability=0.5), BOX])
    for number, pose in enumerate(around(6)):
        frame, lifted = room.frame(pose, number)
        often = number % 3 == 0
        first = frame.detections[0]
        second = replace(first, label="cup", scores=replace(first.scores, probability=0.6))
        if often:
            frame = replace(
                frame,
                detections=(*frame.detections, second),
                vectors=(*frame.vectors, frame.vectors[0]),
                labels=frozenset({"mug", "box", "cup"}),
            )
            lifted = [*lifted, lifted[0]]
        else:
            frame = replace(frame, labels=frozenset({"mug", "box", "cup"}))
        report = store.update(frame, lifted)
        if often:
            assert report.object_ids[0] == report.object_ids[2]
    assert len(store) == 2
    (mug,) = [thing(store, number) for number in named(store, "mug")]
    assert mug.evidence["mug"].confidence > mug.evidence["cup"].confidence > 0.1


def test_what_was_seen_once_stays_unconfirmed_and_is_doubted_when_looked_at_again() -> None:
    store, room = ObjectStore(), BlockRoom([replace(MUG, probability=0.25), replace(BOX, probability=0.2)])
    watch(store, room, around(6)[:1])
    assert {one.status for one in store.objects} == {"unconfirmed"}
    doubted = thing(store, named(store, "box")[0]).confidence
    reports = watch(store, room, around(6)[1:], first=1, hidden=["box"])
    (box,) = [thing(store, number) for number in named(store, "box")]
    assert box.status == "unconfirmed" and box.confidence < 0.6 * doubted
    (mug,) = named(store, "mug")
    assert thing(store, mug).status == "confirmed"
    assert sum(mug in report.confirmed for report in reports) == 1
    watch(store, room, around(6), first=6, hidden=["box", "mug"])
    watch(store, room, around(6), first=12, hidden=["box", "mug"])
    assert thing(store, mug).status == "unconfirmed"


def test_a_thing_that_was_taken_away_is_gone_within_three_frames_and_keeps_its_record() -> None:
    store, room = ObjectStore(), BlockRoom([MUG, BOX, CHAIR])
    watch(store, room, around(8))
    (mug,) = named(store, "mug")
    room.blocks.remove(MUG)
    reports = watch(store, room, around(8)[:3], first=8)
    assert [number for report in reports for number in report.gone] == [mug]
    assert thing(store, mug).status == "gone" and thing(store, mug).label == "mug"
    assert len(named(store, "box")) == len(named(store, "chair")) == 1
    back = watch(store, BlockRoom([MUG, BOX, CHAIR]), around(8)[:2], first=11)
    assert thing(store, mug).status == "confirmed" and mug in back[0].updated
    assert len(store) == 3


def test_a_flat_thing_is_gone_when_its_place_looks_otherwise() -> None:
    """Depth sees no step where a mat lay. Missed by the detector, but looking as ever, it stays."""
    mat = Block("mat", (0.5, 0.6, 0.005), (0.6, 0.5, 0.01))
    store, room = ObjectStore(), BlockRoom([mat, MUG, BOX, CHAIR])
    watch(store, room, around(8), dense=True)
    (number,) = named(store, "mat")
    watch(store, room, around(8)[:4], first=8, dense=True, hidden=["mat"])
    assert thing(store, number).status == "confirmed"
    reports = watch(store, BlockRoom([MUG, BOX, CHAIR]), around(8)[:3], first=12, dense=True)
    assert [one for report in reports for one in report.gone] == [number]


def test_a_flat_thing_that_was_seen_twice_is_gone_when_its_place_looks_quite_otherwise() -> None:
    mat = Block("mat", (0.5, 0.6, 0.005), (0.6, 0.5, 0.01))
    store, room = ObjectStore(), BlockRoom([mat, MUG, BOX, CHAIR])
    poses = [looking((2.0, 0.4 * n, 1.2), (0.2, 0, 0.2)) for n in range(2)]
    watch(store, room, poses, dense=True)
    (number,) = named(store, "mat")
    assert thing(store, number).sightings == 2 and thing(store, number).status == "confirmed"
    watch(store, room, poses, first=2, dense=True, hidden=["mat"])
    assert thing(store, number).status != "gone"
    reports = watch(store, BlockRoom([MUG, BOX, CHAIR]), [*poses, poses[0]], first=4, dense=True)
    assert [one for report in reports for one in report.gone] == [number]


def test_what_shows_of_a_thing_that_is_largely_hidden_tells_not_how_its_place_looks() -> None:
    """Beside what hides it, cells show that too."""
    mat = Block("mat", (0.5, 0.6, 0.005), (0.6, 0.5, 0.01))
    store = ObjectStore()
    watch(store, BlockRoom([mat, MUG, BOX, CHAIR]), around(8), dense=True)
    (number,) = named(store, "mat")
    one, pose = thing(store, number), around(8)[0]
    frame, _ = BlockRoom([MUG, BOX, CHAIR]).frame(pose, 8, dense=True)
    states, pixels = DepthView(frame, store.settings).look(one.points)
    others = np.stack([vector(label, LANGUAGE) for label in ("mug", "box", "chair")])
    for share, count in ((0.45, 0), (0.3, 1)):
        hidden = np.where(np.arange(len(states)) < share * len(states), PointState.HIDDEN, states)
        look = Visibility(hidden.astype(np.uint8), pixels, True, False)
        assert unseen(one, frame, look, others, store.settings).through == count


@pytest.mark.parametrize(("behind", "through"), [(30, False), (45, True)])
def test_a_thing_is_seen_through_where_the_depth_is_behind_much_of_it(behind: int, through: bool) -> None:
    """What it stood on is hardly behind its lowest points, and no step behind them is told."""
    view = DepthView(BlockRoom([]).frame(around(1)[0], 0)[0], ObjectSettings())
    states = np.full(100, PointState.SEEN, np.uint8)
    states[:behind] = PointState.BEHIND
    assert view.judged(states, np.zeros((100, 2), np.int32)).through == through


def test_one_frame_that_sees_through_a_thing_does_not_remove_it() -> None:
    store, room = ObjectStore(), BlockRoom([MUG, BOX])
    watch(store, room, around(8))
    empty = BlockRoom([BOX])
    for number in range(6):
        watch(
            store, empty if number % 2 else room, around(8)[number : number + 1], 8 + number, hidden=["mug"]
        )
    assert len(named(store, "mug")) == 1


@pytest.mark.parametrize(
    "kind", ["hidden behind", "out of view", "nan", "zero", "far", "thousandfold", "small"]
)
def test_what_is_not_seen_stays(kind: str) -> None:
    store, room = ObjectStore(), BlockRoom([MUG, BOX, CHAIR])
    poses = around(8)
    watch(store, room, poses)
    before = {one.id: one.status for one in store.objects}
    room.blocks.remove(MUG)
    if kind == "hidden behind":
        room.blocks.append(Block("screen", (0.9, 0.0, 0.6), (0.05, 2.0, 1.2)))
    if kind == "out of view":
        poses = [looking((2, 0, 1.2), (4, 0, 1.0))]
    for number in range(6):
        frame, _ = room.frame(poses[0], 8 + number)
        depth = {
            "nan": np.full_like(frame.depth, np.nan),
            "zero": np.zeros_like(frame.depth),
            "far": np.full_like(frame.depth, 30.0),
            "thousandfold": frame.depth * 1000,
            "small": frame.depth / 1000,
        }.get(kind, frame.depth)
        report = store.update(replace(frame, depth=depth, detections=(), vectors=()), [], 2)
        assert report.gone == ()
    assert {one.id: one.status for one in store.objects} == before


def test_a_thing_that_moved_keeps_its_id_and_its_twin_does_not_take_it() -> None:
    store, room = ObjectStore(), BlockRoom([MUG, BOX, CHAIR])
    watch(store, room, around(8))
    (mug,), (box,) = named(store, "mug"), named(store, "box")
    first_seen = thing(store, mug).first_seen
    room.blocks[0] = MUG.at(-0.5, -0.5, 0.1)
    reports = watch(store, room, around(8), first=8)
    assert mug in [number for report in reports for number in report.moved]
    assert named(store, "mug") == [mug] and named(store, "box") == [box]
    np.testing.assert_allclose(thing(store, mug).centre, (-0.5, -0.5, 0.1), atol=0.06)
    assert thing(store, mug).first_seen == first_seen
    # Two new ones that look like it: nobody can say which it is.
    room.blocks = [MUG.at(0.9, 0.6, 0.1), MUG.at(-0.9, 0.6, 0.1), BOX, CHAIR]
    watch(store, room, around(8), first=16)
    assert thing(store, mug).status == "gone" and len(named(store, "mug")) == 2


def test_another_thing_of_that_name_does_not_take_the_id_of_what_is_gone() -> None:
    store = ObjectStore()
    watch(store, BlockRoom([MUG, BOX]), around(8))
    (mug,) = named(store, "mug")
    other = Block("mug", (-0.5, -0.6, 0.3), (0.15, 0.15, 0.6), look="tall mug")
    watch(store, BlockRoom([other, BOX]), around(8), first=8)
    assert thing(store, mug).status == "gone"
    assert len(named(store, "mug")) == 1 and named(store, "mug") != [mug]


def test_two_cameras_feed_one_store() -> None:
    store, room = ObjectStore(), BlockRoom([MUG, BOX, CHAIR])
    for number in range(8):
        for name, start in (("front", 0.0), ("rear", np.pi)):
            frame, lifted = room.frame(around(8, start=start)[number], number, camera_name=name, tracks=True)
            store.update(frame, lifted)
    assert len(store) == 3
    for one in store.objects:
        assert {track.split("/")[0] for track in one.tracks} == {"front", "rear"}


def test_a_track_holds_an_object_together_that_changes_its_looks() -> None:
    """The vector of a thing turns with the view; the 2D tracker says that it is the same."""
    for tracks, expected in ((True, 1), (False, 2)):
        store = ObjectStore()
        for number, label in enumerate(("mug", "mug", "vase", "vase")):
            room = BlockRoom([replace(MUG, label=label)])
            frame, lifted = room.frame(around(40)[number], number)
            named_track = replace(frame.detections[0], track_id="7" if tracks else "")
            store.update(replace(frame, detections=(named_track,)), lifted)
        assert len(store) == expected


def test_ids_are_not_used_again_and_changes_are_told_once() -> None:
    store, room = ObjectStore(), BlockRoom([MUG, BOX])
    watch(store, room, around(8)[:3])
    changes = store.take_changed()
    assert {one.id for one in changes.objects} == {1, 2}
    assert len(changes.sightings) == 6 and {one.label for one in changes.sightings} == {"mug", "box"}
    assert changes.sightings[0].thumbnail and changes.sightings[0].stamp == 0
    assert store.take_changed().objects == ()
    (mug,) = named(store, "mug")
    assert store.forget([mug, 99]) == (mug,)
    assert store.take_changed().removed == (mug,)
    watch(store, room, around(8)[3:5], first=3)
    assert named(store, "mug") == [3]


def test_merged_ids_are_told_and_tracks_follow() -> None:
    """Two halves of one thing are two objects, until a view of all of it joins them."""
    long = Block("table", (0.0, 0.0, 0.3), (3.0, 0.5, 0.6))
    store, room = ObjectStore(), BlockRoom([long])
    poses = [looking((x, -1.2, 1.0), (x, 0, 0.3)) for x in (-1.6, 1.6)]
    watch(store, room, poses)
    assert len(store) == 2
    reports = watch(store, room, [looking((x, -1.6, 1.2), (x, 0, 0.3)) for x in (0.0, 0.6, -0.6)], first=2)
    assert len(store) == 1
    assert {old: now for report in reports for old, now in report.merged.items()} == {2: 1}
    assert store.take_changed().merged == {2: 1}


def test_objects_of_a_submap_move_with_it() -> None:
    store, room = ObjectStore(), BlockRoom([MUG, BOX])
    watch(store, room, around(8)[:2])
    turn = RigidTransform.of_quaternion((1.0, 2.0, 0.0), (0, 0, np.sin(0.5), np.cos(0.5)))
    before = {one.id: one for one in store.objects}
    store.take_changed()
    store.move({5: turn})
    assert store.take_changed().objects == ()
    store.move({0: turn})
    for one in store.objects:
        expected = turn.apply(before[one.id].points.astype(float))
        apart = np.linalg.norm(expected[:, None] - one.points[None], axis=2).min(axis=1)
        assert apart.max() < 0.05
        np.testing.assert_array_equal(one.keys, np.unique(one.keys, axis=0))
        np.testing.assert_array_equal(one.keys, np.floor(one.points / 0.05).astype(np.int32))
    assert len(store.take_changed().objects) == 2


def test_state_comes_back_as_it_was() -> None:
    store, room = ObjectStore(), BlockRoom([MUG, BOX, CHAIR])
    watch(store, room, around(8), tracks=True)
    room.blocks.remove(CHAIR)
    watch(store, room, around(8)[:3], first=8)
    copy = ObjectStore.of_state(store.state())
    assert copy.take_changed().objects == ()
    assert copy.semantic_space == "words@1" and copy.spatial_space == "looks@1"
    for one, other in zip(store.objects, copy.objects, strict=True):
        assert (one.id, one.evidence, one.status, one.tracks, one.thumbnail) == (
            other.id,
            other.evidence,
            other.status,
            other.tracks,
            other.thumbnail,
        )
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_array_equal(one.semantic, other.semantic)
    room.blocks.append(Block("vase", (0.8, 0.8, 0.2), (0.2, 0.2, 0.4)))
    for both in (store, copy):
        watch(both, room, around(8)[4:6], first=12)
    assert [one.id for one in store.objects] == [one.id for one in copy.objects]
    assert named(copy, "vase") == [4]


def test_a_damaged_state_is_refused() -> None:
    store = ObjectStore()
    watch(store, BlockRoom([MUG]), around(8)[:2])
    state = store.state()
    state["objects"][0]["hits"] = state["objects"][0]["hits"][:-1]
    with pytest.raises(PerceptionError, match="cannot be read"):
        ObjectStore.of_state(state)


def test_vectors_of_another_space_are_refused_and_change_nothing() -> None:
    store, room = ObjectStore(), BlockRoom([MUG])
    watch(store, room, around(8)[:2])
    frame, lifted = room.frame(around(8)[2], 2)
    with pytest.raises(SpaceError, match="words@1"):
        store.update(replace(frame, semantic_space="words@2"), lifted)
    with pytest.raises(PerceptionError, match="one of each"):
        store.update(frame, [])
    assert store.objects[0].sightings == 2


def test_absurd_points_make_no_object() -> None:
    store, room = ObjectStore(), BlockRoom([MUG])
    frame, _ = room.frame(around(8)[0], 0)
    for points in (np.full((50, 3), np.nan), np.full((50, 3), 1e9), np.zeros((0, 3))):
        report = store.update(frame, [points.astype(np.float32)])
        assert report.object_ids == (None,) and len(store) == 0


def test_a_full_store_lets_the_least_sure_go() -> None:
    store = ObjectStore(ObjectSettings(max_objects=2))
    room = BlockRoom([MUG, BOX, replace(CHAIR, probability=0.1)])
    watch(store, room, around(8)[:4])
    assert store.evicted > 0 and {one.label for one in store.objects} == {"mug", "box"}


def test_a_loaded_store_that_nobody_looks_at_keeps_everything() -> None:
    """Frames of another place, an hour later, change nothing."""
    store = ObjectStore()
    watch(store, BlockRoom([MUG, BOX]), around(8))
    before = store.state()
    away = BlockRoom([], half=30.0)
    for number in range(5):
        frame, lifted = away.frame(looking((20, 20, 1), (21, 20, 0.8)), 3600 + number)
        store.update(frame, lifted, 900)
    after = store.state()
    assert [record["id"] for record in after["objects"]] == [record["id"] for record in before["objects"]]
    for one, other in zip(before["objects"], after["objects"], strict=True):
        assert one["last_seen"] == other["last_seen"] and one["status"] == other["status"]
        np.testing.assert_array_equal(one["centroids"], other["centroids"])
