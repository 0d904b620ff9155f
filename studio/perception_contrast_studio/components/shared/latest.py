"""Work that follows a control: of all that is asked for while some is done, only the last counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import background_tasks, ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.workers.worker_pool import TaskCancelledError


class Latest:
    """Runs ``work`` again and again, one at a time, as long as there was a request since it began.

    Whoever leaves the page ends ``work``; it shields (``asyncio.shield``) short tasks, so that the process
    that computes them for all visitors goes on.

    Args:
        work: Reads what to do when it begins.
        on_problem: Told of an error that its message explains, and of "" when work succeeds.
    """

    def __init__(self, work: Callable[[], Awaitable[Any]], on_problem: Callable[[str], Any]) -> None:
        self._work, self._on_problem = work, on_problem
        self._client = ui.context.client
        self._wanted, self._closed = False, False
        self._task: asyncio.Task[None] | None = None

    def request(self) -> None:
        """Asks for the work to be done with what the controls say now."""
        self._wanted = True
        if self._task is None and not self._closed:
            self._task = background_tasks.create(self._run(), name="latest")

    def close(self) -> None:
        """Ends what runs, for the view is gone or the visitor cancelled; a later request is ignored."""
        self._closed = True
        self.cancel()

    def cancel(self) -> None:
        """Ends what runs and forgets what waits."""
        self._wanted = False
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            with self._client:
                while self._wanted:
                    self._wanted = False
                    try:
                        await self._work()
                        self._on_problem("")
                    except TaskCancelledError:
                        return
                    except PerceptionError as error:
                        self._on_problem(str(error))
        finally:
            self._task = None
