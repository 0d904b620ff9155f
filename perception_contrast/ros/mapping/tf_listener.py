"""TfListener: keeps a tree of transforms up to date with /tf and /tf_static."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from perception_contrast.mapping.poses.transform_buffer import CACHE_TIME, OnRefused
from perception_contrast.ros.mapping.transform_trees import TransformTree, transform_tree
from perception_contrast.ros.messages.image_messages import nanoseconds
from perception_contrast.ros.qos import checked_qos_overrides, qos_overrides, transform_qos

_SILENCE = 1.0
"""Seconds in which all stamps must be far older than before, so that the clock counts as set back."""


class StampWatch:
    """Notices that the stamps of transforms began anew: a bag in a loop, a simulation that was reset.

    One publisher with a wrong clock among others does not count: nothing newer must come for a second.

    Args:
        age: Nanoseconds by which a stamp must be older than the newest.
        now: Seconds of a steady clock.
    """

    def __init__(self, age: int, now: Callable[[], float] = time.monotonic) -> None:
        self._age, self._now = age, now
        self.reset()

    def reset(self) -> None:
        """Forgets all stamps."""
        self._newest, self._seen = 0, self._now()

    def set_back(self, stamp: int) -> bool:
        """Whether the clock was set back, by one more stamp in nanoseconds; then all is forgotten."""
        if stamp >= self._newest - self._age:
            self._newest, self._seen = max(self._newest, stamp), self._now()
            return False
        if self._now() - self._seen < _SILENCE:
            return False
        self.reset()
        self._newest = stamp
        return True


class TfListener:
    """Subscribes to /tf and /tf_static, or the latter alone, for as long as it is open.

    Forgets what moves when the node's clock jumps back, as tf2 does, and when the stamps begin anew.

    Args:
        node: Whose subscriptions these are.
        tree: Takes the transforms; by default tf2's where it is installed, else ours.
        on_transforms: Called after each message, from the executor; for what waits for a pose.
        on_clear: Called after a jump of the clock.
        cache_time: Nanoseconds for which transforms are kept, where ``tree`` is not given.
        moving: False reads /tf_static alone.
        on_refused: As of ``TransformBuffer``, where ``tree`` is not given.

    Attributes:
        tree: Has ``lookup``.
        received: Transforms that arrived.
        cleared: How often a jump of the clock emptied the tree.

    Raises:
        ParameterError: Quality of service was overridden to an impossible value.
    """

    def __init__(
        self,
        node: Node,
        tree: TransformTree | None = None,
        *,
        on_transforms: Callable[[], None] | None = None,
        on_clear: Callable[[], None] | None = None,
        cache_time: int = CACHE_TIME,
        moving: bool = True,
        on_refused: OnRefused | None = None,
    ) -> None:
        self.tree = tree or transform_tree(cache_time, on_refused)
        self.received = self.cleared = 0
        self._node, self._on_transforms, self._on_clear = node, on_transforms, on_clear
        self._watch = StampWatch(cache_time)
        group = MutuallyExclusiveCallbackGroup()
        self._subscriptions = []
        topics = [("/tf", self._take, False)] if moving else []
        for topic, callback, static in (*topics, ("/tf_static", self._take_static, True)):
            with checked_qos_overrides(topic):
                self._subscriptions.append(
                    node.create_subscription(
                        TFMessage,
                        topic,
                        callback,
                        transform_qos(static=static),
                        callback_group=group,
                        qos_overriding_options=qos_overrides(),
                    )
                )
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        self._jumps = node.get_clock().create_jump_callback(threshold, post_callback=lambda _: self.clear())

    def clear(self) -> None:
        """Forgets what moves."""
        self.cleared += 1
        self._watch.reset()
        self.tree.clear()
        if self._on_clear is not None:
            self._on_clear()

    def close(self) -> None:
        """Ends the subscriptions."""
        self._jumps.unregister()
        for one in self._subscriptions:
            self._node.destroy_subscription(one)

    def _take(self, message: TFMessage) -> None:
        if message.transforms and self._watch.set_back(
            max(nanoseconds(one.header.stamp) for one in message.transforms)
        ):
            self.clear()
        self._add(message, static=False)

    def _take_static(self, message: TFMessage) -> None:
        self._add(message, static=True)

    def _add(self, message: TFMessage, *, static: bool) -> None:
        for one in message.transforms:
            self.tree.add(one, static=static)
        self.received += len(message.transforms)
        if self._on_transforms is not None:
            self._on_transforms()
