"""The map as messages, read back as others read them."""

from __future__ import annotations

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from ros_graph import Spinning, wait_for  # noqa: E402
from rosbags.typesys import Stores, get_typestore  # noqa: E402
from sensor_msgs.msg import PointField  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from visualization_msgs.msg import Marker  # noqa: E402

from perception_contrast.core.rigid_transform import RigidTransform  # noqa: E402
from perception_contrast.mapping.grid.grid_snapshot import GridSnapshot  # noqa: E402
from perception_contrast.mapping.objects.map_object import MapObject, Vote  # noqa: E402
from perception_contrast.mapping.objects.voxel_set import VoxelSet  # noqa: E402
from perception_contrast.ros.mapping import map_messages, surface_messages  # noqa: E402
from perception_contrast.ros.qos import output_qos  # noqa: E402

pytestmark = pytest.mark.ros
HEADER = Header(stamp=Time(sec=5, nanosec=70), frame_id="map")
STORE = get_typestore(Stores.ROS2_JAZZY)
RNG = np.random.default_rng(4)


def read(message):
    """As rosbags reads it, which shares no code with rclpy."""
    name = f"{type(message).__module__.split('.')[0]}/msg/{type(message).__name__}"
    return STORE.deserialize_cdr(serialize_message(message), name)


def thing(number: int, label: str, low: tuple[float, float, float], **fields: object) -> MapObject:
    """A block of 0.4 by 0.2 by 0.3 m."""
    x, y, z = np.meshgrid(np.arange(8), np.arange(4), np.arange(6), indexing="ij")
    points = np.stack([x, y, z], -1).reshape(-1, 3) * 0.05 + np.array(low) + 0.025
    return MapObject(
        number, VoxelSet.of_points(points.astype(np.float32), 0.05), {label: Vote(8.0, 9.0)},
        first_seen=1, last_seen=2, last_look=2, **fields,
    )  # fmt: skip


class TestCloud:
    POINTS = RNG.normal(0, 3, (50, 3)).astype(np.float32)
    COLORS = RNG.integers(0, 256, (50, 3)).astype(np.uint8)

    def test_is_read_by_its_fields(self) -> None:
        intensity = RNG.uniform(0, 1, 50).astype(np.float32)
        message = read(surface_messages.cloud_message(self.POINTS, self.COLORS, HEADER, intensity))
        assert (message.height, message.width, message.is_bigendian) == (1, 50, False)
        assert message.row_step == message.point_step * 50 == len(message.data)
        assert [one.name for one in message.fields] == ["x", "y", "z", "rgb", "intensity"]
        assert all((one.datatype, one.count) == (PointField.FLOAT32, 1) for one in message.fields)
        rows = np.asarray(message.data, np.uint8).reshape(50, message.point_step)

        def column(name: str, kind: str) -> np.ndarray:
            offset = next(one.offset for one in message.fields if one.name == name)
            return np.ascontiguousarray(rows[:, offset : offset + 4]).view(kind).ravel()

        for axis, name in enumerate("xyz"):
            np.testing.assert_array_equal(column(name, "<f4"), self.POINTS[:, axis])
        np.testing.assert_array_equal(column("intensity", "<f4"), intensity)
        rgb = column("rgb", "<u4")
        np.testing.assert_array_equal(np.stack([rgb >> 16 & 255, rgb >> 8 & 255, rgb & 255], 1), self.COLORS)
        assert (message.header.frame_id, message.header.stamp.nanosec) == ("map", 70)

    def test_without_a_query_the_intensity_is_zero_and_nothing_may_be_there(self) -> None:
        message = surface_messages.cloud_message(self.POINTS, self.COLORS, HEADER)
        values = np.frombuffer(bytes(message.data), "<f4").reshape(50, -1)
        assert not values[:, 4].any()
        empty = surface_messages.cloud_message(self.POINTS[:0], self.COLORS[:0], HEADER)
        assert (empty.width, len(empty.data)) == (0, 0)


class TestMesh:
    VERTICES = RNG.normal(0, 3, (7, 3)).astype(np.float32)
    COLORS = RNG.integers(0, 256, (7, 3)).astype(np.uint8)
    TRIANGLES = RNG.integers(0, 7, (5, 3)).astype(np.int32)

    @pytest.mark.parametrize("frame", ["map", "odom", "a", "robot_1/map", ""])
    def test_holds_each_corner_with_its_colour(self, frame: str) -> None:
        """Names of all lengths: they shift what follows, which is aligned."""
        header = Header(stamp=HEADER.stamp, frame_id=frame)
        data = surface_messages.mesh_bytes(self.VERTICES, self.TRIANGLES, self.COLORS, header)
        for marker in (
            deserialize_message(data, Marker),
            STORE.deserialize_cdr(data, "visualization_msgs/msg/Marker"),
        ):
            assert (marker.type, marker.action, marker.ns) == (Marker.TRIANGLE_LIST, Marker.ADD, "surface")
            assert marker.header.frame_id == frame
            places = np.array([[one.x, one.y, one.z] for one in marker.points])
            np.testing.assert_array_equal(places, self.VERTICES[self.TRIANGLES.ravel()])
            colors = np.array([[one.r, one.g, one.b, one.a] for one in marker.colors])
            np.testing.assert_allclose(colors[:, :3] * 255, self.COLORS[self.TRIANGLES.ravel()], atol=1e-4)
            assert (colors[:, 3] == 1).all()
            assert (marker.pose.orientation.w, marker.scale.x, marker.color.a) == (1, 1, 1)
            assert (marker.text, marker.mesh_resource, marker.mesh_use_embedded_materials) == ("", "", False)

    def test_is_as_long_as_the_message_that_rclpy_would_make(self) -> None:
        data = surface_messages.mesh_bytes(self.VERTICES, self.TRIANGLES, self.COLORS, HEADER)
        marker = deserialize_message(data, Marker)
        again = serialize_message(marker)
        assert len(again) == len(data)
        assert deserialize_message(again, Marker) == marker

    def test_without_triangles_it_takes_the_last_one_away(self) -> None:
        data = surface_messages.mesh_bytes(self.VERTICES, self.TRIANGLES[:0], self.COLORS, HEADER)
        marker = deserialize_message(data, Marker)
        assert (marker.action, marker.ns, len(marker.points)) == (Marker.DELETE, "surface", 0)

    def test_is_published_as_it_is(self) -> None:
        rclpy.init()
        node, received = rclpy.create_node("mesh_test"), []
        node.create_subscription(Marker, "mesh", received.append, output_qos())
        publisher = node.create_publisher(Marker, "mesh", output_qos())
        spinning = Spinning(node)
        try:
            wait_for(publisher.get_subscription_count, "the subscription")
            publisher.publish(surface_messages.mesh_bytes(self.VERTICES, self.TRIANGLES, self.COLORS, HEADER))
            wait_for(lambda: received, "the mesh")
            assert len(received[0].points) == 15
        finally:
            spinning.stop()
            node.destroy_node()
            rclpy.shutdown()


