"""The vocabulary of a node in a file, so that one that was killed comes back with the same queries."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.core.cache import cache_dir
from perception_contrast.core.errors import QueryError, StorageError
from perception_contrast.core.file_writing import writing
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.vocabulary.vocabulary_state import from_bytes, to_bytes

NEVER, AFTER_CRASH, ALWAYS = "never", "after_crash", "always"
RESTORE_CHOICES = (AFTER_CRASH, ALWAYS, NEVER)
MAX_BYTES = 1 << 28


def state_file(node: str, domain: int) -> Path:
    """The file of a node, in the folder $PERCEPTION_CONTRAST_STATE, else in ``state`` of the cache.

    Args:
        node: Fully qualified name.
        domain: ROS domain.
    """
    chosen = os.environ.get("PERCEPTION_CONTRAST_STATE")
    folder = Path(chosen).expanduser() if chosen else cache_dir() / "state"
    # A ROS name holds letters, digits, _ and / alone, so this can be no other path.
    return folder / str(domain) / f"{node.strip('/').replace('/', '.')}.safetensors"


@dataclass(frozen=True)
class _FileIdentity:
    """Tells whether a file is still the one that was looked at."""

    inode: int
    modified_ns: int


@dataclass(frozen=True)
class _StoredVocabulary:
    """parameters: JSON of the parameters that the vocabulary began from."""

    parameters: str
    vocabulary: Vocabulary


class VocabularyStore:
    """The newest vocabulary, with the parameters that it began from. Any thread may call.

    It is given out again only if those parameters are still the same: what somebody has changed since
    comes first.

    Args:
        path: The file.
        restore: One of RESTORE_CHOICES: when a new process gets the vocabulary of the last one.
        on_error: Called with a message where the file cannot be read or written.
    """

    def __init__(self, path: Path, restore: str, on_error: Callable[[str], None]) -> None:
        self._path, self._restore, self._on_error = path, restore, on_error
        self._lock = threading.Lock()
        self._stored: _StoredVocabulary | None = None
        self._unreadable: _FileIdentity | None = None

    def load(self, parameters: Any) -> Vocabulary | None:
        """The stored vocabulary if it began from these parameters (anything JSON can hold), else None."""
        with self._lock:
            stored = self._stored or self._read()
            matches = stored is not None and stored.parameters == _as_json(parameters)
            return stored.vocabulary if stored is not None and matches else None

    def label_ids(self) -> Vocabulary:
        """An empty vocabulary with the mask ids that labels have had so far."""
        with self._lock:
            if self._stored is None:
                return Vocabulary()
            return Vocabulary(version=self._stored.vocabulary.version, ids=self._stored.vocabulary.ids)

    def save(self, vocabulary: Vocabulary, parameters: Any) -> None:
        """Keeps a vocabulary in memory and, unless ``restore`` is never, in the file."""
        with self._lock:
            new = _StoredVocabulary(_as_json(parameters), vocabulary)
            old = self._stored
            if old is not None and old.vocabulary is vocabulary and old.parameters == new.parameters:
                return
            self._stored = new
            if self._restore == NEVER or self._is_unreadable():
                return
            try:
                # "asking" is the key in files that earlier versions wrote.
                with writing(self._path) as part:
                    part.write_bytes(to_bytes(vocabulary, {"asking": new.parameters}))
            except StorageError as error:
                self._on_error(f"the vocabulary cannot be kept, and a restart begins anew: {error}")

    def close(self) -> None:
        """Ends a run that was not killed: what is kept for a crash alone is deleted."""
        with self._lock:
            if self._restore == AFTER_CRASH and not self._is_unreadable():
                self._path.unlink(missing_ok=True)

    def _read(self) -> _StoredVocabulary | None:
        if self._restore == NEVER or not self._path.is_file():
            return None
        try:
            if self._path.stat().st_size > MAX_BYTES:
                raise QueryError(f"larger than {MAX_BYTES >> 20} MB")
            vocabulary, note = from_bytes(self._path.read_bytes())
            return _StoredVocabulary(str(note["asking"]), vocabulary)
        except (OSError, KeyError, QueryError) as error:
            self._unreadable = self._identity()
            self._on_error(
                f"the stored vocabulary {self._path} is refused: {error}; it stays as it is, and nothing is "
                "stored until you remove it"
            )
            return None

    def _identity(self) -> _FileIdentity | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return _FileIdentity(status.st_ino, status.st_mtime_ns)

    def _is_unreadable(self) -> bool:
        return self._unreadable is not None and self._unreadable == self._identity()


def _as_json(parameters: Any) -> str:
    return json.dumps(parameters, sort_keys=True)
