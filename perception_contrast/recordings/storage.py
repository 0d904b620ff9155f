"""The storage files of a rosbag2 recording: which they are, and unpacked where they were compressed whole."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from perception_contrast.core.errors import PerceptionError

MCAP, SQLITE = ".mcap", ".db3"
SUFFIXES = (MCAP, SQLITE)
PACKED = ".zstd"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MAGICS = {b"\x89MCAP0\r\n": MCAP, b"SQLite format 3\0": SQLITE}
_CHUNK_BYTES = 1 << 20
METADATA = "metadata.yaml"
_ROS1 = ".bag"


@dataclass(frozen=True)
class Storage:
    """The storage files of one recording.

    Attributes:
        files: .mcap and .db3, in order.
        lost: What is missing or could not be unpacked, a line for each.
        folder: Holds unpacked files as long as this object lives.
    """

    files: tuple[Path, ...]
    lost: tuple[str, ...] = ()
    folder: TemporaryDirectory[str] | None = None


def is_recording(path: Path) -> bool:
    """Whether a path looks like a rosbag2 recording, by its names alone."""
    if path.is_dir():
        try:
            inside = list(path.iterdir())
        except OSError:
            return False
        return (path / METADATA).is_file() or any(_is_storage(file) or _is_ros1(file) for file in inside)
    return _is_storage(path) or _is_ros1(path)


def _is_storage(path: Path) -> bool:
    """Hidden files are none: macOS puts a `._` file beside each file that it copies."""
    name = path.name.removesuffix(PACKED)
    return path.is_file() and name.endswith(SUFFIXES) and not name.startswith(".")


def _is_ros1(path: Path) -> bool:
    return path.suffix == _ROS1 and path.is_file() and not path.name.startswith(".")


def ros1_error(path: Path) -> PerceptionError:
    """The error for a recording of ROS 1, with the command that converts it."""
    if path.suffix == _ROS1:
        source, target = path, path.with_suffix("")
    else:
        bags = sorted(file for file in path.iterdir() if _is_ros1(file)) if path.is_dir() else []
        source = bags[0] if bags else Path("RECORDING.bag")
        target = source.with_suffix("")
    line = f"rosbags-convert --src {shlex.quote(str(source))} --dst {shlex.quote(str(target))}"
    if source.name == "RECORDING.bag" and not source.exists():
        return PerceptionError(
            f"recording '{path}' holds ROS 1 messages; convert the bag that it was made from with `{line}`"
        )
    return PerceptionError(f"recording '{path}' is a ROS 1 bag; convert it with `{line}`")


def storage_files(path: Path) -> tuple[Path, ...]:
    """The storage files of a recording's folder, or the one file; compressed ones as they are.

    Raises PerceptionError.
    """
    if not path.exists():
        raise PerceptionError(f"recording '{path}' does not exist; check the path")
    if path.suffix == _ROS1 and path.is_file():
        raise ros1_error(path)
    if path.is_file():
        if not _is_storage(path):
            raise PerceptionError(f"'{path}' is no recording; give a rosbag2 folder, an .mcap or a .db3 file")
        return (path,)
    listed = [path / name for name in _listed_names(path)]
    files = tuple(file for file in listed if file.is_file()) or tuple(
        sorted(file for file in path.iterdir() if _is_storage(file))
    )
    if not files and any(_is_ros1(file) for file in path.iterdir()):
        raise ros1_error(path)
    if not files:
        raise PerceptionError(f"folder '{path}' holds no rosbag2 recording ({METADATA}, .mcap or .db3)")
    return files


def missing_files(path: Path) -> tuple[str, ...]:
    """Names of files that the metadata lists and the folder lacks."""
    names = _listed_names(path) if path.is_dir() else ()
    return tuple(name for name in names if not (path / name).is_file())


def _listed_names(path: Path) -> tuple[str, ...]:
    """Names of the storage files that the metadata lists, in its order."""
    listed = _metadata(path).get("relative_file_paths")
    if not isinstance(listed, list):
        return ()
    names = (Path(name).name for name in listed if isinstance(name, str))
    return tuple(dict.fromkeys(name for name in names if name not in ("", "..")))


def opened_storage(path: Path) -> Storage:
    """The plain storage files of a recording, as far as they can be unpacked. Raises PerceptionError."""
    files = storage_files(path)
    missing = missing_files(path)
    lost = [f"'{name}' is listed in {METADATA} and missing" for name in missing]
    lost += [
        f"'{name}' is a link to a file that does not exist"
        for name in _broken_links(path)
        if name not in missing
    ]
    if not any(file.name.endswith(PACKED) or _begins(file, ZSTD_MAGIC) for file in files):
        return Storage(files, tuple(lost))
    folder = TemporaryDirectory(prefix="perception_contrast_")
    plain = []
    for file in files:
        target = Path(folder.name) / file.name.removesuffix(PACKED)
        if _begins(file, ZSTD_MAGIC):
            error = _unpack(file, target)
            lost += [f"'{file.name}' could be unpacked in part only: {error}"] if error else []
        elif file.name.endswith(PACKED):
            target.symlink_to(file.resolve())  # called compressed, and is not
        else:
            target = file
        plain.append(target)
    return Storage(tuple(plain), tuple(lost), folder)


def storage_kind(file: Path) -> str:
    """MCAP or SQLITE: as the first bytes tell, else as the name does."""
    return next((kind for magic, kind in _MAGICS.items() if _begins(file, magic)), file.suffix)


def _begins(file: Path, magic: bytes) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(magic)) == magic
    except OSError:
        return False


def _broken_links(path: Path) -> tuple[str, ...]:
    """Names of storage files in a folder that are links to nowhere."""
    if not path.is_dir():
        return ()
    links = (file for file in path.iterdir() if file.is_symlink() and not file.exists())
    names = sorted(file.name for file in links if not file.name.startswith("."))
    return tuple(name for name in names if name.removesuffix(PACKED).endswith(SUFFIXES))


def _unpack(source: Path, target: Path) -> str:
    """Writes what can be decompressed; gives the reason where that is not all, else ""."""
    from zstandard import ZstdDecompressor, ZstdError

    try:
        with source.open("rb") as packed, target.open("wb") as plain:
            reader = ZstdDecompressor().stream_reader(packed, read_across_frames=True)
            while chunk := reader.read(_CHUNK_BYTES):
                plain.write(chunk)
    except ZstdError as error:
        return str(error)
    except OSError as error:
        raise PerceptionError(
            f"'{source}' cannot be unpacked into '{target.parent}': {error.strerror or error}; "
            "set TMPDIR to a folder with room"
        ) from error
    return ""


def _metadata(path: Path) -> dict[str, Any]:
    """The content of metadata.yaml; empty where it is missing or damaged."""
    try:
        content = yaml.load((path / METADATA).read_text(), _Loader)
        found = content["rosbag2_bagfile_information"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class _Loader(yaml.SafeLoader):
    """Takes the tags of other programs' types as plain text."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
