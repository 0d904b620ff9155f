"""A topic that is subscribed to only while somebody waits for its messages, and a little longer."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from rclpy.qos import QoSProfile, ReliabilityPolicy

from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.client_errors import ClosedError
from perception_contrast.client.futures import ClientFuture
from perception_contrast.ros.qos import output_qos, sensor_qos

Predicate = Callable[[Any], Any]


class Source(NamedTuple):
    """A topic's full name and message type."""

    topic: str
    kind: Any


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
        source: The topic, or what looks for it; called again, in the client's thread, while it gives None.
        convert: Makes what users get of a message. A message with which it fails is skipped, and one of which
            it makes None is nobody's.
        on_unreadable: Called with the topic and the error of a skipped message.
        linger: Seconds that the subscription outlives its last use, so that a loop does not subscribe anew
            each time.
        qos: A fixed profile; by default as reliable as the publishers.
        raw: Give ``convert`` the serialized message.
        name: What errors call the topic while it is not known.
    """

    def __init__(
        self,
        background: BackgroundNode,
        source: Source | Callable[[], Source | None],
        convert: Callable[[Any], Any],
        on_unreadable: Callable[[str, Exception], None],
        linger: float,
        qos: QoSProfile | None = None,
        raw: bool = False,
        name: str = "",
    ) -> None:
        fixed = source if isinstance(source, Source) else None
        self._find: Callable[[], Source | None] = (lambda: fixed) if isinstance(source, Source) else source
        self._source, self._name = fixed, name
        self._background, self._convert = background, convert
        self._on_unreadable, self._linger, self._qos, self._raw = on_unreadable, linger, qos, raw
        self._subscription: Any = None
        self._last_use = 0.0
        self._newest: Any = None
        self._waiters: list[_Waiter] = []
        self._listeners: dict[Callable[[Any], None], Callable[[], None]] = {}
        background.add_task(self)

    @property
    def topic(self) -> str:
        """Full name; what it is of while that is not known."""
        return self._name if self._source is None else self._source.topic

    @property
    def subscribed(self) -> bool:
        """Whether the topic is subscribed to now."""
        return self._subscription is not None

    @property
    def newest(self) -> Any:
        """What the newest message became; None while none came since the subscription began."""
        return self._newest

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
            predicate: Gives the value for a message, or None to wait on.
            timeout: Seconds.
            timeout_error: Makes the error at the deadline.
            newest: Try the newest message that came before too.
        """
        result: ClientFuture[Any] = ClientFuture(lambda: self._background.thread, time.monotonic() + timeout)

        def begin() -> None:
            self.keep()
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
            self.keep()

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
        """Number of publishers of the topic."""
        return 0 if self._source is None else int(self._background.node.count_publishers(self._source.topic))

    # In the client's thread.

    def keep(self) -> None:
        """Subscribes, and counts as a use of the subscription."""
        self._last_use = time.monotonic()
        if self._subscription is not None:
            return
        self._source = self._find()
        if self._source is not None:
            self._subscription = self._background.node.create_subscription(
                self._source.kind,
                self._source.topic,
                self._received,
                self._profile(self._source.topic),
                raw=self._raw,
            )

    def _profile(self, topic: str) -> QoSProfile:
        if self._qos is not None:
            return self._qos
        offers = self._background.node.get_publishers_info_by_topic(topic)
        unreliable = any(one.qos_profile.reliability != ReliabilityPolicy.RELIABLE for one in offers)
        return sensor_qos(2) if unreliable else output_qos(2)

    def _received(self, message: Any) -> None:
        try:
            value = self._convert(message)
        except Exception as error:
            self._on_unreadable(self.topic, error)
            return
        if value is None:
            return
        self._newest = value
        for waiter in self._waiters:
            waiter.offer(value)
        for listener in tuple(self._listeners):
            listener(value)

    def on_tick(self, now: float) -> bool:
        """Ends waits past their deadline, and an unused subscription; whether it is still subscribed."""
        for waiter in self._waiters:
            if not waiter.result.done() and now > waiter.result.deadline:
                waiter.result.try_set_exception(waiter.timeout_error())
        left = [waiter for waiter in self._waiters if not waiter.result.done()]
        if self._waiters:
            self._last_use = now
        self._waiters = left
        if self._subscription is None:
            if self._listeners or left:
                self.keep()
            return bool(self._listeners or left)
        if not self._listeners and not left and now - self._last_use > self._linger:
            self._background.node.destroy_subscription(self._subscription)
            # A message from before a pause is not the newest one after it.
            self._subscription = self._newest = None
        return self._subscription is not None

    def on_close(self) -> None:
        """Ends all waits with an error."""
        for waiter in self._waiters:
            error = ClosedError(f"the client was closed before a message came on {self.topic}")
            waiter.result.try_set_exception(error)
        for on_close in self._listeners.values():
            on_close()
        self._waiters.clear()
