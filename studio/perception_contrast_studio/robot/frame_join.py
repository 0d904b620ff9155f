"""Brings a camera's images together with the results of the same stamp."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MOST_IMAGES = 120
MOST_BYTES = 128 * 1024 * 1024
MOST_UNFINISHED = 32
# An output of a frame that comes later than this, in seconds, behind its first one is not waited for.
PATIENCE = 0.25
# An output that stayed away from so many frames is not waited for until it comes again.
ABSENT_AFTER = 3


@dataclass(frozen=True)
class JoinedFrame:
    """An image with what was found in it.

    Attributes:
        stamp: Nanoseconds.
        image: As it was added.
        results: Value by the output's name.
    """

    stamp: int
    image: Any
    results: dict[str, Any]


@dataclass
class _Unfinished:
    begun: float
    results: dict[str, Any] = field(default_factory=dict)


class FrameJoin:
    """Keeps images until their results come. What is kept is bounded; the oldest goes first."""

    def __init__(self) -> None:
        self._wanted: frozenset[str] = frozenset()
        self._images: OrderedDict[int, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._unfinished: OrderedDict[int, _Unfinished] = OrderedDict()
        self._absences: dict[str, int] = {}

    @property
    def images(self) -> int:
        """Number of images that wait."""
        return len(self._images)

    def want(self, names: Iterable[str]) -> None:
        """Sets the outputs that a frame needs to be whole."""
        self._wanted = frozenset(names)
        self._absences = {name: count for name, count in self._absences.items() if name in self._wanted}

    def add_image(self, stamp: int, image: Any, size: int) -> None:
        """Keeps an image.

        Args:
            stamp: Nanoseconds.
            image: Anything.
            size: Its bytes.
        """
        former = self._images.pop(stamp, None)
        self._bytes += size - (former[1] if former else 0)
        self._images[stamp] = (image, size)
        while len(self._images) > 1 and (len(self._images) > MOST_IMAGES or self._bytes > MOST_BYTES):
            self._drop_image(next(iter(self._images)))

    def add_result(self, name: str, stamp: int, value: Any, now: float) -> None:
        """Keeps a result.

        Args:
            name: Of the output.
            stamp: Of its image, nanoseconds.
            value: Anything.
            now: Monotonic seconds.
        """
        self._absences.pop(name, None)
        if stamp not in self._unfinished:
            self._unfinished[stamp] = _Unfinished(now)
        self._unfinished[stamp].results[name] = value
        while len(self._unfinished) > MOST_UNFINISHED:
            self._unfinished.popitem(last=False)

    def take(self, now: float) -> JoinedFrame | None:
        """The newest frame that is whole, or whose patience is over; older ones are dropped.

        Args:
            now: Monotonic seconds.
        """
        expected = {name for name in self._wanted if self._absences.get(name, 0) < ABSENT_AFTER}
        for stamp in reversed(self._unfinished):
            one = self._unfinished[stamp]
            overdue = now - one.begun > PATIENCE
            if not (overdue or expected <= one.results.keys()):
                continue
            if stamp not in self._images:
                if overdue:
                    del self._unfinished[stamp]
                    return self.take(now)
                continue
            for name in self._wanted - one.results.keys():
                self._absences[name] = self._absences.get(name, 0) + 1
            frame = JoinedFrame(stamp, self._images[stamp][0], one.results)
            self._forget_until(stamp)
            return frame
        return None

    def clear(self) -> None:
        """Forgets everything that waits: time jumped back."""
        self._images.clear()
        self._unfinished.clear()
        self._bytes = 0

    def _forget_until(self, stamp: int) -> None:
        """Drops a frame and what came before it."""
        for unfinished in list(self._unfinished):
            del self._unfinished[unfinished]
            if unfinished == stamp:
                break
        for image in list(self._images):
            if image > stamp:
                break
            self._drop_image(image)

    def _drop_image(self, stamp: int) -> None:
        self._bytes -= self._images.pop(stamp)[1]