class TestObjects:
    MUG, TABLE = thing(3, "mug", (1.0, 2.0, 0.5), confirmed=True), thing(8, "table", (-1, 0, 0), gone=True)

    def test_are_detections_with_box_and_label(self) -> None:
        message = map_messages.objects_message([self.MUG, self.TABLE], HEADER)
        assert [one.id for one in message.detections] == ["3", "8"]
        first = message.detections[0]
        assert first.header == message.header == HEADER
        (result,) = first.results
        assert (result.hypothesis.class_id, result.hypothesis.score) == ("mug", self.MUG.confidence)
        assert result.pose.pose == first.bbox.center
        place = first.bbox.center.position
        np.testing.assert_allclose([place.x, place.y, place.z], [1.2, 2.1, 0.65], atol=0.03)
        assert deserialize_message(serialize_message(message), type(message)) == message

    def test_are_boxes_with_text_in_place_of_those_of_before(self) -> None:
        message = read(map_messages.markers_message([self.MUG, self.TABLE], HEADER))
        first, *others = message.markers
        assert first.action == Marker.DELETEALL
        kinds = [(one.ns, one.id, one.type) for one in others]
        assert kinds == [
            ("boxes", 3, Marker.CUBE), ("labels", 3, Marker.TEXT_VIEW_FACING),
            ("boxes", 8, Marker.CUBE), ("labels", 8, Marker.TEXT_VIEW_FACING),
        ]  # fmt: skip
        cube, text, gone, gone_text = others
        np.testing.assert_allclose([cube.scale.x, cube.scale.y, cube.scale.z], self.MUG.box.size)
        assert text.pose.position.z > cube.pose.position.z + cube.scale.z / 2
        assert text.text == f"mug {self.MUG.confidence:.2f}"
        assert gone_text.text.endswith(", gone")
        assert 0 < gone.color.a < cube.color.a

    def test_a_label_has_one_colour_and_another_has_another(self) -> None:
        again = thing(9, "mug", (4, 4, 0))
        cubes = map_messages.markers_message([self.MUG, again, self.TABLE], HEADER).markers[1::2]
        colours = [(one.color.r, one.color.g, one.color.b) for one in cubes]
        assert colours[0] == colours[1] != colours[2]

    def test_have_a_frame_on_request(self) -> None:
        message = map_messages.object_transform(self.MUG, HEADER)
        assert (message.header.frame_id, message.child_frame_id) == ("map", "object_3")
        np.testing.assert_allclose(message.transform.translation.x, self.MUG.box.center[0])


class TestGrid:
    CELLS = np.array([[0, 100, -1], [100, 0, 0]], np.int8)
    GRID = GridSnapshot(0.05, (-1.5, 2.0), CELLS, np.zeros((2, 3, 4), bool), -0.2, -0.1)

    def test_lies_in_the_map_as_nav2_reads_it(self) -> None:
        message = read(map_messages.grid_message(self.GRID, HEADER))
        assert (message.info.width, message.info.height) == (3, 2)
        assert message.info.resolution == pytest.approx(0.05)
        origin = message.info.origin
        assert (origin.position.x, origin.position.y, origin.position.z) == (-1.5, 2.0, -0.2)
        assert origin.orientation.w == 1.0
        # Row by row from the origin on, x first.
        assert list(message.data) == [0, 100, -1, 100, 0, 0]

    def test_shows_scores_in_its_place(self) -> None:
        scores = np.array([[-1, 7, 100], [0, 1, 2]], np.int8)
        assert list(map_messages.grid_message(self.GRID, HEADER, scores).data) == [-1, 7, 100, 0, 1, 2]


def test_a_pose_is_that_of_the_transform() -> None:
    pose = RigidTransform.of_quaternion((1, 2, 3), (0.1, 0.2, 0.3, np.sqrt(1 - 0.14)))
    message = read(map_messages.stamped_pose(pose, HEADER))
    assert message.header.frame_id == "map"
    turn = message.pose.orientation
    np.testing.assert_allclose([turn.x, turn.y, turn.z, turn.w], [0.1, 0.2, 0.3, np.sqrt(1 - 0.14)])
    assert message.pose.position.z == 3.0
