"""What comes on a topic, one after another, for as long as somebody takes it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, TypeVar

from perception_contrast.client.client_errors import ClosedError
from perception_contrast.client.topic_feeds import Feed

Value = TypeVar("Value")
# Newer ones displace those that nobody took.
KEPT = 4


class _Inbox:
    """What waits for its reader. Apart from Stream, so that a stream nobody holds any more ends."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque(maxlen=KEPT)
        self._changed = threading.Condition()
        self.ended = False

    def put(self, value: Any) -> None:
        with self._changed:
            self._waiting.append(value)
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def take(self, timeout: float | None) -> Any:
        """The next value; None at the end. Raises TimeoutError."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._waiting:
                left = None if end is None else end - time.monotonic()
                if self.ended:
                    return None
                if left is not None and left <= 0.0:
                    raise TimeoutError
                self._changed.wait(left)
            return self._waiting.popleft()


class Stream(Generic[Value]):
    """An iterator over a topic, in ``for`` and, in asyncio, in ``async for``.

    Subscribed from its making until ``close``, the end of its ``with``, or when nobody holds it any more.
    A slow reader gets the newest: at most KEPT messages wait for it. timeout: seconds without a message
    after which ``next`` raises what ``why`` gives; None for no limit.
    """

    def __init__(self, feed: Feed, timeout: float | None, why: Callable[[], Exception]) -> None:
        self._feed, self._timeout, self._why = feed, timeout, why
        self._inbox = _Inbox()
        feed.listen(self._inbox.put, self._inbox.end)

    def __iter__(self) -> Iterator[Value]:
        return self

    def __next__(self) -> Value:
        if (value := self._take()) is None:
            raise StopIteration
        return value

    def __aiter__(self) -> AsyncIterator[Value]:
        return self

    async def __anext__(self) -> Value:
        if (value := await asyncio.to_thread(self._take)) is None:
            raise StopAsyncIteration
        return value

    def _take(self) -> Value | None:
        if self._feed.in_own_thread():
            raise ClosedError("a stream cannot be waited for in a callback of PerceptionClient")
        try:
            value: Value | None = self._inbox.take(self._timeout)
        except TimeoutError:
            raise self._why() from None
        return value

    def close(self) -> None:
        """Ends the subscription; a loop over the stream ends too."""
        if not self._inbox.ended:
            self._inbox.end()
            self._feed.release(self._inbox.put)

    def __enter__(self) -> Stream[Value]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
