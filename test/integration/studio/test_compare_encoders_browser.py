"""The page that compares two encoders in a browser: clicks, what is missing, and the table of methods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from studio_browser import PageLog, StudioProcess, running_studio, watched_page

from perception_contrast.core.cache import sha256_of
from perception_contrast.encoders.timm_backbones import create_network
from perception_contrast.images.files import save_image
from perception_contrast.models.folder_models import WEIGHTS, write_card
from perception_contrast.models.registry import model_spec

pytestmark = pytest.mark.slow
OPTIONS = (("depth", 2), ("embed_dim", 32), ("num_heads", 2))
# The place with the highest share of yellow, the top of viridis, in the overlay of an image.
HOTTEST = """
(area) => {
  const overlay = area.querySelector('.overlay'), canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [overlay.naturalWidth, overlay.naturalHeight];
  const context = canvas.getContext('2d');
  context.drawImage(overlay, 0, 0);
  const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
  let best = [-1, 0, 0];
  for (let i = 0; i < data.length; i += 4) {
    const score = data[i] + data[i + 1] - data[i + 2], at = i / 4;
    const place = [at % canvas.width / canvas.width, Math.floor(at / canvas.width) / canvas.height];
    if (score > best[0]) best = [score, ...place];
  }
  return best;
}
"""


def write_encoder(folder: Path, name: str, seed: int) -> None:
    """A small random vision transformer as ``train export`` writes one."""
    torch.manual_seed(seed)
    spec = replace(
        model_spec("dinov2-s14"),
        name=name, family="timm", arch="vit_tiny_patch16_224", patch=16, dim=32, size=96, options=OPTIONS,
    )  # fmt: skip
    folder.mkdir(parents=True)
    save_file(create_network(spec.arch, spec.size, dict(OPTIONS)).state_dict(), folder / WEIGHTS)
    write_card(folder, spec, sha256_of(folder / WEIGHTS))


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    folder = tmp_path_factory.mktemp("encoders")
    chance = np.random.default_rng(0)
    for number in range(6):
        save_image(folder / "frames" / f"{number}.png", chance.integers(0, 255, (120, 160, 3), np.uint8))
    for number, name in enumerate(("tiny-one", "tiny-two")):
        write_encoder(folder / "runs" / name, name, number)
    (folder / "runs" / "night").mkdir()
    (folder / "runs" / "night" / "recipe.yaml").write_text("method: simclr\n")
    given = ["--dataset", str(folder / "frames"), "--run", str(folder / "runs")]
    with running_studio(given, cache=tmp_path_factory.mktemp("cache")) as found:
        yield found


@pytest.fixture
def opened(browser: Any, studio: StudioProcess) -> Iterator[tuple[Any, PageLog]]:
    page, log = watched_page(browser, studio.url)
    page.set_default_timeout(120_000)
    page.goto(studio.address("/encoders"))
    page.wait_for_function("document.querySelectorAll('.encoder-image .overlay').length === 2")
    yield page, log
    page.context.close()
    assert log.errors == [] and log.foreign == []


def test_a_click_lights_up_its_cell_in_both_images(opened: tuple[Any, PageLog]) -> None:
    page, _ = opened
    assert page.get_by_text("Agreement of the two").is_visible()
    areas = page.locator(".encoder-image:visible")
    before = areas.nth(0).locator(".overlay").get_attribute("src")
    areas.nth(1).scroll_into_view_if_needed()
    box = areas.nth(1).bounding_box()
    x, y = 0.305, 0.67
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.get_by_text("cosines from").nth(1).wait_for()
    assert page.get_by_role("tab", name="Click similarity").get_attribute("aria-selected") == "true"
    assert areas.nth(0).locator(".overlay").get_attribute("src") != before
    for number in range(2):
        page.wait_for_function(
            "(area) => area.querySelector('.overlay').complete", arg=areas.nth(number).element_handle()
        )
        _, hot_x, hot_y = areas.nth(number).evaluate(HOTTEST)
        # 336 pixels of 120 are 21 cells.
        assert abs(hot_x - x) < 1 / 20 and abs(hot_y - y) < 1 / 15
    areas.nth(0).focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.encoder-image .mark')].some((one) => one.style.left === '60%')"
    )


def test_missing_labels_are_told_and_runs_are_linked(opened: tuple[Any, PageLog]) -> None:
    page, _ = opened
    page.get_by_role("button", name="Measure both").click()
    page.get_by_text("its images have no classes").first.wait_for()
    assert page.get_by_text("there are no label images").first.is_visible()
    link = page.get_by_role("link", name="night")
    assert "/training?run=" in link.get_attribute("href")
    page.get_by_role("tab", name="Retrieval").click()
    page.get_by_role("button", name="Find similar frames").click()
    page.get_by_text("6 frames were compared").wait_for()
    assert page.locator("img[alt^='frame '], [alt^='frame '] img").count() >= 5
