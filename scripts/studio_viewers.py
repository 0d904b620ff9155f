"""Measures what viewers of the studio cost a robot, and how late they see what its node publishes.

    python scripts/studio_viewers.py --seconds 20

Runs the demo and a studio, and counts the node's results a second without viewers, with one page in headless
Chromium, and with further viewers that take every frame but draw nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "support"))

from studio_browser import running_browser, running_studio, wait_for_answer, watched_page  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

from perception_contrast.cli.demo.demo_graph import environment, free_domain  # noqa: E402
from perception_contrast.engines.cpu_features import cpu_name  # noqa: E402

LAYERS = ["boxes", "names", "scores"]


@contextmanager
def running_demo(domain: int) -> Iterator[None]:
    """The simulated camera and perception_node, without a studio of their own."""
    command = [sys.executable, "-m", "perception_contrast.cli.main", "demo", "--no-studio"]
    process = subprocess.Popen(
        [*command, "--domain-id", str(domain)],
        env=environment(domain),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


class Viewer:
    """Takes every frame of the unnamed camera and keeps what the studio says of delays.

    Args:
        url: Of the studio.
    """

    def __init__(self, url: str) -> None:
        self._stack = ExitStack()
        place = url.replace("http", "ws", 1) + "/live/stream/-"
        self._socket = self._stack.enter_context(connect(place, max_size=None))
        self._socket.send(json.dumps({"layers": LAYERS}))
        self.behind_ms: list[float] = []
        self.frames = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for message in self._socket:
            if isinstance(message, str):
                behind = json.loads(message).get("stats", {}).get("behind_ms")
                if behind is not None:
                    self.behind_ms.append(float(behind))
                continue
            (length,) = struct.unpack("<I", message[:4])
            header: dict[str, Any] = json.loads(message[4 : 4 + length])
            if header["kind"] == "frame":
                self.frames += 1
                # The last frame may come while the viewer goes away.
                with suppress(ConnectionClosed):
                    self._socket.send(json.dumps({"ack": header["number"], "busy": 0.0}))

    def close(self) -> None:
        """Goes away."""
        self._stack.close()


def results_per_second(seconds: float) -> float:
    """Of the node, as any subscriber of its detections counts them."""
    from perception_contrast.client import PerceptionClient

    with PerceptionClient() as client:
        client.wait_until_active(180.0)
        with client.detections(timeout=60.0) as stream:
            # The first ones come while outputs are still being switched on.
            for _ in range(3):
                next(stream)
            begun, count = time.monotonic(), 0
            while time.monotonic() - begun < seconds:
                next(stream)
                count += 1
            return count / (time.monotonic() - begun)


def measure(seconds: float, viewers: int) -> dict[str, float]:
    """Rates by situation, and the median of milliseconds behind the node, seen by a page and by a viewer."""
    domain = free_domain()
    os.environ.update(environment(domain))
    with ExitStack() as stack:
        stack.enter_context(running_demo(domain))
        studio = stack.enter_context(running_studio(["--robot"], environment=environment(domain)))
        wait_for_answer(studio.url)
        found = {"results/s without viewers": results_per_second(seconds)}
        browser = stack.enter_context(running_browser())
        page, _ = watched_page(browser, studio.url)
        page.goto(studio.address("/live"))
        page.wait_for_timeout(5000)
        found["results/s with one page"] = results_per_second(seconds)
        first = Viewer(studio.url)
        found[f"results/s with one page and {viewers} viewers"] = _with_viewers(studio.url, seconds, viewers)
        first.close()
        found["ms behind the node, median"] = statistics.median(first.behind_ms or [float("nan")])
    return found


def _with_viewers(url: str, seconds: float, count: int) -> float:
    others = [Viewer(url) for _ in range(count - 1)]
    try:
        return results_per_second(seconds)
    finally:
        for one in others:
            one.close()


def main() -> int:
    """Prints the figures with the machine's name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each situation (%(default)s)")
    parser.add_argument("--viewers", type=int, default=10, help="beside the page (%(default)s)")
    options = parser.parse_args()
    print(f"machine: {cpu_name()}, {os.cpu_count()} processors, load before {os.getloadavg()[0]:.1f}")
    found = measure(options.seconds, options.viewers)
    base = found["results/s without viewers"]
    for name, value in found.items():
        share = f" ({value / base:.2f} of without)" if name.startswith("results") else ""
        print(f"{name}: {value:.2f}{share}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
