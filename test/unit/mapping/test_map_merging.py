"""Two maps of one place become one: voxels, rays, objects, surface and ground."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import map_examples
import numpy as np
import pytest
from map_examples import SECOND, map_object, object_record, voxel_table

from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.errors import SpaceError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.grid.occupancy import OccupancyGrid
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.map_merging import joined_rows, merged
from perception_contrast.mapping.map_persistence import map_of, state_of
from perception_contrast.mapping.map_settings import MapSettings, grid_settings
from perception_contrast.mapping.objects.object_state import object_of, record_of
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.mapping.storage.map_state import MapError, MapState

# A quarter turn to the left, and two metres along x.
TURN = RigidTransform.of_quaternion((2.0, 0.0, 0.0), (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)))


def with_objects(*records: dict[str, Any]) -> MapState:
    return MapState(map_examples.header(), objects=list(records))


def test_rows_of_one_key_become_their_weighted_mean() -> None:
    one, other = voxel_table([(0, 0, 0), (1, 0, 0)], 1), voxel_table([(2, 0, 0), (1, 0, 0)], 2)
    one["weights"][1], other["weights"][1] = 1.0, 3.0
    one["last_seen"][1], other["last_seen"][1] = 5, 9
    one["hits"][1], other["hits"][1] = 65_000, 1_000
    both = joined_rows(one, other)
    rows = {tuple(key): row for row, key in enumerate(both["keys"].tolist())}
    assert set(rows) == {(0, 0, 0), (1, 0, 0), (2, 0, 0)}
    shared = rows[(1, 0, 0)]
    expected = (one["vectors"][1].astype(float) + 3 * other["vectors"][1].astype(float)) / 4
    np.testing.assert_allclose(both["vectors"][shared], expected, atol=2e-3)
    assert both["hits"][shared] == 65_535 and both["last_seen"][shared] == 9
    assert both["submap"][shared] == other["submap"][1]
    np.testing.assert_array_equal(both["vectors"][rows[(2, 0, 0)]], other["vectors"][0])
    assert both["vectors"].dtype == np.float16 and both["hits"].dtype == np.uint16
    assert joined_rows({}, other) == other and joined_rows(one, {}) == one


def test_voxels_and_rays_of_the_second_map_are_moved() -> None:
    state = map_examples.map_state()
    moved = {**state.voxels, "keys": np.array([(10, 0, 3), (20, 1, 3)], np.int32)}
    moved = {name: array[:2] for name, array in moved.items()}
    other = replace(state, voxels=moved)
    result = merged(replace(state, voxels={}, far_rays={}), other, TURN).state
    assert sorted(result.voxels["keys"].tolist()) == [[38, 20, 3], [39, 10, 3]]
    assert len(result.far_rays["keys"]) == len(state.far_rays["keys"])
    assert result.voxels["submap"].min() > max(one["submap"] for one in state.objects)


def test_things_in_one_place_are_one_object_and_others_get_new_ids() -> None:
    one = with_objects(object_record(1), object_record(2, "bowl", (1, 0, 0)))
    other = with_objects(object_record(1, "mug", (0, 0, 0)), object_record(2, "lamp", (5, 0, 0)))
    one = replace(one, facts={"object_store": {"next_id": 8}})
    other = replace(other, facts={"object_store": {"next_id": 3}})
    result = merged(one, other)
    assert [(record["id"], record["label"]) for record in result.state.objects] == [
        (1, "mug"), (2, "bowl"), (9, "lamp")
    ]  # fmt: skip
    assert result.object_ids == {1: 1, 2: 9}
    assert result.joined_ids == {}
    assert result.state.objects[0]["sightings"] == 8
    assert result.state.facts["object_store"]["next_id"] >= 10


def test_an_older_thing_of_the_second_map_takes_the_place_of_the_first_ones() -> None:
    one = with_objects(object_record(4))
    older = record_of(map_object(7, first_seen=1 * SECOND))
    result = merged(one, with_objects(older))
    assert len(result.state.objects) == 1
    now = result.state.objects[0]["id"]
    assert result.object_ids == {7: now} and result.joined_ids == {4: now} and now != 4


def test_things_that_were_seen_beside_each_other_stay_apart() -> None:
    other = with_objects(
        record_of(map_object(1, apart=frozenset({2}))),
        record_of(map_object(2, at=(0.2, 0, 0), apart=frozenset({1}))),
    )
    result = merged(with_objects(object_record(1, at=(5, 0, 0)), object_record(2, at=(6, 0, 0))), other)
    assert [(record["id"], record["apart"]) for record in result.state.objects] == [
        (1, []), (2, []), (3, [4]), (4, [3])
    ]  # fmt: skip


def test_objects_are_moved_into_the_first_maps_frame() -> None:
    result = merged(with_objects(), with_objects(object_record(1, at=(1, 0, 0.5))), TURN)
    np.testing.assert_allclose(object_of(result.state.objects[0]).centre, (2, 1, 0.5), atol=0.03)


def test_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SpaceError, match=r"cannot be merged.*map reembed"):
        merged(map_examples.map_state(), map_examples.map_state(semantic_space="other@0"))
    with pytest.raises(MapError, match=r"voxels of 0\.05 m and 0\.1 m"):
        merged(map_examples.map_state(), map_examples.map_state(voxel_size=0.1))
    merged(map_examples.map_state(), map_examples.map_state(semantic_space="", spatial_space=""))


def test_ground_that_one_map_knows_is_known() -> None:
    frames = [
        MapFrame(1, "front", CAMERA, np.full((48, 64), 2.013, np.float32), pose)
        for pose in (looking((0.0, 0.0, 1.0)), looking((0.0, 0.0, 1.0), left=True))
    ]
    grids = []
    for frame in frames:
        grid = OccupancyGrid(grid_settings(MapSettings()))
        grid.integrate(frame, 0)
        grids.append(grid)
    states = [MapState(map_examples.header(), facts={"grid": grid.arrays()}) for grid in grids]
    joined = merged(*states).state.facts["grid"]
    known = [int((grid.arrays()["submap"] >= 0).sum()) for grid in grids]
    both = int((joined["submap"] >= 0).sum())
    assert max(known) < both <= sum(known)
    OccupancyGrid.of_arrays(joined, grid_settings(MapSettings()))


def test_a_merged_map_is_a_map_and_has_the_surface_of_both() -> None:
    pytest.importorskip("open3d")
    states = []
    for shift in (0.0, 3.0):
        own = SemanticMap(MapSettings())
        own.integrate(
            MapFrame(1, "front", CAMERA, np.full((48, 64), 2.013, np.float32), looking((0, shift, 1)))
        )
        states.append(state_of(own, map_examples.header()))
    joined = map_of(merged(*states).state, MapSettings())
    assert joined.surface is not None
    points = joined.surface.cloud().points
    for shift in (0.0, 3.0):
        assert (np.abs(points - (2.0, shift, 1.0)) < 0.1).all(axis=1).any()
    turned = map_of(merged(states[0], states[1], TURN).state, MapSettings())
    assert turned.surface is not None
    # Of the second wall, 2 m ahead at y = 3, the middle comes to x = 2 - 3, y = 2.
    assert (np.abs(turned.surface.cloud().points - (-1.0, 2.0, 1.0)) < 0.1).all(axis=1).any()


CAMERA = CameraModel(48, 64, 50.0, 50.0, 31.5, 23.5)


def looking(position: tuple[float, float, float], left: bool = False) -> RigidTransform:
    """A camera that looks along the map's x, or y."""
    forward, right = ((0, 1, 0), (1, 0, 0)) if left else ((1, 0, 0), (0, -1, 0))
    return RigidTransform(np.array([right, (0, 0, -1), forward], float).T, np.array(position, float))
