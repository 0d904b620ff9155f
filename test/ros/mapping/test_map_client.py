"""MapClient: topics of a map as arrays, the memory of what was seen when, saved maps, looking for things."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from geometry_msgs.msg import Point  # noqa: E402
from map_graph import BOXES, Mapping, Perception, around  # noqa: E402
from nav_msgs.msg import OccupancyGrid  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from ros_graph import wait_for  # noqa: E402
from sensor_msgs.msg import PointCloud2, PointField  # noqa: E402
from std_msgs.msg import ColorRGBA, Header  # noqa: E402
from visualization_msgs.msg import Marker  # noqa: E402

from perception_contrast.client import (  # noqa: E402
    MapClient,
    NoAnswerError,
    PerceptionClient,
    RefusedError,
    Vectors,
)
from perception_contrast.client.identified_results import MessageError  # noqa: E402
from perception_contrast.client.map_layers import (  # noqa: E402
    cloud_from_message,
    grid_from_message,
    mesh_from_bytes,
)
from perception_contrast.core.errors import FrameError  # noqa: E402
from perception_contrast.ros.mapping.look_action import MOST_GOALS  # noqa: E402
from perception_contrast.ros.mapping.surface_messages import cloud_message  # noqa: E402
from perception_contrast.ros.qos import latched_qos  # noqa: E402

pytestmark = pytest.mark.ros
HEADER = Header(stamp=Time(sec=5, nanosec=70), frame_id="map")
RNG = np.random.default_rng(11)
FIRST = 100.2  # seconds of the first image


@pytest.fixture(scope="module", autouse=True)
def context() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def robot() -> Iterator[Perception]:
    made = Perception("/recalled")
    yield made
    made.close()


@pytest.fixture(scope="module")
def kitchen(robot: Perception, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MapClient]:
    """A map of four images that is written as it grows, and its memory."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PERCEPTION_CONTRAST_MAPS", str(tmp_path_factory.mktemp("maps")))
    node = Mapping(
        "/recalled",
        surface_voxel_size=0.0,
        max_rate=0.0,
        name_bank=False,
        publish_period=0.1,
        map="kitchen",
        journal_period=0.1,
    )
    target = "/recalled/perception_node"
    with PerceptionClient(target=target, map_target="/recalled/map_node", timeout=30.0) as client:
        client.map.wait_until_active(60.0)
        wait_for(robot.connected, "the map's subscriptions")
        for number, pose in enumerate(around(4)):
            robot.show(FIRST + number, pose)
            wait_for(lambda count=number + 1: mapped(client.map) >= count, "a mapped frame")
        wait_for(lambda: len(client.map.recall(label="mug").sightings) == 4, "the memory")
        yield client.map
    node.close()
    patch.undo()


def mapped(client: MapClient) -> int:
    return int(client.latest_diagnostics()[0].values.get("frames/mapped", 0))


def seconds(stamps: list[int]) -> list[float]:
    return [round(stamp / 1e9, 3) for stamp in stamps]


def test_the_memory_tells_when_a_thing_was_seen(kitchen: MapClient) -> None:
    mug = kitchen.find(label="mug").best
    newest = kitchen.recall(thing=mug, max_results=1)
    assert newest.frame_id == "map" and newest.space == ""
    assert [one.stamp for one in newest.sightings] == [mug.last_seen]
    line = kitchen.recall(thing=mug.id, oldest_first=True).sightings
    assert seconds([one.stamp for one in line]) == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
    assert {(one.thing_id, one.label) for one in line} == {(mug.id, "mug")}
    assert all(one.score == pytest.approx(0.9) for one in line)
    low, high = (np.array(corner) for corner in BOXES["mug"])
    for one, pose in zip(line, around(4), strict=True):
        assert ((one.box.center > low - 0.05) & (one.box.center < high + 0.05)).all()
        np.testing.assert_allclose(one.pose.translation, pose.translation, atol=1e-6)
        np.testing.assert_allclose(one.pose.rotation, pose.rotation, atol=1e-6)


