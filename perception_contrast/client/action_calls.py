"""Goals of one action with deadlines and errors that say which nodes there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient

from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.client_errors import ClosedError, NoAnswerError, RefusedError
from perception_contrast.client.futures import ClientFuture
from perception_contrast.client.service_calls import ServiceCaller


@dataclass
class _Goal:
    request: Any
    result: ClientFuture[Any]
    late: str
    on_feedback: Callable[[Any], Any]
    sent: Any = None
    handle: Any = None


class ActionCaller:
    """Sends goals to one action server; its client is made when it is first needed.

    Args:
        kind: Action type.
        name: Full name of the action.
        caller: Tells which nodes there are.
    """

    def __init__(self, background: BackgroundNode, kind: Any, name: str, caller: ServiceCaller) -> None:
        self._background, self._kind, self._name, self._caller = background, kind, name, caller
        self._client: ActionClient | None = None
        self._goals: list[_Goal] = []
        background.add_task(self)

    def send(
        self, request: Any, timeout: float, late: str, on_feedback: Callable[[Any], Any] = lambda _: None
    ) -> ClientFuture[Any]:
        """A future of the result; a goal whose future is cancelled or late is cancelled.

        Args:
            request: The goal.
            timeout: Seconds.
            late: Text of the error at the deadline.
            on_feedback: Called with each feedback message, in the client's thread.
        """
        deadline = time.monotonic() + timeout
        result: ClientFuture[Any] = ClientFuture(lambda: self._background.thread, deadline)
        goal = _Goal(request, result, late, on_feedback)
        self._background.submit(lambda: self._goals.append(goal))
        return result

    # In the client's thread.

    def on_tick(self, now: float) -> bool:
        """Sends waiting goals and ends those past their deadline; whether any are left."""
        for goal in self._goals:
            if now > goal.result.deadline:
                goal.result.try_set_exception(self._timeout_error(goal))
            if goal.result.done():
                self._give_up(goal)
            elif goal.sent is None and self._server_is_ready():
                self._send(goal)
        self._goals = [one for one in self._goals if not one.result.done()]
        return bool(self._goals)

    def on_close(self) -> None:
        """Ends all goals with an error."""
        for goal in self._goals:
            goal.result.try_set_exception(ClosedError(f"the client was closed before {self._name} ended"))
            self._give_up(goal)
        self._goals.clear()
        if self._client is not None:
            self._client.destroy()

    def _server_is_ready(self) -> bool:
        if self._client is None:
            self._client = ActionClient(self._background.node, self._kind, self._name)
        return bool(self._client.server_is_ready())

    def _send(self, goal: _Goal) -> None:
        assert self._client is not None
        goal.sent = self._client.send_goal_async(
            goal.request, lambda message: self._feed_back(goal, message.feedback)
        )
        goal.sent.add_done_callback(lambda future: self._accepted(goal, future))

    def _feed_back(self, goal: _Goal, feedback: Any) -> None:
        if not goal.result.done():
            goal.on_feedback(feedback)

    def _accepted(self, goal: _Goal, future: Any) -> None:
        goal.handle = future.result()
        if not goal.handle.accepted:
            goal.result.try_set_exception(
                RefusedError(f"{self._name} rejected the goal; it runs as many as it can, so cancel one")
            )
        elif goal.result.done():
            goal.handle.cancel_goal_async()
        else:
            goal.handle.get_result_async().add_done_callback(lambda one: self._ended(goal, one))

    def _ended(self, goal: _Goal, future: Any) -> None:
        response, goal.handle = future.result(), None
        if response.status == GoalStatus.STATUS_SUCCEEDED:
            goal.result.try_set_result(response.result)
        else:
            kind = NoAnswerError if response.status == GoalStatus.STATUS_CANCELED else RefusedError
            goal.result.try_set_exception(kind(f"{self._name}: {response.result.message}"))

    def _give_up(self, goal: _Goal) -> None:
        if goal.handle is not None and goal.handle.accepted:
            goal.handle.cancel_goal_async()

    def _timeout_error(self, goal: _Goal) -> Exception:
        if goal.sent is None:
            return self._caller.absence(f"offers the action {self._name}")
        return NoAnswerError(goal.late)
