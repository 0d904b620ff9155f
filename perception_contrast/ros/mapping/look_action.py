"""The action ``~/look_for``: looks until something is seen."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from perception_contrast_msgs.action import FindObjects
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode

from perception_contrast.core.errors import PerceptionError, QueryError
from perception_contrast.mapping.answers.map_query import FindFilters
from perception_contrast.ros.mapping.map_control import MapControl
from perception_contrast.ros.mapping.map_services import MapServices
from perception_contrast.ros.mapping.object_messages import hit_message

_PERIOD = 0.5
# Each goal takes a thread of the executor, which has to go on with everything else.
MOST_GOALS = 4


class LookAction:
    """Answers goals until the thing is found, the time is up, or the goal is cancelled.

    MOST_GOALS may run at once; further ones are rejected.

    Args:
        node: Owner of the action server.
        control: The map.
        services: Makes questions of goals.
    """

    def __init__(self, node: LifecycleNode, control: MapControl, services: MapServices) -> None:
        self._node, self._control, self._services = node, control, services
        self._ended, self._running, self._lock = False, 0, threading.Lock()
        self._server = ActionServer(
            node,
            FindObjects,
            "~/look_for",
            self._execute,
            callback_group=ReentrantCallbackGroup(),
            goal_callback=self._admit,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def close(self) -> None:
        """Ends the goals that still run; the server goes with its node."""
        self._ended = True

    def _admit(self, _: Any) -> GoalResponse:
        with self._lock:
            if self._running >= MOST_GOALS:
                self._node.get_logger().warning(
                    f"a goal of look_for was rejected: {MOST_GOALS} run already; cancel one",
                    throttle_duration_sec=10.0,
                )
                return GoalResponse.REJECT
            self._running += 1
            return GoalResponse.ACCEPT

    def _execute(self, goal: Any) -> Any:
        result = FindObjects.Result()
        try:
            self._look(goal, result)
        except PerceptionError as error:
            result.message = str(error)
            goal.abort()
        finally:
            with self._lock:
                self._running -= 1
        return result

    def _look(self, goal: Any, result: Any) -> None:
        """Ends the goal and fills its result. Raises PerceptionError where it cannot be looked for."""
        request = goal.request
        self._services.require_active()
        if not (math.isfinite(request.timeout) and request.timeout >= 0):
            raise QueryError(f"timeout {request.timeout:g} is no time; give seconds, or 0 for no limit")
        query = self._services.query(request.text, request.label, request.exemplar)
        filters = FindFilters(
            min_score=float(request.min_score) or self._control.requests.min_score, max_results=3
        )
        began = time.monotonic()
        while not self._ended:
            self._services.require_active()
            answer = self._control.find(query, filters)
            elapsed = time.monotonic() - began
            sure = next((hit for hit in answer.hits if hit.status == "confirmed"), None)
            if sure is not None:
                result.success, result.message = True, answer.message
                result.header, result.object = self._services.header(), hit_message(sure)
                self._services.note_found(answer)
                goal.succeed()
                return
            if goal.is_cancel_requested:
                result.message = f"cancelled after {elapsed:.1f} s: {answer.message}"
                goal.canceled()
                return
            if 0.0 < request.timeout <= elapsed:
                result.message = f"not seen within {request.timeout:g} s: {answer.message}"
                goal.abort()
                return
            goal.publish_feedback(self._feedback(answer, elapsed))
            time.sleep(_PERIOD)
        result.message = "the node ends"
        goal.abort()

    def _feedback(self, answer: Any, elapsed: float) -> Any:
        own = self._control.map
        feedback = FindObjects.Feedback(header=self._services.header(), elapsed=float(elapsed))
        feedback.best = [hit_message(hit) for hit in answer.hits]
        feedback.objects = len(own.objects.objects)
        feedback.voxels = 0 if own.voxels is None else len(own.voxels)
        return feedback
