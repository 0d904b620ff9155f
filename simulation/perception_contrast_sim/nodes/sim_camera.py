"""sim_camera: an RGB-D camera that moves through a simulated household and publishes as any camera does."""

from __future__ import annotations

if __name__ == "__main__":
    # Before the imports, which take seconds.
    from perception_contrast.core.process.early_exit import exit_on_signals

    exit_on_signals()

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from rclpy.node import Node
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import (
    Detection3D,
    Detection3DArray,
    LabelInfo,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    VisionClass,
)

from perception_contrast.core.vocabulary import UNLABELLED
from perception_contrast.ros.messages.image_messages import camera_info_message, image_message
from perception_contrast.ros.node.run_node import exit_process, run_node
from perception_contrast.ros.node.shutdown_event import ShutdownEvent
from perception_contrast.ros.parameters.parameter_spec import ParameterSpec
from perception_contrast.ros.playback.source_node import SourceThread, declare_start_parameters
from perception_contrast.ros.qos import latched_qos, output_qos
from perception_contrast_sim.rooms.household import Household

NAME = "sim_camera"
MAP, LINK, OPTICAL = "map", "camera_link", "camera_color_optical_frame"
# REP 103: the link looks along x with z up, its optical frame along z with y down.
# Columns: the optical axes x right, y down, z forward in the link.
OPTICAL_IN_LINK = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
SPECS = (
    ParameterSpec("rate", 10.0, "Frames a second.", 0.1, 60.0, change="never"),
    ParameterSpec(
        "seed", 1, "The same seed gives the same household and path.", 0, 2**31 - 1, change="never"
    ),
    ParameterSpec("width", 640, "Image width in pixels.", 64, 1920, change="never"),
    ParameterSpec("height", 480, "Image height in pixels.", 64, 1080, change="never"),
    ParameterSpec("unseen", False, "Use shapes and looks that training never used.", change="never"),
    ParameterSpec("offline", False, "Never use a network; assets must be in the cache.", change="never"),
    ParameterSpec("duration", 0.0, "Seconds until the node ends; 0 for no end.", 0.0, 1e9, change="never"),
)


def quaternion(rotation: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """A rotation matrix (3, 3) as (x, y, z, w)."""
    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    return float(x), float(y), float(z), float(w)


def transform(
    header: Header, child: str, position: Sequence[float], rotation: NDArray[np.float64]
) -> TransformStamped:
    """position: metres; rotation: (3, 3), columns are the child's axes in the header's frame."""
    x, y, z = (float(value) for value in position)
    qx, qy, qz, qw = quaternion(rotation)
    pose = Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw))
    return TransformStamped(header=header, child_frame_id=child, transform=pose)


