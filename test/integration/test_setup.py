"""The set-up program's parts that touch nothing, and what `source env.sh` gives a shell."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def scripts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    yield
    for name in ("set_up", "system_packages", "ament_index"):
        sys.modules.pop(name, None)


@pytest.fixture
def set_up(scripts: None) -> ModuleType:
    return importlib.import_module("set_up")


@pytest.fixture
def ament_index(scripts: None) -> ModuleType:
    return importlib.import_module("ament_index")


@pytest.fixture
def system_packages(scripts: None) -> ModuleType:
    return importlib.import_module("system_packages")


def test_missing_tools_and_libraries_are_named_as_debian_packages(
    system_packages: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_packages.shutil, "which", lambda name: None)
    monkeypatch.setattr(system_packages, "LIBRARIES", {"libnone-such.so.9": "libnone9", "libc.so.6": "libc6"})
    missing = system_packages.missing_packages(None)
    assert {"cmake", "g++", "make", "libnone9"} <= set(missing)
    assert "libc6" not in missing


def test_without_root_the_exact_apt_line_is_printed_and_the_set_up_stops(
    system_packages: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_packages.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit) as stop:
        system_packages.install(["cmake", "libegl1"])
    assert "sudo apt-get install -y --no-install-recommends cmake libegl1" in str(stop.value.code)


def test_an_installed_ros_lacking_packages_gets_their_apt_names(
    system_packages: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "share" / "rclpy").mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    missing = system_packages.missing_packages("jazzy")
    assert "ros-jazzy-vision-msgs" in missing
    assert "ros-jazzy-rclpy" not in missing


@pytest.mark.parametrize(
    ("distribution", "prefixes", "expected"),
    [
        (None, "", None),
        ("jazzy", "/opt/ros/jazzy", "jazzy"),
        ("jazzy", "{venv}", None),
        ("humble", "{venv}:/opt/ros/humble", "humble"),
    ],
)
def test_only_a_ros_outside_the_environment_counts_as_installed(
    set_up: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    distribution: str | None,
    prefixes: str,
    expected: str | None,
) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", prefixes.format(venv=set_up.VENV))
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    if distribution:
        monkeypatch.setenv("ROS_DISTRO", distribution)
    assert set_up.installed_ros() == expected


def test_cmake_files_of_the_wheels_come_to_name_this_python(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    version = f"python{set_up.PYTHON_VERSION}"
    site = tmp_path / "lib" / version / "site-packages"
    (site / "numpy" / "_core" / "include").mkdir(parents=True)
    file = tmp_path / "share" / "some_msgs" / "cmake" / "export.cmake"
    file.parent.mkdir(parents=True)
    theirs = "/opt/python/cp311-cp311"
    file.write_text(
        f'set(A "{theirs}/include/{version};{theirs}/lib/{version}/site-packages/numpy/_core/include;/usr/x")'
    )
    monkeypatch.setattr(set_up, "VENV", tmp_path)
    set_up.name_our_python()
    assert file.read_text() == (
        f'set(A "{sys.base_prefix}/include/{version};{site}/numpy/_core/include;/usr/x")'
    )


def test_a_step_is_due_again_when_its_files_change(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(set_up, "ROOT", tmp_path)
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("one")
    second.write_text("two")
    before = set_up.digest([first, second])
    assert set_up.digest([second, first]) == before
    first.write_text("one!")
    assert set_up.digest([first, second]) != before


@pytest.mark.parametrize(
    ("exit_code", "replaced", "served"), [(0, False, True), (1, False, False), (0, True, False)]
)
def test_messages_of_a_failed_build_or_of_replaced_packages_are_built_again(
    set_up: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    exit_code: int,
    replaced: bool,
    served: bool,
) -> None:
    site = tmp_path / "lib" / f"python{set_up.PYTHON_VERSION}" / "site-packages"
    for name in ("numpy-2.1.0", "ros_jazzy_rclpy-7.1.6", "rich-13.7"):
        (site / f"{name}.dist-info").mkdir(parents=True)
    monkeypatch.setattr(set_up, "VENV", tmp_path)
    monkeypatch.setattr(set_up, "build_folder", lambda: tmp_path / "build")
    monkeypatch.setattr(set_up, "colcon_build", lambda: ["sh", "-c", f"exit {exit_code}"])
    early = set_up.EarlyBuild(is_due=True)
    assert not early.served()
    early.begin()
    (site / "rich-13.7.dist-info").rmdir()
    if replaced:
        (site / "numpy-2.1.0.dist-info").rename(site / "numpy-2.2.0.dist-info")
    assert early.served() is served


def test_notes_survive_and_replace_by_key(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(set_up, "NOTES", tmp_path / ".set-up")
    set_up.note("ros", "wheels")
    set_up.note("libraries", "1")
    set_up.note("libraries", "2")
    assert set_up.read_notes() == {"ros": "wheels", "libraries": "2"}


PACKAGES = {"perception_contrast": ".", "perception_contrast_sim": "simulation"}
PACKAGES["perception_contrast_training"] = "training"


def _shared_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """What a build with colcon puts below the prefix's share, as setup.py says, with its source."""
    setuptools = pytest.importorskip("setuptools")
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    monkeypatch.chdir(folder)
    runpy.run_path("setup.py")
    return {
        f"{place}/{Path(file).name}": folder / file for place, files in given["data_files"] for file in files
    }


