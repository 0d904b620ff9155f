"""Publishes a recording's messages as they were recorded, byte for byte, with /clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.bag_messages import BagMessage
from perception_contrast.recordings.bags import BagSource
from perception_contrast.ros.messages.image_messages import time_message
from perception_contrast.ros.messages.message_classes import message_class
from perception_contrast.ros.node.shutdown_event import ShutdownEvent
from perception_contrast.ros.playback.playback_clock import PlaybackClock
from perception_contrast.ros.playback.recorded_qos import publisher_qos
from perception_contrast.ros.qos import output_qos

CLOCK_TOPIC = "/clock"
TF_STATIC = "/tf_static"


class ClockPublisher:
    """Publishes /clock at ``rate`` messages a second of real time, nothing if that is 0."""

    def __init__(self, node: Node, rate: float) -> None:
        self._period = 1.0 / rate if rate > 0 else float("inf")
        self._publisher = node.create_publisher(Clock, CLOCK_TOPIC, output_qos(10)) if rate > 0 else None
        self._next = 0.0 if rate > 0 else float("inf")

    def tick(self, recorded: int, *, now: float) -> float:
        """Publishes the recorded time if it is due; returns when the next one is."""
        if now >= self._next:
            self.publish(recorded)
            self._next = now + self._period
        return self._next

    def publish(self, recorded: int) -> None:
        if self._publisher is not None:
            self._publisher.publish(Clock(clock=time_message(recorded)))


class BagPublisher:
    """Publishes the topics of a recording; a recorded /clock is left out, ours takes its place.

    Args:
        topics: Those to play, all if none is named.
        start_offset: Seconds at the beginning to leave out.
        clock_rate: Messages a second on /clock, 0 for none.

    Attributes:
        publishers: By topic.
        unknown_types: Topics whose types are not installed.
        unplayable_names: Topics whose names ROS 2 does not allow, as other recorders write them.

    Raises:
        PerceptionError: There is nothing to play.
    """

    def __init__(
        self, node: Node, source: BagSource, topics: Sequence[str], start_offset: float, clock_rate: float
    ) -> None:
        self._source = source
        source.messages(topics)  # refuses a topic that is not there
        self._start = source.start + round(start_offset * 1e9)
        if self._start > source.end:
            raise PerceptionError(
                f"start_offset {start_offset} s is past the end of recording '{source.path}', "
                f"which is {(source.end - source.start) / 1e9:.1f} s long"
            )
        self.publishers = {}
        self.unknown_types = []
        self.unplayable_names = []
        for topic in source.topics.values():
            if not topic.count or topic.name == CLOCK_TOPIC or (topics and topic.name not in topics):
                continue
            message_type = message_class(topic.type)
            if message_type is None:
                self.unknown_types.append(topic)
                continue
            try:
                publisher = node.create_publisher(message_type, topic.name, publisher_qos(topic))
            except (InvalidTopicNameException, ValueError):
                self.unplayable_names.append(topic)
            else:
                self.publishers[topic.name] = publisher
        if not self.publishers:
            raise PerceptionError(
                f"nothing of recording '{source.path}' can be played: its types are not installed, "
                "no topic has a message, or none has a name that ROS 2 allows"
            )
        self._clock_publisher = ClockPublisher(node, clock_rate)

    def publish_late_static(self) -> int:
        """Publishes the messages on /tf_static that playback comes to late or not at all; their count.

        A static transform holds for the whole recording, but it may have been recorded behind the first
        images, or before ``start_offset``.
        """
        if TF_STATIC not in self.publishers:
            return 0
        others = [name for name in self.publishers if name != TF_STATIC]
        first = next(iter(self._source.messages(others, self._start)), None) if others else None
        late = [
            message
            for message in self._source.messages([TF_STATIC])
            if message.data
            and (message.stamp < self._start or (first is not None and message.stamp > first.stamp))
        ]
        for message in late:
            self.publishers[TF_STATIC].publish(message.data)
        return len(late)

    def play(self, clock: PlaybackClock, shutdown: ShutdownEvent) -> int:
        """Plays once, until the end or ``shutdown``; returns how many messages were published."""
        count = 0
        for message in self._messages():
            if count == 0:
                clock.restart(message.stamp)
            if self._wait_until(clock.due(message.stamp), clock, shutdown):
                break
            if not message.data:
                continue  # could not be unpacked; nothing subscribes to no bytes
            self.publishers[message.topic].publish(message.data)
            count += 1
        if count:
            self._clock_publisher.publish(clock.recorded_time())
        return count

    def _messages(self) -> Iterator[BagMessage]:
        return self._source.messages(list(self.publishers), self._start)

    def _wait_until(self, due: float, clock: PlaybackClock, shutdown: ShutdownEvent) -> bool:
        """Waits, publishing /clock; True if the node is to end."""
        while True:
            now = time.monotonic()
            next_tick = self._clock_publisher.tick(clock.recorded_time(), now=now)
            if now >= due:
                return shutdown.is_set()
            if shutdown.wait(min(due, next_tick) - now):
                return True
