"""Enough of launch and launch_ros to read our launch files and see what they would start."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class Recorded:
    """An object of launch: what it was made of."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        self.positional, self.named = positional, named


class LaunchConfiguration(Recorded):
    def perform(self, context: dict[str, str]) -> str:
        return context[self.positional[0]]


def _kinds(*names: str) -> dict[str, type]:
    return {name: type(name, (Recorded,), {}) for name in names}


MODULES = {
    "launch": _kinds("LaunchDescription", "LaunchContext"),
    "launch.actions": _kinds(
        "DeclareLaunchArgument", "IncludeLaunchDescription", "OpaqueFunction", "Shutdown"
    ),
    "launch.conditions": _kinds("IfCondition"),
    "launch.substitutions": {"LaunchConfiguration": LaunchConfiguration},
    "launch.launch_description_sources": _kinds("PythonLaunchDescriptionSource"),
    "launch_ros": {},
    "launch_ros.actions": _kinds("Node"),
    "launch_ros.parameter_descriptions": _kinds("ParameterValue"),
    "ament_index_python": {},
}


class PackageNotFoundError(KeyError):
    """As ament_index_python raises it."""


@contextmanager
def in_place(share: Path, missing: Collection[str] = ()) -> Iterator[None]:
    """The modules stand where the real ones would; the share folder of every package is ``share``.

    missing: Packages that are not installed.
    """

    def share_directory(name: str) -> str:
        if name in missing:
            raise PackageNotFoundError(name)
        return str(share)

    packages = {
        "get_package_share_directory": share_directory,
        "PackageNotFoundError": PackageNotFoundError,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, contents in {**MODULES, "ament_index_python.packages": packages}.items():
            module = ModuleType(name)
            module.__dict__.update(contents)
            patch.setitem(sys.modules, name, module)
        yield


class LaunchFile:
    """One of our launch files, read."""

    def __init__(self, path: Path, missing: Collection[str] = ()) -> None:
        with in_place(path.parents[1], missing):
            spec = importlib.util.spec_from_file_location(f"launch_file_{path.name.split('.')[0]}", path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            self.module: Any = module
            self.actions = module.generate_launch_description().positional[0]

    def of(self, kind: str) -> list[Any]:
        return [one for one in self.actions if type(one).__name__ == kind]

    def arguments(self) -> dict[str, SimpleNamespace]:
        """Name to default, description and choices."""
        declared = self.of("DeclareLaunchArgument")
        return {
            one.positional[0]: SimpleNamespace(
                default=one.named["default_value"],
                description=one.named["description"],
                choices=one.named["choices"],
            )
            for one in declared
        }

    def nodes(self, **given: str) -> list[dict[str, Any]]:
        """What the file's functions start for these arguments, the others at their defaults."""
        context = {name: one.default for name, one in self.arguments().items()} | given
        started = [node for one in self.of("OpaqueFunction") for node in one.named["function"](context)]
        return [node.named for node in started]
