"""What is said of a map in trouble. No middleware needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("rclpy")

from perception_contrast.ros.mapping.frame_assembler import FrameAssembler
from perception_contrast.ros.mapping.map_builder import BuildReport
from perception_contrast.ros.mapping.map_health import CameraReport, MapReport, map_findings
from perception_contrast.ros.monitoring.statistics import Statistics

pytestmark = pytest.mark.ros
NEVER = Statistics().snapshot()
WELL = replace(NEVER, age_in=0.1, age_out=0.1)
STALE = replace(NEVER, age_in=60.0, age_out=60.0)
POSELESS = BuildReport(0, 0, {"unknown_frame": 3}, "no frame 'camera'")
CAMERA = CameraReport("", True)


def said(**changes: object) -> str:
    report = replace(MapReport("active", [CAMERA], WELL, BuildReport(0, 0)), **changes)
    return "; ".join(one.text for one in map_findings(report))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"build": POSELESS}, ""),
        ({"build": POSELESS, "frames": replace(WELL, age_out=6.0)}, "frames get no pose: no frame 'camera'"),
        # No frame comes, so none lacks a pose, whatever was before.
        (
            {"build": POSELESS, "frames": STALE, "cameras": [replace(CAMERA, all_silent=True)]},
            "nothing has come",
        ),
        ({"cameras": [replace(CAMERA, silent=["/depth"])]}, "nothing comes on /depth"),
        ({"cameras": [replace(CAMERA, without_depth=0.8)]}, "most images have no depth"),
        ({"cameras": [replace(CAMERA, missing=["/depth"], silent=["/other"])]}, "nobody publishes /depth"),
    ],
)
def test_what_is_wrong_now_is_told(changes: dict[str, object], expected: str) -> None:
    text = said(**changes)
    assert text.startswith(expected) and bool(text) == bool(expected)


def test_depth_that_ends_is_noticed_however_long_it_was_there() -> None:
    assembler = FrameAssembler(lambda _: None, {"detections"}, slop=0)
    for stamp in range(1, 500):
        assembler.add_sensor("depth", "depth", stamp * 10**9)
        assembler.add_result("detections", "found", stamp * 10**9)
    assert assembler.without_depth == 0.0
    for stamp in range(500, 520):
        assembler.add_result("detections", "found", stamp * 10**9)
    assert assembler.without_depth > 0.5