def test_words_examples_and_filters_choose_what_is_recalled(kitchen: MapClient) -> None:
    found = kitchen.recall("chair", max_results=8)
    assert found.space and [one.label for one in found.sightings] == ["chair"] * 4 + ["mug"] * 4
    assert found.sightings[0].score > 0.9 > 0.5 > found.sightings[-1].score
    vectors = Vectors(np.eye(16, dtype=np.float32)[1:2], "words", found.space)
    assert kitchen.recall(exemplar=vectors).sightings[0].label == "chair"
    early = kitchen.recall(label="mug", until=round((FIRST + 1) * 1e9))
    assert seconds([one.stamp for one in early.sightings]) == [FIRST + 1, FIRST]
    late = kitchen.recall(label="mug", since=round((FIRST + 2) * 1e9))
    assert len(late.sightings) == 2
    centre = np.mean(BOXES["chair"], axis=0)
    assert {one.label for one in kitchen.recall(near=centre, radius=0.2).sightings} == {"chair"}
    with_images = kitchen.recall(label="mug", thumbnails=True, oldest_first=True).sightings
    assert with_images[0].thumbnail[:2] == b"\xff\xd8"
    assert not any(one.thumbnail for one in kitchen.recall(label="mug").sightings)


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"thing": "../7"}, "id of no thing"),
        ({"near": (0, 0, 0), "radius": -1.0}, "radius"),
        ({"near": (0, 0, float("nan"))}, "not finite"),
        ({"exemplar": Vectors(np.ones((1, 4), np.float32), "m", "other@1")}, "other@1"),
        (
            {"text": "mug", "exemplar": Vectors(np.ones((1, 4), np.float32), "m", "other@1")},
            "two questions",
        ),
    ],
)
def test_questions_to_the_memory_that_make_no_sense_are_refused(
    kitchen: MapClient, question: dict[str, object], reason: str
) -> None:
    with pytest.raises(RefusedError, match=reason):
        kitchen.recall(**question)


def test_saved_maps_are_listed_with_what_they_hold_or_why_not(kitchen: MapClient, tmp_path: Path) -> None:
    kitchen.save("copy")
    copy, own = kitchen.list()
    assert (copy.name, copy.current, own.name, own.current) == ("copy", False, "kitchen", True)
    assert copy.objects == 2 and copy.voxels > 0 and copy.bytes > 0 and copy.updated >= copy.created > 0
    assert copy.semantic_space == "words@000000000000" and not copy.problem
    kitchen.parameters.set({"publish_period": 0.2})
    assert kitchen.parameters.get(["map", "perception"]) == {
        "map": "kitchen",
        "perception": "perception_node",
    }


def test_things_and_ground_come_as_arrays(kitchen: MapClient) -> None:
    things = kitchen.latest_detections()
    assert {one.label: one.track_id for one in things.things} == {
        label: kitchen.find(label=label).best.id for label in ("mug", "chair")
    }
    grid = kitchen.latest_grid()
    assert grid.resolution == pytest.approx(0.05) and {0, 100} <= set(np.unique(grid.cells).tolist())
    low, high = (np.array(corner) for corner in BOXES["mug"])
    column, row = (((low + high)[:2] / 2 - grid.origin[:2]) / grid.resolution).astype(int)
    assert (grid.cells[row - 4 : row + 5, column - 4 : column + 5] == 100).any()
    with kitchen.grid(timeout=30.0) as stream:
        assert next(stream).frame_id == "map"


def test_it_is_looked_for_until_it_is_seen_or_the_time_is_up(kitchen: MapClient, robot: Perception) -> None:
    assert kitchen.look_for(label="mug").label == "mug"
    with pytest.raises(NoAnswerError, match=r"'elephant' was not seen within 0\.2 s"):
        kitchen.look_for(label="elephant", timeout=0.2)
    with pytest.raises(RefusedError, match="0 questions"):
        kitchen.look_for()
    progress: list[object] = []
    goals = [kitchen.start.look_for(label="lamp", on_progress=progress.append) for _ in range(MOST_GOALS + 1)]
    rejected = wait_for(lambda: [one for one in goals if one.done()], "a rejection")[0]
    with pytest.raises(RefusedError, match="rejected"):
        rejected.result()
    wait_for(lambda: progress, "progress")
    for one in goals:
        one.cancel()
    # They make room for others.
    wait_for(lambda: not _rejects(kitchen), "room for a goal")


def _rejects(client: MapClient) -> bool:
    try:
        return client.look_for(label="mug").label != "mug"
    except RefusedError:
        return True


def test_a_map_without_a_name_says_that_it_remembers_nothing(kitchen: MapClient) -> None:
    nameless = Mapping("/nameless", surface_voxel_size=0.0, name_bank=False)
    try:
        with PerceptionClient(map_target="/nameless/map_node", timeout=30.0) as client:
            client.map.wait_until_active(60.0)
            with pytest.raises(RefusedError, match="parameter `map`"):
                client.map.recall(label="mug")
            assert "/nameless/map_node" in client.nodes().maps
            with pytest.raises(NoAnswerError, match="images with depth and poses"):
                next(client.map.cloud(timeout=0.5))
    finally:
        nameless.close()


