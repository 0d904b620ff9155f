"""A map_node and what it listens to, over real DDS within a test: camera, poses, scripted perception."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from box_rooms import CAMERA, Corners, depth_of, looking, walls
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from nav_msgs.msg import Odometry
from perception_contrast_msgs.msg import Embedding, RegionFeature, RegionFeatures
from perception_contrast_msgs.srv import EmbedText
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_graph import DIAGNOSTICS_PERIOD, Spinning, wait_for
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray

from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.nodes.map_node import MapNode
from perception_contrast.ros.messages.detection_messages import detections_message
from perception_contrast.ros.messages.feature_map import to_message
from perception_contrast.ros.messages.image_messages import (
    camera_info_message,
    image_message,
    time_message,
)
from perception_contrast.ros.qos import output_qos

SPACE, SPATIAL = "words@000000000000", "looks@000000000000"
WORDS = {"mug": 0, "chair": 1, "wall": 2, "nothing": 3}
CHANNELS = 16
BOXES: dict[str, Corners] = {
    "mug": ((1.4, -0.2, 0.0), (1.7, 0.1, 0.4)),
    "chair": ((1.4, 0.6, 0.0), (1.9, 1.1, 0.6)),
}
ROOM = walls(-2, -2, 3, 2)


def word(text: str) -> np.ndarray:
    """(c,) the unit vector of a text: its own axis, or one of the others by its letters."""
    vector = np.zeros(CHANNELS, np.float32)
    vector[WORDS.get(text, 4 + sum(map(ord, text)) % (CHANNELS - 4))] = 1.0
    return vector


class Perception:
    """Publishes what a camera in a room of boxes gives, and what a perception_node would find in it."""

    def __init__(self, namespace: str, *, text_service: bool = True) -> None:
        self.node = Node("robot", namespace=namespace)
        self.boxes = dict(BOXES)
        publish = self.node.create_publisher
        self._image, self._depth = (
            publish(Image, "image", output_qos(20)),
            publish(Image, "depth", output_qos(20)),
        )
        self._info = publish(CameraInfo, "camera_info", output_qos(20))
        self._tf = publish(TFMessage, "/tf", output_qos(100))
        self._poses = {
            "tf": self._tf,
            "pose": publish(PoseStamped, "pose", output_qos(20)),
            "odometry": publish(Odometry, "odometry", output_qos(20)),
        }
        results = {
            "detections": Detection2DArray,
            "instances": Image,
            "region_features": RegionFeatures,
        }
        self._results = {
            name: publish(kind, f"perception_node/{name}", output_qos(20)) for name, kind in results.items()
        }
        from perception_contrast_msgs.msg import FeatureMap

        self._features = publish(FeatureMap, "perception_node/semantic_features", output_qos(20))
        if text_service:
            self.node.create_service(EmbedText, "perception_node/embed_text", self._embed)
        self._spinning = Spinning(self.node)

    def close(self) -> None:
        self._spinning.stop()
        self.node.destroy_node()

    def _embed(self, request: Any, response: Any) -> Any:
        response.success = True
        response.embeddings = [
            Embedding(model="words", space=SPACE, normalized=True, data=word(text).tolist())
            for text in request.texts
        ]
        return response

    def connected(self) -> bool:
        """Whether the map listens to everything."""
        publishers = [self._depth, self._info, self._features, *self._results.values()]
        return all(one.get_subscription_count() for one in publishers)

    def show(
        self,
        stamp: float,
        pose: RigidTransform | None = None,
        *,
        transform: bool = True,
        depth_scale: float = 1.0,
        depth_shift: float = 0.0,
        map_from_odom: RigidTransform | None = None,
    ) -> None:
        """One image of the room from a pose in odom."""
        pose = pose or looking(0.0, 0.0, 0.0)
        header = Header(stamp=time_message(round(stamp * 1e9)), frame_id="camera")
        boxes = [*ROOM, *self.boxes.values()]
        depth = depth_of(boxes, pose, CAMERA)
        if transform:
            self.move(stamp, pose, map_from_odom)
        self._info.publish(camera_info_message(CAMERA, header))
        self._image.publish(image_message(np.full((*depth.shape, 3), 90, np.uint8), header))
        shifted = Header(stamp=time_message(round((stamp + depth_shift) * 1e9)), frame_id="camera")
        self._depth.publish(image_message(depth * np.float32(depth_scale), shifted))
        self._publish_results(header, depth, pose)

    def move(self, stamp: float, pose: RigidTransform, map_from_odom: RigidTransform | None = None) -> None:
        """Publishes the transforms of a stamp."""
        frames = [("map", "odom", map_from_odom or RigidTransform.identity()), ("odom", "camera", pose)]
        frames.append(("odom", "base_link", RigidTransform(np.eye(3), pose.translation * [1, 1, 0])))
        self._tf.publish(TFMessage(transforms=[_transform(*one, stamp) for one in frames]))

    def pose(
        self, kind: str, stamp: float, place: Sequence[float], turn: Sequence[float], parent: str = "map"
    ) -> None:
        """Publishes the camera's pose as numbers, right or not: on "tf", "pose" or "odometry"."""
        header = Header(stamp=time_message(round(stamp * 1e9)), frame_id=parent)
        x, y, z = (float(value) for value in place)
        turned = Quaternion(**dict(zip("xyzw", map(float, turn), strict=True)))
        if kind == "tf":
            transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=turned)
            sent: Any = TFMessage(
                transforms=[TransformStamped(header=header, child_frame_id="camera", transform=transform)]
            )
        else:
            posed = Pose(position=Point(x=x, y=y, z=z), orientation=turned)
            sent = PoseStamped(header=header, pose=posed)
            if kind == "odometry":
                sent = Odometry(header=header, child_frame_id="camera")
                sent.pose.pose = posed
        self._poses[kind].publish(sent)

    def _publish_results(self, header: Header, depth: np.ndarray, pose: RigidTransform) -> None:
        detections, values, grid = (
            [],
            np.full(depth.shape, 65535, np.uint16),
            np.tile(word("wall"), (12, 16, 1)),
        )
        for number, (label, box) in enumerate(self.boxes.items(), 1):
            alone = depth_of([box], pose, CAMERA)
            floor = depth_of([], pose, CAMERA)
            mask = (np.abs(alone - depth) < 1e-4) & ~(np.abs(floor - depth) < 1e-4)
            if mask.sum() < 30:
                continue
            values[mask] = number
            cells = mask.reshape(12, 10, 16, 10).mean(axis=(1, 3)) > 0.5
            grid[cells] = word(label)
            rows, columns = np.nonzero(mask)
            bounds = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
            cut = mask[bounds[1] : bounds[3], bounds[0] : bounds[2]]
            detections.append(Detection(label, Scores(0.9, 0.9, 0.9), bounds, cut, None, "", str(number)))
        regions = RegionFeatures(header=header, semantic_space=SPACE, spatial_space=SPATIAL, tracked=True)
        for one in detections:
            vector = word(one.label).tolist()
            regions.regions.append(
                RegionFeature(id=one.track_id, label=one.label, score=0.9, semantic=vector, spatial=vector)
            )
        features = FeatureGrid(
            grid.astype(np.float32),
            "words",
            SPACE,
            GridToImage.of_resize(depth.shape, (12, 16)),
            depth.shape,
            True,
        )
        self._features.publish(to_message(features, header))
        self._results["detections"].publish(detections_message(detections, header))
        self._results["instances"].publish(image_message(values, header))
        self._results["region_features"].publish(regions)


