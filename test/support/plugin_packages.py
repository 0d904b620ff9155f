"""Packages of others as they are installed: a module and its entry points in a folder on the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from perception_contrast.core import plugins


@contextmanager
def installed(
    folder: Path, package: str, source: str, entries: Mapping[str, Mapping[str, str]]
) -> Iterator[None]:
    """Within the context the package is installed in ``folder``.

    entries: group to name to ``module:ATTRIBUTE``.
    """
    (folder / f"{package}.py").write_text(source, "utf-8")
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [
        line
        for group, names in entries.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in names.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    sys.path.insert(0, str(folder))
    plugins._entries.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(package, None)
        plugins._entries.cache_clear()
