"""Topics of a node that are subscribed to only while somebody waits for them or has lately done so."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy.qos import QoSProfile, ReliabilityPolicy

from perception_contrast.client.background_node import Background
from perception_contrast.client.client_errors import ClosedError
from perception_contrast.client.futures import Answer
from perception_contrast.ros.qos import output, sensor

Predicate = Callable[[Any], Any]


class Feed:
    """One topic. Messages are converted once, in the client's thread.

    convert: message to what users get; an error of it goes to ``on_bad`` and the message is skipped.
    linger: seconds that the subscription outlives its last use, so that a loop that asks again and again
    does not subscribe anew each time. qos: a fixed profile; by default as reliable as its publishers.
    """

    def __init__(
        self,
        background: Background,
        kind: Any,
        topic: str,
        convert: Callable[[Any], Any],
        on_bad: Callable[[str, Exception], None],
        linger: float,
        qos: QoSProfile | None = None,
    ) -> None:
        self.topic = topic
        self._background, self._kind, self._convert = background, kind, convert
        self._on_bad, self._linger, self._qos = on_bad, linger, qos
        self._subscription: Any = None
        self._last_use = 0.0
        self._newest: Any = None
        self._waiting: list[tuple[Predicate, Answer[Any], Callable[[], Exception]]] = []
        self._listeners: dict[Callable[[Any], None], Callable[[], None]] = {}
        background.every_tick(self._tick, self._end)

    @property
    def subscribed(self) -> bool:
        return self._subscription is not None

    def wait(
        self, predicate: Predicate, timeout: float, why: Callable[[], Exception], *, newest: bool = False
    ) -> Answer[Any]:
        """What ``predicate`` makes of the first message that comes, if that is not None.

        newest: the last message that came will do too. why: the error at the deadline.
        """
        answer: Answer[Any] = Answer(lambda: self._background.thread, time.monotonic() + timeout)

        def begin() -> None:
            self._subscribe()
            found = predicate(self._newest) if newest and self._newest is not None else None
            if found is not None:
                answer.settle(found)
            else:
                self._waiting.append((predicate, answer, why))

        self._background.submit(begin)
        return answer

    def listen(self, listener: Callable[[Any], None], ended: Callable[[], None]) -> None:
        """Calls ``listener`` with each message, in the client's thread, until ``release``.

        ended: called if the client is closed before that.
        """

        def begin() -> None:
            self._listeners[listener] = ended
            self._subscribe()

        self._background.submit(begin)

    def release(self, listener: Callable[[Any], None]) -> None:
        """Undoes ``listen``."""

        def end() -> None:
            self._listeners.pop(listener, None)
            self._last_use = time.monotonic()

        with contextlib.suppress(ClosedError):
            self._background.submit(end)

    def in_own_thread(self) -> bool:
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
        return sensor(2) if unreliable else output(2)

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
            self._on_bad(self.topic, error)
            return
        self._newest = value
        for predicate, answer, _ in self._waiting:
            found = predicate(value)
            if found is not None:
                answer.settle(found)
        for listener in tuple(self._listeners):
            listener(value)

    def _tick(self, now: float) -> bool:
        for _, answer, why in self._waiting:
            if not answer.done() and now > answer.deadline:
                answer.fail(why())
        left = [one for one in self._waiting if not one[1].done()]
        if left or len(self._waiting) != len(left):
            self._last_use = now
        self._waiting = left
        if self._subscription is None:
            return False
        if not self._listeners and not left and now - self._last_use > self._linger:
            self._background.node.destroy_subscription(self._subscription)
            # A message from before a silence is not the latest of anything.
            self._subscription = self._newest = None
        return self._subscription is not None

    def _end(self) -> None:
        for _, answer, _ in self._waiting:
            answer.fail(ClosedError(f"the client was closed before a message came on {self.topic}"))
        for ended in self._listeners.values():
            ended()
        self._waiting.clear()