def _executables(folder: Path) -> set[str]:
    """Those that `ros2 run` finds: files below lib/<package> that may be run."""
    return {file.name for file in folder.rglob("*") if file.is_file() and os.access(file, os.X_OK)}


@pytest.fixture
def environment(tmp_path: Path, ament_index: ModuleType) -> Path:
    """A virtual environment as pip leaves it: metadata of the packages, and their commands."""
    installed = tmp_path / "environment"
    for name in PACKAGES:
        entries = importlib.metadata.distribution(name).entry_points
        metadata = installed / "lib/python3.11/site-packages" / f"{name}-0.1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
        scripts = [entry for entry in entries if entry.group == "console_scripts"]
        lines = [f"{entry.name} = {entry.value}" for entry in scripts]
        (metadata / "entry_points.txt").write_text("\n".join(["[console_scripts]", *lines]))
        for entry in scripts:
            command = installed / "bin" / entry.name
            command.parent.mkdir(exist_ok=True)
            command.write_text("#!/bin/sh\n")
            command.chmod(0o755)
    return installed


def test_a_prefix_with_links_holds_what_a_build_would_put_there(
    repository: Path,
    environment: Path,
    ament_index: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = pytest.importorskip("ament_index_python.packages")
    prefix = tmp_path / "prefix"
    folders = [repository / folder for folder in PACKAGES.values()]
    for _ in range(2):
        ament_index.link_packages(folders, environment, prefix)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))
    assert set(index.get_packages_with_prefixes()) == set(PACKAGES)
    for name, folder in PACKAGES.items():
        assert Path(index.get_package_prefix(name)) == prefix
        assert Path(index.get_package_share_directory(name), "package.xml").is_file()
        files = _shared_files(repository / folder, monkeypatch)
        assert len(files) > 2
        for place, source in files.items():
            assert (prefix / place).samefile(source), place
        # As `ros2 launch` looks for launch files: not through links to folders.
        walked = {name for _, _, names in os.walk(prefix / "share" / name) for name in names}
        assert {Path(place).name for place in files if f"share/{name}/" in place} <= walked
        entries = importlib.metadata.distribution(name).entry_points
        promised = {entry.name for entry in entries if entry.group == "console_scripts"}
        assert _executables(prefix / "lib" / name) == promised


