"""A folder that is written and read by whole files: on a disk, or in a bucket through fsspec.

Addresses such as ``s3://bucket/folder``, ``gs://bucket/folder`` and ``memory://folder`` are buckets; all
else is a path. A file appears under its name when it is whole: a folder renames it, a bucket shows an object
once its upload has ended.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError, StorageError, one_line
from perception_contrast.core.file_writing import MAKE_ROOM, is_out_of_space

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_TRIES = 3
_WAIT = 0.5  # seconds before the second try; twice as long before the third
TIMEOUT = "PERCEPTION_CONTRAST_BUCKET_TIMEOUT"
"""Environment variable: seconds that a bucket may take to answer."""
_USUAL_TIMEOUT = 20.0
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
Result = TypeVar("Result")


class Place(Protocol):
    """Files by their names, which may hold ``/``."""

    @property
    def address(self) -> str:
        """As it is given on the command line."""

    def names(self, start: str = "") -> list[str]:
        """Names of files that begin so, sorted; hidden ones and unfinished ones are none."""

    def size(self, name: str) -> int:
        """Bytes of a file, -1 if there is none."""

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """Bytes of a file from ``offset`` on, at most ``size``. Raises FileNotFoundError, PerceptionError."""

    def write(self, name: str, data: bytes) -> None:
        """A whole file. Raises StorageError."""

    def put(self, file: Path, name: str) -> None:
        """A copy of a local file, which may be larger than the memory. Raises StorageError."""

    def delete(self, name: str) -> None:
        """Deletes a file if it is there."""


def is_address(path: str | Path) -> bool:
    """Whether a path is the address of a bucket, such as ``s3://bucket/folder``."""
    return bool(_ADDRESS.match(str(path)))


def open_place(path: str | Path) -> Place:
    """The place at a path or an address. Raises PerceptionError for a scheme whose library is not there."""
    return Bucket(str(path)) if is_address(path) else Folder(Path(path))


@dataclass(frozen=True)
class Folder:
    """A ``Place`` on a disk."""

    path: Path

    @property
    def address(self) -> str:
        return str(self.path)

    def names(self, start: str = "") -> list[str]:
        files = (one for one in self.path.rglob("*") if one.is_file())
        found = [one.relative_to(self.path).as_posix() for one in files if not one.name.startswith(".")]
        return sorted(name for name in found if name.startswith(start))

    def size(self, name: str) -> int:
        try:
            return (self.path / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return -1

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        try:
            with (self.path / name).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            raise
        except OSError as error:
            reason = error.strerror or error
            raise PerceptionError(f"'{self.path / name}' cannot be read: {reason}") from error

    def write(self, name: str, data: bytes) -> None:
        try:
            atomic_write(self.path / name, data)
        except OSError as error:
            raise _unwritable(str(self.path / name), error) from error

    def put(self, file: Path, name: str) -> None:
        import shutil

        from perception_contrast.core.file_writing import writing

        with writing(self.path / name) as part:
            shutil.copyfile(file, part)

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)


