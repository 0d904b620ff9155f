"""LTTng trace points of a frame, beside those that ros2_tracing has in rclpy's own C layer.

They are there only where LTTng's Python agent (Debian's python3-lttngust) can be imported, which sends
what the logger `perception_contrast.trace` is told; else a trace point is a call that does nothing.
``lttng enable-event --python perception_contrast.trace`` records them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

_logger = logging.getLogger("perception_contrast.trace")


def _connected() -> bool:
    try:
        import lttngust  # noqa: F401
    except Exception:
        # The agent raises what it likes where no session daemon answers; a robot must start all the same.
        return False
    return True


def trace_points() -> Callable[[str, str, int], None]:
    """A function that takes a point's name, the camera and the image's stamp in nanoseconds."""
    if not _connected():
        return lambda point, camera, stamp: None
    # Not forwarded to the console or to ROS: tracing must not cost more than it tells.
    _logger.propagate = False
    _logger.setLevel(logging.DEBUG)

    def point(name: str, camera: str, stamp: int) -> None:
        _logger.debug("%s camera=%s stamp=%d", name, camera, stamp)

    return point
