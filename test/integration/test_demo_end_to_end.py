"""The demo as a user runs it: real processes over DDS, from the first frame to the last process gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.household_lit import HEAD_FILE
from perception_contrast.models.registry import HOUSEHOLD_LIT, MINILM
from perception_contrast.models.weights import weights_file

pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]

TOPICS = {
    "/camera/color/image_raw": "sensor_msgs/msg/Image",
    "/perception_node/detections": "vision_msgs/msg/Detection2DArray",
    "/perception_node/masks": "sensor_msgs/msg/Image",
    "/perception_node/overlay": "sensor_msgs/msg/Image",
    "/perception_node/features": "perception_contrast_msgs/msg/FeatureMap",
    "/perception_node/embedding": "perception_contrast_msgs/msg/Embedding",
}


@pytest.fixture(scope="module")
def weights() -> None:
    """Skips where the default models would have to be downloaded first."""
    try:
        for spec in (HOUSEHOLD_LIT, MINILM):
            weights_file(spec, offline=True)
    except ModelError as error:
        pytest.skip(str(error))
    if not HEAD_FILE.is_file():
        pytest.skip(f"no {HEAD_FILE.name}")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(3):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((160, 120)).save(folder / f"{i}.png")
    return folder


@contextmanager
def demo(repository: Path, *arguments: str, studio: bool = False) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-m",
        "perception_contrast.cli.main",
        "demo",
        "--offline",
        "--short-side",
        "112",
        *(() if studio else ("--no-studio",)),
    ]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], bool], timeout: float = 20.0) -> bool:
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Output up to the line with these words, or all of it."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            break
    return lines


def test_the_simulated_robot_from_start_to_report(weights: None, repository: Path, tmp_path: Path) -> None:
    report_path, folder = tmp_path / "report.json", tmp_path / "kept"
    arguments = ("--duration", "2", "--queries", "mug, laptop: notebook computer; laptop")
    with demo(repository, *arguments, "--report", str(report_path), "--save", str(folder)) as process:
        start = read_until(process, "things of")
        started = children(process.pid)
        assert len(started) == 2, start
        rest, _ = process.communicate(timeout=150)
    assert process.returncode == 0, "".join(start) + rest
    assert not any(alive(pid) for pid in started)
    report = json.loads(report_path.read_text())
    assert report["duration"] >= 2 and report["frames_out"] >= 1 and report["fps"] >= 0
    assert report["frames_in"] >= report["frames_out"] + report["dropped"]
    assert {name: report["topics"][name]["type"] for name in TOPICS} == TOPICS
    end_to_end, encode = report["latency_ms"]["end_to_end"], report["latency_ms"]["encode"]
    assert 0 < encode["p50"] < end_to_end["p95"] < 60_000
    assert report["models"]["spatial"]["space"].startswith("dinov2-s14@")
    assert report["models"]["semantic"]["space"].startswith("household-lit@")
    assert report["queries"] == ["mug", "laptop: notebook computer; laptop"]
    assert set(report["detections"]) <= {"mug", "laptop"}
    assert all(0 < found["share_of_frames"] <= 1 for found in report["detections"].values())
    overlays = sorted(folder.glob("overlay_*.png"))
    assert overlays and Image.open(overlays[0]).size == (640, 480)
    assert Image.open(folder / "features.png").size == (640, 480)


def test_interrupt_ends_everything_and_still_reports(
    weights: None, repository: Path, images: Path, tmp_path: Path
) -> None:
    report_path = tmp_path / "report.json"
    words = ("--source", "images", str(images), "--report", str(report_path), "--studio-port", "0")
    with demo(repository, *words, studio=True) as process:
        lines = read_until(process, " frames  ")
        started = children(process.pid)
        assert len(started) == 3, lines
        address = next(line.split()[1] for line in lines if line.startswith("studio: http"))
        with urllib.request.urlopen(f"{address}live") as answer:
            assert answer.status == 200
        # The robot goes on when the studio dies.
        (studio,) = [pid for pid in started if b"studio" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(studio, signal.SIGKILL)
        assert read_until(process, "studio: it ended") and read_until(process, " frames  ")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    assert not any(alive(pid) for pid in started)
    report = json.loads(report_path.read_text())
    assert report["frames_out"] >= 1 and report["source"] == f"images {images}"


def test_a_killed_demo_leaves_no_process_behind(repository: Path, images: Path) -> None:
    with demo(repository, "--source", "images", str(images)) as process:
        assert wait_for(lambda: len(children(process.pid)) == 2)
        started = children(process.pid)
        process.kill()
        process.wait()
    assert wait_for(lambda: not any(alive(pid) for pid in started))


def test_the_last_words_of_a_node_that_fails_are_shown(repository: Path, images: Path) -> None:
    with demo(repository, "--source", "images", str(images), "--short-side", "3") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    error = output[output.index("error: ") :]
    assert "perception_node ended (exit code 1)" in error and "short_side" in error
    assert "Traceback" not in output


def test_an_unknown_model_starts_nothing(repository: Path) -> None:
    with demo(repository, "--model", "dinov2-s15") as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert output.count("\n") == 1 and "dinov2-s14" in output
