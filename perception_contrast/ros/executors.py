"""Executors in which what cannot be taken blocks nothing else.

rclpy marks a callback group as busy before it takes what came for one of its entities. Where the taking
raises, the group stays busy for good: a timer that another thread cancels at that moment silences the
subscriptions beside it until the process ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.executors import Executor, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.timer import Timer

__all__ = ("ConcurrentExecutor", "SequentialExecutor")


class _GroupsStayFree(Executor if TYPE_CHECKING else object):  # type: ignore[misc]
    """Lets a callback group go on when the taking for one of its entities raises."""

    def _make_handler(self, entity: Any, node: Any, take: Callable[[Any], Any], *rest: Any) -> Any:
        """As rclpy's own; ``rest`` is what Humble's has besides."""

        def take_or_skip(taken: Any) -> Any:
            try:
                return take(taken)
            except Exception as error:
                if not (isinstance(taken, Timer) and taken.is_canceled()):
                    kind = type(taken).__name__.lower()
                    node.get_logger().error(f"what came for a {kind} could not be taken: {error!r}")
                return None

        return super()._make_handler(entity, node, take_or_skip, *rest)


class ConcurrentExecutor(_GroupsStayFree, MultiThreadedExecutor):
    """Runs callbacks in several threads."""


class SequentialExecutor(_GroupsStayFree, SingleThreadedExecutor):
    """Runs callbacks in the thread that spins."""
