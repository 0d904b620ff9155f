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

# How messages of perception_node begin while it is not active.
_NOT_ACTIVE = "not active"
_SERVICE = "/set_queries"
_SERVICE_TYPE = "perception_contrast_msgs/srv/SetQueries"


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
    """Calls services of one perception_node; its clients are made when they are first needed."""

    def __init__(self, background: BackgroundNode, target: str) -> None:
        self._background, self._target = background, target
        self._clients: dict[str, Any] = {}
        self._pending: list[_PendingCall] = []
        background.add_task(self)

    def call(
        self, kind: Any, name: str, request: Any, timeout: float, refusal: Callable[[Any], str] | None = None
    ) -> ClientFuture[Any]:
        """A future of the response.

        Args:
            kind: Service type; name: full name of the service.
            timeout: Seconds.
            refusal: Gives the reason why a response is a refusal, "" if it is none. By default a response
                is a refusal if its ``success`` is False.
        """
        result: ClientFuture[Any] = ClientFuture(lambda: self._background.thread, time.monotonic() + timeout)
        pending = _PendingCall(kind, name, request, result, timeout, refusal=refusal or _refusal)
        self._background.submit(lambda: self._begin(pending))
        return result

    def nodes(self) -> list[str]:
        """Full names of the perception_nodes that are there."""
        services = self._background.node.get_service_names_and_types()
        return sorted(
            name.removesuffix(_SERVICE)
            for name, kinds in services
            if name.endswith(_SERVICE) and _SERVICE_TYPE in kinds
        )

    def _begin(self, pending: _PendingCall) -> None:
        if pending.name not in self._clients:
            self._clients[pending.name] = self._background.node.create_client(pending.kind, pending.name)
        self._pending.append(pending)

    def on_tick(self, now: float) -> bool:
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
        there = ", ".join(self.nodes()) or "none"
        return NodeAbsentError(
            f"nobody offers {pending.name} after {pending.timeout:g} s; perception nodes that are there: "
            f"{there}. Start perception_node, or give its name as target (here '{self._target}'), and "
            "check ROS_DOMAIN_ID"
        )

    def on_close(self) -> None:
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
