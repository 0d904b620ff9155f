"""Bookkeeping of the demo: rates, drops and latencies of a made-up run whose figures are known."""

from __future__ import annotations

import io
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from perception_contrast.cli.demo.demo_graph import usable_cores
from perception_contrast.cli.demo.demo_report import (
    Measurements,
    SeenObject,
    build_report,
    percentiles,
    write_report,
)
from perception_contrast.cli.demo.live_table import LiveDisplay, place, summary
from perception_contrast.cli.demo.saved_images import ImageRecorder
from perception_contrast.core.process.processor_time import processor_seconds

MUG = SeenObject("mug", 0.8, (0.0, 0.0, 64.0, 48.0))
FAINT_MUG = SeenObject("mug", 0.4, (600.0, 400.0, 640.0, 480.0))
CHAIR = SeenObject("chair", 0.9, (300.0, 200.0, 340.0, 280.0))
PERIOD = 100_000_000


def run(*, stamped_live: bool) -> tuple[Measurements, float]:
    """Frames 0..10 at 10 Hz, results of the even ones 40 ms after arrival, which is 5 ms after the stamp."""
    measured = Measurements(stamped_live=stamped_live)
    for i in range(11):
        stamp, arrival = i * PERIOD, i * 0.1 + 0.005
        measured.frame(stamp, arrival)
        measured.message("image", "sensor_msgs/msg/Image", arrival, 921_600)
        if i % 2 == 0:
            seen = (MUG, FAINT_MUG) if i < 4 else (CHAIR,)
            measured.result(stamp, arrival + 0.04, stamp + 45_000_000, seen)
    return measured, 1.045


def test_rates_drops_and_labels() -> None:
    measured, now = run(stamped_live=True)
    report = build_report(measured, now, source="made up", queries=["mug", "chair"])
    assert (report["frames_in"], report["frames_out"], report["dropped"]) == (11, 6, 5)
    assert report["duration"] == pytest.approx(1.0)
    assert report["fps"] == pytest.approx(5.0)
    assert report["topics"]["image"] == {"type": "sensor_msgs/msg/Image", "rate": pytest.approx(10.0)}
    assert report["detections"]["mug"] == {
        "count": 4,
        "frames": 2,
        "share_of_frames": pytest.approx(2 / 6, abs=1e-4),
        "mean_score": pytest.approx(0.6),
    }
    assert report["detections"]["chair"]["frames"] == 4
    assert json.loads(json.dumps(report, allow_nan=False)) == report


@pytest.mark.parametrize(("live", "expected"), [(True, 45.0), (False, 40.0)])
def test_latency_runs_from_the_stamp_or_from_arrival(live: bool, expected: float) -> None:
    measured, now = run(stamped_live=live)
    report = build_report(measured, now, source="", queries=[])
    assert report["latency_ms"]["end_to_end"] == {
        "p50": pytest.approx(expected),
        "p95": pytest.approx(expected),
    }
    assert report["latency_basis"].startswith("stamp" if live else "frame received")


def test_frames_before_the_first_result_count_as_nothing() -> None:
    measured = Measurements(stamped_live=True)
    for i in range(50):
        measured.frame(i, i * 0.1)
    measured.result(40, 5.0, 0, ())
    assert (measured.frames_in, measured.frames_out, measured.dropped) == (10, 1, 0)


def test_repeated_stamps_of_a_looped_bag_are_told_apart() -> None:
    measured = Measurements(stamped_live=False)
    for i in range(4):
        measured.frame(7, float(i))
        measured.result(7, i + 0.25, 0, ())
    assert measured.latencies_ms == [250.0] * 4
    assert (measured.frames_in, measured.dropped) == (4, 0)


def test_passes_of_a_looped_bag_that_went_by_while_models_loaded_count_as_nothing() -> None:
    measured = Measurements(stamped_live=False)
    for i in range(7):
        measured.frame(i % 3, float(i))
    measured.result(0, 6.5, 0, ())
    assert measured.latencies_ms == [500.0]
    assert (measured.frames_in, measured.frames_out, measured.dropped) == (1, 1, 0)


def test_a_result_of_an_unseen_frame_loses_nothing() -> None:
    measured, _ = run(stamped_live=False)
    before = measured.dropped
    measured.result(123, 2.0, 0, ())
    assert (measured.frames_out, measured.dropped) == (7, before)


