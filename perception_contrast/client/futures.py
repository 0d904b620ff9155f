"""The future that every asynchronous method returns."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from perception_contrast.client.client_errors import ClosedError, NoAnswerError

Value = TypeVar("Value")


class Answer(concurrent.futures.Future, Generic[Value]):  # type: ignore[type-arg]
    """A ``concurrent.futures.Future`` that can also be awaited.

    ``result()`` blocks, from any thread but the client's own. ``await`` works in asyncio, and in a
    coroutine that is a callback of an rclpy node. It settles by itself, at its deadline at the latest,
    with a ClientError that says why. ``cancel()`` gives it up.
    """

    def __init__(self, owner: Callable[[], threading.Thread | None], deadline: float) -> None:
        super().__init__()
        self._owner, self.deadline = owner, deadline

    def result(self, timeout: float | None = None) -> Value:
        """The answer. Raises ClientError, or NoAnswerError after ``timeout`` seconds.

        ClosedError in a callback of the client, where waiting would wait for itself.
        """
        if not self.done() and threading.current_thread() is self._owner():
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

    def settle(self, value: Value) -> None:
        """Sets the result unless it is settled or was given up."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Sets the error unless it is settled or was given up."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self.set_exception(error)

    def __await__(self) -> Generator[Any, None, Value]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # A coroutine of rclpy: its executor resumes it until the answer is there.
            while not self.done():
                yield None
            return self.result()
        value: Value = yield from asyncio.wrap_future(self, loop=loop).__await__()
        return value


def then(answer: Answer[Any], convert: Callable[[Any], Value]) -> Answer[Value]:
    """An answer of what ``convert`` makes of another's value; its errors pass through."""
    made: Answer[Value] = Answer(answer._owner, answer.deadline)

    def settled(done: concurrent.futures.Future[Any]) -> None:
        if done.cancelled():
            made.cancel()
            return
        try:
            made.settle(convert(done.result()))
        except Exception as error:
            made.fail(error)

    answer.add_done_callback(settled)
    made.add_done_callback(lambda one: answer.cancel() if one.cancelled() else None)
    return made


def followed_by(
    answer: Answer[Any],
    go_on: Callable[[Any], Answer[Value]],
    otherwise: Callable[[Exception], Answer[Value]],
) -> Answer[Value]:
    """The answer that ``go_on`` starts with another's value, or ``otherwise`` with its error."""
    made: Answer[Value] = Answer(answer._owner, answer.deadline)

    def pass_on(done: concurrent.futures.Future[Any]) -> None:
        error = done.exception()
        if error is None:
            made.settle(done.result())
        else:
            made.fail(error)

    def settled(done: concurrent.futures.Future[Any]) -> None:
        if done.cancelled() or made.cancelled():
            made.cancel()
            return
        try:
            error = done.exception()
            next_one = go_on(done.result()) if error is None else otherwise(_exception(error))
            next_one.add_done_callback(pass_on)
        except Exception as error:
            made.fail(error)

    answer.add_done_callback(settled)
    return made


def _exception(error: BaseException) -> Exception:
    if not isinstance(error, Exception):
        raise error
    return error
