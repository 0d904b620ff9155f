"""Brings together what belongs to one image: the results of perception, depth, colours. Knows no ROS.

Results come late, after a network has run, and carry the stamp of their image exactly; depth and images come
at once and are kept until then.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

KEPT_SECONDS = 6.0  # of depth and images, which wait for the network
MAX_KEPT = 200
MAX_INCOMPLETE = 32
_RECENT = 20


@dataclass(frozen=True)
class Assembled:
    """All that belongs to one image.

    Attributes:
        stamp: Of the image, nanoseconds.
        results: Name of a result to its message.
        depth: The depth message, nearest in time within the slop.
        image: The image message; None where the map gets no colours, or none came.
    """

    stamp: int
    results: Mapping[str, Any]
    depth: Any
    image: Any = None


class FrameAssembler:
    """Any thread may call.

    Args:
        emit: Called once with each whole frame, in the thread that completed it, in the order of completion.
        results: Names of the results that a frame needs.
        slop: Most nanoseconds between an image and its depth.

    Attributes:
        slop: As above; may be changed.
    """

    def __init__(self, emit: Callable[[Assembled], None], results: Collection[str], slop: int) -> None:
        self._emit, self._needed, self.slop = emit, frozenset(results), slop
        self._lock = threading.Lock()
        self._incomplete: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._sensors: dict[str, deque[tuple[int, Any]]] = {
            name: deque(maxlen=MAX_KEPT) for name in ("depth", "image")
        }
        self._counts: Counter[str] = Counter()
        self._recent: deque[bool] = deque(maxlen=_RECENT)

    @property
    def counts(self) -> dict[str, int]:
        """Frames by what became of them: whole, no_depth, incomplete."""
        with self._lock:
            return dict(self._counts)

    @property
    def without_depth(self) -> float:
        """Share of the newest frames that had no depth."""
        with self._lock:
            return self._recent.count(False) / max(len(self._recent), 1)

    def add_sensor(self, name: str, message: Any, stamp: int) -> None:
        """Keeps a message of the camera.

        Args:
            name: "depth" or "image".
            message: The message.
            stamp: Nanoseconds.
        """
        with self._lock:
            kept = self._sensors[name]
            if kept and stamp < kept[-1][0]:  # time went back: a recording began anew
                self._clear()
            kept.append((stamp, message))
            while kept[-1][0] - kept[0][0] > KEPT_SECONDS * 1e9:
                kept.popleft()

    def add_result(self, name: str, message: Any, stamp: int) -> None:
        """Adds a result; the frame is emitted once all of its results are there and its depth is known.

        Args:
            name: One of ``results``.
            message: The message.
            stamp: Of its image, nanoseconds.
        """
        with self._lock:
            parts = self._incomplete.setdefault(stamp, {})
            parts[name] = message
            if not self._needed <= parts.keys():
                while len(self._incomplete) > MAX_INCOMPLETE:
                    self._incomplete.popitem(last=False)
                    self._counts["incomplete"] += 1
                return
            del self._incomplete[stamp]
            depth = self._nearest("depth", stamp, self.slop)
            self._recent.append(depth is not None)
            self._counts["whole" if depth is not None else "no_depth"] += 1
            # The image that was searched, not one near it.
            assembled = Assembled(stamp, parts, depth, self._nearest("image", stamp, 0))
        if depth is not None:
            self._emit(assembled)

    def clear(self) -> None:
        """Forgets all messages: time has jumped, or the inputs were closed."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._incomplete.clear()
        for kept in self._sensors.values():
            kept.clear()

    def _nearest(self, name: str, stamp: int, slop: int) -> Any:
        kept = self._sensors[name]
        if not kept:
            return None
        nearest = min(kept, key=lambda one: abs(one[0] - stamp))
        return nearest[1] if abs(nearest[0] - stamp) <= slop else None
