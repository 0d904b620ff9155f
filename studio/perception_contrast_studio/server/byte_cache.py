"""Small files, such as thumbnails, kept in memory up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)


class ByteCache(Generic[_K]):
    """Drops what was not asked for longest. Any thread may use it.

    Args:
        max_bytes: Of all data together; larger data is not kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[_K, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._bytes

    def get(self, key: _K) -> bytes | None:
        """What was kept under a key."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: _K, data: bytes) -> None:
        """Keeps data in the place of what was there."""
        with self._lock:
            self._bytes += len(data) - len(self._kept.pop(key, b""))
            self._kept[key] = data
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])

    def drop(self, which: Callable[[_K], bool]) -> None:
        """Forgets data by its keys."""
        with self._lock:
            for key in [key for key in self._kept if which(key)]:
                self._bytes -= len(self._kept.pop(key))
