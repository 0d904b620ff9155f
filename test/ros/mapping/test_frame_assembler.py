"""FrameAssembler: results of perception meet the depth of their image."""

from __future__ import annotations

from perception_contrast.ros.mapping.frame_assembler import MAX_INCOMPLETE, Assembled, FrameAssembler

SECOND = 1_000_000_000


def made(slop: float = 0.02) -> tuple[FrameAssembler, list[Assembled]]:
    whole: list[Assembled] = []
    return FrameAssembler(whole.append, ("detections", "instances"), int(slop * SECOND)), whole


def test_a_frame_is_whole_once_its_last_result_is_there() -> None:
    assembler, whole = made()
    for stamp in (1, 2, 3):
        assembler.add_sensor("depth", f"depth {stamp}", stamp * SECOND)
        assembler.add_sensor("image", f"image {stamp}", stamp * SECOND)
    assembler.add_result("detections", "found", 2 * SECOND)
    assert whole == []
    assembler.add_result("instances", "ids", 2 * SECOND)
    [frame] = whole
    assert (frame.stamp, frame.depth, frame.image) == (2 * SECOND, "depth 2", "image 2")
    assert frame.results == {"detections": "found", "instances": "ids"}


def test_depth_may_be_a_little_off_but_colours_may_not() -> None:
    assembler, whole = made(slop=0.02)
    assembler.add_sensor("depth", "near", SECOND + 15_000_000)
    assembler.add_sensor("image", "another", SECOND + 15_000_000)
    for name in ("detections", "instances"):
        assembler.add_result(name, name, SECOND)
    assert whole[0].depth == "near" and whole[0].image is None
    for name in ("detections", "instances"):
        assembler.add_result(name, name, SECOND + 40_000_000)
    assert len(whole) == 1
    assert assembler.counts == {"whole": 1, "no_depth": 1}


def test_results_that_stay_incomplete_are_dropped_and_counted() -> None:
    assembler, whole = made()
    for index in range(MAX_INCOMPLETE + 5):
        assembler.add_result("detections", index, index)
    assert assembler.counts["incomplete"] == 5 and whole == []


def test_a_recording_that_begins_anew_finds_no_old_depth() -> None:
    assembler, whole = made(slop=10.0)
    assembler.add_sensor("depth", "old", 5 * SECOND)
    assembler.add_sensor("depth", "new", 1 * SECOND)
    for name in ("detections", "instances"):
        assembler.add_result(name, name, 5 * SECOND)
    assert whole[0].depth == "new"


def test_old_depth_is_let_go() -> None:
    assembler, whole = made(slop=0.0)
    for index in range(20):
        assembler.add_sensor("depth", index, index * SECOND)
    for name in ("detections", "instances"):
        assembler.add_result(name, name, 2 * SECOND)
    assert whole == [] and assembler.counts == {"no_depth": 1}
