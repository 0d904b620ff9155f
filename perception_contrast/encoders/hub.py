"""Files of a model hub, kept in our cache."""

from __future__ import annotations

import re
from pathlib import Path

from ..cache import sha256_of
from ..errors import ModelError
from .registry import HubFile

CONNECT_TIMEOUT_S = 4.0


def cached_hub_files(source: HubFile, folder: Path) -> tuple[Path, ...] | None:
    """The weights and the other files if all were fetched before; no network. ModelError if damaged."""
    found = [_cached(source.repo, name, folder) for name in (source.weights, *source.others)]
    return tuple(path for path in found if path) if all(found) else None


def download_hub_files(source: HubFile, folder: Path) -> tuple[Path, ...]:
    """Fetches what is missing, with the hub's own progress bar. Raises ModelError if it cannot be had."""
    from huggingface_hub import constants, hf_hub_download

    require_reachable(constants.ENDPOINT)
    for name in (source.weights, *source.others):
        try:
            hf_hub_download(source.repo, name, cache_dir=folder, etag_timeout=CONNECT_TIMEOUT_S)
        except Exception as error:  # the hub's client raises errors of three HTTP libraries
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(
                f"cannot fetch {name} of {source.repo} from the model hub: {lines[0]}"
            ) from error
    found = cached_hub_files(source, folder)
    if found is None:
        raise ModelError(f"the model hub gave {source.repo} only in part; delete {folder} and try again")
    return found


def _cached(repo: str, name: str, folder: Path) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, cache_dir=folder)
    if not isinstance(found, str):
        return None
    # The hub names a large file's blob by its sha256, a small one's by a git hash.
    blob = Path(found).resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name) and sha256_of(blob) != blob.name:
        raise ModelError(
            f"weights file {blob} is damaged (its sha256 is not its name); delete it and try again"
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
