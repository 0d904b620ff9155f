"""When a frame passed each stage: for diagnostics, for ~/latency, and for whoever traces."""

from __future__ import annotations

import array
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from perception_contrast_msgs.msg import Latency
from rclpy.node import Node
from std_msgs.msg import Header

from perception_contrast.ros.messages.image_messages import time_message
from perception_contrast.ros.qos import output, overridable

# Older stamps are of another clock (a bag without use_sim_time), not a latency.
LONGEST_LATENCY_MS = 600_000.0
STAGES = ("received", "started", "decoded", "computed", "published")


@dataclass
class FrameTimeline:
    """Monotonic seconds of one frame. timings: milliseconds by stage, of the pipeline."""

    received: float
    started: float = 0.0
    decoded: float = 0.0
    computed: float = 0.0
    published: float = 0.0
    timings: Mapping[str, float] = field(default_factory=dict)

    def milliseconds(self, since_stamp: float) -> dict[str, float]:
        """By stage, with "end_to_end" where the stamp can be of the node's clock. since_stamp: ms."""
        spans = {
            "wait": self.started - self.received,
            "decode": self.decoded - self.started,
            "process": self.computed - self.decoded,
            "publish": self.published - self.computed,
            "total": self.published - self.received,
        }
        stages = {**self.timings, **{name: 1e3 * span for name, span in spans.items()}}
        if 0.0 <= since_stamp <= LONGEST_LATENCY_MS:
            stages["end_to_end"] = since_stamp
        return stages


class LatencyTopic:
    """``~/latency``, published for each frame while somebody listens. It asks for no frame itself."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_lifecycle_publisher(
            Latency, "~/latency", output(10), qos_overriding_options=overridable()
        )

    def publish(self, header: Header, camera: str, passage: FrameTimeline) -> None:
        if not self._publisher.get_subscription_count():
            return
        message = Latency(header=header, camera=camera)
        now, here = self._node.get_clock().now().nanoseconds, time.monotonic()
        for name in STAGES:
            ago = round(1e9 * (here - getattr(passage, name)))
            setattr(message, name, time_message(max(now - ago, 0)))
        message.stages = list(passage.timings)
        message.milliseconds = array.array("f", passage.timings.values())
        self._publisher.publish(message)
