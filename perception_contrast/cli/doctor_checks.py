"""The checks of `perception-contrast doctor`; they leave the machine as it is."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from perception_contrast.core.cache import cache_dir
from perception_contrast.core.errors import ModelError, one_line
from perception_contrast.core.process.usage_reports import forbid_usage_reports

SET_UP = "run `make setup`, then `source env.sh`"
LIBRARIES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "open_clip": "open_clip_torch",
    "onnxruntime": "onnxruntime-gpu",
    "cv2": "opencv-python",
    "rosbags": "rosbags",
}
# What the nodes do without: packages that hold the module, the one to install first, and what serves then.
OPTIONAL = {
    "openvino": (("openvino",), "without it the other engines serve"),
    "open3d": (("open3d-cpu", "open3d"), "without it a 3D map has no surface"),
    "nicegui": (("nicegui",), "without it there is no studio in the browser"),
}
NEEDED_GB = 2.0


@dataclass(frozen=True)
class Finding:
    """``missing`` is essential: nothing works without it. ``warn`` is a part that will not work."""

    area: str
    level: Literal["ok", "warn", "missing"]
    text: str
    remedy: str = ""


def python() -> Iterator[Finding]:
    version = platform.python_version()
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        yield Finding("python", "missing", version, "use Python 3.10, 3.11 or 3.12")
    elif sys.prefix == sys.base_prefix:
        yield Finding("python", "warn", f"{version}, no virtual environment", "`source env.sh`")
    else:
        yield Finding("python", "ok", f"{version} in {sys.prefix}")


def ros() -> Iterator[Finding]:
    try:
        import rclpy
        from rclpy.utilities import get_rmw_implementation_identifier

        context = rclpy.Context()
        rclpy.init(context=context)
        node = rclpy.create_node("perception_contrast_doctor", context=context)
        node.destroy_node()
        rclpy.shutdown(context=context)
    except ImportError as error:
        yield Finding("ros", "missing", f"rclpy: {error}", f"{SET_UP}, or source your ROS 2")
        return
    except Exception as error:  # rclpy raises many kinds, and one broken part must not hide the rest
        remedy = "unset RMW_IMPLEMENTATION and ROS_DOMAIN_ID, then `source env.sh`"
        yield Finding("ros", "missing", f"no node can be made: {error}", remedy)
        return
    wheels = Path(rclpy.__file__).is_relative_to(sys.prefix)
    kind = "jazzy, from wheels" if wheels else f"{os.environ.get('ROS_DISTRO', 'unknown')}, installed"
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    rmw = get_rmw_implementation_identifier()
    yield Finding("ros", "ok", f"{kind}; {rmw}; domain {domain}; a node can be made")


def interfaces() -> Iterator[Finding]:
    wanted = {
        "perception_contrast_msgs": "FeatureMap",
        "vision_msgs": "Detection2DArray",
        "tf2_msgs": "TFMessage",
    }
    for package, message in wanted.items():
        try:
            getattr(importlib.import_module(f"{package}.msg"), message)
        except (ImportError, AttributeError) as error:
            yield Finding("messages", "missing", f"{package}: {error}", f"{SET_UP}, or build your workspace")
        else:
            yield Finding("messages", "ok", package)


def libraries() -> Iterator[Finding]:
    for module, package in LIBRARIES.items():
        yield _library(module, (package,), "missing", SET_UP)
    for module, (packages, without) in OPTIONAL.items():
        yield _library(module, packages, "warn", f"{SET_UP} (or `pip install {packages[0]}`); {without}")


def _library(
    module: str, packages: Sequence[str], absent: Literal["warn", "missing"], remedy: str
) -> Finding:
    """Whether a module can be imported, and the version of the package that holds it."""
    try:
        importlib.import_module(module)
        package = next(filter(_is_installed, packages), packages[0])
        version = importlib.metadata.version(package) if module != "cv2" else _opencv_version()
        return Finding("libraries", "ok", f"{package} {version}")
    except (ImportError, OSError, RuntimeError, importlib.metadata.PackageNotFoundError) as error:
        return Finding("libraries", absent, f"{packages[0]}: {one_line(error)}", remedy)


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _opencv_version() -> str:
    import cv2

    return str(cv2.__version__)


def gpu() -> Iterator[Finding]:
    try:
        import torch

        if torch.cuda.is_available():
            for index in range(torch.cuda.device_count()):
                seen = torch.cuda.get_device_properties(index)
                yield Finding("gpu", "ok", f"{seen.name}, {seen.total_memory / 2**30:.0f} GiB")
        elif shutil.which("nvidia-smi"):
            remedy = "install the NVIDIA driver that this torch's CUDA version needs"
            yield Finding(
                "gpu", "warn", f"nvidia-smi is here, but torch {torch.__version__} sees none", remedy
            )
        else:
            yield Finding("gpu", "ok", "none; models run on the CPU")
        import onnxruntime
    except ImportError:
        return  # The check of libraries reports it.
    yield Finding("gpu", "ok", f"ONNX Runtime built with {', '.join(onnxruntime.get_available_providers())}")


def cpu() -> Iterator[Finding]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        yield Finding("cpu", "ok", platform.machine())
        return
    flags = next(
        (set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set[str]()
    )
    cores = len(os.sched_getaffinity(0))
    useful = [flag for flag in ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni") if flag in flags]
    text = f"{cores} core{'s' * (cores != 1)}; {' '.join(useful) or 'none of the vector extensions'}"
    if "avx2" in flags:
        yield Finding("cpu", "ok", text)
    else:
        yield Finding("cpu", "warn", text, "without AVX2 a CPU is several times slower; use a GPU")


def weights() -> Iterator[Finding]:
    try:
        from perception_contrast.models.registry import MINILM, MODELS
        from perception_contrast.models.weights import weights_file
    except ImportError:
        return  # The check of libraries reports it.
    for spec in (MODELS["household-lit"], MINILM):
        try:
            path = weights_file(spec, offline=True)
        except ModelError as error:
            damaged = "is damaged" in str(error)
            remedy = "delete the file, then " if damaged else ""
            remedy += "`perception-contrast models get household-lit` (or simply the first use) fetches them"
            yield Finding("weights", "warn", str(error) if damaged else f"{spec.name}: not here yet", remedy)
        else:
            yield Finding("weights", "ok", f"{spec.name}: verified, {path}")


def renderer() -> Iterator[Finding]:
    if importlib.util.find_spec("perception_contrast_sim") is None:
        yield Finding("simulation", "ok", "not installed; a robot needs none")
        return
    program = "import mujoco; c = mujoco.GLContext(16, 16); c.make_current(); print(mujoco.__version__)"
    env = {"MUJOCO_GL": "egl", **os.environ, "MESA_SHADER_CACHE_DISABLE": "true"}
    command = [sys.executable, "-c", program]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        yield Finding("simulation", "warn", "the renderer did not answer in a minute", "set MUJOCO_GL=osmesa")
        return
    if done.returncode == 0:
        yield Finding("simulation", "ok", f"mujoco {done.stdout.strip()} renders with {env['MUJOCO_GL']}")
        return
    reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    remedy = "`sudo apt-get install libegl1 libgl1 libgl1-mesa-dri`, or use a bag or a camera as source"
    yield Finding("simulation", "warn", f"no rendering context: {reason}", remedy)


def display() -> Iterator[Finding]:
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    yield Finding("display", "ok", shown or "none; none is needed, images go to topics and files")


def disk() -> Iterator[Finding]:
    folder = cache_dir()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free / 1e9
    text = f"{free:.1f} GB free for {folder}"
    if not os.access(existing, os.W_OK):
        yield Finding("cache", "missing", f"{existing} is not writable", "set PERCEPTION_CONTRAST_CACHE")
    elif free < NEEDED_GB:
        yield Finding("cache", "warn", text, "free some, or set PERCEPTION_CONTRAST_CACHE")
    else:
        yield Finding("cache", "ok", text)


def hub() -> Iterator[Finding]:
    try:
        from huggingface_hub import constants

        from perception_contrast.models.hub import require_reachable
    except ImportError:
        return  # The check of libraries reports it.
    try:
        require_reachable(constants.ENDPOINT)
    except ModelError as error:
        remedy = "only models other than dinov2-s14 and household-lit need it; connect or give a weights file"
        yield Finding("model hub", "warn", str(error), remedy)
    else:
        yield Finding("model hub", "ok", f"{constants.ENDPOINT} answers")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python, ros, interfaces, libraries, gpu, cpu, weights, renderer, display, disk,
)  # fmt: skip


def examine(*, offline: bool) -> tuple[Finding, ...]:
    """Every finding, in a fixed order; ``offline`` leaves out what needs the network."""
    # Of shells that did not source env.sh: no logs in the home folder.
    os.environ.setdefault("ROS_LOG_DIR", str(cache_dir() / "ros_log"))
    forbid_usage_reports()
    checks = CHECKS if offline else (*CHECKS, hub)
    return tuple(finding for check in checks for finding in check())
