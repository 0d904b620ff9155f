"""SemanticMap: frames of a room of blocks become a map that answers, moves, forgets, and comes back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block_room import LANGUAGE, Block, BlockRoom, looking, vector

from perception_contrast.core.errors import FrameError, PerceptionError, SpaceError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.answers.map_answer import AnswerKind
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.map_persistence import header_of, map_of, state_of, take_changes
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.semantic_map import SemanticMap

MUG = Block("mug", (1.5, 0.2, 0.3), (0.3, 0.3, 0.6))
CHAIR = Block("chair", (1.4, -0.8, 0.4), (0.5, 0.5, 0.8))
NO_SURFACE = MapSettings(surface_voxel=0.0)


def frames(room: BlockRoom, count: int = 5, first: int = 0) -> list[MapFrame]:
    poses = [looking((-0.5, -1.0 + 0.4 * n, 1.3), (1.5, -0.2, 0.3)) for n in range(count)]
    return [room.frame(pose, first + n, dense=True)[0] for n, pose in enumerate(poses)]


def built(settings: MapSettings = NO_SURFACE) -> SemanticMap:
    own = SemanticMap(settings)
    for frame in frames(BlockRoom([MUG, CHAIR])):
        own.integrate(frame)
    return own


def words(name: str) -> MapQuery:
    return MapQuery(texts=vector(name, LANGUAGE)[None])


def test_labels_words_and_examples_answer_with_the_same_thing() -> None:
    own = built()
    looks = MUG.vectors().spatial
    assert looks is not None
    for query in (
        MapQuery(label="Mug"),
        words("mug"),
        MapQuery(semantic_exemplars=vector("mug", LANGUAGE)[None]),
        MapQuery(spatial_exemplars=looks[None]),
    ):
        answer = own.find(query)
        assert answer.kind == AnswerKind.FOUND
        best = answer.hits[0]
        assert best.thing is not None and best.thing.label == "mug"
        assert best.box.contains(np.array([MUG.centre]), margin=0.15).all()


def test_what_is_not_there_is_not_seen_and_filters_hold() -> None:
    own = built()
    own.set_name_bank(np.stack([vector(f"name {n}", LANGUAGE) for n in range(40)]))
    assert own.find(words("submarine")).kind == AnswerKind.NOT_SEEN
    assert own.find(MapQuery(label="submarine")).kind == AnswerKind.NOT_SEEN
    mug = MapQuery(label="mug")
    near = FindFilters(near=np.array([1.5, 0.2, 0.3]), radius=0.4)
    assert own.find(mug, near).kind == AnswerKind.FOUND
    for filters in (
        replace(near, near=np.array([-3.0, 0.0, 0.0])),
        FindFilters(within=(np.array([-1.0, -1, 0]), np.array([0.0, 1, 1]))),
        FindFilters(since=10**18),
        FindFilters(min_score=0.999),
    ):
        assert own.find(mug, filters).kind == AnswerKind.NOT_SEEN


def test_a_place_answers_for_what_no_detection_named() -> None:
    own, room = SemanticMap(NO_SURFACE), BlockRoom([MUG, CHAIR])
    for frame in frames(room):
        own.integrate(replace(frame, detections=(), vectors=()))
    answer = own.find(words("chair"))
    assert answer.kind == AnswerKind.UNCONFIRMED and answer.hits[0].thing is None
    assert np.linalg.norm(answer.hits[0].box.center - CHAIR.centre) < 0.6


def test_something_beyond_the_range_answers_with_a_direction() -> None:
    far = Block("door", (3.6, 0.0, 1.0), (0.2, 1.0, 2.0))
    own = SemanticMap(replace(NO_SURFACE, max_range=2.0))
    for frame in frames(BlockRoom([far])):
        own.integrate(replace(frame, detections=(), vectors=()))
    answer = own.find(words("door"))
    assert answer.kind == AnswerKind.DIRECTION
    towards = np.array(far.centre) - answer.directions[0].origin
    assert answer.directions[0].direction @ (towards / np.linalg.norm(towards)) > 0.85
    # How far away it is, is not known.
    for filters in (
        FindFilters(since=10**18),
        FindFilters(near=np.array([3.6, 0.0, 1.0]), radius=1.0),
        FindFilters(within=(np.array([3.0, -1, 0]), np.array([4.0, 1, 2]))),
    ):
        assert own.find(words("door"), filters).kind == AnswerKind.NOT_SEEN


def test_frames_of_other_models_or_sizes_are_refused_and_change_nothing() -> None:
    own = built()
    frame = frames(BlockRoom([MUG]), 1)[0]
    voxels = len(own.voxels or ())
    with pytest.raises(SpaceError, match="other@2"):
        own.integrate(replace(frame, semantic_space="other@2"))
    with pytest.raises(FrameError, match="does not match"):
        own.integrate(replace(frame, depth=frame.depth[:50]))
    assert len(own.voxels or ()) == voxels and len(own.objects) == 2


def test_all_layers_move_together() -> None:
    own = built()
    before = own.find(MapQuery(label="mug")).hits[0].box.center
    place = own.find(words("chair")).hits[0].box.center
    shift = RigidTransform(np.eye(3), np.array([1.0, 0.0, 0.0]))
    own.move({0: shift})
    assert own.find(MapQuery(label="mug")).hits[0].box.center == pytest.approx(
        before + np.array([1, 0, 0]), abs=0.06
    )
    assert own.find(words("chair")).hits[0].box.center == pytest.approx(place + np.array([1, 0, 0]), abs=0.06)
    assert own.voxels is not None
    assert own.voxels.positions()[:, 0].min() > -4.0 + 0.9


def test_forgetting_a_box_takes_all_layers() -> None:
    own = built()
    low, high = MUG.low - 0.1, MUG.high + 0.1
    (gone,) = own.forget_box(low, high)
    assert own.object(gone) is None
    assert own.voxels is not None
    positions = own.voxels.positions()
    assert not ((positions > low) & (positions < high)).all(axis=1).any()
    assert own.find(MapQuery(label="mug")).kind == AnswerKind.NOT_SEEN
    assert own.find(MapQuery(label="chair")).kind == AnswerKind.FOUND


def test_a_stored_map_gives_the_same_answers() -> None:
    own = built()
    again = map_of(state_of(own, header_of(own, "map")), NO_SURFACE)
    for query in (MapQuery(label="mug"), words("chair")):
        first, second = own.find(query), again.find(query)
        assert second.kind == first.kind and len(second.hits) == len(first.hits)
        np.testing.assert_allclose(second.hits[0].box.center, first.hits[0].box.center, atol=1e-6)
        assert second.hits[0].score == pytest.approx(first.hits[0].score, abs=1e-3)
    np.testing.assert_array_equal(again.grid.snapshot().cells, own.grid.snapshot().cells)
    more = frames(BlockRoom([MUG, CHAIR]), 3, first=10)
    assert {one for frame in more for one in again.integrate(frame).object_ids} == {1, 2}


def test_changes_are_told_once() -> None:
    own = built()
    taken = take_changes(own)
    assert len(taken.changes.objects) == 2 and len(taken.sightings) == 10
    assert taken.changes.facts is not None
    again = take_changes(own)
    assert again.changes.is_empty and not again.sightings
    own.forget([1])
    assert tuple(take_changes(own).changes.removed_objects) == (1,)


def test_the_surface_has_colours_where_things_are() -> None:
    pytest.importorskip("open3d")
    own = built(MapSettings())
    assert own.surface is not None
    cloud = own.surface.cloud()
    on_mug = (np.abs(cloud.points - MUG.centre) < np.array(MUG.size) / 2 + 0.03).all(axis=1)
    assert on_mug.sum() > 100
    assert np.median(cloud.colors[on_mug], axis=0) == pytest.approx([200, 40, 40], abs=40)


def test_a_frame_whose_z_does_not_point_up_is_told() -> None:
    own = built()
    assert own.frame_problem == ""
    lying = RigidTransform(np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), np.zeros(3))
    other = SemanticMap(NO_SURFACE)
    for frame in frames(BlockRoom([MUG])):
        other.integrate(replace(frame, pose=lying @ frame.pose))
    assert "z does not point up" in other.frame_problem


def test_without_open3d_only_the_surface_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(**_: bool) -> None:
        raise PerceptionError("the map's surface needs Open3D, which is not installed; run `make setup`")

    for module in ("surface", "tsdf_blocks"):
        monkeypatch.setattr(f"perception_contrast.mapping.geometry.{module}.open3d", absent, raising=False)
    own = built(MapSettings())
    assert own.surface is None and "make setup" in own.surface_problem
    assert own.find(MapQuery(label="mug")).kind == AnswerKind.FOUND
