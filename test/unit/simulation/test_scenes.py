"""The simulated household against analytic geometry: shapes, cameras, depth, masks, and what is kept back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from perception_contrast.core.errors import PerceptionError
from perception_contrast_sim.geometry.meshes import (
    TriangleMesh,
    box,
    cylinder,
    ellipsoid,
    lathe,
    loft,
    merged,
    prism,
    rounded_box,
    superellipsoid,
    torus,
    tube,
)
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects.catalogue import UNSEEN_PAIRS, catalogue, category
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.materials import COLOURS, named_colour
from perception_contrast_sim.objects.props import draw_colour, draw_prop
from perception_contrast_sim.render.camera_view import View, look_at
from perception_contrast_sim.render.mujoco_scene import MujocoScene
from perception_contrast_sim.render.scene_builder import STRUCTURE
from perception_contrast_sim.render.scene_layout import Placement, Room
from perception_contrast_sim.rooms.household import FLOOR, TABLE, WALL, Household
from perception_contrast_sim.rooms.scenes import LabelledScene, SceneSampler, SceneSettings

HEXAGON = [(np.cos(a), np.sin(a)) for a in np.arange(6) * np.pi / 3]


def volume(mesh: TriangleMesh) -> float:
    """By the divergence theorem; positive when faces are wound outwards."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def around(n: int) -> float:
    """Share of a circle's area that an inscribed regular polygon has."""
    return n / (2 * np.pi) * np.sin(2 * np.pi / n)


def ring(z: float, radius: float) -> np.ndarray:
    return np.array([(radius * x, radius * y, z) for x, y in HEXAGON])


