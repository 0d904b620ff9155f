"""What is said of a node in trouble, and that the page of cures has every message. No middleware needed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus

from perception_contrast.ros.monitoring.diagnostics import statuses
from perception_contrast.ros.monitoring.health import (
    ERROR,
    MESSAGES,
    OK,
    WARN,
    CameraReport,
    DeadlineReport,
    NodeReport,
    PairedTopic,
    camera_findings,
    camera_values,
    node_findings,
    node_values,
)
from perception_contrast.ros.monitoring.statistics import Issues, Statistics

pytestmark = pytest.mark.ros
NEVER = Statistics().snapshot()
WELL = replace(NEVER, in_hz=10.0, out_hz=9.5, age_in=0.05, frames_in=100)
CAMERA = CameraReport(
    "", WELL, topic="/cam", is_subscribed=True, has_subscribers=True, publishers=1, subscribers={"masks": 1}
)


def camera(**changes: object) -> CameraReport:
    return replace(CAMERA, **changes)


def seen(**changes: object) -> CameraReport:
    return camera(snapshot=replace(WELL, **changes))


CASES = [
    (CAMERA, OK, "9.5 frames/s"),
    (
        camera(has_subscribers=False, is_subscribed=False, snapshot=NEVER),
        OK,
        "idle: no output has a subscriber",
    ),
    (
        seen(recent_error="RuntimeError: engine"),
        ERROR,
        "a frame could not be processed: RuntimeError: engine",
    ),
    (seen(recent_malformed="step 3"), WARN, "malformed input: step 3"),
    (seen(age_in=7.2), WARN, "no image on /cam for 7 s"),
    (seen(age_in=float("inf")), WARN, "/cam has a publisher but nothing arrives: check its rate and QoS"),
    (
        camera(snapshot=NEVER, publishers=0, similar_topics=["/came"]),
        WARN,
        "no publisher on /cam: check the remapping of `image` and image_transport; there are /came",
    ),
    (
        camera(incompatible_publishers=[("/cam/depth", "/driver offers less than is asked for: x")]),
        WARN,
        "messages of a publisher on /cam/depth cannot be received: /driver offers less than is asked for: x",
    ),
    (camera(expected_hz=15.0), WARN, "/cam delivers 10.0 frames/s; 15 are expected"),
    (camera(expected_hz=12.0), OK, "9.5 frames/s"),
    (
        camera(
            new_pairs={"depth/exact": 2, "depth/missing": 8, "camera_info/older": 10},
            paired={"depth": PairedTopic("/cam/depth", 0)},
        ),
        WARN,
        "80 % of the images on /cam have no depth with a matching stamp; "
        "depth is read from /cam/depth, publishers there: 0",
    ),
    (camera(new_pairs={"depth/exact": 8, "depth/missing": 2}), OK, "9.5 frames/s"),
    (camera(new_stamps={"zero": 1, "future": 0}), WARN, "images on /cam have no stamp"),
    (camera(new_stamps={"future": 3}), WARN, "stamps on /cam are in the future by the node's clock"),
    (seen(unfamiliar="the images are unlike"), WARN, "unfamiliar images on /cam: the images are unlike"),
    (
        camera(has_subscribers=False, snapshot=replace(WELL, unfamiliar="they were unlike")),
        OK,
        "idle: no output has a subscriber",
    ),
    (
        camera(subscribers={"detections_3d": 1}, snapshot=replace(WELL, without_boxes="no depth: set it")),
        WARN,
        "no detections_3d of /cam: no depth: set it",
    ),
    (
        camera(subscribers={"detections_3d": 0}, snapshot=replace(WELL, without_boxes="no depth: set it")),
        OK,
        "9.5 frames/s",
    ),
    (
        camera(incompatible_subscribers={"/n/masks": "DURABILITY"}),
        WARN,
        "a subscriber of /n/masks asks for a DURABILITY that is not offered",
    ),
    (
        camera(switched_off=["overlay"]),
        WARN,
        "overlay has a subscriber, but parameter `outputs` leaves it out",
    ),
]


@pytest.mark.parametrize(("report", "level", "text"), CASES, ids=lambda one: str(one)[:40])
def test_a_cameras_trouble_is_said_first(report: CameraReport, level: int, text: str) -> None:
    first = camera_findings(report)[0]
    assert (first.level, first.text) == (level, text)


def test_every_message_of_a_node_is_reached() -> None:
    """With those of cameras above: no message can be left in the table that nothing says."""
    reports = [
        NodeReport("active", issues={"models": "x", "vocabulary": "x", "state": "x", "parameters": "x"}),
        NodeReport("active", busy_seconds=60.0, loading="a", warnings=["engine captured failed"]),
        NodeReport("configuring", loading="a", progress="b\nc"),
        NodeReport("active", deadline=DeadlineReport(10.0, 1.5, False, True, 189, 0.0, 4, ("crops",))),
        NodeReport("inactive"),
        NodeReport("active", text_failures=("2 of 5 labels;\nset the queries again",)),
        NodeReport(
            "active", models={"semantic": ("household-lit", "m@1")}, trained_absent=("forklift", "drone")
        ),
    ]
    said = {one.kind for report in reports for one in node_findings(report)}
    said |= {one.kind for report, *_ in CASES for one in camera_findings(report)}
    assert said == set(MESSAGES)
    assert "household-lit was trained to call forklift, drone absent" in node_findings(reports[-1])[0].text
    (texts,) = node_findings(reports[5])
    assert (texts.level, texts.text) == (
        WARN,
        "texts cannot be encoded: 2 of 5 labels; set the queries again",
    )
    assert "configuring: a: b c (0 s)" in [one.text for one in node_findings(reports[2])]


def test_models_that_are_changed_while_the_node_is_inactive_do_not_hide_that_it_is() -> None:
    found = node_findings(NodeReport("inactive", loading="a", progress="b"))
    assert [one.text for one in found] == [
        "inactive: frames are not processed",
        "loading a while the previous models stay: b (0 s)",
    ]


def test_the_page_has_a_cure_for_every_message_and_a_meaning_for_every_key(repository: Path) -> None:
    page = (repository / "docs/diagnostics.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    cures = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in rows}
    told = [f"`{re.sub('{[^}]*}', '...', template).replace('`', '')}`" for template in MESSAGES.values()]
    assert all(cures.get(message) for message in told)
    # The page and the node agree on what is the more serious.
    assert [row for row in cures if row in told] == told
    keys = {**node_values(NodeReport("active", loading="a")), **camera_values(CAMERA)}
    stages = {"latency_ms", "subscribers", "malformed", "sync", "stamps"}
    for key in keys:
        if key.partition("/")[0] not in stages:
            assert f"`{key}`" in page, key


def test_one_camera_is_one_status_and_several_have_their_own() -> None:
    (only,) = statuses("robot/node", NodeReport("active", [seen(recent_malformed="step 3")]))
    assert (only.name, only.hardware_id, only.level) == ("robot/node", "/cam", DiagnosticStatus.WARN)
    keys = {pair.key for pair in only.values}
    assert {"state", "frames/in", "subscribers/masks", "memory"} - keys == {"memory"}
    two = [replace(seen(recent_error="boom"), name="front"), replace(CAMERA, name="rear")]
    node, front, rear = statuses("node", NodeReport("active", two))
    assert [one.name for one in (node, front, rear)] == ["node", "node: front", "node: rear"]
    assert (node.level, front.level, rear.level) == (DiagnosticStatus.ERROR, DiagnosticStatus.ERROR, b"\0")
    assert node.message == "front: a frame could not be processed: boom"
    also = {pair.key: pair.value for pair in node.values}["also"]
    assert "rear: 9.5 frames/s" in also


def test_what_is_wrong_with_one_camera_is_not_hidden_by_the_silence_of_another() -> None:
    silent = replace(seen(age_in=7.0), name="front")
    broken = replace(seen(recent_malformed="step 3"), name="rear")
    node, *_ = statuses("node", NodeReport("active", [silent, broken]))
    assert node.message == "rear: malformed input: step 3"
    assert "front: no image on /cam for 7 s" in {pair.key: pair.value for pair in node.values}["also"]


def test_a_node_that_is_not_active_says_that_first_and_nothing_of_silent_topics() -> None:
    (only,) = statuses("node", NodeReport("inactive", [camera(snapshot=NEVER, publishers=0)]))
    assert only.message == "inactive: frames are not processed" and only.level == DiagnosticStatus.WARN


def test_trouble_that_is_mended_is_counted_and_no_news() -> None:
    now = 0.0
    issues = Issues(clock=lambda: now)
    issues.add("models", "damaged")
    assert issues.recent("models") == issues.last("models") == "damaged"
    now = 60.0
    assert (issues.recent("models"), issues.last("models")) == ("", "damaged")
    issues.clear("models")
    assert (issues.last("models"), issues.count("models")) == ("", 1)
