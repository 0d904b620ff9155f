"""One file over HTTP into a part file that a later run continues, with a bar of rate and time left."""

from __future__ import annotations

import http.client
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from perception_contrast.core.cache import CHUNK_BYTES
from perception_contrast.core.errors import ModelError

STALLED_S = 30.0
TOLD_PERCENT = 10

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Remote:
    """A file to fetch. size: bytes, None where unknown. headers: for ``url`` alone, never for a redirect."""

    name: str
    url: str
    size: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def fetch_part(remote: Remote, part: Path, tell: Tell | None = None) -> None:
    """Fills ``part`` until it holds the whole file; what it holds already is not asked for again.

    A server that does not give ranges sends all of it anew. tell: where there is no terminal for the bar.
    Raises ModelError, with what came so far left in ``part``.
    """
    have = part.stat().st_size if part.exists() else 0
    if remote.size is not None and have > remote.size:
        part.unlink()
        have = 0
    if remote.size is not None and have == remote.size:
        return
    if remote.size is not None:
        _require_space(part, remote.size - have, remote.name)
    try:
        with _opened(remote, have) as response:
            start = _first_byte(response)
            if start not in (0, have):
                raise ModelError(f"{remote.name}: the server sent another part of it than was asked for")
            total = _total(response, start) if remote.size is None else remote.size
            _copy(response, part, start, total, remote.name, tell)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            part.unlink()  # There is no such range: what is here is no beginning of that file.
            fetch_part(remote, part, tell)
            return
        raise ModelError(f"{remote.name}: the server answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error) or type(error).__name__
        raise ModelError(_broken(remote, part, str(reason))) from error
    if total is not None and part.stat().st_size < total:
        raise ModelError(_broken(remote, part, "the server closed it"))


def _opened(remote: Remote, have: int) -> Any:
    request = urllib.request.Request(remote.url)
    for name, value in remote.headers.items():
        request.add_unredirected_header(name, value)
    if have:
        request.add_header("Range", f"bytes={have}-")
    return urllib.request.urlopen(request, timeout=STALLED_S)


def _first_byte(response: Any) -> int:
    if response.status != 206:
        return 0
    stated = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(stated.group(1)) if stated else -1


def _total(response: Any, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def _copy(
    response: IO[bytes], part: Path, start: int, total: int | None, name: str, tell: Tell | None
) -> None:
    with part.open("r+b" if part.exists() else "wb") as file, meter(name, start, total, tell) as came:
        file.truncate(start)
        file.seek(start)
        # What comes is written at once, so that a break loses nothing.
        while chunk := response.read1(CHUNK_BYTES):  # type: ignore[attr-defined]
            try:
                file.write(chunk)
                file.flush()
            except OSError as error:
                raise ModelError(f"cannot write {part}: {error}; what came so far is kept") from error
            came(len(chunk))


def _broken(remote: Remote, part: Path, reason: str) -> str:
    have = part.stat().st_size if part.exists() else 0
    of = f" of {_megabytes(remote.size)}" if remote.size is not None else ""
    return (
        f"the connection broke while fetching {remote.name} ({reason}); {_megabytes(have)}{of} are here, "
        "and running it again continues from there"
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _require_space(part: Path, needed: int, name: str) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise ModelError(
            f"{name} needs {_megabytes(needed)} more, and {part.parent} has {_megabytes(free)} free; "
            "free some, or set PERCEPTION_CONTRAST_CACHE to a larger disk"
        )


@contextmanager
def meter(name: str, have: int, total: int | None, tell: Tell | None) -> Iterator[Callable[[int], None]]:
    """Gives what is to be called with each number of bytes that came.

    On a terminal a bar with rate and time left, on standard error; elsewhere a line every ten percent.
    """
    if sys.stderr.isatty():
        with _bar(name, have, total) as advance:
            yield advance
        return
    came, told = have, _percent(have, total)

    def count(size: int) -> None:
        nonlocal came, told
        came += size
        percent = _percent(came, total)
        if tell and total and percent > told:
            told = percent
            tell(f"{name}: {percent} % of {_megabytes(total)}")

    yield count


def _percent(came: int, total: int | None) -> int:
    """Rounded down to what is worth a line."""
    return came * 100 // total // TOLD_PERCENT * TOLD_PERCENT if total else 0


@contextmanager
def _bar(name: str, have: int, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        task = progress.add_task(name, total=total, completed=have)
        yield lambda size: progress.advance(task, size)
