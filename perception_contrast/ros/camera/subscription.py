"""A subscription whose reliability follows the publishers, and why publishers do not match it."""

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
    all_publishers_reliable,
    checked_qos_overrides,
    qos_overrides,
    sensor_qos,
)

ADAPT_PERIOD = 0.5
MAX_SIMILAR = 3


class AdaptiveSubscription:
    """A subscription that can be opened and closed. Closed at first.

    Args:
        topic: As the node calls it: a rule that remaps it holds once. Swapped inputs would else swap back.
        reliability: "auto" for reliable while every publisher offers that, else best effort; or "reliable"
            or "best_effort" for good.

    Raises:
        ParameterError: Quality of service was overridden to an impossible value. It is raised here, and not
            when a camera is first opened.
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
        # rclpy remaps what it subscribes to and asks about; what it counts it does not.
        self._name, self.topic = topic, node.resolve_topic_name(topic)
        self._adapts, self._reliable = reliability == "auto", reliability == "reliable"
        self._subscription: Subscription | None = None
        self._timer: Any = None
        # Declares the parameters that override its quality of service, and checks them.
        with checked_qos_overrides(self.topic):
            self._node.destroy_subscription(self._subscribe())

    @property
    def is_open(self) -> bool:
        return self._subscription is not None

    def open(self) -> None:
        if self._subscription is not None:
            return
        if self._adapts:
            self._reliable = all_publishers_reliable(self._node, self._name)
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
            callback_group=self._group, qos_overriding_options=qos_overrides(reliability=not self._adapts)
        )
        profile = sensor_qos(reliable=self._reliable)
        # Diagnostics name publishers that do not match; the log needs no second line.
        no_callbacks = SubscriptionEventCallbacks(use_default_callbacks=False)
        try:
            return self._node.create_subscription(
                self._kind, self._name, self._callback, profile, event_callbacks=no_callbacks, **arguments
            )
        except UnsupportedEventTypeError:
            return self._node.create_subscription(
                self._kind, self._name, self._callback, profile, **arguments
            )

    def _adapt(self) -> None:
        reliable = all_publishers_reliable(self._node, self._name)
        if reliable != self._reliable and self._subscription is not None:
            self._reliable = reliable
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()

    def publishers(self) -> int:
        """Number of publishers on the topic."""
        return int(self._node.count_publishers(self.topic))

    def incompatible_publishers(self) -> list[str]:
        """Publishers whose messages cannot be received, each with the reason."""
        subscription, lines = self._subscription, []
        if subscription is None:
            return []
        expected = _type_name(self._kind)
        for info in self._node.get_publishers_info_by_topic(self._name):
            publisher = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            if info.topic_type != expected:
                lines.append(f"{publisher} publishes {info.topic_type}, not {expected}")
                continue
            compatibility, reason = qos_check_compatible(info.qos_profile, subscription.qos_profile)
            if compatibility == QoSCompatibility.ERROR:
                lines.append(f"{publisher} offers less than is asked for: {reason.strip().rstrip(';')}")
        return lines

    def similar_topics(self) -> list[str]:
        """Other nodes' topics of the right type, those with the nearest names first."""
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
        return difflib.get_close_matches(self.topic, names, n=MAX_SIMILAR, cutoff=0.0)


def _type_name(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
