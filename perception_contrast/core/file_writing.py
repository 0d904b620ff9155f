"""Writing of files whose failure names the file, the reason and the remedy."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from perception_contrast.core.cache import replacing
from perception_contrast.core.errors import StorageError

# A full disk, a quota, and a limit on the size of files.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MAKE_ROOM = (
    "make room there, or choose another disk (PERCEPTION_CONTRAST_CACHE for the cache, TMPDIR for temporary "
    "files, the output folder otherwise)"
)


def is_out_of_space(error: Exception) -> bool:
    """Whether writing failed for want of space; safetensors has the number in its text alone."""
    return getattr(error, "errno", None) in _FULL or any(
        f"os error {number}" in str(error) for number in _FULL
    )


def require_writable(folder: Path) -> None:
    """Finds out before long work whether files can be written into a folder; leaves nothing there.

    Args:
        folder: That may not be there yet.

    Raises:
        StorageError: It cannot be made, or takes no files.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(
            f"nothing can be written to '{folder}' ({error.strerror or error}): "
            f"{MAKE_ROOM if is_out_of_space(error) else 'name another folder, or check its permissions'}"
        ) from error
    finally:
        for one in missing:
            with suppress(OSError):
                one.rmdir()


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """As ``replacing``: gives a temporary path that becomes ``path`` once it is written whole.

    Every writer of safetensors uses it.

    Raises:
        StorageError: One line with the file and the remedy, where the file cannot be written.
    """
    try:
        with replacing(path) as part:
            yield part
    except (OSError, SafetensorError) as error:
        remedy = MAKE_ROOM if is_out_of_space(error) else "check the folder and its permissions"
        reason = " ".join(str(error).split())
        raise StorageError(f"'{path}' cannot be written ({reason}): {remedy}") from error
