"""Service calls that find their node, or say which nodes there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perception_contrast.client.background_node import Background
from perception_contrast.client.client_errors import (
    ClosedError,
    NoAnswerError,
    NodeAbsentError,
    NodeNotActiveError,
    RefusedError,
)
from perception_contrast.client.futures import Answer

# How perception_node's refusals begin before it is active.
_NOT_ACTIVE = "not active"
_MARK = "/set_queries"
_MARK_TYPE = "perception_contrast_msgs/srv/SetQueries"


@dataclass
class _Pending:
    kind: Any
    name: str
    request: Any
    answer: Answer[Any]
    timeout: float
    future: Any = None
    refusal: Callable[[Any], str] = lambda response: ""


class Calls:
    """Calls services of one perception_node; its clients are made when they are first needed."""

    def __init__(self, background: Background, target: str) -> None:
        self._background, self._target = background, target
        self._clients: dict[str, Any] = {}
        self._pending: list[_Pending] = []
        background.every_tick(self._tick, self._end)

    def start(
        self, kind: Any, name: str, request: Any, timeout: float, refusal: Callable[[Any], str] | None = None
    ) -> Answer[Any]:
        """An answer with the response. refusal: the reason why a response is a refusal, or "".

        By default a response is refused where its ``success`` is False.
        """
        answer: Answer[Any] = Answer(lambda: self._background.thread, time.monotonic() + timeout)
        pending = _Pending(kind, name, request, answer, timeout, refusal=refusal or _refusal)
        self._background.submit(lambda: self._begin(pending))
        return answer

    def nodes(self) -> list[str]:
        """Full names of the perception_nodes that are there."""
        services = self._background.node.get_service_names_and_types()
        return sorted(
            name.removesuffix(_MARK)
            for name, kinds in services
            if name.endswith(_MARK) and _MARK_TYPE in kinds
        )

    def _begin(self, pending: _Pending) -> None:
        if pending.name not in self._clients:
            self._clients[pending.name] = self._background.node.create_client(pending.kind, pending.name)
        self._pending.append(pending)

    def _tick(self, now: float) -> bool:
        for pending in self._pending:
            client = self._clients[pending.name]
            if pending.answer.done():
                self._drop(pending)
            elif pending.future is None and client.service_is_ready():
                pending.future = client.call_async(pending.request)
                pending.future.add_done_callback(lambda future, one=pending: _settle(one, future))
            elif now > pending.answer.deadline:
                self._drop(pending)
                pending.answer.fail(self._too_late(pending))
        self._pending = [one for one in self._pending if not one.answer.done()]
        return bool(self._pending)

    def _drop(self, pending: _Pending) -> None:
        if pending.future is not None and not pending.future.done():
            self._clients[pending.name].remove_pending_request(pending.future)

    def _too_late(self, pending: _Pending) -> Exception:
        if pending.future is not None:
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

    def _end(self) -> None:
        for pending in self._pending:
            pending.answer.fail(ClosedError(f"the client was closed before {pending.name} answered"))
        self._pending.clear()


def _refusal(response: Any) -> str:
    return "" if response.success else str(response.message) or "no reason given"


def _settle(pending: _Pending, future: Any) -> None:
    error = future.exception()
    if error is not None:
        pending.answer.fail(error)
        return
    response = future.result()
    if response is None:
        pending.answer.fail(NoAnswerError(f"{pending.name} gave no response"))
    elif reason := pending.refusal(response):
        kind = NodeNotActiveError if reason.startswith(_NOT_ACTIVE) else RefusedError
        pending.answer.fail(kind(f"{pending.name}: {reason}"))
    else:
        pending.answer.settle(response)