EXACT = {
    "box": (box(0.3, 0.5, 0.7), 0.105),
    "moved and turned": (box(0.3, 0.5, 0.7).moved(1, 2, 3).turned("x", 30).turned("y", 40), 0.105),
    "mirrored": (box(1, 1, 1).scaled(-2, 1, 1), 2.0),
    "two boxes": (merged([box(1, 1, 1), box(1, 1, 2).moved(5)]), 3.0),
    "cylinder": (cylinder(0.5, 2, 24), np.pi * 0.25 * 2 * around(24)),
    "cone": (cylinder(0.5, 3, 24, top=0.0), np.pi * 0.25 * around(24)),
    "hexagonal prism": (prism(HEXAGON, 2.0), 2 * ConvexHull(HEXAGON).volume),
    "frustum": (loft([ring(0, 1), ring(3, 0.5)]), ConvexHull(np.vstack([ring(0, 1), ring(3, 0.5)])).volume),
    "vessel": (lathe([(0, 0), (1, 0), (1, 2), (0.8, 2), (0.8, 0.5), (0, 0.5)], 24),
               np.pi * around(24) * (2 - 0.64 * 1.5)),
    "bar": (tube([(0, 0, 0), (0, 0, 1), (0, 0, 2)], 0.1, 10), 2 * np.pi * 0.01 * around(10)),
}  # fmt: skip
NEAR = {
    "ellipsoid": (ellipsoid(0.6, 0.8, 1.0, 48), np.pi / 6 * 0.48),
    "torus": (torus(0.5, 0.2, 48, 24), 2 * np.pi**2 * 0.5 * 0.01),
    "round superellipsoid": (superellipsoid(1, 1, 1, 1.0, 1.0, 48), np.pi / 6),
    "rounded box": (rounded_box(1, 1, 1, 0.2, 8),
                    0.6**3 + 6 * 0.36 * 0.2 + 3 * 0.6 * np.pi * 0.04 + np.pi * 4 / 3 * 0.008),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_volumes_of_polyhedra(name: str) -> None:
    mesh, expected = EXACT[name]
    assert volume(mesh) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", NEAR)
def test_volumes_of_round_things_come_near(name: str) -> None:
    mesh, expected = NEAR[name]
    assert volume(mesh) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("axis", "xyz")
def test_turns_are_right_handed(axis: str) -> None:
    mesh = box(1, 2, 3).moved(1, 1, 1)
    expected = Rotation.from_euler(axis, 37, degrees=True).apply(mesh.vertices)
    assert np.allclose(mesh.turned(axis, 37).vertices, expected)


@pytest.mark.parametrize("target", [(1, 2, 0.5), (3, -1, 1.2), (1, -1, 0), (1, -1, 9), (0, 0, 1)])
def test_a_camera_looks_at_its_target_with_the_horizon_level(target: tuple[float, float, float]) -> None:
    eye = np.array([1.0, -1.0, 1.5])
    view = look_at(eye, target, 50)
    assert np.allclose(view.rotation.T @ view.rotation, np.eye(3)) and np.linalg.det(view.rotation) > 0.99
    x, y, z = view.rotation.T @ (np.array(target) - eye)
    assert (x, y) == pytest.approx((0, 0), abs=1e-9) and z > 0
    assert view.rotation[2, 0] == pytest.approx(0) and view.rotation[2, 1] <= 1e-9  # x level, y not up
    rolled = look_at(eye, target, 50, roll=0.3)
    assert np.allclose(rolled.rotation, view.rotation @ Rotation.from_euler("z", 0.3).as_matrix())


def test_colours_are_what_they_are_called() -> None:
    rng = np.random.default_rng(0)
    middles = {name: np.mean([named_colour(rng, name) for _ in range(60)], axis=0) for name in COLOURS}
    assert middles["red"].argmax() == 0 and middles["green"].argmax() == 1 and middles["blue"].argmax() == 2
    assert middles["white"].min() > 0.85 and middles["black"].max() < 0.15
    assert np.ptp(middles["grey"]) < 0.05 and middles["yellow"][2] < 0.4 < middles["yellow"][:2].min()


def test_pairs_that_are_kept_back_exist_and_are_never_drawn_for_training() -> None:
    for colour, name in sorted(UNSEEN_PAIRS):
        kind, rng = category(name), np.random.default_rng(5)
        assert colour in COLOURS and not kind.held_out
        allowed, drawn = set(), set()
        for _ in range(4):
            prop = draw_prop(rng, kind, unseen=False)
            allowed |= {draw_colour(rng, prop, frozenset(), (colour,)) for _ in range(3)}
            drawn |= {draw_colour(rng, prop, UNSEEN_PAIRS) for _ in range(40)}
        assert colour not in drawn, (colour, name)
        assert colour in allowed or kind.materials, (colour, name)


def _bar(_: np.random.Generator, __: bool) -> ObjectModel:
    return ObjectModel((Part(box(0.4, 0.2, 0.6).moved(z=0.3)),))


ROOM = Room(2.0, 2.5, 2.6)
BAR = Placement(0, (0.3, -0.2, 0.0), 0.5)


@pytest.fixture(scope="module")
def scene() -> Iterator[MujocoScene]:
    """One bar of known size that stands on the floor of an empty room."""
    rng = np.random.default_rng(0)
    try:
        made = MujocoScene(
            ROOM, [draw_prop(rng, Category("bar", _bar, "floor"), False)], size=(90, 120), rng=rng
        )
    except PerceptionError as error:
        pytest.skip(str(error))
    made.place([BAR])
    yield made
    made.close()


def rays(scene: MujocoScene, view: View) -> np.ndarray:
    """(H, W, 3) directions in the room of points one metre deep, by the pinhole equations."""
    camera = scene.camera_model(view.fov_y)
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    flat = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u, float)], -1)
    return flat @ view.rotation.T