class Mapping:
    """A map_node, spinning as its main() would have it."""

    def __init__(self, namespace: str, **values: Any) -> None:
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.node = MapNode(
            diagnostics_period=DIAGNOSTICS_PERIOD, namespace=namespace, parameter_overrides=overrides
        )
        self._spinning = Spinning(self.node)

    def close(self) -> None:
        self.node.close()
        self._spinning.stop()
        self.node.destroy_node()


def call(client: Node, kind: Any, name: str, fields: dict[str, Any], patience: float = 30.0) -> Any:
    """The response of a service."""
    service = client.create_client(kind, name)
    wait_for(service.service_is_ready, f"the service {name}", patience)
    future = service.call_async(kind.Request(**fields))
    wait_for(future.done, f"an answer of {name}", patience)
    client.destroy_client(service)
    return future.result()


def around(count: int) -> Sequence[RigidTransform]:
    """Poses from which the boxes can be seen."""
    return [looking(-0.4 + 0.1 * n, -0.3 + 0.1 * n, 0.1 - 0.05 * n) for n in range(count)]


def _transform(parent: str, child: str, transform: RigidTransform, stamp: float) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id, message.header.stamp = parent, time_message(round(stamp * 1e9))
    move, turn = message.transform.translation, message.transform.rotation
    move.x, move.y, move.z = transform.translation.tolist()
    turn.x, turn.y, turn.z, turn.w = transform.quaternion.tolist()
    return message
