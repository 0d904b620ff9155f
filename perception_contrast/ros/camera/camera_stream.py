"""One camera of a node: its input while somebody needs it, its outputs, its newest frame, its statistics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from perception_contrast.core.errors import QueryError
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.mapping.objects.frame_boxes import DepthError, FrameBoxes
from perception_contrast.mapping.poses.pose_source import TransformLookup
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.ros.camera.camera_input import CameraInput, InputSettings, ReceivedFrame
from perception_contrast.ros.camera.output_publishers import OutputPublishers, requests_anything
from perception_contrast.ros.camera.stamp_checks import StampChecker
from perception_contrast.ros.camera.stamp_synchronizer import Synchronized
from perception_contrast.ros.monitoring.statistics import Statistics

# How long the input stays open after a service has asked for a frame: mostly it asks for more.
HOLD_SECONDS = 10.0
# How long it stays open after the last subscriber has gone: subscribers that restart come back.
LINGER_SECONDS = 1.0
# Between looks at an open input, which is closed after these times; and at a closed one, for subscribers,
# where the middleware has no matched events. Where it has, a node that nobody listens to looks at nothing.
UPDATE_PERIOD = 0.25
FRAME_TIMEOUT = 5.0


class CameraStream:
    """Reads its input while an output has subscribers, or a service needed a frame within HOLD_SECONDS.

    Args:
        node: Owner of subscriptions and publishers.
        name: "" for the only camera of a node.
        settings: Of the input.
        submit: Takes an image with the messages that go with it, and ``name``.
        group: Of the input's callbacks, one that lets no two of them run at once.
        transforms: Where the transform from a depth camera of its own is looked up.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        settings: InputSettings,
        submit: Callable[[Synchronized, str], object],
        group: CallbackGroup,
        transforms: TransformLookup | None = None,
    ) -> None:
        self._node, self.name, self._submit = node, name, submit
        self.statistics, self.stamps, self._frame_boxes = Statistics(), StampChecker(), FrameBoxes()
        prefix = f"{name}/" if name else ""
        self.input = CameraInput(
            node, self._on_synchronized, self.report_malformed, group, settings, prefix, transforms
        )
        # In the input's own group, so that no message is being taken from what is closed.
        self.outputs = OutputPublishers(node, self.update_input, group, prefix)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(UPDATE_PERIOD, self._on_timer, callback_group=group, clock=steady)
        self._watches_closed = not self.outputs.tells_changes
        self._lock = threading.RLock()
        self._frame_arrived = threading.Condition()
        self._active = False
        self._held_until = self._lingers_until = float("-inf")
        self._latest: ReceivedFrame | None = None

    # Opening and closing the input.

    def set_active(self, active: bool) -> None:
        """An inactive camera reads nothing."""
        with self._lock:
            self._active = active
            if not active:
                self._held_until = self._lingers_until = float("-inf")
        self.update_input()

    @property
    def has_subscribers(self) -> bool:
        """True if an output that may be computed has subscribers."""
        return requests_anything(self.outputs.request())

    @property
    def is_subscribed(self) -> bool:
        """True while the input is open."""
        return self.input.is_open

    def update_input(self) -> None:
        """Opens or closes the input as things are now; called with each change and by a timer."""
        now = time.monotonic()
        with self._lock:
            if self._active and self.has_subscribers:
                self._lingers_until = now + LINGER_SECONDS
            needed = self._needed(now)
            if needed and not self.input.is_open:
                self.input.open()
            elif not needed and self.input.is_open:
                self.input.close()
                # A frame from before a pause is not the newest one after it.
                self._latest = None
            # Opening an input has woken the executor, which must see the timer run.
            if needed and self._timer.is_canceled():
                self._timer.reset()

    def _needed(self, now: float) -> bool:
        return self._active and now < max(self._lingers_until, self._held_until)

    def _on_timer(self) -> None:
        """Looks after the input, and stops the timer where there is nothing more to look after.

        Here alone: what another thread cancels may already have been chosen to run.
        """
        self.update_input()
        with self._lock:
            if not self._watches_closed and not self._needed(time.monotonic()):
                self._timer.cancel()

    def reset(self) -> None:
        """Forgets frames, because time has jumped."""
        self.input.synchronizer.clear()
        self._frame_boxes = FrameBoxes()
        with self._frame_arrived:
            self._latest = None

    # Frames.

    def _on_synchronized(self, synchronized: Synchronized) -> None:
        if self.stamps.check(synchronized.stamp, self._node.get_clock().now().nanoseconds):
            self._node.get_logger().info(f"{self.input.topic}: time has jumped back; tracks begin anew")
            self.reset()
        if not self._active:
            self.statistics.dropped("not_active")
            return
        self.statistics.frame_in()
        self._submit(synchronized, self.name)

    def store_latest(self, received: ReceivedFrame) -> None:
        """Keeps the newest decoded frame for ``wait_for_frame``."""
        with self._frame_arrived:
            self._latest = received
            self._frame_arrived.notify_all()

    def wait_for_frame(self) -> ReceivedFrame:
        """The newest frame; opens the input if need be. Raises QueryError after FRAME_TIMEOUT seconds."""
        with self._lock:
            self._held_until = time.monotonic() + HOLD_SECONDS
        self.update_input()
        with self._frame_arrived:
            self._frame_arrived.wait_for(lambda: self._latest is not None, FRAME_TIMEOUT)
            if self._latest is not None:
                return self._latest
        published = self.input.image.publishers()
        why = "its images do not arrive or cannot be decoded" if published else "nothing is published there"
        raise QueryError(
            f"no frame from {self.input.topic} within {FRAME_TIMEOUT:g} s: {why}; see /diagnostics"
        )

    def boxes(self, result: FrameResult, max_depth: float) -> tuple[Box3D | None, ...] | None:
        """3D boxes of a result's detections by the frame's depth; None, with a report of why, without."""
        if result.detections is None:
            return None
        boxes, reason = None, ""
        try:
            boxes = self._frame_boxes.boxes(result.frame, result.detections, far=max_depth)
        except DepthError as error:
            reason = str(error)
        if self.statistics.without_boxes(reason):
            self._node.get_logger().warning(f"no detections_3d of {self.input.topic}: {reason}")
        return boxes

    def report_malformed(self, reason: str, message: str) -> None:
        """Counts an input that cannot be decoded; logs the first and each hundredth of a reason."""
        count = self.statistics.malformed(reason, message)
        if count == 1 or count % 100 == 0:
            self._node.get_logger().warning(
                f"malformed input on {self.input.topic} ({reason}, {count} so far): {message}"
            )

    def report_failure(self, error: Exception) -> None:
        """Counts and logs a frame whose data was fine but that could not be processed."""
        message = f"{type(error).__name__}: {error}"
        self.statistics.error(message)
        self._node.get_logger().error(f"a frame of {self.input.topic} could not be processed: {message}")

    def stamp_age_ms(self, stamp: int) -> float:
        """Milliseconds from a stamp (nanoseconds) to now, by the node's clock."""
        return (self._node.get_clock().now().nanoseconds - stamp) / 1e6