class Bucket:
    """A ``Place`` in a bucket. Transient failures are tried again; pickles as its address.

    Credentials, endpoints and other options are those of the bucket's own library: environment variables
    such as ``AWS_ENDPOINT_URL``, and fsspec's files of configuration.

    Raises:
        PerceptionError: The scheme is unknown or its library is not installed.
    """

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._opened: tuple[int, Any, str] | None = None
        self._open()

    def __reduce__(self) -> tuple[Any, ...]:
        return Bucket, (self._address,)

    @property
    def address(self) -> str:
        return self._address

    def _open(self) -> tuple[Any, str]:
        """The file system and the folder in it, opened once in each process."""
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                from fsspec.core import url_to_fs

                system, root = url_to_fs(self._address, **_options(self._address))
            except (ImportError, ValueError) as error:
                scheme = self._address.split("://")[0].lower()
                known = f"install it with `pip install {_PACKAGES[scheme]}`" if scheme in _PACKAGES else (
                    "use s3://, gs:// or a path"
                )  # fmt: skip
                raise PerceptionError(
                    f"'{self._address}' cannot be opened ({one_line(error)}); {known}"
                ) from error
            self._opened = os.getpid(), system, root.rstrip("/")
        return self._opened[1], self._opened[2]

    def _path(self, name: str) -> str:
        return f"{self._open()[1]}/{name}" if name else self._open()[1]

    def names(self, start: str = "") -> list[str]:
        system, root = self._open()
        folder = start.rpartition("/")[0]

        def listed() -> list[str]:
            system.invalidate_cache()
            try:
                return list(system.find(self._path(folder)))
            except FileNotFoundError:
                return []

        found = [path.removeprefix(root).lstrip("/") for path in self._tried("list", listed)]
        return sorted(name for name in found if name.startswith(start))

    def size(self, name: str) -> int:
        def told() -> int:
            system, _ = self._open()
            try:
                return int(system.info(self._path(name), refresh=True)["size"])
            except TypeError:  # a file system that keeps no listings
                return int(system.info(self._path(name))["size"])
            except FileNotFoundError:
                return -1

        return self._tried(name, told)

    def version(self, name: str) -> str:
        """Changes with a file's content; "" if there is none."""

        def told() -> str:
            try:
                info = self._open()[0].info(self._path(name))
            except FileNotFoundError:
                return ""
            said = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created", "size")
            return " ".join(str(info[key]) for key in said if key in info)

        return self._tried(name, told)

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        end = None if size < 0 else offset + size

        def fetched() -> bytes:
            return bytes(self._open()[0].cat_file(self._path(name), start=offset or None, end=end))

        return self._tried(name, fetched)

    def write(self, name: str, data: bytes) -> None:
        self._tried(name, lambda: self._open()[0].pipe_file(self._path(name), data), writes=True)

    def put(self, file: Path, name: str) -> None:
        self._tried(name, lambda: self._open()[0].put_file(str(file), self._path(name)), writes=True)

    def delete(self, name: str) -> None:
        if self.size(name) >= 0:
            self._tried(name, lambda: self._open()[0].rm_file(self._path(name)), writes=True)

    def _tried(self, name: str, action: Callable[[], Result], *, writes: bool = False) -> Result:
        """The result of an action, which is tried again where the network failed."""
        for attempt in range(_TRIES):
            try:
                return action()
            except FileNotFoundError:
                if writes:
                    raise StorageError(
                        f"'{self._address}' does not exist; make the bucket first, or check its name"
                    ) from None
                raise
            except Exception as error:  # each library of a bucket has kinds of its own
                last = attempt == _TRIES - 1
                if isinstance(error, PermissionError) or (last and not _is_silence(error)):
                    raise _refused(self._address, name, error) from error
                if last:
                    raise _silent(self._address, error) from error
            time.sleep(_WAIT * 2**attempt)
        raise AssertionError("every last try returns or raises")


def bucket_timeout() -> float:
    """Seconds that a bucket may take to answer."""
    try:
        return max(0.1, float(os.environ.get(TIMEOUT, "") or _USUAL_TIMEOUT))
    except ValueError as error:
        raise PerceptionError(f"{TIMEOUT}={os.environ[TIMEOUT]!r} is no number of seconds") from error


def _options(address: str) -> dict[str, Any]:
    if not address.lower().startswith(("s3://", "s3a://")):
        return {}
    seconds = bucket_timeout()
    waits = {"connect_timeout": seconds, "read_timeout": seconds, "retries": {"max_attempts": 1}}
    return {"config_kwargs": waits, "use_listings_cache": False}


def _is_silence(error: BaseException) -> bool:
    """Whether nothing answered, or too late."""
    said = f"{type(error).__name__} {error}".lower()
    return isinstance(error, TimeoutError | ConnectionError) or any(
        word in said for word in ("timeout", "timed out", "could not connect", "connection", "unreachable")
    )


def _silent(address: str, error: Exception) -> PerceptionError:
    return StorageError(
        f"bucket '{address}' does not answer ({one_line(error)}): check the network, its endpoint "
        f"(AWS_ENDPOINT_URL of S3) and {TIMEOUT}, then give the same command again; what is finished stays"
    )


def _refused(address: str, name: str, error: Exception) -> PerceptionError:
    return StorageError(
        f"'{name}' of '{address}' was refused ({one_line(error)}): check the credentials and rights of the "
        "bucket, then give the same command again; what is finished stays"
    )


def _unwritable(name: str, error: OSError) -> StorageError:
    remedy = MAKE_ROOM if is_out_of_space(error) else "check the folder and its permissions"
    return StorageError(f"'{name}' cannot be written ({error.strerror or error}): {remedy}")
