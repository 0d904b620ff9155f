"""Statistics as diagnostic_msgs on /diagnostics, with keys that programs can read.

Keys: ``state``, ``frames/in|out|replaced|malformed``, ``malformed/<reason>``, ``malformed/last``,
``rate/in_hz|out_hz``, ``age/newest_s``, ``latency_ms/<stage>/p50|p95``, ``subscribers/<output>``,
``model/<role>``, ``space/<role>``, ``engine/<role>``, ``engine/warnings``,
``vocabulary/version|size``, ``worker/errors``, ``worker/last_error``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from .qos import output, overridable
from .statistics import Snapshot

PERIOD = 1.0
STALE_AFTER = 3.0


@dataclass(frozen=True)
class Report:
    """What a node tells about itself in one diagnostic status."""

    state: str
    snapshot: Snapshot
    replaced: int = 0
    input_topic: str = ""
    publishers: int = 0
    subscribers: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    engines: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    vocabulary_version: int = 0
    vocabulary_size: int = 0


def level(report: Report) -> tuple[bytes, str]:
    """Level and one line: why nothing is published, or what goes wrong, or that all is well."""
    seen = report.snapshot
    if seen.recent_error:
        return DiagnosticStatus.ERROR, seen.recent_error
    if report.state != "active":
        return DiagnosticStatus.WARN, f"{report.state}: frames are not processed"
    if seen.recent_malformed:
        return DiagnosticStatus.WARN, f"malformed input: {seen.recent_malformed}"
    if seen.age_in > STALE_AFTER:
        return DiagnosticStatus.WARN, _why_no_images(report)
    if report.warnings:
        return DiagnosticStatus.WARN, report.warnings[-1]
    if not any(report.subscribers.values()):
        return DiagnosticStatus.OK, "idle: no output has a subscriber"
    return DiagnosticStatus.OK, f"{seen.out_hz:.1f} frames/s"


def _why_no_images(report: Report) -> str:
    if report.publishers == 0:
        return f"no publisher on {report.input_topic}: check the remapping of `image` and image_transport"
    if math.isinf(report.snapshot.age_in):
        return f"{report.input_topic} has a publisher but nothing arrives: check its rate and QoS"
    return f"no image on {report.input_topic} for {report.snapshot.age_in:.0f} s"


def values(report: Report) -> dict[str, str]:
    """Keys and values, numbers written so that ``float()`` reads them."""
    seen = report.snapshot
    pairs: dict[str, str] = {
        "state": report.state,
        "frames/in": str(seen.frames_in),
        "frames/out": str(seen.frames_out),
        "frames/replaced": str(report.replaced),
        "frames/malformed": str(sum(seen.malformed.values())),
        "rate/in_hz": f"{seen.in_hz:.2f}",
        "rate/out_hz": f"{seen.out_hz:.2f}",
        "age/newest_s": f"{seen.age_in:.3f}",
        "vocabulary/version": str(report.vocabulary_version),
        "vocabulary/size": str(report.vocabulary_size),
        "worker/errors": str(seen.errors),
        "worker/last_error": seen.recent_error,
        "malformed/last": seen.recent_malformed,
    }
    pairs |= {f"malformed/{reason}": str(count) for reason, count in sorted(seen.malformed.items())}
    for stage, (p50, p95) in seen.latency.items():
        pairs |= {f"latency_ms/{stage}/p50": f"{p50:.2f}", f"latency_ms/{stage}/p95": f"{p95:.2f}"}
    for role, (model, space) in report.models.items():
        pairs |= {f"model/{role}": model, f"space/{role}": space}
    pairs |= {f"engine/{role}": why for role, why in report.engines.items()}
    if report.warnings:
        pairs["engine/warnings"] = "; ".join(report.warnings)
    return pairs | {f"subscribers/{name}": str(count) for name, count in report.subscribers.items()}


def status(name: str, report: Report) -> DiagnosticStatus:
    """One DiagnosticStatus; hardware_id is the topic that is read."""
    severity, message = level(report)
    pairs = [KeyValue(key=key, value=value) for key, value in values(report).items()]
    return DiagnosticStatus(
        level=severity, name=name, message=message, hardware_id=report.input_topic, values=pairs
    )


class Diagnostics:
    """Publishes a report once a second of real time, whatever the node's clock does."""

    def __init__(self, node: Node, report: Callable[[], Report], group: CallbackGroup) -> None:
        self._node, self._report = node, report
        self._publisher = node.create_publisher(
            DiagnosticArray, "/diagnostics", output(10), qos_overriding_options=overridable()
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD, self.publish, callback_group=group, clock=steady)

    def publish(self) -> None:
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [status(self._node.get_fully_qualified_name().lstrip("/"), self._report())]
        self._publisher.publish(message)
