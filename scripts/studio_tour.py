"""Makes the moving picture and the stills of the studio in docs/images, of a simulated robot.

    python scripts/studio_tour.py

Runs the demo with a map and a studio, asks for things as a visitor would, and keeps what the browser shows.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "support"))

from studio_browser import running_browser, running_studio, wait_for_answer, watched_page  # noqa: E402

from perception_contrast.cli.demo.demo_graph import environment, free_domain  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1280, "height": 800}
WIDTH, FRAME_MS, QUALITY = 900, 400, 55
QUERIES = "bowl, sofa, potted plant, laptop, chair"


class Film:
    """What a page shows, at even times.

    Args:
        page: Of Playwright.
    """

    def __init__(self, page: Any) -> None:
        self._page, self._frames = page, list[Image.Image]()

    def roll(self, seconds: float) -> None:
        """Keeps pictures for a while."""
        end = time.monotonic() + seconds
        while (begun := time.monotonic()) < end:
            with Image.open(io.BytesIO(self._page.screenshot())) as shot:
                height = round(shot.height * WIDTH / shot.width)
                self._frames.append(shot.convert("RGB").resize((WIDTH, height)))
            left = FRAME_MS / 1000 - (time.monotonic() - begun)
            self._page.wait_for_timeout(max(left, 0.0) * 1000)

    def save(self, path: Path) -> None:
        """Writes an animation."""
        first, *others = self._frames
        first.save(path, save_all=True, append_images=others, duration=FRAME_MS, loop=0, quality=QUALITY)


def type_slowly(film: Film, page: Any, label: str, text: str) -> None:
    """As a person types."""
    page.get_by_label(label, exact=True).click()
    for letter in text:
        page.keyboard.type(letter)
        film.roll(0.1)
    page.keyboard.press("Enter")


def tour(page: Any, url: Any, folder: Path) -> None:
    """Live: a query, likeness under the pointer. Then the map: where is it?"""
    film = Film(page)
    page.goto(url("/live"))
    page.wait_for_timeout(8000)
    film.roll(3.0)
    type_slowly(film, page, "What to look for", "red mug, banana")
    film.roll(6.0)
    page.screenshot(path=str(folder / "studio_live.png"))
    page.get_by_role("button", name="Similarity").click()
    for x, y in ((420, 300), (520, 330), (620, 360), (560, 280)):
        page.mouse.move(x, y, steps=4)
        film.roll(1.2)
    page.goto(url("/map"))
    page.wait_for_timeout(8000)
    film.roll(2.0)
    type_slowly(film, page, "What are you looking for?", "potted plant")
    film.roll(6.0)
    page.screenshot(path=str(folder / "studio_map.png"))
    film.save(folder / "studio.webp")


def main() -> int:
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--to", type=Path, default=IMAGES, help="folder of the pictures (%(default)s)")
    parser.add_argument("--map-seconds", type=float, default=45.0, help="of mapping before (%(default)s)")
    options = parser.parse_args()
    domain = free_domain()
    values = environment(domain)
    os.environ.update(values)
    command = [sys.executable, "-m", "perception_contrast.cli.main", "demo", "--no-studio", "--map"]
    demo = subprocess.Popen([*command, "--queries", QUERIES, "--domain-id", str(domain)], env=values)
    with ExitStack() as stack:
        stack.callback(demo.wait)
        stack.callback(demo.terminate)
        studio = stack.enter_context(running_studio(["--robot"], environment=values))
        wait_for_answer(studio.url)
        browser = stack.enter_context(running_browser())
        page, _ = watched_page(browser, studio.url, viewport=SIZE)
        page.goto(studio.address("/live"))
        page.wait_for_timeout(options.map_seconds * 1000)
        tour(page, lambda path: studio.address(path, token=False), options.to)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
