"""The page of the embedding space in a browser: lasso and export, hover, pairs, refused words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studio_browser import PageLog, StudioProcess, running_studio, watched_page

from perception_contrast.images.files import save_image

pytestmark = pytest.mark.slow
COUNT = 400


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups far apart, 200 points each; only the first two points have a picture."""
    folder = tmp_path_factory.mktemp("points")
    chance = np.random.default_rng(0)
    labels = np.repeat([0, 1], COUNT // 2)
    vectors = np.eye(8)[labels] + chance.normal(size=(COUNT, 8), scale=0.05)
    save_image(folder / "red.png", np.full((40, 60, 3), (220, 20, 20), np.uint8))
    np.savez(
        folder / "two.npz",
        vectors=vectors.astype(np.float32),
        labels=labels,
        classes=np.array(["left", "right"]),
        paths=np.array(["red.png"] * COUNT),
        model=np.array("dinov2-s14"),
        space=np.array("dinov2-s14@0"),
    )
    return folder


@pytest.fixture(scope="module")
def studio(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    with running_studio(["--dataset", str(data)], cache=tmp_path_factory.mktemp("cache")) as found:
        yield found


@pytest.fixture
def opened(browser: Any, studio: StudioProcess) -> Iterator[tuple[Any, PageLog]]:
    page, log = watched_page(browser, studio.url)
    page.goto(studio.address("/embedding"))
    page.wait_for_function("window.__pointCloudStats?.count === 400")
    yield page, log
    page.context.close()
    assert log.errors == [] and log.foreign == []


def places(page: Any, indices: range) -> Any:
    """(n, 2) where points are on the page."""
    box = page.locator(".point-cloud canvas").bounding_box()
    found = page.evaluate(
        "async (indices) => { const id = Number(document.querySelector('.point-cloud').id.slice(1));"
        " return Promise.all(indices.map((index) => runMethod(id, 'place_of', [index]))); }",
        list(indices),
    )
    return np.array(found) + np.array([box["x"], box["y"]])


def place(page: Any, index: int) -> tuple[float, float]:
    """Where a point is on the page."""
    x, y = places(page, range(index, index + 1))[0]
    return float(x), float(y)


def lasso(page: Any, indices: range) -> None:
    """Draws a rectangle around points."""
    found = places(page, indices)
    low, high = found.min(axis=0) - 6, found.max(axis=0) + 6
    page.keyboard.down("Shift")
    page.mouse.move(low[0], low[1])
    page.mouse.down()
    for x, y in ((high[0], low[1]), (high[0], high[1]), (low[0], high[1]), (low[0], low[1] + 1)):
        page.mouse.move(x, y, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")


def test_a_lasso_counts_its_points_and_exports_them(opened, data):
    page, _ = opened
    lasso(page, range(200))
    page.get_by_text("200 points in the lasso").wait_for()
    row = page.locator(".q-table tbody tr")
    assert row.count() == 1 and row.inner_text().split() == ["left", "200"]
    page.get_by_role("button", name="Export as split").click()
    page.get_by_label("Name of the part").fill("chosen")
    page.get_by_role("button", name="Write").click()
    page.get_by_text("200 lines").wait_for()
    assert (data / "two.chosen.txt").read_text().splitlines() == ["red.png"] * 200


def test_hover_shows_the_picture_and_a_pair_its_cosine(opened, data):
    page, _ = opened
    page.mouse.move(*place(page, 3))
    image = page.locator(".pc-tip img")
    image.wait_for()
    page.wait_for_function("document.querySelector('.pc-tip img')?.naturalWidth === 60")
    page.mouse.click(*place(page, 3))
    page.get_by_text("Nearest neighbours, by cosine").wait_for()
    page.keyboard.down("Control")
    page.mouse.click(*place(page, 250))
    page.keyboard.up("Control")
    shown = page.locator("text=/^cosine -?\\d/")
    shown.wait_for()
    assert abs(float(shown.inner_text().split()[1])) < 0.5


def test_words_are_refused_with_the_reason(opened):
    page, _ = opened
    page.get_by_text("learned from images alone").first.wait_for()
    page.get_by_label("Words, such as").fill("a mug")
    page.keyboard.press("Enter")
    page.locator(".q-notification", has_text="no text tower").wait_for()


def test_export_needs_the_token(browser, studio):
    page, _ = watched_page(browser, studio.url)
    page.goto(studio.address("/embedding", token=False))
    page.wait_for_function("window.__pointCloudStats?.count === 400")
    lasso(page, range(200, 400))
    page.get_by_role("button", name="Export as split").click()
    page.get_by_text("This needs the token").wait_for()
    page.context.close()
