"""System libraries and tools that no wheel brings: what is missing, and how to get it with apt."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

# Shared library -> Debian and Ubuntu package.
LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libgomp.so.1": "libgomp1",
    "libusb-1.0.so.0": "libusb-1.0-0",
}
TOOLS = {"cmake": "cmake", "g++": "g++", "make": "make"}
# ROS packages that an installed ROS 2 must hold.
ROS_PACKAGES = (
    "ament_cmake",
    "diagnostic_msgs",
    "geometry_msgs",
    "launch_ros",
    "lifecycle_msgs",
    "rclpy",
    "rosidl_default_generators",
    "sensor_msgs",
    "std_msgs",
    "tf2_msgs",
    "vision_msgs",
)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _python_packages() -> list[str]:
    """Debian splits headers and venv from its Python; other builds hold both."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    missing = []
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.append(f"{version}-dev")
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        missing.append(f"{version}-venv")
    return missing


def _ros_packages(distribution: str) -> list[str]:
    prefixes = [Path(entry) for entry in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if entry]
    absent = [name for name in ROS_PACKAGES if not any((p / "share" / name).is_dir() for p in prefixes)]
    missing = [f"ros-{distribution}-{name.replace('_', '-')}" for name in absent]
    return missing + ([] if shutil.which("colcon") else ["python3-colcon-common-extensions"])


def missing_packages(ros_distribution: str | None) -> list[str]:
    """Names of the apt packages to install; ``ros_distribution`` is None where the wheels are used."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    missing += [package for library, package in LIBRARIES.items() if not _loads(library)]
    missing += _python_packages()
    return missing + (_ros_packages(ros_distribution) if ros_distribution else [])


def install(packages: list[str]) -> None:
    """Installs with apt as root; otherwise says what to run and ends the program."""
    line = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(f"set-up: system packages are missing. Run this, then try again:\n  sudo {line}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ("apt-get update -q", line):
        print(f"$ {command}", flush=True)
        if subprocess.run(command.split(), env=environment, check=False).returncode != 0:
            sys.exit(f"set-up: `{command}` failed; see apt's message above")
