"""Message classes by the name of their type."""

from __future__ import annotations

import importlib
import re
from importlib.machinery import PathFinder
from pathlib import Path

_TYPE = re.compile(r"([a-z][a-z0-9_]*)/msg/([A-Z][A-Za-z0-9]*)")


def message_class(type_name: str) -> type | None:
    """The Python class of "package/msg/Type"; None where that package is not installed.

    The name comes out of a file: only a package that has a folder ``msg`` is ever imported.
    """
    match = _TYPE.fullmatch(type_name)
    if match is None:
        return None
    package, name = match.groups()
    spec = PathFinder.find_spec(package)
    folders = spec.submodule_search_locations if spec is not None else None
    if not any((Path(folder) / "msg").is_dir() for folder in folders or ()):
        return None
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None