def test_links_follow_the_checkout_and_foreign_files_stay(
    environment: Path, ament_index: ModuleType, tmp_path: Path
) -> None:
    folder, prefix = tmp_path / "some", tmp_path / "prefix"
    for place in ("resource/some", "launch/one.launch.py", "config/some.yaml", "package.xml"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text("")
    other = prefix / ament_index.INDEX / "other"
    other.parent.mkdir(parents=True)
    other.write_text("")
    ament_index.link_packages([folder], environment, prefix)
    (folder / "launch" / "one.launch.py").write_text("edited")
    assert (prefix / "share/some/launch/one.launch.py").read_text() == "edited"
    (folder / "launch" / "two.launch.py").write_text("new")
    (folder / "config").rename(tmp_path / "elsewhere")
    ament_index.link_packages([folder], environment, prefix)
    assert (prefix / "share/some/launch/two.launch.py").read_text() == "new"
    assert not os.path.lexists(prefix / "share/some/config")
    assert other.is_file()
    (prefix / "share/some/config").mkdir()
    (prefix / "share/some/config/some.yaml").write_text("a user's own")
    (tmp_path / "elsewhere").rename(folder / "config")
    with pytest.raises(FileExistsError):
        ament_index.link_packages([folder], environment, prefix)
    assert (prefix / "share/some/config/some.yaml").read_text() == "a user's own"


def test_who_has_the_whole_open3d_keeps_it(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(set_up, "VENV", tmp_path)
    site = tmp_path / "lib" / f"python{set_up.PYTHON_VERSION}" / "site-packages"
    for installed, light in (("numpy-2.4.6", True), ("open3d_cpu-0.20.0", True), ("open3d-0.20.0", False)):
        (site / f"{installed}.dist-info").mkdir(parents=True)
        assert ("mapping.txt" in {path.name for path in set_up.requirement_files()}) == light


def test_a_new_shared_file_is_a_reason_to_index_again(set_up: ModuleType) -> None:
    before = dict((key, value) for key, _, _, value in set_up.steps({}))
    names = set_up.names_digest
    shared = [file for folder in set_up.PACKAGES for file in set_up.ament_index.shared_files(folder)]
    assert before["index"].endswith(names(shared)) and names(shared) != names(shared[1:])


def _bare_shell(shell: str, script: str, home: Path) -> subprocess.CompletedProcess[str]:
    """A shell as after log-in, in another folder."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    isolation = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY")
    env = {"HOME": str(home), "PATH": "/usr/bin:/bin", **{k: os.environ[k] for k in isolation}}
    command = [found, "-c", script]
    return subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.ros
@pytest.mark.skipif("ROS_DISTRO" in os.environ, reason="an installed ROS 2 is in use")
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_sourcing_twice_gives_a_shell_ros_and_our_messages_once(
    repository: Path, tmp_path: Path, shell: str
) -> None:
    program = (
        "import rclpy, os; from vision_msgs.msg import Detection2DArray;"
        "from perception_contrast_msgs.msg import FeatureMap; import perception_contrast;"
        "print(os.environ['PATH']); print(os.environ['LD_LIBRARY_PATH']); print(os.environ['ROS_LOG_DIR'])"
    )
    script = f"source '{repository}/env.sh'; source '{repository}/env.sh'; python -c \"{program}\""
    done = _bare_shell(shell, script, tmp_path)
    assert done.returncode == 0, done.stderr
    path, libraries, log = done.stdout.splitlines()
    assert path.split(":") == [str(repository / ".venv" / "bin"), "/usr/bin", "/bin"]
    assert len(libraries.split(":")) == len(set(libraries.split(":")))
    assert log.startswith(str(tmp_path))


@pytest.mark.ros
@pytest.mark.skipif("ROS_DISTRO" in os.environ, reason="an installed ROS 2 is in use")
def test_a_shell_after_set_up_finds_the_packages_by_their_names(repository: Path, tmp_path: Path) -> None:
    program = (
        "from ament_index_python.packages import get_package_prefix as prefix;"
        "from ament_index_python.packages import get_package_share_directory as share;"
        f"names = {[*PACKAGES, 'perception_contrast_msgs']};"
        "print(*sorted({prefix(name) for name in names})); print(share('perception_contrast'))"
    )
    done = _bare_shell("bash", f"source '{repository}/env.sh'; python -c \"{program}\"", tmp_path)
    assert done.returncode == 0, done.stderr
    prefix, share = done.stdout.splitlines()
    assert prefix == str(repository / ".venv")
    assert Path(share, "launch", "perception.launch.py").samefile(repository / "launch/perception.launch.py")
    assert _executables(Path(prefix, "lib", "perception_contrast")) >= {"perception_node", "bag_player"}


def test_sourcing_before_set_up_tells_what_to_run(repository: Path, tmp_path: Path) -> None:
    shutil.copy(repository / "env.sh", tmp_path / "env.sh")
    done = _bare_shell("bash", f"source '{tmp_path}/env.sh' || exit 7", tmp_path)
    assert done.returncode == 7
    assert "make -C" in done.stderr and "setup" in done.stderr


LISTENER = """
import rclpy
from perception_contrast_msgs.msg import FeatureMap
from rclpy.qos import QoSProfile, DurabilityPolicy
rclpy.init()
node = rclpy.create_node('listener')
latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
def heard(message):
    print(message.model, bytes(message.data).hex(), flush=True)
    raise SystemExit
node.create_subscription(FeatureMap, 'features', heard, latched)
rclpy.spin(node)
"""


@pytest.mark.ros
def test_two_processes_exchange_our_message() -> None:
    import rclpy
    from perception_contrast_msgs.msg import FeatureMap
    from rclpy.qos import DurabilityPolicy, QoSProfile

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("talker", context=context)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = node.create_publisher(FeatureMap, "features", latched)
    message = FeatureMap(model="dinov2-s14")
    message.data.frombytes(b"\x01\xff")
    publisher.publish(message)
    command = [sys.executable, "-c", LISTENER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    node.destroy_node()
    rclpy.shutdown(context=context)
    assert done.stdout.split() == ["dinov2-s14", "01ff"], done.stderr
