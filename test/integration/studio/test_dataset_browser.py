"""The page of a dataset in a browser: boxes drawn, saved and refused; frames; what is outside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recordings import drive, write
from studio_browser import StudioProcess, running_studio, wait_for_answer, watched_page

from perception_contrast_training.data.bags.extract import extract
from perception_contrast_training.data.bags.options import ExtractOptions

pytestmark = pytest.mark.slow
HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    bag = write(folder / "bag", drive())
    extract([bag], folder / "kitchen", ExtractOptions(min_sharpness=0.0), workers=1)
    return folder / "kitchen"


@pytest.fixture(scope="module")
def studio(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    with running_studio(["--dataset", str(dataset)], cache=tmp_path_factory.mktemp("cache")) as found:
        yield found


def label_page(page: Any, address: str) -> Any:
    """The canvas, once the image is on it."""
    page.goto(address)
    page.get_by_role("tab", name="Label").click()
    canvas = page.locator("canvas.box-editor-canvas")
    canvas.wait_for()
    page.wait_for_function(
        "() => getElement(Number(document.querySelector('.box-editor').id.slice(1)))?.image?.complete"
    )
    return canvas


def draw(page: Any, canvas: Any, x0: float, y0: float, x1: float, y1: float) -> None:
    """Drags from one pixel edge of the image to another."""
    canvas.scroll_into_view_if_needed()
    area = canvas.bounding_box()
    scale = min(area["width"] / WIDTH, area["height"] / HEIGHT)
    left = area["x"] + (area["width"] - WIDTH * scale) / 2
    top = area["y"] + (area["height"] - HEIGHT * scale) / 2
    page.mouse.move(left + x0 * scale, top + y0 * scale)
    page.mouse.down()
    page.mouse.move(left + (x0 + x1) / 2 * scale, top + (y0 + y1) / 2 * scale)
    page.mouse.move(left + x1 * scale, top + y1 * scale)
    page.mouse.up()


def test_a_box_is_in_the_coco_file_to_the_pixel_and_its_edits_are(
    browser: Any, studio: StudioProcess, dataset: Path
) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    page, log = watched_page(browser, studio.url)
    canvas = label_page(page, studio.address("/dataset"))
    page.get_by_placeholder("such as mug").fill("mug")
    draw(page, canvas, 10, 7, 31, 40)
    page.get_by_text("Saved. 1 box in 1 frame.").wait_for()
    file = dataset / "boxes" / "studio.json"
    read = coco.COCO(str(file))
    (note,) = read.loadAnns(read.getAnnIds())
    assert note["bbox"] == [10, 7, 21, 33] and read.cats[note["category_id"]]["name"] == "mug"
    (image,) = read.loadImgs(read.getImgIds())
    assert (image["height"], image["width"]) == (HEIGHT, WIDTH)
    assert (file.parent / "images" / image["file_name"]).is_file()
    # By keyboard: two pixels to the right, one taller, then a second label.
    for key in ("ArrowRight", "ArrowRight", "Alt+ArrowDown"):
        canvas.press(key)
    page.get_by_role("button", name=re.compile("mug 12, 7, 21 . 34")).wait_for()
    page.get_by_placeholder("such as mug").fill("cup")
    page.get_by_placeholder("such as mug").press("Enter")
    page.get_by_role("button", name="cup 12, 7").wait_for()
    page.get_by_role("button", name="2 mug").or_(page.get_by_role("button", name="1 cup")).first.wait_for()
    stored = json.loads(file.read_text())
    assert [(one["id"], one["bbox"]) for one in stored["annotations"]] == [(note["id"], [12, 7, 21, 34])]
    assert log.errors == [] and log.foreign == []
    page.context.close()


def test_who_has_no_token_may_look_and_draws_nothing(
    browser: Any, studio: StudioProcess, dataset: Path
) -> None:
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    page, _ = watched_page(browser, studio.url)
    canvas = label_page(page, f"{studio.url}/dataset")
    draw(page, canvas, 40, 20, 60, 44)
    page.get_by_text("This needs the token").first.wait_for()
    # Also for who sends what the editor would.
    page.evaluate(
        "() => { const editor = getElement(Number(document.querySelector('.box-editor').id.slice(1)));"
        " editor.$emit('change', { key: editor.frame.key, boxes: ["
        "{ id: 0, label: 'x', x: 1, y: 1, w: 5, h: 5, locked: false }] }); }"
    )
    page.wait_for_timeout(500)
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before
    page.context.close()


def test_frames_are_shown_and_no_path_leads_out_of_the_dataset(browser: Any, studio: StudioProcess) -> None:
    page, log = watched_page(browser, studio.url)
    page.goto(studio.address("/dataset"))
    page.locator('[data-figure="frames"]', has_text="12").wait_for()
    page.get_by_role("tab", name="Frames").click()
    page.wait_for_function(
        "() => { const all = [...document.querySelectorAll('.frame-grid img')];"
        " return all.length === 12 && all.every((one) => one.naturalWidth > 0); }"
    )
    for path in ("/dataset/0/99/image", "/dataset/7/0/image", "/dataset/0/..%2F..%2Fetc%2Fpasswd/image"):
        assert wait_for_answer(f"{studio.url}{path}") == 404
    assert log.errors == [] and log.foreign == []
    page.context.close()


def test_the_keyboard_comes_to_the_page_and_shows_where_it_is(browser: Any, studio: StudioProcess) -> None:
    page, log = watched_page(browser, studio.url)
    page.goto(studio.address("/dataset"))
    page.locator('[data-figure="frames"]').wait_for()
    assert page.locator("main").count() == 1
    page.keyboard.press("Tab")
    focused = "() => document.activeElement.innerText"
    assert page.evaluate(focused) == "Skip to the page"
    page.keyboard.press("Tab")
    ring = "() => getComputedStyle(document.activeElement).boxShadow"
    assert page.evaluate("() => document.activeElement.ariaLabel") == "Menu"
    assert "rgb(230, 159, 0)" in page.evaluate(ring)
    assert log.errors == []
    page.context.close()


def test_who_types_a_label_is_told_which_box_gets_it(browser: Any, studio: StudioProcess) -> None:
    page, log = watched_page(browser, studio.url)
    canvas = label_page(page, studio.address("/dataset"))
    # Room for the labels is there before the first one: the next box lies where it was aimed.
    assert page.locator(".box-editor-keys").bounding_box()["height"] >= 30
    page.get_by_label("label of the next box").fill("mug")
    draw(page, canvas, 40, 7, 60, 30)
    page.get_by_label("label of box").wait_for()
    page.keyboard.press("Escape")
    page.get_by_label("label of the next box").wait_for()
    assert log.errors == []
    page.context.close()