def test_stages_have_a_share_of_the_processing() -> None:
    measured, now = run(stamped_live=True)
    assert build_report(measured, now, source="", queries=[])["stage_shares"] == {}
    stages = {"process": 200.0, "encode": 90.0, "zoom": 80.0, "wait": 10.0, "total": 230.0}
    measured.node_report({f"latency_ms/{name}/p50": str(value) for name, value in stages.items()})
    assert build_report(measured, now, source="", queries=[])["stage_shares"] == {
        "encode": pytest.approx(0.45),
        "zoom": pytest.approx(0.4),
    }
    assert "zoom 80 ms (40 %)" in summary(measured, now, (480, 640))


def test_processes_keep_so_many_cores_busy_from_the_first_result_on() -> None:
    measured = Measurements(stamped_live=True)
    measured.processor_time("sim_camera", 1.0, 100.0)
    measured.result(0, 2.0, 0, ())
    for now, seconds in ((2.0, 101.0), (4.0, 102.0), (6.0, 104.0)):
        measured.processor_time("sim_camera", now, seconds)
        measured.processor_time("gone", now, None)
    processes = build_report(measured, 6.0, source="", queries=[])["processes"]
    assert set(processes) == {"sim_camera"}
    assert processes["sim_camera"]["cores"] == pytest.approx(0.75)
    assert processes["sim_camera"]["share_of_machine"] == pytest.approx(0.75 / usable_cores(), abs=1e-4)
    assert "sim_camera 0.75 of" in summary(measured, 6.0, (480, 640))


def test_the_live_table_shows_shares_and_loads() -> None:
    measured, now = run(stamped_live=True)
    stages = {"process": 200.0, "zoom": 80.0, "publish": 7.0}
    measured.node_report({f"latency_ms/{name}/p50": str(value) for name, value in stages.items()})
    for clock, seconds in ((1.0, 3.0), (2.0, 3.5)):
        measured.processor_time("sim_camera", clock, seconds)
    written = io.StringIO()
    screen = LiveDisplay(Console(file=written, width=100))
    screen.show(measured, now, (480, 640), "")
    screen.close()
    lines = written.getvalue().splitlines()
    assert any("sim_camera 0.50 of" in line for line in lines)
    (zoom,) = (line for line in lines if "zoom" in line)
    (publish,) = (line for line in lines if "publish" in line)
    assert "80.0" in zoom and "40 %" in zoom and "%" not in publish


def test_processor_time_is_that_of_the_system() -> None:
    began = processor_seconds(os.getpid())
    assert began is not None
    while time.process_time() < began + 0.05:
        sum(range(10_000))
    seconds = processor_seconds(os.getpid())
    assert seconds is not None and abs(seconds - time.process_time()) < 0.1
    assert seconds > began
    assert processor_seconds(2**22 + 1) is None


def test_percentiles_agree_with_the_standard_library() -> None:
    values = [float(v) for v in np.random.default_rng(0).exponential(50, 400)]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    assert percentiles(values) == {
        "p50": pytest.approx(cuts[49], abs=0.01),
        "p95": pytest.approx(cuts[94], abs=0.01),
    }
    assert percentiles([]) == {"p50": None, "p95": None}


def test_places_and_summary() -> None:
    assert place(MUG.box, (480, 640)) == "upper left"
    assert place(CHAIR.box, (480, 640)) == "centre"
    assert place(FAINT_MUG.box, (480, 640)) == "lower right"
    measured, now = run(stamped_live=True)
    line = summary(measured, now, (480, 640))
    assert "6 frames" in line and "chair 0.90 centre" in line


def test_a_report_replaces_the_old_one_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    write_report(path, {"format": 0})
    write_report(path, {"format": 1})
    assert json.loads(path.read_text()) == {"format": 1}
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]


class Lens:
    """Always has a new overlay."""

    def new_overlay(self) -> np.ndarray:
        return np.full((4, 6, 3), (200, 100, 0), np.uint8)

    def new_features_image(self) -> None:
        return None


def test_one_image_a_second_is_kept_with_its_colours(tmp_path: Path) -> None:
    album = ImageRecorder(tmp_path / "new")
    for now in (5.0, 5.2, 5.9, 6.1, 7.2):
        album.save(Lens(), now)  # type: ignore[arg-type]
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["overlay_0001.png", "overlay_0002.png", "overlay_0003.png"]
    read = np.asarray(Image.open(tmp_path / "new" / names[0]))
    np.testing.assert_array_equal(read, Lens().new_overlay())
