"""A line that shows how far a piece of work is, and cancels it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.shared.progress_bar import ProgressBar
from perception_contrast_studio.components.shared.told_errors import tell
from perception_contrast_studio.workers.worker_pool import Progress

_T = TypeVar("_T")


class ProgressLine:
    """Shows one piece of work at a time; a newer one takes the place of an older one."""

    def __init__(self) -> None:
        self._task: asyncio.Future[Any] | None = None
        self._bar = ProgressBar(self.cancel)

    @property
    def busy(self) -> bool:
        """Whether something is being done."""
        return self._task is not None and not self._task.done()

    def cancel(self) -> None:
        """Gives the present work up."""
        if self._task is not None:
            self._task.cancel()

    async def run(self, what: str, work: Callable[[Progress], Awaitable[_T]]) -> _T | None:
        """Does a piece of work; None where it was cancelled, or failed, which is told.

        Args:
            what: In words.
            work: Called with what takes its progress.
        """
        self.cancel()
        task = asyncio.ensure_future(work(self._bar.tell_cancellable))
        self._task = task
        self._bar.tell_cancellable(0.0, what)
        try:
            return await task
        except PerceptionError as error:
            tell(error)
            return None
        except asyncio.CancelledError:
            if not task.cancelled():
                task.cancel()
                raise
            return None
        finally:
            if self._task is task:
                self._bar.end()
