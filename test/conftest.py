"""What all tests share: optional data, and isolation of tests that use DDS."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from perception_contrast.core.process.usage_reports import forbid_usage_reports

REPOSITORY = Path(__file__).resolve().parents[1]


def _isolate_dds() -> None:
    """Keeps this run's DDS traffic on this machine and apart from other runs."""
    os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 100))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_LOCALHOST_ONLY"] = "1" if os.environ.get("ROS_DISTRO") == "humble" else "0"


def _isolate_state() -> None:
    """Nodes of this run must not find what those of another, in the same domain, were looking for."""
    folder = tempfile.mkdtemp(prefix="perception_contrast_state_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["PERCEPTION_CONTRAST_STATE"] = folder


def _share_processors() -> None:
    """Gives each process of xdist its share: threads that spin for those of another take twice the time."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
    if processes:
        share = max(1, len(os.sched_getaffinity(0)) // processes)
        os.environ.setdefault("OMP_NUM_THREADS", str(share))


def pytest_configure(config: pytest.Config) -> None:
    """Set before any test module can import the libraries that read them."""
    _share_processors()
    _isolate_dds()
    _isolate_state()
    forbid_usage_reports()
    # MuJoCo chooses its renderer when it is imported, which a test may do before our code does.
    os.environ.setdefault("MUJOCO_GL", "egl")


def _have_rclpy() -> bool:
    try:
        import rclpy  # noqa: F401
    except ImportError:
        return False
    return True


def _have_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _unmet(item: pytest.Item) -> str | None:
    """The reason why ``item`` cannot run here, or None."""
    marks = {mark.name for mark in item.iter_markers()}
    if "ros" in marks and not _have_rclpy():
        return "rclpy cannot be imported: run `make setup` and `source env.sh`"
    if "gpu" in marks and not _have_gpu():
        return "no CUDA GPU"
    if "hub" in marks and os.environ.get("PERCEPTION_CONTRAST_TEST_HUB") != "1":
        return "needs a model hub: set PERCEPTION_CONTRAST_TEST_HUB=1"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons: dict[frozenset[str], str | None] = {}
    for item in items:
        marks = frozenset(mark.name for mark in item.iter_markers()) & {"ros", "gpu", "hub"}
        if marks not in reasons:
            reasons[marks] = _unmet(item)
        if reasons[marks] is not None:
            item.add_marker(pytest.mark.skip(reason=str(reasons[marks])))
    if config.pluginmanager.hasplugin("xdist"):
        _group(items)


def _of_nodes(item: pytest.Item) -> bool:
    file = item.nodeid.partition("::")[0]
    ros = item.get_closest_marker("ros") is not None
    return file.startswith("test/ros/") or (ros and not file.startswith("test/unit/"))


def _in_browser(item: pytest.Item) -> bool:
    return item.nodeid.startswith("test/integration/studio/")


def _group(items: list[pytest.Item]) -> None:
    """Whole files go to one process; what uses DDS to one and the same. The longest groups come first.

    Otherwise one process would wait at the end for a long one that the other has just begun.
    """
    seconds: Counter[str] = Counter()
    groups = {}
    for item in items:
        file = item.nodeid.partition("::")[0]
        marks = {mark.name for mark in item.iter_markers()}
        groups[item] = "nodes" if _of_nodes(item) else file
        # One browser at a time; it keeps the other process busy meanwhile.
        if _in_browser(item):
            groups[item] = "studio"
        seconds[groups[item]] += 0.0 if "skip" in marks else 20.0 if "slow" in marks else 0.2
        item.add_marker(pytest.mark.xdist_group(groups[item]))
    items.sort(key=lambda item: (-seconds[groups[item]], groups[item]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Raises UsageError where xdist does not see the groups: tests of nodes would disturb each other."""
    grouped = hasattr(session.config, "workerinput") and session.config.getvalue("loadgroup")
    if grouped and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("this pytest-xdist does not group tests under this pytest; run `make setup`")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of optional test data; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("PERCEPTION_CONTRAST_SHARED", REPOSITORY.parent / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"no test data at {path}: set PERCEPTION_CONTRAST_SHARED to its folder")
    return path


@pytest.fixture
def cases(shared: Path) -> Path:
    """Folder of the recordings of reported cases."""
    path = shared / "cases/recordings"
    if not path.is_dir():
        pytest.skip("needs the recordings of reported cases, which are not at hand")
    return path
