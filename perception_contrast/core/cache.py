"""The cache folder, files that are written atomically, and checksums."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CHUNK_BYTES = 1 << 20


def cache_dir() -> Path:
    """``$PERCEPTION_CONTRAST_CACHE``, else ``~/.cache/perception_contrast``. Not created here."""
    chosen = os.environ.get("PERCEPTION_CONTRAST_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "perception_contrast"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside ``path``; renames it to ``path`` on success, deletes it on error.

    Readers see the old file or the whole new one; the last of several writers wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def atomic_write(path: Path, data: bytes) -> None:
    """Writes ``data`` to ``path`` so that no reader ever sees a part of it. Makes the folder."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def sha256_of_all(paths: Sequence[Path]) -> str:
    """One hexadecimal sha256 for some files in their order; of one file that of its bytes."""
    digests = [sha256_of(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
