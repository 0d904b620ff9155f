"""The live page in a browser, over real DDS: a camera and a perception_node in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("playwright")

from playwright.sync_api import expect
from studio_browser import StudioProcess, running_studio, watched_page

pytestmark = [pytest.mark.slow, pytest.mark.ros]
ROBOT = Path(__file__).parents[2] / "support" / "live_robot.py"
# The centre of the square that the camera shows, as shares of its image.
CENTRE = (112 / 168, 56 / 112)


@dataclass
class Robot:
    """Processes by what they are."""

    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, what: str) -> None:
        support = os.pathsep.join([str(ROBOT.parent), os.environ.get("PYTHONPATH", "")])
        self.processes[what] = subprocess.Popen(
            [sys.executable, str(ROBOT), what],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": support},
        )

    def kill(self, what: str) -> None:
        process = self.processes.pop(what)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def robot() -> Iterator[Robot]:
    found = Robot()
    for what in ("camera", "node"):
        found.start(what)
    yield found
    for what in list(found.processes):
        found.kill(what)


@pytest.fixture(scope="module")
def studio(robot: Robot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    folder = tmp_path_factory.mktemp("live")
    with running_studio(["--robot", "--save-to", str(folder)], cache=folder / "cache") as started:
        yield started


@pytest.fixture
def page(browser: Any, studio: StudioProcess) -> Iterator[Any]:
    opened, log = watched_page(browser, studio.url)
    expect.set_options(timeout=30_000)
    opened.goto(studio.address("/live"), timeout=60_000)
    # On a busy machine the node's libraries take long to load.
    expect(opened.locator("[data-testid=diagnosis]")).to_contain_text("frames/s", timeout=120_000)
    yield opened
    opened.context.close()
    assert not log.errors and not log.foreign


def look_for(page: Any, text: str) -> None:
    page.locator("[data-testid=look-for]").fill(text)
    page.keyboard.press("Enter")


def canvas(page: Any) -> Any:
    return page.locator(".live-stage canvas")


def sees(page: Any, what: str) -> None:
    """The description of the canvas tells what its boxes are."""
    expect(canvas(page)).to_have_attribute("aria-label", re.compile(what))


def test_what_is_typed_is_found_and_is_still_there_after_a_reload(page: Any) -> None:
    look_for(page, "red, sky: blue; !green")
    sees(page, r"\b1 red\b")
    page.reload()
    queries = page.get_by_role("list", name="Queries")
    for label in ("red", "sky"):
        expect(queries.get_by_role("button", name=f"Edit {label}")).to_be_visible()
    sees(page, r"\b1 red\b")
    queries.get_by_role("button", name="Remove red").click()
    expect(queries.get_by_role("button", name="Edit red")).to_have_count(0)
    sees(page, "nothing that is looked for")


def test_a_thing_that_is_clicked_on_is_found_by_its_name(page: Any) -> None:
    page.get_by_role("button", name="Show an example", exact=True).click()
    sees(page, "camera: ")
    area = canvas(page).bounding_box()
    canvas(page).click(position={"x": CENTRE[0] * area["width"], "y": CENTRE[1] * area["height"]})
    page.locator("[data-testid=example-label]").fill("my square")
    page.get_by_role("button", name="Add example").click()
    expect(page.get_by_role("button", name="Edit my square")).to_be_visible()
    sees(page, "1 my square")


def test_without_the_node_images_stay_and_with_it_results_come_back(page: Any, robot: Robot) -> None:
    look_for(page, "red")
    sees(page, r"\b1 red\b")
    robot.kill("node")
    note = page.locator(".live-note")
    expect(note).to_contain_text("No node 'perception_node' answers")
    expect(note).to_contain_text("own images are shown")
    shown = page.locator(".live-stats div", has_text="shown here").locator("b")
    expect(shown).to_have_text(re.compile(r"[1-9]"))
    robot.start("node")
    expect(note).to_be_hidden(timeout=120_000)
    # The node restores what it looked for before it was killed.
    sees(page, r"\b1 red\b")


def test_who_has_no_token_sees_and_changes_nothing(browser: Any, studio: StudioProcess) -> None:
    opened, log = watched_page(browser, studio.url)
    opened.goto(studio.address("/live", token=False))
    sees(opened, "camera: ")
    look_for(opened, "green")
    expect(opened.get_by_text("This needs the token")).to_be_visible()
    expect(opened.get_by_role("button", name="Edit green")).to_have_count(0)
    opened.context.close()
    assert not log.errors
