"""What may be asked of every node of ours without waiting: each method returns a future."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import GetState

from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.client_errors import NoAnswerError, NodeNotActiveError
from perception_contrast.client.futures import ClientFuture, chain_future, map_future
from perception_contrast.client.node_diagnostics import Diagnostics
from perception_contrast.client.node_topics import NodeTopics
from perception_contrast.client.parameter_requests import ParameterRequests
from perception_contrast.client.service_calls import ServiceCaller
from perception_contrast.client.target import Target
from perception_contrast.client.topic_subscription import Predicate, TopicSubscription

STATE_TIMEOUT = 1.0


class _NoMessage(Exception):
    """A deadline passed; replaced by an error that says why."""


class NodeRequests:
    """Requests to one node; the blocking client of that node documents the methods.

    Args:
        timeout: Seconds of a request by default.

    Attributes:
        parameters: Requests for the node's parameters.
    """

    def __init__(
        self, background: BackgroundNode, target: Target, topics: NodeTopics, timeout: float
    ) -> None:
        self._background, self._target = background, target
        self._common_topics, self._timeout = topics, timeout
        self._caller = ServiceCaller(background, target)
        self.parameters = ParameterRequests(self._call, target)

    def state(self, timeout: float | None = None) -> ClientFuture[str]:
        service = self._target.service("get_state")
        response = self._call(GetState, service, GetState.Request(), timeout, lambda _: "")
        return map_future(response, lambda one: str(one.current_state.label))

    def latest_diagnostics(self, timeout: float | None = None) -> ClientFuture[tuple[Diagnostics, ...]]:
        return self._message(self._common_topics.diagnostics, timeout, newest=True)

    def no_message_error(
        self, subscription: TopicSubscription, timeout: float, state: str | None
    ) -> Exception:
        """Why no message came on a topic. state: of the node's lifecycle, None if it does not respond."""
        topic = subscription.topic
        if state is None and not subscription.publishers():
            return self._caller.absence(f"publishes on {topic}")
        if state not in (None, "active"):
            return NodeNotActiveError(
                f"no message on {topic} within {timeout:g} s: the node is {state}, not active; "
                f"wait for it or use `ros2 lifecycle set {self._target.node}`"
            )
        return NoAnswerError(
            f"no message on {topic} within {timeout:g} s though its node is there; "
            f"{self._target.kind.silence} /diagnostics says why nothing is published"
        )

    def _message(
        self,
        subscription: TopicSubscription,
        timeout: float | None,
        predicate: Predicate = lambda message: message,
        timeout_error: Callable[[], Exception | None] = lambda: None,
        *,
        newest: bool = False,
    ) -> ClientFuture[Any]:
        """What ``predicate`` makes of a message, or an error that says why there is none.

        timeout_error: makes a more specific error at the deadline, or None.
        """
        seconds = self._timeout if timeout is None else timeout
        future = subscription.wait(predicate, seconds, _NoMessage, newest=newest)

        def explain(error: Exception) -> ClientFuture[Any]:
            if not isinstance(error, _NoMessage):
                return self._failed(error)
            if specific := timeout_error():
                return self._failed(specific)
            return chain_future(
                self.state(STATE_TIMEOUT),
                lambda state: self._failed(self.no_message_error(subscription, seconds, state)),
                lambda _: self._failed(self.no_message_error(subscription, seconds, None)),
            )

        return chain_future(future, self._done, explain)

    def _call(
        self,
        kind: Any,
        service: str,
        request: Any,
        timeout: float | None,
        refusal: Callable[[Any], str] | None = None,
    ) -> ClientFuture[Any]:
        seconds = self._timeout if timeout is None else timeout
        return self._caller.call(kind, service, request, seconds, refusal)

    def _failed(self, error: Exception) -> ClientFuture[Any]:
        """A future that is done, with an error."""
        future = self._new_future()
        future.try_set_exception(error)
        return future

    def _done(self, value: Any) -> ClientFuture[Any]:
        """A future that is done, with a result."""
        future = self._new_future()
        future.try_set_result(value)
        return future

    def _new_future(self) -> ClientFuture[Any]:
        return ClientFuture(lambda: self._background.thread, time.monotonic())
