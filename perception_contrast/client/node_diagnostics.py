"""What a node says of itself and its cameras on /diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray

from perception_contrast.client.result_types import Stamped
from perception_contrast.client.topic_subscription import Source

SOURCE = Source("/diagnostics", DiagnosticArray)
_LEVELS = ("ok", "warn", "error", "stale")
_CAMERA = ": "


@dataclass(frozen=True)
class Diagnostics(Stamped):
    """One status of a node; docs/diagnostics.md lists its messages with their remedies, and its values.

    Attributes:
        name: Name of the node without the first slash; for one of several cameras ``<node>: <camera>``.
        level: "ok", "warn", "error" or "stale".
        message: The most serious finding.
        also: The other findings; "" if there are none.
        values: Key to value.
    """

    name: str
    level: str
    message: str
    also: str
    values: Mapping[str, str]

    @property
    def camera(self) -> str:
        """Name of the camera, "" for the node's own status."""
        return self.name.partition(_CAMERA)[2]


def diagnostics_of(node: str) -> Callable[[Any], tuple[Diagnostics, ...] | None]:
    """Reads the statuses of one node and its cameras out of a DiagnosticArray; None where it has none.

    Args:
        node: Full name.
    """
    own = node.lstrip("/")

    def read(message: Any) -> tuple[Diagnostics, ...] | None:
        found = tuple(
            _diagnostics(message.header, one)
            for one in message.status
            if one.name.partition(_CAMERA)[0].lstrip("/") == own
        )
        return found or None

    return read


def _diagnostics(header: Any, status: Any) -> Diagnostics:
    level = int.from_bytes(status.level, "little")
    values = {one.key: one.value for one in status.values}
    also = values.pop("also", "")
    known = _LEVELS[level] if level < len(_LEVELS) else str(level)
    return Diagnostics(header, status.name, known, status.message, also, values)
