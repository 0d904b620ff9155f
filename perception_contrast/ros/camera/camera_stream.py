"""One camera of the node: its input while it is wanted, its outputs, what it has seen and how it fares."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from perception_contrast.core.errors import QueryError
from perception_contrast.ros.camera.camera_input import CameraInput, InputSettings, Received
from perception_contrast.ros.camera.stamp_checks import Stamps
from perception_contrast.ros.camera.stamp_synchronizer import Synchronized
from perception_contrast.ros.messages.image_messages import nanoseconds
from perception_contrast.ros.monitoring.statistics import Statistics
from perception_contrast.ros.node.publishers import Publishers, nothing

# A person who asks for one frame mostly asks for more; and listeners that restart come back.
HELD_SECONDS = 10.0
LINGER_SECONDS = 1.0
# Closes what lingers, and finds listeners where the middleware does not tell of them.
ATTEND_PERIOD = 0.25
FRAME_SECONDS = 5.0


class Camera:
    """Listens while somebody listens to it, or a service has asked for a frame within HELD_SECONDS.

    name: "" for the only one of a node. submit: hands over an image with what was paired.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        settings: InputSettings,
        submit: Callable[[Camera, Synchronized], None],
        group: CallbackGroup,
    ) -> None:
        """group: of the input's callbacks, one that lets no two of them run at once."""
        self._node, self.name, self._submit = node, name, submit
        self.statistics, self.stamps = Statistics(), Stamps()
        prefix = f"{name}/" if name else ""
        self.input = CameraInput(node, self._on_paired, self.malformed, group, settings, prefix)
        # In the input's own group, so that no message is being taken from what is closed.
        self.outputs = Publishers(node, self.attend, group, prefix)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(ATTEND_PERIOD, self.attend, callback_group=group, clock=steady)
        self._lock = threading.RLock()
        self._arrived = threading.Condition()
        self._active = False
        self._held_until = self._wanted_until = float("-inf")
        self._latest: Received | None = None

    # When to listen.

    def activate(self, active: bool) -> None:
        """An inactive camera listens to nothing."""
        with self._lock:
            self._active = active
            if not active:
                self._held_until = self._wanted_until = float("-inf")
        self.attend()

    @property
    def wanted(self) -> bool:
        """True if somebody listens to an output that may be computed."""
        return not nothing(self.outputs.request())

    @property
    def listening(self) -> bool:
        return self.input.is_open

    def attend(self) -> None:
        """Opens or closes the input as things are now; called with each change and now and then."""
        now = time.monotonic()
        with self._lock:
            if self._active and self.wanted:
                self._wanted_until = now + LINGER_SECONDS
            listen = self._active and now < max(self._wanted_until, self._held_until)
            if listen and not self.input.is_open:
                self.input.open()
            elif not listen and self.input.is_open:
                self.input.close()
                # What was seen before the camera went unwatched is not what it sees now.
                self._latest = None

    def restart(self) -> None:
        """Time has jumped: what was seen before belongs to another time."""
        self.input.synchronizer.clear()
        with self._arrived:
            self._latest = None

    # Frames.

    def _on_paired(self, paired: Synchronized) -> None:
        if self.stamps.see(paired.stamp, self._node.get_clock().now().nanoseconds):
            self._node.get_logger().info(f"{self.input.topic}: time has jumped back; tracks begin anew")
            self.restart()
        if not self._active:
            self.statistics.dropped("not_active")
            return
        self.statistics.frame_in()
        self._submit(self, paired)

    def seen(self, received: Received) -> None:
        """Keeps the newest decoded frame, for those who wait for one."""
        with self._arrived:
            self._latest = received
            self._arrived.notify_all()

    def newest(self, patience: float = FRAME_SECONDS) -> Received:
        """The newest frame; listens for one if nobody has so far. Raises QueryError after ``patience`` s."""
        with self._lock:
            self._held_until = time.monotonic() + HELD_SECONDS
        self.attend()
        with self._arrived:
            self._arrived.wait_for(lambda: self._latest is not None, patience)
            if self._latest is not None:
                return self._latest
        there = self.input.image.publishers()
        why = "nothing is published there" if not there else "its images do not arrive or cannot be decoded"
        raise QueryError(f"no frame from {self.input.topic} within {patience:g} s: {why}; see /diagnostics")

    def malformed(self, reason: str, message: str) -> None:
        count = self.statistics.malformed(reason, message)
        if count == 1 or count % 100 == 0:
            self._node.get_logger().warning(
                f"malformed input on {self.input.topic} ({reason}, {count} so far): {message}"
            )

    def failed(self, error: Exception) -> None:
        """A frame whose data was fine could not be processed."""
        said = f"{type(error).__name__}: {error}"
        self.statistics.error(said)
        self._node.get_logger().error(f"a frame of {self.input.topic} could not be processed: {said}")

    def stamp_age_ms(self, paired: Synchronized) -> float:
        """Milliseconds from the image's stamp to now, by the node's clock."""
        now = self._node.get_clock().now().nanoseconds
        return (now - nanoseconds(paired.image.header.stamp)) / 1e6
