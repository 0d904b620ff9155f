"""Heads under a name, in the cache beside the models that a user added."""

from __future__ import annotations

import shutil
from pathlib import Path

from perception_contrast.core.cache import cache_dir
from perception_contrast.core.errors import ModelError
from perception_contrast.core.file_writing import writing
from perception_contrast.heads.head_files import HEAD_FILE, Head, head_path, read_head
from perception_contrast.models.custom_models import checked_name, custom_model_folder

LIKE = "head"  # for `models add --like`


def register_head(name: str, path: Path, folder: Path | None = None) -> Path:
    """Copies a head to the cache under a name, in the place of an earlier one.

    It is read whole before, so that a file that is no head is never copied.

    Args:
        name: With the characters of a model's name.
        path: The file, or the folder of its run.
        folder: Of the cache; None: the default.

    Returns:
        The copy.

    Raises:
        ModelError: The file is no head, or the name has other characters.
        StorageError: It cannot be copied.
    """
    target = custom_model_folder(checked_name(name), folder or cache_dir()) / HEAD_FILE
    source = head_path(path)
    read_head(source)
    with writing(target) as part:
        shutil.copyfile(source, part)
    return target


def registered_head_names(folder: Path | None = None) -> tuple[str, ...]:
    """The registered names, sorted."""
    found = ((folder or cache_dir()) / "local").glob(f"*/{HEAD_FILE}")
    return tuple(sorted(path.parent.name for path in found))


def is_head_path(name: str) -> bool:
    """Whether a head is named by a path, not by a registered name."""
    return "/" in name or name.startswith(("~", ".")) or name.endswith(".safetensors")


def named_head_path(name: str, folder: Path | None = None) -> Path:
    """The file of a head.

    Args:
        name: That it was registered under, or a path of the file or of its run.
        folder: Of the cache; None: the default.

    Raises:
        ModelError: There is none; lists the names that are registered.
    """
    if is_head_path(name):
        return head_path(Path(name))
    if name not in (there := registered_head_names(folder)):
        raise ModelError(
            f"there is no head '{name}'; there are {', '.join(there) or 'none yet'}. Add one with "
            f"`perception-contrast models add {name} RUN --like {LIKE}`, or give its path, ./{name}"
        )
    return custom_model_folder(name, folder or cache_dir()) / HEAD_FILE


def named_head(name: str, folder: Path | None = None) -> Head:
    """The head of a name or a path, read whole. Raises ModelError."""
    path = named_head_path(name, folder)
    return read_head(path, path.parent.name if path.name == HEAD_FILE else path.stem)
