"""Files of a model hub, kept in our cache."""

from __future__ import annotations

import re
from pathlib import Path

from ..cache import sha256_of
from ..errors import ModelError
from .registry import HubFile

CONNECT_TIMEOUT_S = 4.0


def cached_hub_file(source: HubFile, filename: str, folder: Path) -> Path | None:
    """The file if it was fetched before. No network. Raises ModelError if it is damaged."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.repo, filename, cache_dir=folder)
    if not isinstance(found, str):
        return None
    path = Path(found)
    # The hub names a large file's blob by its sha256, a small one's by a git hash.
    blob = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name) and sha256_of(blob) != blob.name:
        raise ModelError(
            f"weights file {blob} is damaged (its sha256 is not its name); delete it and try again"
        )
    return path


def download_hub_file(source: HubFile, filename: str, folder: Path) -> Path:
    """Fetches the file, with the hub's own progress bar. Raises ModelError if it cannot be had."""
    from huggingface_hub import constants, hf_hub_download

    _require_reachable(constants.ENDPOINT)
    try:
        hf_hub_download(source.repo, filename, cache_dir=folder, etag_timeout=CONNECT_TIMEOUT_S)
    except Exception as error:  # the hub's client raises errors of three HTTP libraries
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"cannot fetch {filename} of {source.repo} from {constants.ENDPOINT}: {reason}"
        ) from error
    path = cached_hub_file(source, filename, folder)
    if path is None:
        raise ModelError(f"the hub gave no {filename} of {source.repo}")
    return path


def _require_reachable(endpoint: str) -> None:
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
