"""Quality of service of our topics. Every profile can be overridden by ``qos_overrides`` parameters."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions


def _profile(reliability: ReliabilityPolicy, durability: DurabilityPolicy, depth: int) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability
    )


def sensor(depth: int = 2) -> QoSProfile:
    """For camera topics that we read: best effort matches every publisher and never waits for old frames."""
    return _profile(ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE, depth)


def output(depth: int = 2) -> QoSProfile:
    """For what we publish: reliable matches every subscriber; a short queue keeps it fresh."""
    return _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, depth)


def latched() -> QoSProfile:
    """For what a late joiner must still get: the last message stays available."""
    return _profile(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 1)


def overridable() -> QoSOverridingOptions:
    """Lets users set history, depth, reliability and durability by parameter, read once at start."""
    kinds = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
    return QoSOverridingOptions(policy_kinds=kinds)
