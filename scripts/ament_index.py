"""Puts packages of this repository into a ROS 2 prefix as links, so that an edit is seen at once.

A build with colcon copies the same files to the same places. Here each file of ``share/<package>`` and
``lib/<package>`` leads to the checkout and to the environment's commands. Folders are real, because
`ros2 launch` and `ros2 run` do not look into those that are links.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable
from pathlib import Path

# What a package's folder shares under share/<package>; each package has some of it.
SHARED = ("package.xml", "config", "examples", "launch", "recipes")
INDEX = Path("share") / "ament_index" / "resource_index" / "packages"


def link_packages(folders: Iterable[Path], environment: Path, prefix: Path) -> None:
    """Makes `ros2 pkg`, `ros2 launch` and `ros2 run` find packages. Can be repeated.

    Args:
        folders: Of packages, each with a package.xml and ``resource/<name>``.
        environment: The virtual environment that they are installed in.
        prefix: A folder of AMENT_PREFIX_PATH.

    Raises:
        FileExistsError: A place is taken by a file that this program did not make.
    """
    for folder in folders:
        marker = next((folder / "resource").iterdir())
        name = marker.name
        _link_only(prefix / INDEX, {name: marker}, keep_others=True)
        shared = {file.relative_to(folder).as_posix(): file for file in shared_files(folder)}
        _link_only(prefix / "share" / name, shared)
        commands = {one: environment / "bin" / one for one in console_commands(name, environment)}
        _link_only(prefix / "lib" / name, commands)


def shared_files(folder: Path) -> list[Path]:
    """The files of a package that go below ``share/<package>``, sorted."""
    found = [file for part in SHARED for file in (folder / part, *(folder / part).rglob("*"))]
    return sorted(file for file in found if file.is_file() and "__pycache__" not in file.parts)


def console_commands(package: str, environment: Path) -> list[str]:
    """Names of the commands that a package has installed in a virtual environment."""
    places = [str(place) for place in environment.glob("lib/python3.*/site-packages")]
    found = importlib.metadata.distributions(name=package, path=places)
    entries = [entry for one in found for entry in one.entry_points if entry.group == "console_scripts"]
    return sorted({entry.name for entry in entries})


def _link_only(folder: Path, targets: dict[str, Path], *, keep_others: bool = False) -> None:
    """Makes links of these relative names; other links and empty folders go, files that are no links stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, folders, files in os.walk(folder, topdown=False):
        for one in (Path(place, name) for name in (*folders, *files)):
            if one.is_symlink() and (not keep_others or one.relative_to(folder).as_posix() in targets):
                one.unlink()
        if not keep_others and Path(place) != folder and not any(Path(place).iterdir()):
            Path(place).rmdir()
    for name, target in targets.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)
