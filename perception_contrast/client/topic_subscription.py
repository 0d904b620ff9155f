"""A topic that is subscribed to only while somebody waits for its messages, and a little longer."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.qos import QoSProfile, ReliabilityPolicy

from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.client_errors import ClosedError
from perception_contrast.client.futures import ClientFuture
from perception_contrast.ros.qos import output_qos, sensor_qos

Predicate = Callable[[Any], Any]


@dataclass(frozen=True)
class _Waiter:
    """Waits for the first message of which ``predicate`` makes something."""

    predicate: Predicate
    result: ClientFuture[Any]
    timeout_error: Callable[[], Exception]

    def offer(self, value: Any) -> None:
        found = self.predicate(value)
        if found is not None:
            self.result.try_set_result(found)


class TopicSubscription:
    """One topic. Messages are converted once, in the client's thread.

    Args:
        kind: Message type.
        topic: Full name.
        convert: Makes what users get of a message. A message with which it fails is skipped.
        on_unreadable: Called with the topic and the error of a skipped message.
        linger: Seconds that the subscription outlives its last use, so that a loop does not subscribe anew
            each time.
        qos: A fixed profile; by default as reliable as the publishers.
    """

    def __init__(
        self,
        background: BackgroundNode,
        kind: Any,
        topic: str,
        convert: Callable[[Any], Any],
        on_unreadable: Callable[[str, Exception], None],
        linger: float,
        qos: QoSProfile | None = None,
    ) -> None:
        self.topic = topic
        self._background, self._kind, self._convert = background, kind, convert
        self._on_unreadable, self._linger, self._qos = on_unreadable, linger, qos
        self._subscription: Any = None
        self._last_use = 0.0
        self._newest: Any = None
        self._waiters: list[_Waiter] = []
        self._listeners: dict[Callable[[Any], None], Callable[[], None]] = {}
        background.add_task(self)

    @property
    def subscribed(self) -> bool:
        return self._subscription is not None

    def wait(
        self,
        predicate: Predicate,
        timeout: float,
        timeout_error: Callable[[], Exception],
        *,
        newest: bool = False,
    ) -> ClientFuture[Any]:
        """A future of the first value that ``predicate`` makes of a message and that is not None.

        Args:
            timeout: Seconds.
            timeout_error: Makes the error at the deadline.
            newest: Try the newest message that came before too.
        """
        result: ClientFuture[Any] = ClientFuture(lambda: self._background.thread, time.monotonic() + timeout)

        def begin() -> None:
            self._subscribe()
            waiter = _Waiter(predicate, result, timeout_error)
            if newest and self._newest is not None:
                waiter.offer(self._newest)
            if not result.done():
                self._waiters.append(waiter)

        self._background.submit(begin)
        return result

    def add_listener(self, listener: Callable[[Any], None], on_close: Callable[[], None]) -> None:
        """Calls ``listener`` with each message, in the client's thread, until ``remove_listener``.

        on_close: called if the client is closed before that.
        """

        def begin() -> None:
            self._listeners[listener] = on_close
            self._subscribe()

        self._background.submit(begin)

    def remove_listener(self, listener: Callable[[Any], None]) -> None:
        """Undoes ``add_listener``."""

        def end() -> None:
            self._listeners.pop(listener, None)
            self._last_use = time.monotonic()

        with contextlib.suppress(ClosedError):
            self._background.submit(end)

    def in_client_thread(self) -> bool:
        """True in a callback of the client, where waiting would wait for itself."""
        return threading.current_thread() is self._background.thread

    def publishers(self) -> int:
        return int(self._background.node.count_publishers(self.topic))

    # In the client's thread.

    def _profile(self) -> QoSProfile:
        if self._qos is not None:
            return self._qos
        offers = self._background.node.get_publishers_info_by_topic(self.topic)
        unreliable = any(one.qos_profile.reliability != ReliabilityPolicy.RELIABLE for one in offers)
        return sensor_qos(2) if unreliable else output_qos(2)

    def _subscribe(self) -> None:
        self._last_use = time.monotonic()
        if self._subscription is None:
            self._subscription = self._background.node.create_subscription(
                self._kind, self.topic, self._received, self._profile()
            )

    def _received(self, message: Any) -> None:
        try:
            value = self._convert(message)
        except Exception as error:
            self._on_unreadable(self.topic, error)
            return
        self._newest = value
        for waiter in self._waiters:
            waiter.offer(value)
        for listener in tuple(self._listeners):
            listener(value)

    def on_tick(self, now: float) -> bool:
        for waiter in self._waiters:
            if not waiter.result.done() and now > waiter.result.deadline:
                waiter.result.try_set_exception(waiter.timeout_error())
        left = [waiter for waiter in self._waiters if not waiter.result.done()]
        if self._waiters:
            self._last_use = now
        self._waiters = left
        if self._subscription is None:
            return False
        if not self._listeners and not left and now - self._last_use > self._linger:
            self._background.node.destroy_subscription(self._subscription)
            # A message from before a pause is not the newest one after it.
            self._subscription = self._newest = None
        return self._subscription is not None

    def on_close(self) -> None:
        for waiter in self._waiters:
            error = ClosedError(f"the client was closed before a message came on {self.topic}")
            waiter.result.try_set_exception(error)
        for on_close in self._listeners.values():
            on_close()
        self._waiters.clear()
