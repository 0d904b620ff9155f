"""A camera's topics: subscriptions that only store, and decoding when a frame is wanted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ..errors import FrameError
from ..frames.types import Frame
from .convert import camera_model, depth_array, frame_from, nanoseconds
from .qos import overridable, sensor

# Depth belongs to a picture if their stamps differ by no more than half a frame at 30 Hz.
DEPTH_SLOP_NS = 17_000_000


@dataclass(frozen=True)
class Received:
    """A decoded frame and the header that it came with."""

    frame: Frame
    header: Header


class CameraInput:
    """Subscribes to ``image`` (or its ``/compressed``) and, if asked, ``depth`` and ``camera_info``."""

    def __init__(
        self,
        node: Node,
        on_image: Callable[[Image | CompressedImage], None],
        on_malformed: Callable[[str, str], None],
        group: CallbackGroup,
        *,
        compressed: bool,
        use_depth: bool,
    ) -> None:
        self._node, self._on_malformed = node, on_malformed
        self._lock = threading.Lock()
        self._depths: deque[Image] = deque(maxlen=8)
        self._info: CameraInfo | None = None
        # As image_transport does it: remap the base name first, then append the transport's.
        base = node.resolve_topic_name("image")
        self.topic = f"{base}/compressed" if compressed else base
        self._subscribe(CompressedImage if compressed else Image, self.topic, on_image, group)
        if use_depth:
            self._subscribe(Image, "depth", self._on_depth, group)
            self._subscribe(CameraInfo, "camera_info", self._on_info, group)

    def publishers(self) -> int:
        """How many publish on the topic that is read."""
        return int(self._node.count_publishers(self.topic))

    def decode(self, message: Image | CompressedImage) -> Received:
        """Decodes a picture with the depth and calibration nearest to it. Raises FrameError.

        Depth that cannot be decoded is reported and left out.
        """
        with self._lock:
            depths, info = list(self._depths), self._info
        depth = None
        nearest = _nearest(depths, nanoseconds(message.header.stamp))
        if nearest is not None:
            try:
                depth = depth_array(nearest)
            except FrameError as error:
                self._on_malformed(f"depth_{error.reason}", f"depth: {error}")
        camera = None if info is None else camera_model(info)
        return Received(frame_from(message, depth=depth, camera=camera), message.header)

    def _subscribe(self, kind: type, topic: str, callback: Callable, group: CallbackGroup) -> None:
        self._node.create_subscription(
            kind, topic, callback, sensor(), callback_group=group, qos_overriding_options=overridable()
        )

    def _on_depth(self, message: Image) -> None:
        with self._lock:
            self._depths.append(message)

    def _on_info(self, message: CameraInfo) -> None:
        with self._lock:
            self._info = message


def _nearest(messages: list[Image], stamp: int) -> Image | None:
    def distance(message: Image) -> int:
        return abs(nanoseconds(message.header.stamp) - stamp)

    nearest = min(messages, key=distance, default=None)
    return nearest if nearest is not None and distance(nearest) <= DEPTH_SLOP_NS else None
