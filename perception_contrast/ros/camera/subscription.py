"""One camera topic: reliable where every publisher offers that, with what is wrong on it in words."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription

from perception_contrast.ros.qos import (
    SubscriptionEventCallbacks,
    UnsupportedEventTypeError,
    checked_overrides,
    offers_reliable,
    overridable,
    sensor,
)

ADAPT_PERIOD = 0.5
MOST_SIMILAR = 3


class AdaptiveSubscription:
    """A subscription that can be opened and closed. Closed at first.

    reliability: "auto" for reliable while every publisher offers that, else best effort; or "reliable"
    or "best_effort" for good. Raises ParameterError for a quality of service that was overridden to what
    cannot be: here, and not when a camera is first needed.
    """

    def __init__(
        self,
        node: Node,
        kind: type,
        topic: str,
        callback: Callable[[Any], None],
        group: CallbackGroup,
        reliability: str,
    ) -> None:
        self._node, self._kind, self._callback, self._group = node, kind, callback, group
        self.topic = node.resolve_topic_name(topic)
        self._adapts, self._reliable = reliability == "auto", reliability == "reliable"
        self._subscription: Subscription | None = None
        self._timer: Any = None
        # Declares the parameters that override its quality of service, and checks them.
        with checked_overrides(self.topic):
            self._node.destroy_subscription(self._subscribe())

    @property
    def is_open(self) -> bool:
        return self._subscription is not None

    def open(self) -> None:
        if self._subscription is not None:
            return
        if self._adapts:
            self._reliable = offers_reliable(self._node, self.topic)
            # In the callback's own group, so that it never runs while the callback does.
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = self._node.create_timer(
                ADAPT_PERIOD, self._adapt, callback_group=self._group, clock=steady
            )
        self._subscription = self._subscribe()

    def close(self) -> None:
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._timer = self._subscription = None

    def _subscribe(self) -> Subscription:
        arguments = dict(
            callback_group=self._group, qos_overriding_options=overridable(reliability=not self._adapts)
        )
        profile = sensor(reliable=self._reliable)
        # What does not fit is told in diagnostics, with its publisher's name; the log needs no second line.
        quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
        try:
            return self._node.create_subscription(
                self._kind, self.topic, self._callback, profile, event_callbacks=quiet, **arguments
            )
        except UnsupportedEventTypeError:
            return self._node.create_subscription(
                self._kind, self.topic, self._callback, profile, **arguments
            )

    def _adapt(self) -> None:
        reliable = offers_reliable(self._node, self.topic)
        if reliable != self._reliable and self._subscription is not None:
            self._reliable = reliable
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()

    def publishers(self) -> int:
        """How many publish on the topic."""
        return int(self._node.count_publishers(self.topic))

    def mismatches(self) -> list[str]:
        """Publishers that are there and will not be heard, each with the reason."""
        ours, lines = self._subscription, []
        if ours is None:
            return []
        expected = _type_name(self._kind)
        for info in self._node.get_publishers_info_by_topic(self.topic):
            who = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            if info.topic_type != expected:
                lines.append(f"{who} publishes {info.topic_type}, not {expected}")
                continue
            fits, reason = qos_check_compatible(info.qos_profile, ours.qos_profile)
            if fits == QoSCompatibility.ERROR:
                lines.append(f"{who} offers less than is asked for: {reason.strip().rstrip(';')}")
        return lines

    def similar(self) -> list[str]:
        """Topics of the right type that exist, those with the nearest names first; none of the node's own."""
        own = self._node.get_fully_qualified_name() + "/"
        expected = _type_name(self._kind)
        names = [
            name
            for name, types in self._node.get_topic_names_and_types()
            if expected in types
            and name != self.topic
            and not name.startswith(own)
            and self._node.count_publishers(name)
        ]
        return difflib.get_close_matches(self.topic, names, n=MOST_SIMILAR, cutoff=0.0)


def _type_name(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
