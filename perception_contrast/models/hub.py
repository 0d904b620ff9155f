"""Files of a model hub, kept in our cache in the layout of the hub's own client."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from perception_contrast.core.cache import CHUNK_BYTES, atomic_write, sha256_of
from perception_contrast.core.errors import ModelError
from perception_contrast.models.download import Progress, Remote, fetch_part
from perception_contrast.models.specs import HubFile

CONNECT_TIMEOUT_S = 4.0
PART = ".part"


def cached_hub_files(source: HubFile, folder: Path) -> tuple[Path, ...] | None:
    """The weights and the other files if all are in the cache, else None. No network.

    Raises ModelError for a file whose hash is not the one that the hub stated.
    """
    weights = _cached(source.repo, source.weights, folder)
    if weights is None and source.fallback:
        weights = _cached(source.repo, source.fallback, folder)
    found = [weights, *(_cached(source.repo, name, folder) for name in source.others)]
    return tuple(path for path in found if path) if all(found) else None


def download_hub_files(source: HubFile, folder: Path, progress: Progress | None = None) -> tuple[Path, ...]:
    """Downloads what is missing. A download that broke off is continued.

    Args:
        source: The repository and its files.
        folder: The cache of the hub's client, in its layout.
        progress: Takes lines where there is no terminal for a bar.

    Returns:
        The weights, then ``source.others``.

    Raises:
        ModelError: The hub cannot be reached, has no such file, or what came is damaged.
    """
    from huggingface_hub import constants

    require_reachable(constants.ENDPOINT)
    try:
        if not (source.fallback and _download_if_there(source.repo, source.weights, folder, progress)):
            _download(source.repo, source.fallback or source.weights, folder, progress)
        for name in source.others:
            _download(source.repo, name, folder, progress)
    except OSError as error:
        raise ModelError(f"cannot write {source.repo} into {folder}: {error}") from error
    found = cached_hub_files(source, folder)
    if found is None:
        raise ModelError(f"the model hub gave {source.repo} only in part; delete {folder} and try again")
    return found


def _download_if_there(repo: str, name: str, folder: Path, progress: Progress | None) -> bool:
    """Whether the repository has such a file, which then is here."""
    from huggingface_hub.errors import EntryNotFoundError

    try:
        _download(repo, name, folder, progress)
    except ModelError as error:
        if isinstance(error.__cause__, EntryNotFoundError):
            return False
        raise
    return True


def _download(repo: str, name: str, folder: Path, progress: Progress | None) -> None:
    metadata = _metadata(repo, name)
    home = folder / f"models--{repo.replace('/', '--')}"
    blob = home / "blobs" / metadata.etag
    blob.parent.mkdir(parents=True, exist_ok=True)
    if not blob.exists():
        _download_blob(
            Remote(name, metadata.location, metadata.size, _credentials(metadata.location)), blob, progress
        )
    _link(home, metadata.commit_hash, name, blob)


def _download_blob(remote: Remote, blob: Path, progress: Progress | None) -> None:
    """Through a part file that bears the file's name and etag, so that only the same bytes are continued."""
    label = remote.name.replace("/", "--")
    part = blob.with_name(f"{label}.{blob.name}{PART}")
    for other in blob.parent.glob(f"{label}.*{PART}"):
        if other != part:
            other.unlink()  # The hub has another file by now.
    with _locked(part):
        if blob.exists():
            return  # Another process was here first.
        fetch_part(remote, part, progress)
        if not _is_whole(part, blob.name):
            part.unlink()
            raise ModelError(
                f"{remote.name} came damaged (its bytes do not have the hash {blob.name[:12]}... that the "
                "hub states) and was deleted; try again"
            )
        part.replace(blob)


@contextmanager
def _locked(part: Path) -> Iterator[None]:
    """One process at a time; the next one waits and then finds the file, or continues it."""
    locks = part.parents[2] / ".locks"
    locks.mkdir(exist_ok=True)
    with (locks / f"{part.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _metadata(repo: str, name: str) -> Any:
    """What the hub says of a file: etag, commit, size and where its bytes are. Raises ModelError."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        metadata = get_hf_file_metadata(hf_hub_url(repo, name), timeout=CONNECT_TIMEOUT_S)
    except Exception as error:  # the hub's client raises errors of three HTTP libraries
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"cannot fetch {name} of {repo} from the model hub: {lines[0]}") from error
    for word in (metadata.etag, metadata.commit_hash):
        if not re.fullmatch(r"[\w.-]+", word or "") or set(word or "") <= {"."}:
            raise ModelError(f"the model hub does not say which version of {name} of {repo} it has")
    return metadata


def _credentials(location: str) -> dict[str, str]:
    """The user's token for the hub itself; the storage it points to gets none."""
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers

    if urlsplit(location).netloc != urlsplit(constants.ENDPOINT).netloc:
        return {}
    return {key: value for key, value in build_hf_headers().items() if value}


def _link(home: Path, commit: str, name: str, blob: Path) -> None:
    """The file's place in the snapshot of ``commit``, and that commit as the newest one."""
    place = home / "snapshots" / commit / name
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(blob, place.parent))
    temporary.replace(place)
    atomic_write(home / "refs" / "main", commit.encode())


def _is_whole(path: Path, etag: str) -> bool:
    """The hub names a large file by its sha256, a small one by the hash that git gives it."""
    if re.fullmatch(r"[0-9a-f]{64}", etag):
        return sha256_of(path) == etag
    if re.fullmatch(r"[0-9a-f]{40}", etag):
        return _git_hash(path) == etag
    return True


def _git_hash(path: Path) -> str:
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _cached(repo: str, name: str, folder: Path) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, cache_dir=folder)
    if not isinstance(found, str):
        return None
    blob = Path(found).resolve()
    if not _is_whole(blob, blob.name):
        raise ModelError(
            f"weights file {blob} is damaged (its hash is not its name); delete it and try again"
        )
    return Path(found)


def require_reachable(endpoint: str) -> None:
    """One short request without retries, so that a robot without internet hears of it in seconds."""
    import urllib.error
    import urllib.request

    request = urllib.request.Request(endpoint, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=CONNECT_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return  # It answered.
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ModelError(f"model hub {endpoint} cannot be reached: {reason}") from error