def box_depth(
    eye: np.ndarray, directions: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Depths at which rays enter and leave an axis-aligned box (slabs)."""
    with np.errstate(divide="ignore"):
        first, second = (low - eye) / directions, (high - eye) / directions
    return np.minimum(first, second).max(-1), np.maximum(first, second).min(-1)


VIEWS = [
    ((-1.2, -1.5, 1.6), (0.3, -0.2, 0.3), 60),
    ((0.3, -0.2, 2.3), (0.3, -0.2, 0.0), 50),
    ((1.5, 2.0, 0.4), (0, 0, 0.3), 45),
]


@pytest.mark.parametrize(("eye", "target", "fov"), VIEWS)
def test_depth_and_masks_are_those_of_the_rays(
    scene: MujocoScene, eye: tuple[float, ...], target: tuple[float, ...], fov: float
) -> None:
    view = look_at(eye, target, fov)
    seen = scene.render(view, rgb=False, depth=True, instances=True)
    directions = rays(scene, view)
    room = np.array([ROOM.x, ROOM.y, 0.0])
    _, expected = box_depth(view.position, directions, -room, np.array([ROOM.x, ROOM.y, ROOM.height]))
    hit = view.position + expected[..., None] * directions
    kind = np.where(hit[..., 2] < 1e-6, 0, np.where(hit[..., 2] > ROOM.height - 1e-6, 2, 1))
    turn = Rotation.from_euler("z", BAR.yaw).inv()
    prop = scene.props[0]
    local_eye = turn.apply(view.position - np.array(BAR.position))
    local = turn.apply(directions.reshape(-1, 3)).reshape(directions.shape)
    near, far = box_depth(local_eye, local, np.array(prop.low), np.array(prop.high))
    on_bar = (near < far) & (near > 0)
    expected, kind = np.where(on_bar, near, expected), np.where(on_bar, len(STRUCTURE), kind)
    assert (seen.instances == kind).mean() > 0.985
    # Where a neighbour shows something else, half a pixel decides.
    same = seen.instances == kind
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        same &= np.roll(kind, shift, axis) == kind
    assert same.mean() > 0.8 and np.abs(seen.depth - expected)[same].max() < 0.004


def test_the_image_agrees_with_the_masks(scene: MujocoScene) -> None:
    rng = np.random.default_rng(0)
    scene.colour_prop(rng, 0, "red", "blue")
    scene.paint_structure(dict.fromkeys(STRUCTURE, (0.5, 0.5, 0.5)))
    scene.light(rng)
    seen = scene.render(look_at(*VIEWS[0]), instances=True)
    redness = seen.rgb[..., 0].astype(float) - seen.rgb[..., 1]
    on_bar = seen.instances == len(STRUCTURE)
    assert on_bar.sum() > 150 and redness[on_bar].mean() > redness[~on_bar].mean() + 30


def test_what_is_not_placed_is_out_of_sight(scene: MujocoScene) -> None:
    scene.place([])
    try:
        assert scene.render(look_at(*VIEWS[0]), rgb=False, instances=True).instances.max() < len(STRUCTURE)
    finally:
        scene.place([BAR])


def drawn(seed: int, count: int, **settings: object) -> list[LabelledScene]:
    options = SceneSettings(**{"height": 90, "width": 120, "views": count, "props": 14, **settings})
    try:
        return list(islice(SceneSampler(seed, options), count))
    except PerceptionError as error:
        pytest.skip(str(error))


def test_a_seed_decides_the_images() -> None:
    first, again, other = drawn(3, 2), drawn(3, 2), drawn(4, 1)
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.rgb, two.rgb) and np.array_equal(one.instances, two.instances)
        assert one.objects == two.objects
    assert not np.array_equal(first[0].rgb, other[0].rgb)
    names = {kind.name for kind in catalogue()}
    held_out = {kind.name for kind in catalogue() if kind.held_out}
    for image in (*first, *other):
        assert image.rgb.shape == (90, 120, 3) and image.instances.shape == (90, 120)
        for number, thing in image.objects.items():
            assert thing.index == number and (image.instances == number).sum() >= 30
            assert thing.category in names | set(STRUCTURE) and thing.category not in held_out
            assert (thing.color, thing.category) not in UNSEEN_PAIRS


@pytest.fixture(scope="module")
def household() -> Iterator[Household]:
    try:
        made = Household(7, 96, 128)
    except PerceptionError as error:
        pytest.skip(str(error))
    yield made
    made.close()


def test_everything_in_the_household_has_a_name(household: Household) -> None:
    names = {kind.name for kind in catalogue()}
    assert {*FLOOR, *WALL, *TABLE} <= names
    kinds = {thing.category for number, thing in household.objects.items() if number >= len(STRUCTURE)}
    assert kinds <= names and len(kinds & set(TABLE)) >= 3
    for number, thing in household.objects.items():
        assert thing.index == number and (thing.on == -1 or thing.on in household.objects)
        assert (thing.color, thing.category) not in UNSEEN_PAIRS
    for t in (0.0, 13.0):
        labels = household.render(t, labels=True).instances
        assert set(np.unique(labels)) <= {-1, *household.objects}


def test_the_floor_lies_where_pose_and_depth_put_it(household: Household) -> None:
    """Depth, through the intrinsics and the published pose: the floor at z = 0, walls upright, all inside."""
    camera = household.camera
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    for t in (0.0, 9.5, 31.0):
        seen = household.render(t, depth=True, labels=True)
        position, quaternion = seen.pose
        flat = np.stack(
            [(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u, float)], -1
        )
        points = (
            Rotation.from_quat(quaternion).apply((flat * seen.depth[..., None]).reshape(-1, 3)) + position
        )
        floor = points[(seen.instances == 0).ravel()]
        assert len(floor) > 50 and np.percentile(np.abs(floor[:, 2]), 99) < 0.01
        room = household.room
        assert np.abs(points[:, :2]).max() < max(room.x, room.y) + 0.02 and points[:, 2].min() > -0.02


def test_the_camera_moves_smoothly_and_stays_in_the_room(household: Household) -> None:
    times = np.arange(0, 80, 0.1)
    views = [household.pose(t) for t in times]
    eyes = np.array([view.position for view in views])
    room = household.room
    assert np.abs(eyes[:, 0]).max() < room.x and np.abs(eyes[:, 1]).max() < room.y
    assert eyes[:, 2].min() > 1.0 and eyes[:, 2].max() < room.height
    assert np.linalg.norm(np.diff(eyes, axis=0), axis=1).max() < 0.1  # under 1 m/s
    turns = [Rotation.from_matrix(a.rotation.T @ b.rotation).magnitude() for a, b in pairwise(views)]
    assert max(turns) < 0.1


def test_the_same_household_for_the_same_seed(household: Household) -> None:
    twin = Household(7, 96, 128)
    try:
        assert twin.objects == household.objects
        one, two = twin.render(4.0, depth=True, labels=True), household.render(4.0, depth=True, labels=True)
        assert np.array_equal(one.rgb, two.rgb) and np.array_equal(one.instances, two.instances)
        assert np.array_equal(one.depth, two.depth, equal_nan=True)
    finally:
        twin.close()


def places(house: Household) -> dict[int, np.ndarray]:
    """Middle (3,) in the map of what half a turn shows of each thing, by depth and the instance image."""
    camera, points = house.camera, {}
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u, float)], -1)
    for t in (0.0, 10.0, 20.0, 30.0):
        seen = house.render(t, depth=True, labels=True)
        in_map = (rays * seen.depth[..., None]) @ seen.view.rotation.T + seen.view.position
        for number in np.unique(seen.instances):
            points.setdefault(int(number), []).append(in_map[seen.instances == number])
    return {number: np.concatenate(parts).mean(axis=0) for number, parts in points.items()}


def test_things_leave_the_household_and_stand_elsewhere() -> None:
    """Depth and instance images show what was taken away and moved, and the rest as it was."""
    try:
        house = Household(7, 96, 128)
    except PerceptionError as error:
        pytest.skip(str(error))
    try:
        table = len(STRUCTURE)
        before = places(house)
        small = [number for number in before if number in house.objects and house.objects[number].on == table]
        gone, others = small[0], small[1:4]
        assert house.remove([gone]) == (gone,) and gone not in house.objects
        moved = house.move(others)
        assert moved and set(moved) <= set(others)
        assert house.move([table, gone]) == ()  # things stand on it; it is no longer there
        after = places(house)
        assert gone not in after
        for number in set(before) & set(after) - {0, 1, 2}:
            apart = np.linalg.norm(after[number] - before[number])
            assert apart > 0.2 if number in moved else apart < 0.1
        everything = {number for number, thing in house.objects.items() if thing.on == table}
        assert set(house.remove([table])) == {table, *everything}
        assert not set(places(house)) & {table, *everything}
    finally:
        house.close()
