"""The future that every asynchronous method of the client returns."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from perception_contrast.client.client_errors import ClosedError, NoAnswerError

Value = TypeVar("Value")


class ClientFuture(concurrent.futures.Future, Generic[Value]):  # type: ignore[type-arg]
    """A ``concurrent.futures.Future`` that can also be awaited.

    ``result()`` blocks, in any thread except the client's own. ``await`` works in asyncio and in coroutine
    callbacks of an rclpy node. The future always ends, at its deadline at the latest, with a ClientError that
    gives the reason. ``cancel()`` gives it up.

    Args:
        client_thread: Gives the client's thread, in which waiting would never end.
        deadline: Time of ``time.monotonic`` in seconds.
    """

    def __init__(self, client_thread: Callable[[], threading.Thread | None], deadline: float) -> None:
        super().__init__()
        self.client_thread, self.deadline = client_thread, deadline

    def result(self, timeout: float | None = None) -> Value:
        """Waits for the result.

        Args:
            timeout: Seconds to wait; None waits until the future's own deadline.

        Returns:
            The result.

        Raises:
            NoAnswerError: There is no result after ``timeout`` seconds.
            ClosedError: The call is in a callback of the client, where waiting would never end.
            ClientError: The request failed.
        """
        if not self.done() and threading.current_thread() is self.client_thread():
            raise ClosedError(
                "a blocking call in a callback of PerceptionClient waits for itself; "
                "use `start` there, whose methods do not wait"
            )
        try:
            return super().result(timeout)  # type: ignore[no-any-return]
        except ClosedError:
            raise
        except concurrent.futures.TimeoutError as error:
            if self.done():
                raise
            raise NoAnswerError(f"no answer within {timeout} s") from error

    def try_set_result(self, value: Value) -> None:
        """Sets the result, unless the future is done or was cancelled.

        Args:
            value: The result.
        """
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self.set_result(value)

    def try_set_exception(self, error: BaseException) -> None:
        """Sets the error, unless the future is done or was cancelled.

        Args:
            error: The error.
        """
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self.set_exception(error)

    def __await__(self) -> Generator[Any, None, Value]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # A coroutine of rclpy: its executor resumes it until the result is there.
            while not self.done():
                yield None
            return self.result()
        value: Value = yield from asyncio.wrap_future(self, loop=loop).__await__()
        return value


def map_future(future: ClientFuture[Any], convert: Callable[[Any], Value]) -> ClientFuture[Value]:
    """A future of what ``convert`` makes of another's result; its errors pass through."""
    mapped: ClientFuture[Value] = ClientFuture(future.client_thread, future.deadline)

    def on_done(done: concurrent.futures.Future[Any]) -> None:
        if done.cancelled():
            mapped.cancel()
            return
        try:
            mapped.try_set_result(convert(done.result()))
        except Exception as error:
            mapped.try_set_exception(error)

    future.add_done_callback(on_done)
    mapped.add_done_callback(lambda one: future.cancel() if one.cancelled() else None)
    return mapped


def chain_future(
    future: ClientFuture[Any],
    on_result: Callable[[Any], ClientFuture[Value]],
    on_error: Callable[[Exception], ClientFuture[Value]] | None = None,
) -> ClientFuture[Value]:
    """A future of the one that ``on_result`` starts with another's result, or ``on_error`` with its error.

    Without ``on_error`` the error passes through.
    """
    chained: ClientFuture[Value] = ClientFuture(future.client_thread, future.deadline)

    def copy_outcome(done: concurrent.futures.Future[Any]) -> None:
        error = done.exception()
        if error is None:
            chained.try_set_result(done.result())
        else:
            chained.try_set_exception(error)

    def on_done(done: concurrent.futures.Future[Any]) -> None:
        if done.cancelled() or chained.cancelled():
            chained.cancel()
            return
        try:
            error = done.exception()
            following = (
                on_error(_as_exception(error))
                if error is not None and on_error is not None
                else on_result(done.result())
            )
            following.add_done_callback(copy_outcome)
        except Exception as error:
            chained.try_set_exception(error)

    future.add_done_callback(on_done)
    return chained


def _as_exception(error: BaseException) -> Exception:
    if not isinstance(error, Exception):
        raise error
    return error
