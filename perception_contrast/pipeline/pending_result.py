"""PendingResult: a frame that was submitted and whose result can be waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from perception_contrast.pipeline.frame_result import FrameResult


class PendingResult:
    """A frame that was submitted. Any thread may ask for its result, more than once."""

    def __init__(self, finish: Callable[[], FrameResult]) -> None:
        """Takes the rest of the work, which the first call of ``result`` does.

        Args:
            finish: Computes the result or raises what went wrong with the frame.
        """
        self._finish = finish
        self._result: FrameResult | None = None
        self._lock = threading.Lock()

    def result(self) -> FrameResult:
        """Waits for the features of the frame and computes the rest.

        Returns:
            The same object each time.

        Raises:
            Exception: What went wrong with the frame.
        """
        with self._lock:
            if self._result is None:
                self._result = self._finish()
            return self._result
