"""The page of maps in a browser: a saved map without models, and the map of a running map_node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_saved_map import save_small_map
from studio_browser import StudioProcess, running_studio, watched_page

pytestmark = [pytest.mark.slow]
# What the view draws, and how, from its own component.
THINGS = "() => document.querySelector('.map-scene').mapScene.things"
PATIENCE = 60_000


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    """A studio of files with a good map and a damaged one."""
    folder = tmp_path_factory.mktemp("maps")
    for name in ("kitchen", "broken"):
        save_small_map(folder, name)
    damage(folder / "broken")
    cache = tmp_path_factory.mktemp("cache")
    environment = {"PERCEPTION_CONTRAST_MAPS": str(folder)}
    with running_studio(["--map", "kitchen"], cache, environment) as studio:
        yield studio


def damage(folder: Path) -> None:
    """Changes bytes of the arrays, as a bad disk does."""
    largest = max(
        (one for one in folder.iterdir() if one.suffix == ".safetensors"), key=lambda one: one.stat().st_size
    )
    data = bytearray(largest.read_bytes())
    data[-4:] = bytes(255 - value for value in data[-4:])
    largest.write_bytes(data[: len(data) - 2])


def open_map(browser: Any, studio: StudioProcess, name: str = "mug") -> tuple[Any, Any]:
    """The page, once the map's things are drawn and can be asked for by name."""
    page, log = watched_page(browser, studio.url)
    page.goto(studio.address("/map"), timeout=PATIENCE)
    page.get_by_role("button", name=name, exact=True).wait_for(timeout=PATIENCE)
    return page, log


def chosen(page: Any) -> list[str]:
    """Names of the boxes that are drawn as chosen."""
    return [one["name"] for one in page.evaluate(THINGS) if one["selected"]]


def test_what_is_found_has_a_card_and_a_box_and_what_is_not_seen_is_told(
    browser: Any, saved: StudioProcess
) -> None:
    page, log = open_map(browser, saved)
    page.get_by_role("button", name="mug", exact=True).click()
    page.get_by_text("Found: mug").wait_for(timeout=PATIENCE)
    assert page.get_by_alt_text("Image of mug 1").is_visible()
    page.wait_for_function(f"() => ({THINGS})().some((one) => one.selected)")
    assert chosen(page) in (["mug 1"], ["mug 2"])
    assert {one["name"] for one in page.evaluate(THINGS) if one["found"]} == {"mug 1", "mug 2"}
    # What is gone is not drawn, and not found.
    page.get_by_role("button", name="chair", exact=True).click()
    page.get_by_text("Not seen: chair").wait_for(timeout=PATIENCE)
    assert page.get_by_text("nothing reaches").is_visible() and not chosen(page)
    assert not log.errors and not log.foreign


def test_the_timeline_of_a_thing_shows_its_sightings(browser: Any, saved: StudioProcess) -> None:
    page, log = open_map(browser, saved)
    page.get_by_role("button", name="mug", exact=True).click()
    page.get_by_role("button", name="When mug 1 was seen").click(timeout=PATIENCE)
    page.get_by_text("mug 1: 2 sightings").wait_for(timeout=PATIENCE)
    page.get_by_role("button", name="Where to stand to face mug 1").click()
    page.get_by_text("no floor was seen").first.wait_for(timeout=PATIENCE)
    assert not log.errors


def test_a_damaged_map_is_refused_and_told(browser: Any, saved: StudioProcess) -> None:
    page, log = open_map(browser, saved)
    page.get_by_role("button", name="Open the map broken").click()
    page.get_by_text("This map could not be opened").wait_for(timeout=PATIENCE)
    page.get_by_role("alert").get_by_text("damaged").first.wait_for()
    assert page.evaluate(THINGS) == []
    page.get_by_role("button", name="Open the map kitchen").click()
    page.get_by_role("button", name="mug", exact=True).wait_for(timeout=PATIENCE)
    assert not log.errors


def test_who_has_no_token_forgets_nothing(browser: Any, saved: StudioProcess) -> None:
    page, _ = watched_page(browser, saved.url)
    page.goto(saved.address("/map", token=False), timeout=PATIENCE)
    page.get_by_role("button", name="mug", exact=True).click(timeout=PATIENCE)
    page.get_by_role("button", name="Forget mug 1").click(timeout=PATIENCE)
    page.get_by_text("This needs the token").wait_for()


@pytest.mark.ros
def test_the_map_of_a_running_node_is_shown_and_asked(
    browser: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rclpy = pytest.importorskip("rclpy")
    from map_graph import Mapping, Perception, around
    from ros_graph import wait_for

    rclpy.init()
    robot = Perception("/studio")
    node = Mapping(
        "/studio", surface_voxel_size=0.0, max_rate=0.0, name_bank=False, publish_period=0.1, min_score=0.5
    )
    arguments = ["--robot", "--target", "/studio/perception_node", "--map-target", "/studio/map_node"]
    environment = {"PERCEPTION_CONTRAST_MAPS": str(tmp_path)}
    try:
        with running_studio(arguments, tmp_path_factory.mktemp("cache"), environment) as studio:
            wait_for(robot.connected, "the map's subscriptions")
            for number, pose in enumerate(around(4)):
                robot.show(100.0 + number, pose)
            # Things come by themselves, over their topic.
            page, log = open_map(browser, studio, "chair")
            page.get_by_label("What are you looking for?").fill("mug")
            page.get_by_label("What are you looking for?").press("Enter")
            page.get_by_text("Found: mug").wait_for(timeout=PATIENCE)
            page.wait_for_function(f"() => ({THINGS})().some((one) => one.selected && one.name[0] == 'm')")
            page.get_by_label("What are you looking for?").fill("elephant")
            page.get_by_label("What are you looking for?").press("Enter")
            page.get_by_text("Not seen: elephant").wait_for(timeout=PATIENCE)
            page.get_by_label("Save the robot's map as").fill("room")
            page.get_by_role("button", name="Save", exact=True).click()
            page.get_by_role("button", name="Open the map room").wait_for(timeout=PATIENCE)
            assert not log.errors and not log.foreign
    finally:
        node.close()
        robot.close()
        rclpy.try_shutdown()
