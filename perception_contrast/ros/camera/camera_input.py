"""A camera's topics: subscriptions that only store and pair, and decoding when a frame is wanted."""

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

from perception_contrast.core.camera_model import camera_of_info
from perception_contrast.core.errors import FrameError
from perception_contrast.core.frame import Frame
from perception_contrast.ros.camera.stamp_synchronizer import StampSynchronizer, Synchronized
from perception_contrast.ros.camera.subscription import AdaptiveSubscription
from perception_contrast.ros.messages.image_messages import depth_array, frame_from, nanoseconds

EXPIRE_PERIOD = 0.02


@dataclass(frozen=True)
class Received:
    """A decoded frame and the header that it came with."""

    frame: Frame
    header: Header


@dataclass(frozen=True)
class InputSettings:
    """compressed: read ``image/compressed``. slop, patience: seconds, as of ``StampSynchronizer``."""

    compressed: bool = False
    use_depth: bool = False
    reliability: str = "auto"
    slop: float = 0.017
    patience: float = 0.05


class CameraInput:
    """``image`` (or its ``/compressed``) and, if asked, ``depth`` and ``camera_info``; closed at first.

    on_paired: called with each image and what goes with it. prefix: of the names, "front/" say.
    """

    def __init__(
        self,
        node: Node,
        on_paired: Callable[[Synchronized], None],
        on_malformed: Callable[[str, str], None],
        group: CallbackGroup,
        settings: InputSettings,
        prefix: str = "",
    ) -> None:
        self._node, self._group, self._on_malformed = node, group, on_malformed
        self._stream = prefix.rstrip("/")
        streams = {"depth": False, "camera_info": True} if settings.use_depth else {}
        self.synchronizer = StampSynchronizer(on_paired, streams, slop=0, patience=0.0)
        self.tune(settings.slop, settings.patience)
        # As image_transport does it: remap the base name first, then append the transport's.
        base = node.resolve_topic_name(f"{prefix}image")
        self.topic = f"{base}/compressed" if settings.compressed else base
        kind = CompressedImage if settings.compressed else Image
        wanted: list[tuple[type, str, Callable[[Any], None]]] = [(kind, self.topic, self._on_image)]
        if settings.use_depth:
            wanted += [
                (Image, f"{prefix}depth", self._other("depth")),
                (CameraInfo, f"{prefix}camera_info", self._other("camera_info")),
            ]
        self._subscriptions = [
            AdaptiveSubscription(node, kind, topic, callback, group, settings.reliability)
            for kind, topic, callback in wanted
        ]
        self._timer: Any = None

    @property
    def is_open(self) -> bool:
        return self._subscriptions[0].is_open

    @property
    def image(self) -> AdaptiveSubscription:
        """The subscription to the images."""
        return self._subscriptions[0]

    @property
    def topics(self) -> list[AdaptiveSubscription]:
        return list(self._subscriptions)

    def tune(self, slop: float, patience: float) -> None:
        """Seconds; from the next image on."""
        self.synchronizer.slop, self.synchronizer.patience = round(slop * 1e9), patience

    def open(self) -> None:
        for one in self._subscriptions:
            one.open()
        if len(self._subscriptions) > 1 and self._timer is None:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = self._node.create_timer(
                EXPIRE_PERIOD, self._expire, callback_group=self._group, clock=steady
            )

    def close(self) -> None:
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        for one in self._subscriptions:
            one.close()
        self.synchronizer.clear()

    def decode(self, paired: Synchronized) -> Received:
        """Decodes an image and what was paired with it. Raises FrameError.

        Depth or a calibration that cannot be decoded is reported and left out.
        """
        message, depth, camera = paired.image, None, None
        try:
            if "depth" in paired.found:
                depth = depth_array(paired.found["depth"])
        except FrameError as error:
            self._on_malformed(f"depth_{error.reason}", f"depth: {error}")
        if "camera_info" in paired.found:
            camera = camera_of_info(paired.found["camera_info"])
        return Received(frame_from(message, depth=depth, camera=camera, stream=self._stream), message.header)

    def _on_image(self, message: Image | CompressedImage) -> None:
        self.synchronizer.image(message, nanoseconds(message.header.stamp), time.monotonic())

    def _other(self, name: str) -> Callable[[Any], None]:
        def store(message: Any) -> None:
            self.synchronizer.other(name, message, nanoseconds(message.header.stamp), time.monotonic())

        return store

    def _expire(self) -> None:
        self.synchronizer.expire(time.monotonic())
