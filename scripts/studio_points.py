"""Measures the studio's cloud of points in headless Chromium, whose WebGL the processor computes.

    python scripts/studio_points.py --points 100000

Prints the time from opening the page to its first picture, and how long pictures take while it is panned.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "support"))

from studio_browser import running_browser, running_studio, wait_for_answer, watched_page  # noqa: E402

from perception_contrast.engines.cpu_features import cpu_name  # noqa: E402

GROUPS = 24


def write_groups(path: Path, count: int, channels: int) -> None:
    """Normal groups of vectors (count, channels) with labels."""
    chance = np.random.default_rng(0)
    centres = chance.normal(size=(GROUPS, channels)).astype(np.float32)
    labels = chance.integers(0, GROUPS, count)
    vectors = centres[labels] + chance.normal(size=(count, channels), scale=0.8).astype(np.float32)
    np.savez(path, vectors=vectors, labels=labels)


def pan(page: Any, seconds: float) -> list[float]:
    """Drags in circles. Milliseconds between pictures."""
    box = page.locator(".point-cloud canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate("window.__pointCloudStats.intervals.length = 0")
    page.mouse.move(x, y)
    page.mouse.down()
    end, step = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        step += 1
        page.mouse.move(x + 120 * math.sin(step / 20), y + 90 * math.cos(step / 20))
    page.mouse.up()
    return [float(one) for one in page.evaluate("window.__pointCloudStats.intervals")]


def measure(count: int, channels: int, seconds: float) -> tuple[float, list[float], int]:
    """Seconds to the first picture, milliseconds of pictures while panned, and points drawn meanwhile."""
    with TemporaryDirectory() as name, running_browser() as browser:
        folder = Path(name) / "groups"
        folder.mkdir()
        write_groups(folder / "groups.npz", count, channels)
        with running_studio(["--dataset", str(folder)], cache=Path(name) / "cache") as studio:
            wait_for_answer(studio.url)
            page, _ = watched_page(browser, studio.url)
            page.goto(studio.address("/embedding"))
            page.wait_for_function("window.__pointCloudStats?.first", timeout=120_000)
            first = float(page.evaluate("window.__pointCloudStats.first")) / 1000
            page.wait_for_timeout(500)
            frames = pan(page, seconds)
            return first, frames, int(page.evaluate("window.__pointCloudStats.moving"))


def main() -> int:
    """Prints the figures with the machine's name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000, help="points (%(default)s)")
    parser.add_argument("--channels", type=int, default=384, help="numbers in a vector (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of panning (%(default)s)")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    first, frames, drawn = measure(options.points, options.channels, options.seconds)
    print(f"machine: {cpu_name()}, {os.cpu_count()} processors, load before {load:.1f}")
    print(f"first picture of {options.points:,} points x {options.channels}: {first:.2f} s")
    if len(frames) < 2:
        print("panning: too few pictures to tell")
        return 1
    high = float(np.percentile(frames, 95))
    median = statistics.median(frames)
    print(f"panning: median {median:.1f} ms ({1000 / median:.0f} a second), 95 % within {high:.1f} ms")
    print(f"points drawn while it moved: {drawn:,}; all of them when it rested")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
