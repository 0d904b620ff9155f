"""A camera's topics: subscriptions that only store, and decoding when a frame is wanted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ..errors import FrameError
from ..frames.camera import camera_of_info
from ..frames.types import Frame
from .convert import depth_array, frame_from, nanoseconds
from .qos import offers_reliable, overridable, sensor

ADAPT_PERIOD = 0.5

# Depth belongs to a picture if their stamps differ by no more than half a frame at 30 Hz.
DEPTH_SLOP_NS = 17_000_000


@dataclass(frozen=True)
class Received:
    """A decoded frame and the header that it came with."""

    frame: Frame
    header: Header


class AdaptiveSubscription:
    """A subscription that is reliable while every publisher offers that, else best effort.

    reliability: "auto" for that, or "reliable" or "best_effort" for good.
    """

    def __init__(
        self,
        node: Node,
        kind: type,
        topic: str,
        callback: Callable[[Any], None],
        group: CallbackGroup,
        reliability: str,
    ) -> None:
        self._node, self._kind, self._callback, self._group = node, kind, callback, group
        self.topic = node.resolve_topic_name(topic)
        self._reliable = reliability == "reliable"
        self._subscription = self._subscribe()
        if reliability == "auto":
            # In the callback's own group, so that it never runs while the callback does.
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = node.create_timer(ADAPT_PERIOD, self._adapt, callback_group=group, clock=steady)

    def _subscribe(self) -> Subscription:
        return self._node.create_subscription(
            self._kind,
            self.topic,
            self._callback,
            sensor(reliable=self._reliable),
            callback_group=self._group,
            qos_overriding_options=overridable(reliability=False),
        )

    def _adapt(self) -> None:
        reliable = offers_reliable(self._node, self.topic)
        if reliable != self._reliable:
            self._reliable = reliable
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()


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
        reliability: str,
    ) -> None:
        self._node, self._on_malformed = node, on_malformed
        self._lock = threading.Lock()
        self._depths: deque[Image] = deque(maxlen=8)
        self._info: CameraInfo | None = None
        # As image_transport does it: remap the base name first, then append the transport's.
        base = node.resolve_topic_name("image")
        self.topic = f"{base}/compressed" if compressed else base
        wanted = [(CompressedImage if compressed else Image, self.topic, on_image)]
        if use_depth:
            wanted += [(Image, "depth", self._on_depth), (CameraInfo, "camera_info", self._on_info)]
        self._subscriptions = [
            AdaptiveSubscription(node, kind, topic, callback, group, reliability)
            for kind, topic, callback in wanted
        ]

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
        camera = None if info is None else camera_of_info(info)
        return Received(frame_from(message, depth=depth, camera=camera), message.header)

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
