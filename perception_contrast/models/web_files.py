"""Files of a place in the web that is no model hub, kept in our cache with the sha256 that they came with."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from perception_contrast.core.cache import atomic_write, sha256_of
from perception_contrast.core.errors import ModelError
from perception_contrast.models.download import Progress, Remote, fetch_part
from perception_contrast.models.specs import WebFiles

PART, DIGEST = ".part", ".sha256"


def cached_web_files(source: WebFiles, folder: Path) -> tuple[Path, ...] | None:
    """The weights and the other files if all are in the cache, else None. No network.

    Raises ModelError for a file whose sha256 is no longer the one that it came with.
    """
    paths = [_home(source, folder) / name for name in (source.weights, *source.others)]
    if not all(path.is_file() and _digest_file(path).is_file() for path in paths):
        return None
    for path in paths:
        if sha256_of(path) != _digest_file(path).read_text("ascii", "replace").strip():
            raise ModelError(f"file {path} is damaged: it is not what was fetched; delete it and try again")
    return tuple(paths)


def download_web_files(source: WebFiles, folder: Path, progress: Progress | None = None) -> tuple[Path, ...]:
    """Downloads what is missing. A download that broke off is continued.

    Args:
        source: The place and its files.
        folder: The cache of such files.
        progress: Takes lines where there is no terminal for a bar.

    Returns:
        The weights, then ``source.others``.

    Raises:
        ModelError: The place cannot be reached or does not give a file, or what came is not what was
            published.
    """
    home = _home(source, folder)
    try:
        home.mkdir(parents=True, exist_ok=True)
        for name in (source.weights, *source.others):
            digest = source.digest if name == source.weights else ""
            if not (home / name).is_file() or not _digest_file(home / name).is_file():
                _download(f"{source.place}/{name}", home / name, digest, progress)
    except OSError as error:
        raise ModelError(f"cannot write into {home}: {error}") from error
    except ModelError as error:
        raise ModelError(f"{error}; {source.terms}" if source.terms else str(error)) from error
    found = cached_web_files(source, folder)
    if found is None:
        raise ModelError(f"{source.place} gave its files only in part; delete {home} and try again")
    return found


def _download(url: str, target: Path, digest: str, progress: Progress | None) -> None:
    """digest: the first digits of the sha256, where they are known."""
    part = target.with_name(target.name + PART)
    fetch_part(Remote(target.name, url), part, progress)
    found = sha256_of(part)
    if not found.startswith(digest):
        part.unlink()
        raise ModelError(
            f"{target.name} came damaged (sha256 {found[:12]}..., published {digest}...) and was deleted; "
            "try again"
        )
    atomic_write(_digest_file(target), found.encode())
    part.replace(target)


def _home(source: WebFiles, folder: Path) -> Path:
    address = urlsplit(source.place)
    return folder / re.sub(r"[^\w.-]+", "-", f"{address.netloc}{address.path}")


def _digest_file(path: Path) -> Path:
    return path.with_name(path.name + DIGEST)
