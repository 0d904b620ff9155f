"""Poses that a localiser publishes, as samples: PoseStamped on ``pose``, or Odometry on ``odometry``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from perception_contrast.mapping.poses.pose_source import SampledPoses
from perception_contrast.ros.messages.image_messages import nanoseconds
from perception_contrast.ros.qos import output_qos

_DEPTH = 50


def subscribe_to_poses(node: Node, kind: str, samples: SampledPoses, on_sample: Callable[[], None]) -> None:
    """Takes the poses of a topic into ``samples``, for as long as the node lives.

    Args:
        node: Owner of the subscription.
        kind: "pose" or "odometry", which is the topic too.
        samples: Refuses and counts what is no pose.
        on_sample: Called after each message, from the executor; for what waits for a pose.
    """
    message_type, take = (PoseStamped, _take_pose) if kind == "pose" else (Odometry, _take_odometry)
    node.create_subscription(
        message_type,
        kind,
        partial(take, samples, on_sample),
        output_qos(_DEPTH),
        callback_group=MutuallyExclusiveCallbackGroup(),
    )


def _take_pose(samples: SampledPoses, on_sample: Callable[[], None], message: PoseStamped) -> None:
    _add(samples, message.header, message.pose, "")
    on_sample()


def _take_odometry(samples: SampledPoses, on_sample: Callable[[], None], message: Odometry) -> None:
    _add(samples, message.header, message.pose.pose, message.child_frame_id)
    on_sample()


def _add(samples: SampledPoses, header: Any, pose: Any, body: str) -> None:
    place, turn = pose.position, pose.orientation
    samples.add(
        nanoseconds(header.stamp),
        header.frame_id,
        np.array([place.x, place.y, place.z]),
        np.array([turn.x, turn.y, turn.z, turn.w]),
        body,
    )
