"""The topics of one camera that the map reads: perception's results, depth, calibrations, colours."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from perception_contrast_msgs.msg import FeatureMap, RegionFeatures
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from perception_contrast.core.camera_model import CameraModel, camera_from_info, resized_camera
from perception_contrast.core.errors import FrameError
from perception_contrast.mapping.geometry.depth_checks import DepthScaleCheck
from perception_contrast.mapping.poses.pose_source import TransformLookup
from perception_contrast.ros.camera.camera_input import camera_info_topic
from perception_contrast.ros.camera.depth_calibration import DepthCalibration
from perception_contrast.ros.camera.subscription import AdaptiveSubscription
from perception_contrast.ros.mapping.frame_assembler import Assembled, FrameAssembler
from perception_contrast.ros.mapping.frame_conversion import (
    RESULTS,
    FrameParts,
    colour_image,
    registered_depth,
)
from perception_contrast.ros.messages.image_messages import depth_array, nanoseconds

_KINDS = dict(zip(RESULTS, (Detection2DArray, Image, RegionFeatures, FeatureMap), strict=True))


class MapInputs:
    """Subscriptions of one camera; closed at first.

    Args:
        node: Owner of the subscriptions.
        name: Of the camera; "" for the only one.
        perception: Name of the perception_node, which comes before the names of its results.
        emit: Called with each image's parts, in the thread of the message that completed them.
        on_malformed: Called with a slug and a message for what cannot be used.
        slop: Most nanoseconds between an image and its depth.
        reliability: As of ``AdaptiveSubscription``.
        colors: "raw", "compressed" or "" for no images.
        transforms: Where the transform between a depth camera of its own and the image's is looked up.

    Attributes:
        name: Of the camera.
        assembler: Brings the messages together.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        perception: str,
        emit: Callable[[MapInputs, FrameParts], None],
        on_malformed: Callable[[str, str], None],
        *,
        slop: int,
        reliability: str,
        colors: str,
        transforms: TransformLookup,
    ) -> None:
        self.name, self._emit, self._on_malformed = name, emit, on_malformed
        self.assembler = FrameAssembler(self._on_assembled, RESULTS, slop)
        self._scale, self._lock = DepthScaleCheck(), threading.Lock()
        self._camera: CameraModel | None = None
        group, prefix = MutuallyExclusiveCallbackGroup(), f"{name}/" if name else ""

        def subscription(kind: type, topic: str, callback: Callable[[Any], None]) -> AdaptiveSubscription:
            return AdaptiveSubscription(node, kind, topic, callback, group, reliability)

        depth = subscription(Image, f"{prefix}depth", partial(self._on_sensor, "depth"))
        image = node.resolve_topic_name(f"{prefix}image")
        info = subscription(
            CameraInfo, camera_info_topic(node, f"{prefix}camera_info", image), self._on_camera_info
        )
        self._subscriptions = [depth, info]
        self._depth_calibration: DepthCalibration | None = None
        depth_info = camera_info_topic(node, f"{prefix}depth_camera_info", depth.topic)
        if node.resolve_topic_name(depth_info) != info.topic:
            self._depth_calibration = DepthCalibration(
                node, depth_info, on_malformed, group, reliability, transforms
            )
            self._subscriptions.append(self._depth_calibration.subscription)
        if colors:
            compressed = colors == "compressed"
            kind = CompressedImage if compressed else Image
            topic = f"{image}/compressed" if compressed else f"{prefix}image"
            self._subscriptions.append(subscription(kind, topic, partial(self._on_sensor, "image")))
        self.results = {
            result: subscription(kind, f"{perception}/{prefix}{result}", partial(self._on_result, result))
            for result, kind in _KINDS.items()
        }
        self.depth_topic, self.info_topic = depth.topic, info.topic
        self._subscriptions += self.results.values()
        self._streams = {"depth": depth.topic} | {name: one.topic for name, one in self.results.items()}
        self._arrived: dict[str, float] = {}

    @property
    def topics(self) -> list[AdaptiveSubscription]:
        """All subscriptions."""
        return list(self._subscriptions)

    @property
    def calibrated(self) -> bool:
        """Whether a calibration of the image has come."""
        return self._camera is not None

    def silent(self, seconds: float) -> list[str]:
        """Topics on which nothing has come for so long: of depth and results, which a map needs."""
        now = time.monotonic()
        return [
            topic for name, topic in self._streams.items() if now - self._arrived.get(name, now) >= seconds
        ]

    @property
    def streams(self) -> int:
        """Number of the topics that ``silent`` tells of."""
        return len(self._streams)

    def open(self) -> None:
        """Begins to read."""
        self._arrived = dict.fromkeys(self._streams, time.monotonic())
        for one in self._subscriptions:
            one.open()

    def close(self) -> None:
        """Ends reading and forgets what waits."""
        for one in self._subscriptions:
            one.close()
        self.assembler.clear()

    def _on_sensor(self, name: str, message: Any) -> None:
        if (stamp := self._stamp(name, message)) is not None:
            self.assembler.add_sensor(name, message, stamp)

    def _on_result(self, name: str, message: Any) -> None:
        if (stamp := self._stamp(name, message)) is not None:
            self.assembler.add_result(name, message, stamp)

    def _stamp(self, name: str, message: Any) -> int | None:
        """Nanoseconds; None where there is none: what belongs together, and the pose, cannot be told then."""
        self._arrived[name] = time.monotonic()
        if stamp := nanoseconds(message.header.stamp):
            return stamp
        self._on_malformed(
            "zero_stamp", f"{name} has no stamp, so it cannot be mapped; set header.stamp in its driver"
        )
        return None

    def _on_camera_info(self, message: CameraInfo) -> None:
        """Keeps a calibration; the last good one stays where one cannot be used."""
        try:
            self._camera = camera_from_info(message)
        except FrameError as error:
            self._on_malformed(f"camera_info_{error.reason}", f"camera_info: {error}")

    def _on_assembled(self, assembled: Assembled) -> None:
        try:
            parts = self._parts(assembled)
        except FrameError as error:
            self._on_malformed(error.reason, str(error))
            return
        if parts is not None:
            self._emit(self, parts)

    def _parts(self, assembled: Assembled) -> FrameParts | None:
        camera = self._camera
        if camera is None:
            raise FrameError(
                "no_camera_info", f"no calibration has come on {self.info_topic}; publish camera_info there"
            )
        depth = depth_array(assembled.depth)
        with self._lock:
            verdict = self._scale.check(depth)
        if verdict.problem:
            raise FrameError("depth_scale", verdict.problem)
        instances = assembled.results["instances"]
        size = (int(instances.height), int(instances.width))
        header = assembled.results["detections"].header
        if self._depth_calibration is not None:
            frames = (assembled.depth.header.frame_id, header.frame_id)
            depth = self._depth_calibration.registered(depth, resized_camera(camera, size), *frames)
        depth, camera = registered_depth(depth, camera, size)
        return FrameParts(
            assembled.stamp,
            header.frame_id,
            camera,
            depth,
            colour_image(assembled.image, size),
            dict(assembled.results),
        )
