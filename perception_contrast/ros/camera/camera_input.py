"""A camera's input topics: subscriptions that only synchronise messages, and the decoding of a frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from perception_contrast.core.arrays import DepthImage
from perception_contrast.core.camera_model import CameraModel, camera_from_info
from perception_contrast.core.errors import FrameError
from perception_contrast.core.frame import Frame
from perception_contrast.mapping.poses.pose_source import TransformLookup
from perception_contrast.ros.camera.depth_calibration import DepthCalibration
from perception_contrast.ros.camera.remapping import is_remapped
from perception_contrast.ros.camera.stamp_synchronizer import StampSynchronizer, Synchronized
from perception_contrast.ros.camera.subscription import AdaptiveSubscription
from perception_contrast.ros.messages.image_messages import depth_array, frame_from_message, nanoseconds

EXPIRE_PERIOD = 0.02


@dataclass(frozen=True)
class ReceivedFrame:
    """A decoded frame and the header that it came with."""

    frame: Frame
    header: Header


@dataclass(frozen=True)
class InputSettings:
    """Settings of a camera's input.

    Attributes:
        compressed: Read ``image/compressed`` instead of ``image``.
        use_depth: Read ``depth`` and ``camera_info`` too.
        reliability: "auto", "reliable" or "best_effort", as of ``AdaptiveSubscription``.
        slop: Seconds, as of ``StampSynchronizer``.
        patience: Seconds, as of ``StampSynchronizer``.
    """

    compressed: bool = False
    use_depth: bool = False
    reliability: str = "auto"
    slop: float = 0.017
    patience: float = 0.05


class CameraInput:
    """Subscriptions to ``image`` (or its ``/compressed``), ``depth`` and ``camera_info``; closed at first.

    Args:
        on_synchronized: Called with each image and the messages that go with it.
        on_malformed: Called with the reason and a message for each input that cannot be decoded.
        group: Callback group of the subscriptions.
        prefix: Of the topics' names, such as "front/".
        transforms: Where the transform from a depth camera of its own is looked up.

    Attributes:
        topic: Of the images, after remapping.
        image: The subscription to the images.
        paired: "depth" and "camera_info" to their subscriptions; empty without ``use_depth``. The calibration
            of a depth camera of its own is read too, from ``depth_camera_info``, and paired with nothing.
    """

    def __init__(
        self,
        node: Node,
        on_synchronized: Callable[[Synchronized], None],
        on_malformed: Callable[[str, str], None],
        group: CallbackGroup,
        settings: InputSettings,
        prefix: str = "",
        transforms: TransformLookup | None = None,
    ) -> None:
        self._node, self._group, self._on_malformed = node, group, on_malformed
        self._stream = prefix.rstrip("/")
        streams = {"depth": False, "camera_info": True} if settings.use_depth else {}
        self.synchronizer = StampSynchronizer(on_synchronized, streams, slop=0, patience=0.0)
        self.configure_sync(settings.slop, settings.patience)
        # As image_transport does it: remap the base name first, then append the transport's.
        base = node.resolve_topic_name(f"{prefix}image")
        name = f"{base}/compressed" if settings.compressed else f"{prefix}image"
        kind = CompressedImage if settings.compressed else Image
        reliability = settings.reliability
        self.image = AdaptiveSubscription(node, kind, name, self._on_image, group, reliability)
        self.topic, self.paired = self.image.topic, dict[str, AdaptiveSubscription]()
        self._depth_calibration: DepthCalibration | None = None
        if settings.use_depth:
            info = camera_info_topic(node, f"{prefix}camera_info", base)
            self.paired = {
                "depth": AdaptiveSubscription(
                    node, Image, f"{prefix}depth", self._on_depth, group, reliability
                ),
                "camera_info": AdaptiveSubscription(
                    node, CameraInfo, info, self._on_camera_info, group, reliability
                ),
            }
            depth_info = camera_info_topic(node, f"{prefix}depth_camera_info", self.paired["depth"].topic)
            if node.resolve_topic_name(depth_info) != self.paired["camera_info"].topic:
                self._depth_calibration = DepthCalibration(
                    node, depth_info, on_malformed, group, reliability, transforms
                )
        self._timer: Any = None

    @property
    def is_open(self) -> bool:
        return self.image.is_open

    @property
    def topics(self) -> list[AdaptiveSubscription]:
        """All subscriptions, that to the images first."""
        calibration = self._depth_calibration
        return [self.image, *self.paired.values(), *([calibration.subscription] if calibration else [])]

    def configure_sync(self, slop: float, patience: float) -> None:
        """Sets the synchroniser's slop and patience (seconds) from the next image on."""
        self.synchronizer.slop, self.synchronizer.patience = round(slop * 1e9), patience

    def open(self) -> None:
        for subscription in self.topics:
            subscription.open()
        if self.paired and self._timer is None:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = self._node.create_timer(
                EXPIRE_PERIOD, self._expire, callback_group=self._group, clock=steady
            )

    def close(self) -> None:
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        for subscription in self.topics:
            subscription.close()
        self.synchronizer.clear()

    def decode(self, synchronized: Synchronized) -> ReceivedFrame:
        """Decodes an image and the messages that go with it. Raises FrameError.

        Depth that cannot be decoded is reported and left out.
        """
        message, depth, camera = synchronized.image, None, synchronized.matched.get("camera_info")
        try:
            if "depth" in synchronized.matched:
                depth = self._registered(synchronized.matched["depth"], message, camera)
        except FrameError as error:
            depth = None
            self._on_malformed(f"depth_{error.reason}", f"depth: {error}")
        # Images that name no frame are still frames of one camera.
        stream = self._stream if message.header.frame_id else self._stream or self.topic
        return ReceivedFrame(
            frame_from_message(message, depth=depth, camera=camera, stream=stream), message.header
        )

    def _registered(
        self, message: Image, image: Image | CompressedImage, camera: CameraModel | None
    ) -> DepthImage:
        """Depth at the image's pixels. Raises FrameError."""
        depth = depth_array(message)
        if self._depth_calibration is None:
            return depth
        return self._depth_calibration.registered(
            depth, camera, message.header.frame_id, image.header.frame_id
        )

    def _on_image(self, message: Image | CompressedImage) -> None:
        self.synchronizer.add_image(message, nanoseconds(message.header.stamp), time.monotonic())

    def _on_depth(self, message: Image) -> None:
        self.synchronizer.add_message("depth", message, nanoseconds(message.header.stamp), time.monotonic())

    def _on_camera_info(self, message: CameraInfo) -> None:
        """Keeps a calibration. One that cannot be used is reported and dropped; the last good one stays."""
        try:
            camera = camera_from_info(message)
        except FrameError as error:
            self._on_malformed(f"camera_info_{error.reason}", f"camera_info: {error}")
            return
        stamp = nanoseconds(message.header.stamp)
        self.synchronizer.add_message("camera_info", camera, stamp, time.monotonic())

    def _expire(self) -> None:
        self.synchronizer.expire(time.monotonic())


def camera_info_topic(node: Node, name: str, images: str) -> str:
    """Where a calibration is read: ``name`` where it is remapped, else beside the topic of its images.

    image_transport's camera subscriber derives the name in the same way: ``camera_info`` takes the place of
    the last part of the image topic's name.
    """
    if is_remapped(node, name):
        return name
    return f"{images.rpartition('/')[0]}/camera_info"
