"""Publishes reports on /diagnostics as diagnostic_msgs, with keys that programs can read.

A node with one camera of no name has one status, named after the node. One with named cameras has that
and one for each, "<node>: <camera>". docs/diagnostics.md lists the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from perception_contrast.ros.monitoring.health import (
    Finding,
    NodeReport,
    camera_findings,
    camera_values,
    most_serious_first,
    node_findings,
    node_values,
)
from perception_contrast.ros.qos import output_qos, qos_overrides

PERIOD = 1.0
_LEVELS = (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR)


def statuses(name: str, report: NodeReport) -> list[DiagnosticStatus]:
    """The status of a node and, if it has several cameras, of each; hardware_id is the topic or the node."""
    own, cameras = node_findings(report), report.cameras
    found = [camera_findings(one, report.state) for one in cameras]
    if len(cameras) == 1 and not cameras[0].name:
        values = node_values(report) | camera_values(cameras[0])
        return [status_message(name, most_serious_first([*own, *found[0]]), cameras[0].topic, values)]
    # The first finding of each camera is repeated for the node, with the camera's name before it.
    repeated = [
        Finding(one.level, one.kind, f"{camera.name}: {one.text}")
        for camera, each in zip(cameras, found, strict=True)
        for one in each[:1]
    ]
    node_status = status_message(name, most_serious_first([*own, *repeated]), name, node_values(report))
    return [
        node_status,
        *(
            status_message(f"{name}: {camera.name}", each or own, camera.topic, camera_values(camera))
            for camera, each in zip(cameras, found, strict=True)
        ),
    ]


def status_message(
    name: str, found: Sequence[Finding], hardware: str, values: dict[str, str]
) -> DiagnosticStatus:
    """A status whose message is the first finding; the others stand in the value ``also``."""
    if len(found) > 1:
        values = values | {"also": "; ".join(one.text for one in found[1:])}
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    level = _LEVELS[found[0].level] if found else DiagnosticStatus.OK
    message = found[0].text if found else ""
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware, values=pairs)


class Diagnostics:
    """Publishes a report periodically in real time, whatever the node's clock does."""

    def __init__(
        self,
        node: Node,
        report: Callable[[str], Sequence[DiagnosticStatus]],
        group: CallbackGroup,
        period: float = PERIOD,
    ) -> None:
        """report: gives the statuses of the node of that name. period: seconds."""
        self._node, self._report = node, report
        self._publisher = node.create_publisher(
            DiagnosticArray, "/diagnostics", output_qos(10), qos_overriding_options=qos_overrides()
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(period, self.publish, callback_group=group, clock=steady)

    def publish(self) -> None:
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = list(self._report(self._node.get_fully_qualified_name().lstrip("/")))
        self._publisher.publish(message)
