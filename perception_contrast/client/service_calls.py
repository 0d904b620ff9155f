"""Service calls with deadlines and errors that say which nodes there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.client_errors import (
    ClosedError,
    NoAnswerError,
    NodeAbsentError,
    NodeNotActiveError,
    RefusedError,
)
from perception_contrast.client.futures import ClientFuture
from perception_contrast.client.running_nodes import names_of_kind
from perception_contrast.client.target import Target

# How messages of perception_node and map_node begin while they are not active.
_NOT_ACTIVE = "not active"


@dataclass
class _PendingCall:
    kind: Any
    name: str
    request: Any
    result: ClientFuture[Any]
    timeout: float
    response: Any = None
    refusal: Callable[[Any], str] = lambda response: ""


class ServiceCaller:
    """Calls services of one node; its clients are made when they are first needed."""

    def __init__(self, background: BackgroundNode, target: Target) -> None:
        self._background, self._target = background, target
        self._clients: dict[str, Any] = {}
        self._pending: list[_PendingCall] = []
        background.add_task(self)

    def call(
        self, kind: Any, name: str, request: Any, timeout: float, refusal: Callable[[Any], str] | None = None
    ) -> ClientFuture[Any]:
        """A future of the response.

        Args:
            kind: Service type.
            name: Full name of the service.
            request: Request of that type.
            timeout: Seconds.
            refusal: Gives the reason why a response is a refusal, "" if it is none. By default a response
                is a refusal if its ``success`` is False.
        """
        result: ClientFuture[Any] = ClientFuture(lambda: self._background.thread, time.monotonic() + timeout)
        pending = _PendingCall(kind, name, request, result, timeout, refusal=refusal or _refusal)
        self._background.submit(lambda: self._begin(pending))
        return result

    def absence(self, what: str) -> NodeAbsentError:
        """The error where nobody does ``what``, with the nodes that are there and the remedy."""
        kind = self._target.kind
        there = ", ".join(names_of_kind(self._background.node, kind)) or "none"
        return NodeAbsentError(
            f"nobody {what}; {kind.name}s that are there: {there}. Start {kind.name}, or give its name as "
            f"{kind.argument} (here '{self._target.node}'), and check ROS_DOMAIN_ID"
        )

    def _begin(self, pending: _PendingCall) -> None:
        if pending.name not in self._clients:
            self._clients[pending.name] = self._background.node.create_client(pending.kind, pending.name)
        self._pending.append(pending)

    def on_tick(self, now: float) -> bool:
        """Sends waiting requests and ends those past their deadline; whether any are left."""
        for pending in self._pending:
            client = self._clients[pending.name]
            if pending.result.done():
                self._forget(pending)
            elif pending.response is None and client.service_is_ready():
                pending.response = client.call_async(pending.request)
                pending.response.add_done_callback(lambda future, one=pending: _finish(one, future))
            elif now > pending.result.deadline:
                self._forget(pending)
                pending.result.try_set_exception(self._timeout_error(pending))
        self._pending = [one for one in self._pending if not one.result.done()]
        return bool(self._pending)

    def _forget(self, pending: _PendingCall) -> None:
        if pending.response is not None and not pending.response.done():
            self._clients[pending.name].remove_pending_request(pending.response)

    def _timeout_error(self, pending: _PendingCall) -> Exception:
        if pending.response is not None:
            return NoAnswerError(
                f"{pending.name} did not answer within {pending.timeout:g} s; is its node still alive? "
                "A large model may need a longer timeout"
            )
        return self.absence(f"offers {pending.name} after {pending.timeout:g} s")

    def on_close(self) -> None:
        """Ends all requests with an error."""
        for pending in self._pending:
            pending.result.try_set_exception(
                ClosedError(f"the client was closed before {pending.name} answered")
            )
        self._pending.clear()


def _refusal(response: Any) -> str:
    return "" if response.success else str(response.message) or "no reason given"


def _finish(pending: _PendingCall, future: Any) -> None:
    error = future.exception()
    if error is not None:
        pending.result.try_set_exception(error)
        return
    response = future.result()
    if response is None:
        pending.result.try_set_exception(NoAnswerError(f"{pending.name} gave no response"))
    elif reason := pending.refusal(response):
        kind = NodeNotActiveError if reason.startswith(_NOT_ACTIVE) else RefusedError
        pending.result.try_set_exception(kind(f"{pending.name}: {reason}"))
    else:
        pending.result.try_set_result(response)
