"""The pages of augmentations and of the similarity matrix in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from studio_browser import StudioProcess, running_studio, watched_page

from perception_contrast_training.config.pretraining_recipe import read_recipe

pytestmark = pytest.mark.slow
IMPORTS = 120_000  # milliseconds that a worker may take to import the training code


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StudioProcess, Path]]:
    """A studio of no data that saves recipes below a folder."""
    folder = tmp_path_factory.mktemp("views")
    empty = folder / "empty"
    empty.mkdir()
    with running_studio(["--dataset", str(empty), "--save-to", str(folder)], folder / "cache") as found:
        yield found, folder


def opened(browser: Any, studio: StudioProcess, path: str, *, token: bool = True) -> tuple[Any, Any]:
    page, log = watched_page(browser, studio.url)
    page.goto(studio.address(path, token=token))
    return page, log


def test_a_moved_temperature_gives_the_loss_of_training(
    browser: Any, studio: tuple[StudioProcess, Path]
) -> None:
    from perception_contrast_studio.tasks.training.pair_batch import toy

    page, log = opened(browser, studio[0], "/similarity")
    status = page.get_by_test_id("status")
    status.filter(has_text="find their own").wait_for(timeout=IMPORTS)
    batch = toy(None, 32, 1.0, 0)
    a, b = (F.normalize(torch.from_numpy(batch[side]).double(), dim=1) for side in ("first", "second"))
    losses = set()
    for temperature in (0.07, 0.2, 0.02):
        page.get_by_label("Temperature", exact=True).fill(str(temperature))
        logits, own = a @ b.T / temperature, torch.arange(32)
        wanted = ((F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2).item()
        page.wait_for_function(
            "w => Math.abs(document.querySelector('[data-testid=loss-clip]').dataset.value - w) < 1e-6",
            arg=wanted,
        )
        losses.add(page.get_by_test_id("loss-clip").inner_text())
    assert len(losses) == 3
    drawn = page.locator("canvas[tabindex]").evaluate(
        "one => new Set(one.getContext('2d').getImageData(0, 0, one.width, one.height).data).size"
    )
    assert drawn > 5, "the matrix is blank"
    assert not log.errors and not log.foreign


def test_a_seed_replays_its_views_and_a_saved_recipe_is_read_by_training(
    browser: Any, studio: tuple[StudioProcess, Path]
) -> None:
    server, folder = studio
    page, log = opened(browser, server, "/augmentations")
    page.get_by_label("Image", exact=True).click()
    page.get_by_role("option", name="example: a rendered room").click()
    status = page.get_by_test_id("status")
    status.filter(has_text="simclr: 2 views").wait_for(timeout=IMPORTS)
    digest = _digest(status.inner_text())
    page.get_by_role("button", name="Replay").click()
    status.filter(has_text="the same to the last bit").wait_for()
    page.get_by_role("button", name="Next draw").click()
    page.wait_for_function(
        "old => !document.querySelector('[data-testid=status]').innerText.includes(old)", arg=digest
    )
    page.get_by_label("Draw", exact=True).fill("0")
    status.filter(has_text=digest).wait_for()
    page.get_by_role("slider", name="Hue").locator("[tabindex]").press("ArrowLeft")
    page.wait_for_function(
        "old => !document.querySelector('[data-testid=status]').innerText.includes(old)", arg=digest
    )
    page.get_by_role("button", name="Save as recipe").click()
    page.get_by_label("Name", exact=True).fill("colours_stay")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("The recipe is saved").wait_for()
    recipe = read_recipe(folder / "recipes" / "colours_stay.yaml")
    assert recipe.options.views.hue == 0.195 and recipe.name == "colours_stay"
    assert not log.errors and not log.foreign


def test_without_the_token_no_recipe_is_saved(browser: Any, studio: tuple[StudioProcess, Path]) -> None:
    server, folder = studio
    before = sorted(folder.rglob("*.yaml"))
    page, _ = opened(browser, server, "/augmentations", token=False)
    page.get_by_label("Recipe", exact=True).and_(page.locator("input")).wait_for()
    page.get_by_role("button", name="Save as recipe").click()
    page.get_by_text("This needs the token").wait_for()
    assert not page.get_by_label("Name", exact=True).is_visible()
    assert sorted(folder.rglob("*.yaml")) == before


def _digest(text: str) -> str:
    found = re.search(r"\(([0-9a-f]{12})\)", text)
    assert found is not None, text
    return found[1]
