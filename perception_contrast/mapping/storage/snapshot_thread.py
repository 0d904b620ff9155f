"""SnapshotThread: writes snapshots beside the thread that makes the map, one at a time and not too often."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from perception_contrast.core.errors import PerceptionError

logger = logging.getLogger(__name__)

# A snapshot that took a second is followed by so many seconds without one: a twentieth of the disk's time.
_IDLE_SHARE = 20.0
# Seconds after one that failed: a full disk stays full, and each attempt writes until it is.
_AFTER_FAILURE = 30.0
_PATIENCE = 0.05


class SnapshotThread:
    """Any thread may call.

    Args:
        now: Seconds of a steady clock.

    Attributes:
        problem: Why the newest snapshot failed, with the remedy; "" where it did not.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._changed = threading.Condition()
        self._running, self._stopping = False, threading.Event()
        self._began = self._ended = now()
        self.problem = ""

    @property
    def age(self) -> float:
        """Seconds since the newest attempt ended, or since this was made."""
        return self._now() - self._ended

    def may_start(self, pause: float = 0.0, *, urgent: bool = False) -> bool:
        """Whether none is written now, and the newest is long enough ago.

        Args:
            pause: Least seconds between two.
            urgent: However long the newest took to write.
        """
        with self._changed:
            least = pause if urgent else max(pause, _IDLE_SHARE * (self._ended - self._began))
            if self.problem:
                least = max(least, _AFTER_FAILURE)
            return not self._running and self.age >= least

    def start(self, write: Callable[[], None]) -> bool:
        """Writes a snapshot in a thread of its own; does nothing, and says so, while one is written.

        Args:
            write: Writes it; raises PerceptionError where that fails.
        """
        if not self._begin():
            return False
        threading.Thread(target=self._work, args=(write,), name="map snapshot", daemon=True).start()
        return True

    def write_here(self, write: Callable[[], None]) -> bool:
        """As ``start``, in the caller's thread: for a snapshot of little."""
        if not self._begin():
            return False
        self._work(write)
        return True

    def _begin(self) -> bool:
        with self._changed:
            if self._running:
                return False
            self._running, self._began = True, self._now()
            return True

    def run(self, write: Callable[[], None]) -> None:
        """Writes a snapshot once the one that is being written is whole, and waits for it.

        Who calls it must not hold a lock that ``write`` takes.

        Raises:
            PerceptionError: As ``write`` does.
        """
        failed: list[Exception] = []

        def noting() -> None:
            try:
                write()
            except Exception as error:
                failed.append(error)
                raise

        while not self.start(noting):
            self.wait()
        self.wait()
        if failed:
            raise failed[0]

    def wait(self) -> None:
        """Waits until no snapshot is being written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running)

    def stop(self) -> None:
        """Waits until none is written, after those that ``hold`` nothing yet have given up."""
        self._stopping.set()
        self.wait()
        self._stopping.clear()

    @contextmanager
    def hold(self, lock: threading.RLock) -> Iterator[bool]:
        """Takes a lock for what writes a snapshot; False where ``stop`` was called by who has the lock.

        Args:
            lock: Anyone's.
        """
        while not lock.acquire(timeout=_PATIENCE):
            if self._stopping.is_set():
                yield False
                return
        try:
            yield True
        finally:
            lock.release()

    def _work(self, write: Callable[[], None]) -> None:
        problem = ""
        try:
            write()
        except PerceptionError as error:
            problem = str(error)
        except Exception as error:
            problem = f"internal error while a snapshot of the map was written: {error!r}"
            logger.exception("a snapshot of the map failed")
        with self._changed:
            self.problem, self._running, self._ended = problem, False, self._now()
            self._changed.notify_all()