def test_cloud_and_mesh_come_over_the_wire(kitchen: MapClient) -> None:
    node = rclpy.create_node("surface")
    cloud = node.create_publisher(PointCloud2, "/drawn/map_node/cloud", latched_qos())
    mesh = node.create_publisher(Marker, "/drawn/map_node/mesh", latched_qos())
    points = RNG.normal(0, 2, (20, 3)).astype(np.float32)
    colors = RNG.integers(0, 256, (20, 3)).astype(np.uint8)
    scores = RNG.random(20).astype(np.float32)
    cloud.publish(cloud_message(points, colors, HEADER, scores))
    mesh.publish(_marker(points[:18], colors[:18], "map"))
    with PerceptionClient(map_target="/drawn/map_node", timeout=30.0) as client:
        seen = client.map.latest_cloud()
        np.testing.assert_array_equal(seen.points, points)
        np.testing.assert_array_equal(seen.rgb, colors)
        np.testing.assert_array_equal(seen.intensity, scores)
        surface = client.map.latest_mesh()
        np.testing.assert_array_equal(surface.vertices, points[:18])
        np.testing.assert_array_equal(surface.colors, colors[:18])
        assert surface.stamp == 5_000_000_070 and surface.frame_id == "map"
    node.destroy_node()


def _marker(points: np.ndarray, colors: np.ndarray, frame: str) -> Marker:
    marker = Marker(
        header=Header(stamp=HEADER.stamp, frame_id=frame), ns="surface", type=Marker.TRIANGLE_LIST
    )
    marker.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in points]
    marker.colors = [ColorRGBA(r=r / 255, g=g / 255, b=b / 255, a=1.0) for r, g, b in colors.tolist()]
    return marker


@pytest.mark.parametrize("frame", ["map", "odom", "a", "robot_1/map", ""])
def test_a_mesh_is_read_from_what_rclpy_writes(frame: str) -> None:
    """Names of all lengths: they shift what follows, which is aligned."""
    points, colors = RNG.normal(0, 3, (9, 3)), RNG.integers(0, 256, (9, 3))
    data = serialize_message(_marker(points, colors, frame))
    mesh = mesh_from_bytes(data)
    np.testing.assert_allclose(mesh.vertices, points, rtol=1e-6)
    np.testing.assert_array_equal(mesh.colors, colors)
    assert mesh.frame_id == frame
    gone = mesh_from_bytes(serialize_message(_marker(points[:0], colors[:0], frame)))
    assert gone.vertices.shape == gone.colors.shape == (0, 3)


def test_a_mesh_that_is_cut_is_refused() -> None:
    points, colors = np.zeros((9, 3)), np.zeros((9, 3), int)
    data = bytes(serialize_message(_marker(points, colors, "map")))
    # In the header, before the corners, among them, and among the colours, which end at 520.
    for length in (0, 3, 10, 40, 150, 300, 450, 519):
        with pytest.raises(FrameError):
            mesh_from_bytes(data[:length])
    with pytest.raises(FrameError, match="8 corners and 9 colours"):
        marker = _marker(points, colors, "map")
        marker.points = marker.points[:8]
        mesh_from_bytes(serialize_message(marker))
    with pytest.raises(FrameError, match="little-endian"):
        mesh_from_bytes(b"\x00\x00" + data[2:])


def test_a_cloud_of_another_layout_is_read_by_its_fields() -> None:
    """As depth cameras publish them: rows of points, padding within points and behind rows, no intensity."""
    layout = np.dtype({"names": ["x", "y", "z", "rgb"], "formats": ["<f4"] * 3 + ["<u4"],
                       "offsets": [0, 4, 8, 16], "itemsize": 32})  # fmt: skip
    grid = np.zeros((2, 3), layout)
    grid["x"], grid["y"], grid["z"] = np.arange(6).reshape(2, 3), 7.0, -1.5
    grid["rgb"] = 0x00FF8001
    rows = [row.tobytes() + bytes(5) for row in grid]
    message = PointCloud2(header=HEADER, height=2, width=3, point_step=32, row_step=3 * 32 + 5)
    message.fields = [
        PointField(name=name, offset=layout.fields[name][1], datatype=PointField.FLOAT32, count=1)
        for name in layout.names
    ]
    message.data = b"".join(rows)
    cloud = cloud_from_message(message)
    np.testing.assert_array_equal(cloud.points, [[n, 7.0, -1.5] for n in range(6)])
    assert (cloud.rgb == [255, 128, 1]).all() and not cloud.intensity.any()
    message.width = 4
    with pytest.raises(FrameError):
        cloud_from_message(message)
    message.point_step = 10
    with pytest.raises(MessageError, match="beyond"):
        cloud_from_message(message)
    message.fields = message.fields[1:]
    with pytest.raises(MessageError, match="x, y, z"):
        cloud_from_message(message)


def test_a_grid_of_another_size_than_it_says_is_refused() -> None:
    message = OccupancyGrid(header=HEADER, data=[0, 100, -1])
    message.info.width, message.info.height = 3, 1
    np.testing.assert_array_equal(grid_from_message(message).cells, [[0, 100, -1]])
    message.info.width = 4
    with pytest.raises(MessageError, match="1 x 4"):
        grid_from_message(message)
    assert grid_from_message(OccupancyGrid(header=HEADER)).cells.shape == (0, 0)