class SimCamera(Node):
    """Renders in its own thread; depth and ground truth only while somebody listens to them."""

    def __init__(self, shutdown: ShutdownEvent) -> None:
        super().__init__(NAME)
        self._shutdown = shutdown
        self._values = declare_start_parameters(self, SPECS)
        self._color = self._publish(Image, "camera/color/image_raw")
        self._color_info = self._publish(CameraInfo, "camera/color/camera_info")
        self._depth = self._publish(Image, "camera/depth/image_rect_raw")
        self._depth_info = self._publish(CameraInfo, "camera/depth/camera_info")
        self._labels = self._publish(Image, "camera/ground_truth/labels")
        self._instances = self._publish(Image, "camera/ground_truth/instances")
        self._label_info = self.create_publisher(LabelInfo, "camera/ground_truth/label_info", latched_qos())
        self._objects = self.create_publisher(Detection3DArray, "camera/ground_truth/objects", latched_qos())
        self._tf = self.create_publisher(TFMessage, "/tf", output_qos(100))
        self._tf_static = self.create_publisher(TFMessage, "/tf_static", latched_qos())
        self._thread = SourceThread(self._run, shutdown)

    def close(self) -> None:
        self._thread.join()

    def _publish(self, kind: type, topic: str) -> Any:
        return self.create_publisher(kind, topic, output_qos())

    def _run(self) -> None:
        values = self._values
        self.get_logger().info(f"building household {values['seed']}")
        house = Household(
            values["seed"],
            height=values["height"],
            width=values["width"],
            unseen=values["unseen"],
            offline=values["offline"],
        )
        try:
            self._announce(house)
            self._film(house)
        finally:
            house.close()

    def _announce(self, house: Household) -> None:
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=LINK)
        static = transform(header, OPTICAL, (0.0, 0.0, 0.0), OPTICAL_IN_LINK)
        self._tf_static.publish(TFMessage(transforms=[static]))
        names = sorted({thing.category for thing in house.objects.values()})
        self._ids = {name: number for number, name in enumerate(names, 1)}
        classes = [VisionClass(class_id=number, class_name=name) for name, number in self._ids.items()]
        classes.append(VisionClass(class_id=UNLABELLED, class_name="unlabelled"))
        self._label_info.publish(LabelInfo(header=header, class_map=classes))
        self._objects.publish(true_objects(house, Header(stamp=header.stamp, frame_id=MAP)))
        self.get_logger().info(f"{len(house.objects)} things of {len(names)} categories; the camera is on")

    def _film(self, house: Household) -> None:
        period = 1.0 / self._values["rate"]
        begin = due = time.monotonic()
        end = begin + (self._values["duration"] or float("inf"))
        while not self._shutdown.wait(max(due - time.monotonic(), 0.0)) and time.monotonic() < end:
            self._shoot(house, time.monotonic() - begin)
            # A frame that took too long delays the next ones: a late camera skips, it does not catch up.
            due = max(due + period, time.monotonic())

    def _shoot(self, house: Household, t: float) -> None:
        truth = self._heard(self._labels) or self._heard(self._instances)
        image = house.render(t, depth=self._heard(self._depth), labels=truth)
        # The image exists from now on, so this is when it was taken: rendering is no part of latency.
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=OPTICAL)
        world = Header(stamp=header.stamp, frame_id=MAP)
        pose = transform(world, LINK, image.view.position, image.view.rotation @ OPTICAL_IN_LINK.T)
        self._tf.publish(TFMessage(transforms=[pose]))
        info = camera_info_message(house.camera, header)
        self._color_info.publish(info)
        self._color.publish(image_message(image.rgb, header))
        self._depth_info.publish(info)
        if image.depth is not None:
            self._depth.publish(image_message(image.depth, header))
        if truth:
            self._publish_truth(house, image.instances, header)

    def _heard(self, publisher: Any) -> bool:
        return publisher.get_subscription_count() > 0

    def _publish_truth(self, house: Household, instances: NDArray[np.int32], header: Header) -> None:
        self._instances.publish(image_message(instance_ids(instances), header))
        categories = {number: self._ids[thing.category] for number, thing in house.objects.items()}
        self._labels.publish(image_message(label_ids(instances, categories), header))


def true_objects(house: Household, header: Header) -> Detection3DArray:
    """Where each thing truly is: id is its value in the instance image, class_id its category."""
    message = Detection3DArray(header=header)
    for number, box in house.boxes().items():
        found = Detection3D(header=header, id=str(number))
        place, turn, size = found.bbox.center.position, found.bbox.center.orientation, found.bbox.size
        place.x, place.y, place.z = box.center.tolist()
        size.x, size.y, size.z = box.size.tolist()
        turn.z, turn.w = float(np.sin(box.yaw / 2)), float(np.cos(box.yaw / 2))
        hypothesis = ObjectHypothesis(class_id=house.objects[number].category, score=1.0)
        found.results = [ObjectHypothesisWithPose(hypothesis=hypothesis)]
        found.results[0].pose.pose = found.bbox.center
        message.detections.append(found)
    return message


def instance_ids(instances: NDArray[np.int32]) -> NDArray[np.uint16]:
    """(H, W) uint16; 65535 where there is nothing (-1)."""
    return np.where(instances < 0, UNLABELLED, instances).astype(np.uint16)


def label_ids(instances: NDArray[np.int32], categories: dict[int, int]) -> NDArray[np.uint16]:
    """(H, W) uint16 category ids of the instances; 65535 for what has no category."""
    highest = max([int(instances.max()), *categories])
    table = np.full(highest + 2, UNLABELLED, np.uint16)  # the last entry is what index -1 reads
    for number, category in categories.items():
        table[number] = category
    return table[instances]


def main(args: Sequence[str] | None = None) -> None:
    exit_process(run_node(SimCamera, NAME, args))


if __name__ == "__main__":
    main()
