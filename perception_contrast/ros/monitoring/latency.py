"""When a frame passed each stage, for diagnostics and the topic ~/latency."""

from __future__ import annotations

import array
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from perception_contrast_msgs.msg import Latency
from rclpy.node import Node
from std_msgs.msg import Header

from perception_contrast.ros.messages.image_messages import time_message
from perception_contrast.ros.qos import output_qos, qos_overrides

# Older stamps are of another clock (a bag without use_sim_time), not a latency.
LONGEST_LATENCY_MS = 600_000.0
STAGES = ("received", "started", "decoded", "computed", "published")


@dataclass
class FrameTimeline:
    """When one frame passed each stage of the node, in monotonic seconds.

    Attributes:
        timings: Milliseconds by stage of the pipeline.
    """

    received: float
    started: float = 0.0
    decoded: float = 0.0
    computed: float = 0.0
    published: float = 0.0
    timings: Mapping[str, float] = field(default_factory=dict)

    def milliseconds(self, since_stamp: float) -> dict[str, float]:
        """Milliseconds by stage, with "end_to_end" where the stamp can be of the node's clock.

        since_stamp: milliseconds from the image's stamp to now.
        """
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
    """``~/latency``, published for each processed frame while it has subscribers."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_lifecycle_publisher(
            Latency, "~/latency", output_qos(10), qos_overriding_options=qos_overrides()
        )

    def publish(self, header: Header, camera: str, timeline: FrameTimeline) -> None:
        if not self._publisher.get_subscription_count():
            return
        message = Latency(header=header, camera=camera)
        now, here = self._node.get_clock().now().nanoseconds, time.monotonic()
        for name in STAGES:
            ago = round(1e9 * (here - getattr(timeline, name)))
            setattr(message, name, time_message(max(now - ago, 0)))
        message.stages = list(timeline.timings)
        message.milliseconds = array.array("f", timeline.timings.values())
        self._publisher.publish(message)
