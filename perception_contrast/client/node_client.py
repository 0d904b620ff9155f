"""What may be asked of every node of ours, with waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from perception_contrast.client.client_errors import (
    ClientError,
    NoAnswerError,
    NodeAbsentError,
    NodeNotActiveError,
)
from perception_contrast.client.node_diagnostics import Diagnostics
from perception_contrast.client.node_requests import STATE_TIMEOUT, NodeRequests
from perception_contrast.client.node_topics import NodeTopics
from perception_contrast.client.parameter_requests import NodeParameters
from perception_contrast.client.streams import Stream
from perception_contrast.client.target import Target
from perception_contrast.client.topic_subscription import TopicSubscription

POLL_SECONDS = 0.1


class NodeClient:
    """Requests to one node.

    Args:
        target: The node.
        topics: Its topics.
        start: The same requests without waiting.

    Attributes:
        target: Full name of the node.
        parameters: The node's parameters.
    """

    def __init__(self, target: Target, topics: NodeTopics, start: NodeRequests) -> None:
        self.target = target.node
        self._node_topics, self._requests = topics, start
        self.parameters = NodeParameters(start.parameters, topics.parameter_changes, self._stream)

    @property
    def skipped(self) -> int:
        """Number of invalid messages that were skipped."""
        return self._node_topics.skipped

    def state(self, timeout: float | None = None) -> str:
        """Asks for the node's lifecycle state.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            "unconfigured", "inactive", "active", "finalized", or one of the transitions between them.
        """
        return self._requests.state(timeout).result()

    def wait_until_active(self, timeout: float = 120.0) -> None:
        """Waits until the node is active. A perception_node has loaded its models then.

        Args:
            timeout: Seconds to wait.

        Raises:
            NodeNotActiveError: The node is there but not active in that time.
            NodeAbsentError: There is no such node in that time.
            NoAnswerError: The node does not answer in that time.
        """
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            try:
                state = self.state(max(min(left, STATE_TIMEOUT), POLL_SECONDS))
            except (NodeAbsentError, NoAnswerError):
                if left <= 0.0:
                    raise
                continue
            if state == "active":
                return
            if left <= 0.0:
                raise NodeNotActiveError(
                    f"{self.target} is still {state} after {timeout:g} s; /diagnostics says what it does"
                )
            time.sleep(min(POLL_SECONDS, left))

    def latest_diagnostics(self, timeout: float | None = None) -> tuple[Diagnostics, ...]:
        """Gives the newest diagnostics; there are new ones once a second.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The status of the node and, if it has several cameras, then of each camera.
        """
        return self._requests.latest_diagnostics(timeout).result()

    def diagnostics(self, timeout: float | None = None) -> Stream[tuple[Diagnostics, ...]]:
        """Iterates over diagnostics.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._node_topics.diagnostics, timeout)

    def _stream(self, subscription: TopicSubscription, timeout: float | None) -> Stream[Any]:
        def timeout_error() -> Exception:
            try:
                state: str | None = self.state(STATE_TIMEOUT)
            except ClientError:
                state = None
            return self._requests.no_message_error(subscription, timeout or 0.0, state)

        return Stream(subscription, timeout, timeout_error)

    def _listen(self, subscription: TopicSubscription, callback: Callable[[Any], Any]) -> Callable[[], None]:
        """Calls back with messages, in the client's thread. Returns a function that ends it."""
        subscription.add_listener(callback, lambda: None)
        return lambda: subscription.remove_listener(callback)
