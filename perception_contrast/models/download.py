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

# Takes a line for people now and then.
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Remote:
    """A file to fetch.

    Attributes:
        name: For people.
        url: Where its bytes are.
        size: In bytes; None where unknown.
        headers: Sent to ``url`` alone, never to where it redirects.
    """

    name: str
    url: str
    size: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def fetch_part(remote: Remote, part: Path, progress: Progress | None = None) -> None:
    """Downloads a file into ``part``, from the byte on that ``part`` ends with.

    A server that does not serve ranges sends all of it anew.

    Args:
        remote: The file.
        part: Where the bytes go. It stays as it is when the connection breaks, for the next call.
        progress: Takes lines where there is no terminal for a bar.

    Raises:
        ModelError: The connection broke, the server refused, or the disk is full.
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
            _copy(response, part, start, total, remote.name, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            part.unlink()  # There is no such range: what is here is no beginning of that file.
            fetch_part(remote, part, progress)
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
    response: IO[bytes], part: Path, start: int, total: int | None, name: str, progress: Progress | None
) -> None:
    with (
        part.open("r+b" if part.exists() else "wb") as file,
        progress_meter(name, start, total, progress) as came,
    ):
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
def progress_meter(
    name: str, have: int, total: int | None, progress: Progress | None
) -> Iterator[Callable[[int], None]]:
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
        if progress and total and percent > told:
            told = percent
            progress(f"{name}: {percent} % of {_megabytes(total)}")

    yield count


def _percent(came: int, total: int | None) -> int:
    """Rounded down to what is worth a line."""
    return came * 100 // total // TOLD_PERCENT * TOLD_PERCENT if total else 0


@contextmanager
def _bar(name: str, have: int, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(name, total=total, completed=have)
        yield lambda size: bar.advance(task, size)
