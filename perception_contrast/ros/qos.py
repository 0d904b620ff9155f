"""QoS profiles of our topics. Every profile can be overridden by ``qos_overrides`` parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import InvalidQosOverridesError, QoSOverridingOptions

from perception_contrast.ros.parameters.parameter_spec import ParameterError

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:
    # Humble's name of the module.
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

__all__ = (
    "PublisherEventCallbacks",
    "SubscriptionEventCallbacks",
    "UnsupportedEventTypeError",
    "all_publishers_reliable",
    "checked_qos_overrides",
    "latched_qos",
    "output_qos",
    "qos_overrides",
    "sensor_qos",
    "transform_qos",
)


def _profile(reliability: ReliabilityPolicy, durability: DurabilityPolicy, depth: int) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability
    )


def sensor_qos(depth: int = 2, *, reliable: bool = False) -> QoSProfile:
    """For camera topics that we subscribe to: best effort matches every publisher.

    ``reliable`` matches reliable publishers only, and is what large images need: they travel in
    fragments, and best effort loses the image with any one of them, as happens on a busy machine.
    """
    reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return _profile(reliability, DurabilityPolicy.VOLATILE, depth)


def output_qos(depth: int = 2) -> QoSProfile:
    """For topics that we publish: reliable matches every subscriber; a short queue keeps it fresh."""
    return _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, depth)


def latched_qos() -> QoSProfile:
    """For messages that late subscribers must get too: the last one stays available."""
    return _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 1)


def transform_qos(*, static: bool) -> QoSProfile:
    """For /tf and /tf_static, as tf2 has it: many publishers share the queue, so one is not enough."""
    durability = DurabilityPolicy.TRANSIENT_LOCAL if static else DurabilityPolicy.VOLATILE
    return _profile(ReliabilityPolicy.RELIABLE, durability, 100)


def qos_overrides(*, reliability: bool = True) -> QoSOverridingOptions:
    """Lets users set history, depth, durability and reliability by parameter, read once at start."""
    kinds = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.DURABILITY]
    return QoSOverridingOptions(policy_kinds=[*kinds, QoSPolicyKind.RELIABILITY] if reliability else kinds)


@contextmanager
def checked_qos_overrides(topic: str) -> Iterator[None]:
    """Raises ParameterError, with the topic, for overrides that name no quality of service."""
    try:
        yield
    except UnsupportedEventTypeError:
        raise
    except (RuntimeError, ParameterException, InvalidQosOverridesError) as error:
        reason = " ".join(str(error).split())
        raise ParameterError(f"quality of service of {topic}: {reason}; see qos_overrides") from error


def all_publishers_reliable(node: Node, topic: str) -> bool:
    """True if a topic has publishers and all of them offer reliable delivery."""
    offered = [info.qos_profile.reliability for info in node.get_publishers_info_by_topic(topic)]
    return bool(offered) and all(one == ReliabilityPolicy.RELIABLE for one in offered)
