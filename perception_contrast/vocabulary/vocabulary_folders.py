"""The folders of named vocabularies: the shipped ones and the user's own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from perception_contrast.core.plain_names import is_plain_name

SUFFIX = ".yaml"


def user_folder() -> Path:
    """Where users put theirs: $PERCEPTION_CONTRAST_VOCABULARIES, else a folder in ~/.config."""
    chosen = os.environ.get("PERCEPTION_CONTRAST_VOCABULARIES")
    return Path(chosen).expanduser() if chosen else Path.home() / ".config/perception_contrast/vocabularies"


def shipped_folders() -> tuple[Path, ...]:
    """Where ours may be: in the source tree, in each sourced ROS 2 prefix, in Python's own prefix."""
    source = Path(__file__).resolve().parents[2]
    prefixes = [prefix for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    installed = [Path(prefix) / "share" / "perception_contrast" for prefix in (*prefixes, sys.prefix)]
    return tuple(root / "config" / "vocabularies" for root in (source, *installed))


def named_vocabularies() -> dict[str, Path]:
    """Name to file, sorted by name. A user's own comes before ours of the same name."""
    found: dict[str, Path] = {}
    for folder in (user_folder(), *shipped_folders()):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if is_plain_name(path.stem):
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))
