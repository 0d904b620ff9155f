"""What the map page draws and says: times, colours, timelines, answers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("nicegui")

from perception_contrast_studio.components.map.map_scene import cloud_bytes
from perception_contrast_studio.components.map.map_views import thing_marks
from perception_contrast_studio.components.map.sighting_timeline import chart_options
from perception_contrast_studio.maps.map_types import (
    Cloud,
    MapAnswer,
    MapThing,
    Question,
    Sighting,
)
from perception_contrast_studio.maps.spoken_times import ago, local
from perception_contrast_studio.pages.map_page import without_itself

SECOND = 1_000_000_000
NOW = 1_760_000_000 * SECOND
RNG = np.random.default_rng(5)


def thing(identity: str, label: str = "mug") -> MapThing:
    return MapThing(identity, label, 0.8, "confirmed", (1.0, 2.0, 0.5), (0.1, 0.1, 0.1), 0.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (3 * 60 + 59, "3 minutes ago"),
        (2 * 3600, "2 hours ago"),
        (86400 * 364, "364 days ago"),
        (86400 * 800, "2 years ago"),
        (-90, "in 1 minute"),
    ],
)
def test_times_are_said_as_people_do(seconds: int, words: str) -> None:
    assert ago(NOW - seconds * SECOND, NOW) == words


def test_a_time_that_is_not_known_is_no_time_of_1970() -> None:
    assert ago(0, NOW) == "at an unknown time"
    assert local(0) == "never"
    assert local(12_500_000_000) == "second 12.5"


def test_a_cloud_is_read_back_from_its_bytes() -> None:
    points = RNG.normal(size=(50, 3)).astype(np.float32)
    rgb = RNG.integers(0, 256, (50, 3)).astype(np.uint8)
    heat = np.linspace(0.1, 0.5, 50, dtype=np.float32)
    data, (low, high) = cloud_bytes(Cloud(points, rgb), heat)
    assert len(data) == 50 * 16
    np.testing.assert_array_equal(np.frombuffer(data, "<f4", 150).reshape(-1, 3), points)
    np.testing.assert_array_equal(np.frombuffer(data, "u1", 150, 600).reshape(-1, 3), rgb)
    shades = np.frombuffer(data, "u1", 50, 750)
    assert shades[0] == 0 and shades[-1] == 255 and (np.diff(shades.astype(int)) >= 0).all()
    assert 0.1 <= low < high <= 0.5


def test_points_without_features_do_not_stretch_the_colours() -> None:
    heat = np.concatenate([np.zeros(900), RNG.uniform(0.2, 0.3, 100)]).astype(np.float32)
    cloud = Cloud(np.zeros((1000, 3), np.float32), np.zeros((1000, 3), np.uint8))
    assert cloud_bytes(cloud, heat)[1][0] == pytest.approx(0.2, abs=0.01)


def test_heat_of_another_cloud_is_left_out() -> None:
    cloud = Cloud(np.zeros((4, 3), np.float32), np.zeros((4, 3), np.uint8))
    assert len(cloud_bytes(cloud, np.ones(3, np.float32))[0]) == 4 * 15


def test_a_thing_has_one_lane_whatever_it_was_taken_for() -> None:
    seen = [
        Sighting(NOW - age * SECOND, identity, label, 0.9, "", (0.0, 0.0, 0.0))
        for age, identity, label in ((1, "2", "sofa"), (2, "2", "chair"), (3, "2", "sofa"), (4, "1", "mug"))
    ]
    options = chart_options(seen, [""] * 4)
    assert options["yAxis"]["data"] == ["mug 1", "sofa 2"] and options["xAxis"]["type"] == "time"
    assert [one["value"][1] for one in options["series"][0]["data"]] == [1, 1, 1, 0]


def test_labels_are_no_html_in_tooltips() -> None:
    seen = [Sighting(NOW, "1", "<img src=x onerror=alert(1)>", 0.9, "", (0.0, 0.0, 0.0))]
    assert "<" not in chart_options(seen, [""])["series"][0]["data"][0]["text"]


def test_things_are_marked_as_found_and_chosen() -> None:
    marks = thing_marks({"1": thing("1"), "2": thing("2")}, {"2"}, "1")
    assert [(one["name"], one["found"], one["selected"]) for one in marks] == [
        ("mug 1", False, True),
        ("mug 2", True, False),
    ]


def test_a_thing_is_no_answer_to_what_is_like_it() -> None:
    question = Question(like=thing("1"))
    answer = MapAnswer("found", "2 found", (thing("1"), thing("2")))
    assert [one.id for one in without_itself(question, answer).things] == ["2"]
    alone = without_itself(question, MapAnswer("found", "1 found", (thing("1"),)))
    assert alone.kind == "not_seen" and "nothing else" in alone.message
    assert without_itself(Question(label="mug"), answer) is answer
