"""Deadline mode between a pipeline and the control of the rate: settings, requests, demand, reports."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from perception_contrast.pipeline.frame_rate_control import LEVELS, SCALES, THINNED
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline_settings import AS_LONG_AS_ENCODING, PipelineSettings
from perception_contrast.ros.monitoring.health import NodeReport, node_findings, node_values
from perception_contrast.ros.node.deadline import Deadline

SIZE = (480, 640)


class SizesPipeline:
    """Keeps the sizes that engines are looked for."""

    def __init__(self, settings: PipelineSettings) -> None:
        self.settings = settings
        self.expected: list[tuple[tuple[int, int], int]] = []

    def expect_size(self, size: tuple[int, int], settings: PipelineSettings) -> None:
        self.expected.append((size, settings.short_side))


def camera(in_hz: float, *, heard: bool = True) -> SimpleNamespace:
    return SimpleNamespace(has_subscribers=heard, statistics=SimpleNamespace(in_hz=in_hz))


def deadline(target: float = 10.0, **cameras: SimpleNamespace) -> Deadline:
    given = cameras or {"front": camera(30.0)}
    made = Deadline(given)  # type: ignore[arg-type]
    made.configure(target, dict.fromkeys(given, 0.0))
    return made


def fed(one: Deadline, milliseconds: float, frames: int = 12, **timings: float) -> PipelineSettings:
    """The limited settings after frames that took so long. timings: of stages, by name."""
    pipeline = SizesPipeline(PipelineSettings())
    for _ in range(frames):
        one.settings(pipeline, [SIZE])  # type: ignore[arg-type]
        one.add(milliseconds / 1e3, [timings], pipeline.settings)
    return one.settings(pipeline, [SIZE])  # type: ignore[arg-type]


def test_switched_off_it_changes_and_tells_nothing() -> None:
    one = deadline(0.0)
    assert fed(one, 500.0, encode=400.0) == PipelineSettings() and one.report is None
    request = OutputRequest(overlay=True, detections=True)
    assert all(one.thinned("front", request) == request for _ in range(9))


def test_a_slow_machine_gets_smaller_images_and_no_crops() -> None:
    one = deadline()
    limited = fed(one, 150.0, 5, encode=130.0)
    assert limited.short_side < 378 and limited.max_tokens < 2048 and limited.rescoring_ms == 0.0
    assert limited == replace(
        PipelineSettings(),
        short_side=limited.short_side,
        max_tokens=limited.max_tokens,
        rescoring_ms=0.0,
    )
    report = one.report
    assert report is not None and report.short_side == limited.short_side
    assert len(report.given_up) == 2 and "378" in report.given_up[1]
    one.configure(0.0, {"front": 0.0})
    assert one.report is None and fed(one, 150.0, encode=130.0) == PipelineSettings()


def test_crops_get_the_time_that_is_left_but_no_more_than_they_may() -> None:
    assert fed(deadline(), 50.0, encode=30.0).rescoring_ms == pytest.approx(38.0)
    one, pipeline = deadline(), SizesPipeline(PipelineSettings(rescoring_ms=AS_LONG_AS_ENCODING))
    for _ in range(12):
        one.settings(pipeline, [SIZE])  # type: ignore[arg-type]
        one.add(0.05, [{"encode": 30.0}], pipeline.settings)
    assert one.settings(pipeline, [SIZE]).rescoring_ms == pytest.approx(30.0)  # type: ignore[arg-type]
    assert one.report is not None and one.report.given_up == ()


def test_cameras_share_the_time_and_each_counts_as_fast_as_it_is() -> None:
    two = deadline(front=camera(30.0), rear=camera(30.0))
    assert fed(two, 80.0, encode=70.0).short_side < 378
    slow = deadline(front=camera(4.0), rear=camera(4.0), unheard=camera(30.0, heard=False))
    assert fed(slow, 80.0, encode=70.0).short_side == 378
    limited = Deadline({"front": camera(30.0)})  # type: ignore[dict-item]
    limited.configure(10.0, {"front": 4.0})
    assert fed(limited, 160.0, encode=130.0).short_side == 378


def test_a_batch_is_shared_by_its_frames() -> None:
    one, pipeline = deadline(front=camera(10.0), rear=camera(10.0)), SizesPipeline(PipelineSettings())
    timings = [{"encode": 60.0, "zoom": 5.0}, {"encode": 60.0, "zoom": 9.0}]
    for _ in range(12):
        one.add(0.08, timings, pipeline.settings)
    assert one.report is not None and one.report.load == pytest.approx((80.0 - 14.0) / 2 / 50.0)


def test_an_engine_of_the_next_size_is_looked_for_once_before_it_is_needed() -> None:
    one, pipeline = deadline(), SizesPipeline(PipelineSettings())

    def frames(milliseconds: float, size: tuple[int, int] = SIZE) -> list[int]:
        for _ in range(8):
            one.settings(pipeline, [size, size])  # type: ignore[arg-type]
            one.add(milliseconds / 1e3, [{"encode": 0.8 * milliseconds}], pipeline.settings)
        return [side for _, side in pipeline.expected]

    assert frames(30.0) == [378], "there is room"
    assert frames(85.0) == [378, round(378 * SCALES[1])]
    assert frames(85.0) == [378, round(378 * SCALES[1])]
    assert len(frames(85.0, (240, 320))) == 4


def test_drawings_are_thinned_but_never_what_is_asked_for_alone() -> None:
    one = deadline()
    fed(one, 400.0, 40, encode=100.0, draw=100.0)
    both, alone = OutputRequest(overlay=True, detections=True), OutputRequest(overlay=True)
    asked = [one.thinned("front", both) for _ in range(2 * THINNED)]
    assert sum(each.overlay for each in asked) == 2 and all(each.detections for each in asked)
    assert all(one.thinned("front", alone) == alone for _ in range(THINNED))


def test_what_cannot_be_held_is_a_warning() -> None:
    one = deadline()
    fed(one, 50.0)
    report = NodeReport("active", deadline=one.report)
    assert node_findings(report) == [] and node_values(report)["deadline/given_up"] != ""
    fed(one, 400.0, 40 * len(LEVELS))
    (found,) = node_findings(NodeReport("active", deadline=one.report))
    assert found.kind == "deadline" and "10 frames/s" in found.text
    assert math.isfinite(float(node_values(NodeReport("active", deadline=one.report))["deadline/load"]))
