"""The storage files of a rosbag2 recording: which they are, and unpacked where they were compressed whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from perception_contrast.core.errors import PerceptionError

SUFFIXES = (".mcap", ".db3")
PACKED = ".zstd"
_CHUNK_BYTES = 1 << 20
METADATA = "metadata.yaml"


@dataclass(frozen=True)
class Storage:
    """files: .mcap and .db3, in order. packed: each message was compressed by itself.

    lost: what could not be unpacked. folder: holds unpacked files as long as this object lives.
    """

    files: tuple[Path, ...]
    packed: bool = False
    lost: tuple[str, ...] = ()
    folder: TemporaryDirectory[str] | None = None


def is_recording(path: Path) -> bool:
    """Whether a path looks like a rosbag2 recording, by its names alone."""
    if path.is_dir():
        return (path / METADATA).is_file() or any(_is_storage(file) for file in path.iterdir())
    return _is_storage(path)


def _is_storage(path: Path) -> bool:
    name = path.name.removesuffix(PACKED)
    return path.is_file() and name.endswith(SUFFIXES)


def storage_files(path: Path) -> tuple[Path, ...]:
    """The storage files of a recording's folder, or the one file; compressed ones as they are.

    Raises PerceptionError.
    """
    if not path.exists():
        raise PerceptionError(f"recording '{path}' does not exist; check the path")
    if path.suffix == ".bag":
        raise PerceptionError(
            f"'{path}' is a ROS 1 bag; convert it with `rosbags-convert --src {path} --dst {path.stem}`"
        )
    if path.is_file():
        if not _is_storage(path):
            raise PerceptionError(f"'{path}' is no recording; give a rosbag2 folder, an .mcap or a .db3 file")
        return (path,)
    listed = [path / Path(name).name for name in _metadata(path).get("relative_file_paths", [])]
    files = tuple(file for file in listed if file.is_file()) or tuple(
        sorted(file for file in path.iterdir() if _is_storage(file))
    )
    if not files:
        raise PerceptionError(f"folder '{path}' holds no rosbag2 recording ({METADATA}, .mcap or .db3)")
    return files


def missing_files(path: Path) -> tuple[str, ...]:
    """Names of files that the metadata lists and the folder lacks."""
    names = (
        [Path(name).name for name in _metadata(path).get("relative_file_paths", [])] if path.is_dir() else []
    )
    return tuple(name for name in names if not (path / name).is_file())


def opened_storage(path: Path) -> Storage:
    """The plain storage files of a recording, as far as they can be unpacked. Raises PerceptionError."""
    files = storage_files(path)
    lost = [f"'{name}' is listed in {METADATA} and missing" for name in missing_files(path)]
    packed = path.is_dir() and str(_metadata(path).get("compression_mode", "")).lower() == "message"
    if not any(file.name.endswith(PACKED) for file in files):
        return Storage(files, packed, tuple(lost))
    folder = TemporaryDirectory(prefix="perception_contrast_")
    plain = []
    for file in files:
        target = Path(folder.name) / file.name.removesuffix(PACKED)
        if file.name.endswith(PACKED):
            error = _unpack(file, target)
            lost += [f"'{file.name}' could be unpacked in part only: {error}"] if error else []
        else:
            target = file
        plain.append(target)
    return Storage(tuple(plain), packed, tuple(lost), folder)


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
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


class _Loader(yaml.SafeLoader):
    """Takes the tags of other programs' types as plain text."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
