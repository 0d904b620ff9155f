"""The page of training runs in a browser: a run that grows, its alarm, paths outside, the token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from studio_browser import StudioProcess, running_studio, watched_page

from perception_contrast_training.engine.journal import JsonLines
from perception_contrast_training.engine.run_events import RunEvents

pytestmark = pytest.mark.slow
REASON = "this is collapsing, because vectors use 1.2 of 64 dimensions (RankMe)"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given") / "growing"
    folder.mkdir()
    recipe = {"method": "simclr", "optimisation": {"steps": 100, "batch": 8}, "backbone": {"name": "vit"}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step_000000005.safetensors").write_bytes(b"")
    RunEvents(folder).note_begin(0, 100, resumed=False)
    return folder


@pytest.fixture(scope="module")
def studio(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    with running_studio(["--run", str(run.parent)], cache=tmp_path_factory.mktemp("cache")) as found:
        yield found


def note(writer: JsonLines, step: int, loss: float) -> None:
    writer.note(step, {"loss": loss, "rank": 9.0, "images per second": 16.0, "batches": float(step)})


def test_the_chart_and_the_figures_follow_a_run_and_an_alarm_says_why(
    browser: Any, studio: StudioProcess, run: Path
) -> None:
    writer = JsonLines(run / "log.jsonl")
    note(writer, 1, 4.0)
    page, log = watched_page(browser, studio.url)
    page.goto(studio.address("/training"))
    page.locator('[data-figure="step"]', has_text="1 of 100").wait_for()
    page.locator(".q-badge", has_text="running").wait_for()
    for step in range(2, 26):
        note(writer, step, 4.0 - step / 10)
    RunEvents(run).note("alarm", 25, kind="lines", text=REASON)
    page.locator('[data-figure="step"]', has_text="25 of 100").wait_for()
    page.locator('[data-figure="loss"]', has_text="1.5").wait_for()
    page.locator('[data-figure="time left"]', has_text="about 38 s").wait_for()
    alarm = page.get_by_role("alert").filter(has_text="Alarm at step 25")
    alarm.wait_for()
    assert "vectors use 1.2 of 64 dimensions" in alarm.inner_text() and "What to do" in alarm.inner_text()
    points = page.evaluate(
        "() => getElement(Number(document.querySelector('.nicegui-echart').id.slice(1)))"
        ".chart.getOption().series[0].data"
    )
    assert points == [[1, 4], *([step, pytest.approx(4.0 - step / 10)] for step in range(2, 26))]
    assert log.errors == [] and log.foreign == []
    page.context.close()


def test_a_run_outside_of_the_folders_is_refused(browser: Any, studio: StudioProcess, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("method: secret_method")
    page, _ = watched_page(browser, studio.url)
    page.goto(f"{studio.url}/training?run={quote(str(tmp_path))}")
    page.get_by_role("alert").filter(has_text="lies outside").wait_for()
    assert "secret_method" not in page.content()
    page.context.close()


def test_a_command_is_shown_and_started_with_the_token_alone(
    browser: Any, studio: StudioProcess, run: Path
) -> None:
    RunEvents(run).note("interrupted", 25)
    page, _ = watched_page(browser, studio.url)
    page.goto(f"{studio.url}/training")
    resume = page.get_by_role("button", name="Resume")
    page.locator(".q-badge", has_text="interrupted").wait_for()
    resume.click()
    page.get_by_text("This needs the token").first.wait_for()
    page.goto(studio.address("/training"))
    page.locator(".q-badge", has_text="interrupted").wait_for()
    resume.click()
    page.get_by_role("dialog").get_by_text(f"$ perception-contrast train resume {run}").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    # The checkpoint is empty, and the command says so.
    page.get_by_text("[ended with code").wait_for(timeout=60_000)
    last = json.loads((run / "events.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "interrupted"
    page.context.close()
