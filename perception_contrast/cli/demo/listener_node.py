"""The demo's own node: subscribes to the topics and records what arrives when."""

from __future__ import annotations

import struct
import time
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from numpy.typing import NDArray
from perception_contrast_msgs.msg import Embedding, FeatureMap
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2D, Detection2DArray

from perception_contrast.cli.demo.demo_report import Measurements, SeenObject
from perception_contrast.client.result_types import thing_from_message
from perception_contrast.ros.executors import SequentialExecutor
from perception_contrast.ros.messages.image_messages import image_array
from perception_contrast.ros.messages.message_classes import message_class
from perception_contrast.ros.qos import output_qos, sensor_qos

NODE = "perception_node"
_IMAGE_TYPES = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
_NANOSECONDS = 1_000_000_000
_SEARCH_PERIOD = 1.0  # seconds
_IGNORED_TOPICS = ("/rosout", "/parameter_events")
# A subscription to an output would make the node compute it.
_COUNTED_TYPES = ("sensor_msgs/msg/CameraInfo", "tf2_msgs/msg/TFMessage", "rosgraph_msgs/msg/Clock")


def stamp_of(message: bytes) -> int:
    """Stamp in nanoseconds of a serialised message that begins with a std_msgs/Header (CDR)."""
    order = "<" if message[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", message, 4)
    return int(seconds) * _NANOSECONDS + int(nanoseconds)


def seen_from_message(message: Detection2D) -> SeenObject | None:
    """The best hypothesis of a detection and its box; None if it has none."""
    found = thing_from_message(message)
    return None if found is None else SeenObject(found.label, found.score, found.box)


class DemoListener:
    """Subscribes to the camera's images and to what perception_node makes of them.

    Messages stay serialised unless their content is needed: most are only counted. For one thread.

    Attributes:
        node: Its node.
    """

    def __init__(
        self, measured: Measurements, image_topic: str, image_type: str, domain: int, *, images: bool
    ) -> None:
        """images: also ask for the image of the features, which costs the node a tenth of its time."""
        self._measured = measured
        self._overlay: bytes | None = None
        self._features_image: bytes | None = None
        self.image_size = (480, 640)
        self.problem = ""
        self._sized = False
        self._next_search = 0.0
        rclpy.init(domain_id=domain, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        self.node = rclpy.create_node("perception_contrast_demo")
        self._executor = SequentialExecutor()
        self._executor.add_node(self.node)
        self._subscribe(image_topic, _IMAGE_TYPES[image_type], self._on_frame, sensor_qos(10))
        self._subscribe(f"/{NODE}/detections", Detection2DArray, self._on_detections)
        self._subscribe(f"/{NODE}/masks", Image)
        self._subscribe(f"/{NODE}/overlay", Image, self._on_overlay)
        self._subscribe(f"/{NODE}/features", FeatureMap, self._on_features)
        self._subscribe(f"/{NODE}/embedding", Embedding)
        if images:
            self._subscribe(f"/{NODE}/features/image", Image, self._on_features_image)
        self._subscribe("/diagnostics", DiagnosticArray, self._on_diagnostics)

    def spin(self, seconds: float) -> None:
        """Handles what arrives within this time."""
        now = time.monotonic()
        if now >= self._next_search:
            self._find_new_topics()
            self._next_search = now + _SEARCH_PERIOD
        end = now + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def close(self) -> None:
        """Destroys the node."""
        self._executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        rclpy.try_shutdown()

    def new_overlay(self) -> NDArray[np.uint8] | None:
        """The newest overlay (H, W, 3) uint8 RGB; None if there is none since the last call."""
        message, self._overlay = self._overlay, None
        return None if message is None else image_array(deserialize_message(message, Image))

    def new_features_image(self) -> NDArray[np.uint8] | None:
        """The newest image of the features, in the same way."""
        message, self._features_image = self._features_image, None
        return None if message is None else image_array(deserialize_message(message, Image))

    def _find_new_topics(self) -> None:
        """Notes topics that appeared; those of small messages are counted too."""
        for topic, types in self.node.get_topic_names_and_types():
            name = types[0]
            if topic in self._measured.topics or topic in _IGNORED_TOPICS:
                continue
            kind = message_class(name) if name in _COUNTED_TYPES else None
            if kind is None:
                self._measured.watch(topic, name, counted=False)
            else:
                self._subscribe(topic, kind, qos=sensor_qos(20))

    def _subscribe(self, topic: str, kind: type, callback: Any = None, qos: Any = None) -> None:
        name = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
        self._measured.watch(topic, name)

        def received(message: bytes) -> None:
            now = time.monotonic()
            self._measured.message(topic, name, now, len(message))
            if callback is not None:
                callback(message, now)

        self.node.create_subscription(kind, topic, received, qos or output_qos(5), raw=True)

    def _on_frame(self, message: bytes, now: float) -> None:
        self._measured.frame(stamp_of(message), now)

    def _on_detections(self, message: bytes, now: float) -> None:
        stamp, wall = stamp_of(message), time.time_ns()
        found = deserialize_message(message, Detection2DArray).detections
        seen = tuple(one for one in map(seen_from_message, found) if one is not None)
        self._measured.result(stamp, now, wall, seen)

    def _on_overlay(self, message: bytes, now: float) -> None:
        self._overlay = message

    def _on_features_image(self, message: bytes, now: float) -> None:
        self._features_image = message

    def _on_features(self, message: bytes, now: float) -> None:
        if not self._sized:
            features = deserialize_message(message, FeatureMap)
            self.image_size = (int(features.image_height), int(features.image_width))
            self._sized = True

    def _on_diagnostics(self, message: bytes, now: float) -> None:
        for status in deserialize_message(message, DiagnosticArray).status:
            if status.name == NODE:
                self.problem = "" if status.level == DiagnosticStatus.OK else status.message
                self._measured.node_report({pair.key: pair.value for pair in status.values})
