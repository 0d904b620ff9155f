"""The QoS profile with which a recorded topic is published again."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from perception_contrast.recordings.bag_messages import BagTopic, OfferedQos

_MIN_DEPTH = 10
_MAX_DEPTH = 1000
# Recorded without its quality of service, a topic of this name was latched all the same.
_LATCHED_TOPICS = ("/tf_static", "/robot_description")


def publisher_qos(topic: BagTopic) -> QoSProfile:
    """The recorded QoS profile where it can be kept.

    Several publishers that disagree: reliable, and latched if any was. Deadlines, lifespans and
    liveliness are left out: the player's timing is its own.
    """
    offered = topic.qos
    latched = (
        topic.name in _LATCHED_TOPICS
        if not offered
        else any(q.durability == "transient_local" for q in offered)
    )
    best_effort = bool(offered) and all(q.reliability == "best_effort" for q in offered)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_queue_depth(offered),
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _queue_depth(offered: Iterable[OfferedQos]) -> int:
    depths = (q.depth if q.history != "keep_all" else _MAX_DEPTH for q in offered)
    return min(max([_MIN_DEPTH, *depths]), _MAX_DEPTH)
