"""The vocabulary of a node in a file, so that one that was killed comes back looking for the same things."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.core.cache import atomic_write, cache_dir
from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.vocabulary.vocabulary_state import from_bytes, to_bytes

NEVER, AFTER_CRASH, ALWAYS = "never", "after_crash", "always"
CHOICES = (AFTER_CRASH, ALWAYS, NEVER)
MOST_BYTES = 1 << 28


def state_file(node: str, domain: int) -> Path:
    """Of a node's fully qualified name and ROS domain.

    In the folder $PERCEPTION_CONTRAST_STATE, else in ``state`` of the cache.
    """
    chosen = os.environ.get("PERCEPTION_CONTRAST_STATE")
    folder = Path(chosen).expanduser() if chosen else cache_dir() / "state"
    # A ROS name holds letters, digits, _ and / alone, so this can be no other path.
    return folder / str(domain) / f"{node.strip('/').replace('/', '.')}.safetensors"


@dataclass(frozen=True)
class _Kept:
    asking: str
    vocabulary: Vocabulary


class VocabularyStore:
    """What was last looked for, with the parameters that it began from.

    It is offered again only if those are still the same: parameters that somebody has changed since
    come first. warn: called with what cannot be read or written.
    """

    def __init__(self, path: Path, when: str, warn: Callable[[str], None]) -> None:
        self._path, self._when, self._warn = path, when, warn
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._refused: tuple[int, int] | None = None

    def recall(self, asking: Any) -> Vocabulary | None:
        """What was looked for when the parameters asked for this; None where there is nothing of it."""
        with self._lock:
            kept = self._kept or self._read()
            return kept.vocabulary if kept is not None and kept.asking == _words(asking) else None

    def numbering(self) -> Vocabulary:
        """Empty, with the mask ids that labels have had so far."""
        with self._lock:
            if self._kept is None:
                return Vocabulary()
            return Vocabulary(version=self._kept.vocabulary.version, ids=self._kept.vocabulary.ids)

    def keep(self, vocabulary: Vocabulary, asking: Any) -> None:
        """Remembers what is looked for now, in the file too where that is wished."""
        with self._lock:
            kept = _Kept(_words(asking), vocabulary)
            old = self._kept
            if old is not None and old.vocabulary is vocabulary and old.asking == kept.asking:
                return
            self._kept = kept
            if self._when == NEVER or self._is_refused():
                return
            try:
                atomic_write(self._path, to_bytes(vocabulary, {"asking": kept.asking}))
            except OSError as error:
                self._warn(f"the vocabulary cannot be kept in {self._path} ({error}); a restart begins anew")

    def end(self) -> None:
        """The node ends as it was told to; what is kept for a crash alone goes."""
        with self._lock:
            if self._when == AFTER_CRASH and not self._is_refused():
                self._path.unlink(missing_ok=True)

    def _read(self) -> _Kept | None:
        if self._when == NEVER or not self._path.is_file():
            return None
        try:
            if self._path.stat().st_size > MOST_BYTES:
                raise QueryError(f"larger than {MOST_BYTES >> 20} MB")
            vocabulary, note = from_bytes(self._path.read_bytes())
            return _Kept(str(note["asking"]), vocabulary)
        except (OSError, KeyError, QueryError) as error:
            self._refused = self._identity()
            self._warn(
                f"the stored vocabulary {self._path} is refused: {error}; it stays as it is, and nothing is "
                "stored until you remove it"
            )
            return None

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _is_refused(self) -> bool:
        return self._refused is not None and self._refused == self._identity()


def _words(asking: Any) -> str:
    return json.dumps(asking, sort_keys=True)
