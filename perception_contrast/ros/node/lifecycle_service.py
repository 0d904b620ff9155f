"""A ``~/change_state`` service that answers every request."""

from __future__ import annotations

from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode


def answer_impossible_transitions(node: LifecycleNode) -> None:
    """Makes ``~/change_state`` of a node refuse transitions that its state does not have.

    rclpy raises there and sends no response, so that the caller waits for ever. rclpy has no hook for this,
    hence its service's callback is wrapped. The service also gets a callback group of its own, so that state
    and parameters can be read while models load.
    """
    service = node._service_change_state
    change_state = service.callback

    def respond(request: Any, response: Any) -> Any:
        try:
            return change_state(request, response)
        except rclpy_implementation.RCLError as error:
            node.get_logger().warning(f"this transition is not possible now: {error}")
            response.success = False
            return response

    service.callback = respond
    service.callback_group = MutuallyExclusiveCallbackGroup()
    service.callback_group.add_entity(service)
