"""What makes the repository a ROS 2 package: manifests, entry points, message declarations, clean sources."""

from __future__ import annotations

import ast
import importlib.metadata
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

MANIFESTS = (
    "package.xml",
    "simulation/package.xml",
    "training/package.xml",
    "studio/package.xml",
    "interfaces/perception_contrast_msgs/package.xml",
    "interfaces/fallback/vision_msgs/package.xml",
    "interfaces/fallback/tf2_msgs/package.xml",
    "interfaces/fallback/bond/package.xml",
)
# REP-2011 hashes (RIHS01) of the released definitions (vision_msgs 4.1.1; tf2_msgs of Jazzy; bond 4). DDS
# discovery compares them, and they cover every message inside.
RELEASED = {
    "vision_msgs/msg/Detection2DArray": "214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
    "vision_msgs/msg/Detection3DArray": "793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018",
    "vision_msgs/msg/LabelInfo": "3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783",
    "vision_msgs/msg/VisionInfo": "95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284",
    "bond/msg/Status": "87eaccffa254ffffadc0b61600452e8251740f06c25659a2dbda4927fdb1f70a",
    "tf2_msgs/msg/TFMessage": "e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087",
}
ROS_NAMES = ("rclpy", "launch", "launch_ros", "ament_index_python")
# Looked for by its name while the node runs: no import statement shows it.
OPTIONAL_ROS_NAMES = {"bond"}


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_manifests_satisfy_the_ros_parser(repository: Path, manifest: str) -> None:
    package = pytest.importorskip("catkin_pkg.package")
    warnings: list[str] = []
    parsed = package.parse_package(str(repository / manifest), warnings=warnings)
    parsed.validate(warnings=warnings)
    assert (parsed.package_format, parsed.licenses[0], warnings) == (3, "Apache-2.0", [])


def _imported(folder: Path) -> set[str]:
    trees = [ast.parse(path.read_text()) for path in folder.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    return {name.split(".")[0] for name in names}


# Folder of a package to what of it imports ROS.
PACKAGES = {
    ".": ("perception_contrast", "launch"),
    "simulation": ("perception_contrast_sim",),
    "training": ("perception_contrast_training",),
    "studio": ("perception_contrast_studio",),
}
EXECUTABLES = {
    "perception_contrast": {"perception-contrast", "perception_node", "map_node", "bag_player"},
    "perception_contrast_sim": {"sim_camera"},
    "perception_contrast_training": set(),
    "perception_contrast_studio": {"studio"},
}


@pytest.mark.parametrize("folder", PACKAGES)
def test_the_manifest_declares_every_ros_package_that_is_imported(repository: Path, folder: str) -> None:
    package = pytest.importorskip("catkin_pkg.package")
    manifest = repository / folder / "package.xml"
    declared = {d.name for d in package.parse_package(str(manifest)).exec_depends}
    imported = {name for part in PACKAGES[folder] for name in _imported(repository / folder / part)}
    wanted = {n for n in imported if n in ROS_NAMES or n.endswith(("_msgs", "_interfaces"))}
    assert (folder == "training") == ("rclpy" not in wanted)
    assert wanted <= declared
    assert folder != "." or declared >= OPTIONAL_ROS_NAMES
    ours = {name for name in imported if name in EXECUTABLES} - {PACKAGES[folder][0]}
    assert ours <= declared


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    return [
        entry
        for package in EXECUTABLES
        for entry in importlib.metadata.distribution(package).entry_points
        if entry.group in ("console_scripts", "perception_contrast.commands")
    ]


@pytest.mark.ros
@pytest.mark.parametrize("entry", _entry_points(), ids=lambda entry: entry.name)
def test_every_executable_starts_at_a_callable(entry: importlib.metadata.EntryPoint) -> None:
    loaded = entry.load()
    assert callable(loaded if entry.group == "console_scripts" else loaded.main)


@pytest.mark.parametrize("package", EXECUTABLES)
def test_executables_are_the_promised_ones(package: str) -> None:
    found = importlib.metadata.distribution(package).entry_points
    assert {entry.name for entry in found if entry.group == "console_scripts"} == EXECUTABLES[package]


def _setup(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a folder's setup.py gives to setuptools."""
    setuptools = pytest.importorskip("setuptools")
    monkeypatch.chdir(folder)
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    runpy.run_path("setup.py")
    return given


@pytest.mark.parametrize(
    ("folder", "shared"),
    [(".", ("config", "launch", "examples")), ("simulation", ("config",)), ("training", ("recipes",))],
)
def test_everything_that_users_start_from_is_installed(
    repository: Path, monkeypatch: pytest.MonkeyPatch, folder: str, shared: tuple[str, ...]
) -> None:
    given = _setup(repository / folder, monkeypatch)
    installed = {path: place for place, paths in given["data_files"] for path in paths}
    wanted = [
        path
        for part in shared
        for path in Path(part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert wanted
    for path in wanted:
        assert installed.get(str(path)) == f"share/{given['name']}/{path.parent}", path


def test_a_robot_installs_no_simulation_and_no_training(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _setup(repository, monkeypatch)
    assert {name.split(".")[0] for name in given["packages"]} == {"perception_contrast"}
    required = {line.split(">")[0].split("=")[0] for line in given["install_requires"]}
    assert {"torch", "timm", "numpy"} <= required and not {"mujoco", "peft", "pyarrow"} & required


def test_every_package_of_the_source_is_installed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, package in (
        (".", "perception_contrast"),
        ("simulation", "perception_contrast_sim"),
        ("studio", "perception_contrast_studio"),
    ):
        given = _setup(repository / folder, monkeypatch)
        there = {path.parent for path in (repository / folder / package).rglob("*.py")}
        names = {".".join(path.relative_to(repository / folder).parts) for path in there}
        assert names == set(given["packages"])


def test_fallback_messages_are_the_released_ones(repository: Path) -> None:
    store = get_typestore(Stores.EMPTY)
    common = get_typestore(Stores.ROS2_JAZZY)
    ours = {}
    for path in repository.glob("interfaces/fallback/*/msg/*.msg"):
        ours.update(get_types_from_msg(path.read_text(), f"{path.parents[1].name}/msg/{path.stem}"))
    store.register({**common.fielddefs, **ours})
    assert {name: store.hash_rihs01(name).removeprefix("RIHS01_") for name in RELEASED} == RELEASED


def test_ordinary_workspaces_never_build_the_fallback(repository: Path) -> None:
    assert (repository / "interfaces/fallback/COLCON_IGNORE").is_file()


def test_imports_go_one_way(repository: Path) -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed: run `make setup`")
    done = subprocess.run([tool, "--no-logo"], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_tracked_files_hold_no_trace_of_the_machine_that_made_them(repository: Path) -> None:
    if shutil.which("git") is None or not (repository / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=True
    )
    paths = [repository / name for name in listed.stdout.split("\0") if name]
    assert not [
        p for p in paths if p.suffix in {".pyc", ".so", ".onnx", ".pkl"} or p.stat().st_size > 9_000_000
    ]
    traces = (f"{repository}/".encode(), b"pypi" + b".org", b"python" + b"hosted")
    assert not [p for p in paths if any(trace in p.read_bytes() for trace in traces)]
