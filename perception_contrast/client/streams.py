"""Iterators over the messages of a topic."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

from perception_contrast.client.client_errors import ClosedError
from perception_contrast.client.topic_subscription import TopicSubscription

Value = TypeVar("Value")
# Newer messages displace those that were not read.
QUEUE_SIZE = 4


class _MessageQueue:
    """Messages that were not read yet. Apart from Stream, so that a stream that is garbage collected ends."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque(maxlen=QUEUE_SIZE)
        self._changed = threading.Condition()
        self._wakers: list[Callable[[], None]] = []
        self.ended = False

    def put(self, value: Any) -> None:
        with self._changed:
            self._waiting.append(value)
            self._changed.notify()
            self._wake()

    def end(self) -> None:
        with self._changed:
            self.ended = True
            self._changed.notify_all()
            self._wake()

    def _wake(self) -> None:
        wakers, self._wakers = self._wakers, []
        for waker in wakers:
            waker()

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

    async def take_async(self, timeout: float | None) -> Any:
        """As ``take``, for asyncio. No thread waits: an event loop has only a few to lend."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while True:
            ready: asyncio.Future[None] = loop.create_future()
            waker = partial(_wake_loop, loop, ready)
            with self._changed:
                if self._waiting:
                    return self._waiting.popleft()
                if self.ended:
                    return None
                self._wakers.append(waker)
            try:
                await asyncio.wait_for(ready, None if end is None else end - loop.time())
            except asyncio.TimeoutError as error:
                raise TimeoutError from error
            finally:
                with self._changed, contextlib.suppress(ValueError):
                    self._wakers.remove(waker)


def _wake_loop(loop: asyncio.AbstractEventLoop, ready: asyncio.Future[None]) -> None:
    # A loop that was closed meanwhile waits for nothing.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(lambda: None if ready.done() else ready.set_result(None))


class Stream(Generic[Value]):
    """An iterator over the messages of a topic, for ``for`` and, in asyncio, ``async for``.

    It is subscribed until ``close``, the end of its ``with``, or garbage collection. A slow reader gets the
    newest messages: at most QUEUE_SIZE wait for it.

    Args:
        subscription: The topic.
        timeout: Seconds without a message after which ``next`` raises an error; None for no limit.
        timeout_error: Makes that error.
    """

    def __init__(
        self,
        subscription: TopicSubscription,
        timeout: float | None,
        timeout_error: Callable[[], Exception],
    ) -> None:
        self._subscription, self._timeout, self._timeout_error = subscription, timeout, timeout_error
        self._queue = _MessageQueue()
        subscription.add_listener(self._queue.put, self._queue.end)

    def __iter__(self) -> Iterator[Value]:
        return self

    def __next__(self) -> Value:
        if (value := self._take()) is None:
            raise StopIteration
        return value

    def __aiter__(self) -> AsyncIterator[Value]:
        return self

    async def __anext__(self) -> Value:
        try:
            value: Value | None = await self._queue.take_async(self._timeout)
        except TimeoutError:
            raise await asyncio.to_thread(self._timeout_error) from None
        if value is None:
            raise StopAsyncIteration
        return value

    def _take(self) -> Value | None:
        if self._subscription.in_client_thread():
            raise ClosedError("a stream cannot be waited for in a callback of PerceptionClient")
        try:
            value: Value | None = self._queue.take(self._timeout)
        except TimeoutError:
            raise self._timeout_error() from None
        return value

    def close(self) -> None:
        """Ends the subscription; a loop over the stream ends too."""
        if not self._queue.ended:
            self._queue.end()
            self._subscription.remove_listener(self._queue.put)

    def __enter__(self) -> Stream[Value]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
