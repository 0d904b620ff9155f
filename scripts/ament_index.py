"""Puts packages of this repository into a ROS 2 prefix as links, so that an edit is seen at once.

A build with colcon copies the same files to the same places. Here ``share/<package>`` and
``lib/<package>`` lead to the checkout and to the environment's commands.
"""

from __future__ import annotations

import importlib.metadata
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
        shared = {part: folder / part for part in SHARED if (folder / part).exists()}
        _link_only(prefix / "share" / name, shared)
        commands = {one: environment / "bin" / one for one in console_commands(name, environment)}
        _link_only(prefix / "lib" / name, commands)


def console_commands(package: str, environment: Path) -> list[str]:
    """Names of the commands that a package has installed in a virtual environment."""
    places = [str(place) for place in environment.glob("lib/python3.*/site-packages")]
    found = importlib.metadata.distributions(name=package, path=places)
    entries = [entry for one in found for entry in one.entry_points if entry.group == "console_scripts"]
    return sorted({entry.name for entry in entries})


def _link_only(folder: Path, targets: dict[str, Path], *, keep_others: bool = False) -> None:
    """Makes links of these names; those to what is no longer there go, files that are no links stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for there in folder.iterdir():
        if there.is_symlink() and (there.name in targets or not keep_others):
            there.unlink()
    for name, target in targets.items():
        (folder / name).symlink_to(target)
