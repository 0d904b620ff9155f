"""The request that a running node ends."""

from __future__ import annotations

import threading


class ShutdownEvent:
    """A ``threading.Event`` that also holds the reason of a failure.

    Attributes:
        failure: Why the node has failed, "" if it ends as it should.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.failure = ""

    def set(self, failure: str = "") -> None:
        """Asks the node to end. The first failure that is given is kept."""
        self.failure = self.failure or failure
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits up to ``timeout`` seconds; True once the event is set."""
        return self._event.wait(timeout)
