"""Images meet the depth and calibration of their moment; stamps that cannot be believed. No ROS needed."""

from __future__ import annotations

import pytest

from perception_contrast.ros.camera.stamp_checks import StampChecker
from perception_contrast.ros.camera.stamp_synchronizer import MAX_WAITING, StampSynchronizer, Synchronized

MS = 1_000_000


class Bench:
    """A StampSynchronizer with a clock of its own."""

    def __init__(self, slop: float = 17.0, patience: float = 0.05) -> None:
        self.out: list[Synchronized] = []
        streams = {"depth": False, "camera_info": True}
        self.synchronizer = StampSynchronizer(
            self.out.append, streams, slop=round(slop * MS), patience=patience
        )
        self.now = 100.0

    def image(self, stamp: float) -> None:
        self.synchronizer.add_image(f"image {stamp:g}", round(stamp * MS), self.now)

    def depth(self, stamp: float) -> None:
        self.synchronizer.add_message("depth", f"depth {stamp:g}", round(stamp * MS), self.now)

    def info(self, stamp: float) -> None:
        self.synchronizer.add_message("camera_info", f"info {stamp:g}", round(stamp * MS), self.now)

    def found(self) -> list[tuple[str, dict[str, str]]]:
        return [(one.image, dict(one.matched)) for one in self.out]


def test_the_very_stamp_is_taken_before_a_nearer_arrival() -> None:
    bench = Bench()
    for stamp in (95, 100, 105):
        bench.depth(stamp)
    bench.image(100)
    assert bench.found() == [("image 100", {"depth": "depth 100"})]
    assert bench.synchronizer.outcomes == {"depth/exact": 1, "camera_info/missing": 1}


def test_without_it_the_nearest_within_the_slop_is_taken_and_nothing_beyond() -> None:
    bench = Bench()
    for stamp in (90, 112, 140):
        bench.depth(stamp)
    bench.image(100)
    bench.image(121)
    bench.image(165)
    bench.now += 1.0
    bench.synchronizer.expire(bench.now)
    assert bench.found() == [
        ("image 100", {"depth": "depth 90"}),
        ("image 121", {"depth": "depth 112"}),
        ("image 165", {}),
    ]
    assert (
        bench.synchronizer.outcomes["depth/near"] == 2 and bench.synchronizer.outcomes["depth/missing"] == 1
    )


def test_an_image_waits_for_depth_that_is_on_its_way_but_no_longer_than_it_may() -> None:
    bench = Bench(patience=0.05)
    bench.depth(0)
    bench.image(33)
    assert bench.out == []
    bench.depth(33)
    assert bench.found() == [("image 33", {"depth": "depth 33"})]
    bench.image(66)
    bench.now += 0.04
    bench.synchronizer.expire(bench.now)
    assert len(bench.out) == 1
    bench.now += 0.02
    bench.synchronizer.expire(bench.now)
    assert bench.found()[1] == ("image 66", {})


def test_a_silent_topic_is_not_waited_for() -> None:
    bench = Bench(patience=10.0)
    bench.image(0)
    assert len(bench.out) == 1
    bench.depth(33)
    bench.now += 5.0
    bench.image(66)
    assert len(bench.out) == 2


def test_depth_that_is_slower_than_the_images_costs_latency_but_no_image() -> None:
    bench = Bench(patience=10.0)
    bench.depth(0)
    for number in range(1, MAX_WAITING + 3):
        bench.now += 0.033
        bench.image(33 * number)
    assert [one.image for one in bench.out] == ["image 33", "image 66"]
    bench.depth(99)
    assert bench.found()[-1] == ("image 99", {"depth": "depth 99"})


def test_a_calibration_that_was_sent_once_serves_all_images_and_outlives_a_jump() -> None:
    bench = Bench()
    bench.info(0)
    bench.now += 60.0
    bench.image(60_000)
    bench.synchronizer.clear()
    bench.image(5)
    assert [found["camera_info"] for _, found in bench.found()] == ["info 0", "info 0"]
    assert (
        bench.synchronizer.outcomes["camera_info/older"] == 1
        and bench.synchronizer.outcomes["camera_info/near"] == 1
    )


def test_after_a_jump_back_depth_of_the_time_before_is_not_used() -> None:
    bench = Bench()
    bench.depth(100)
    bench.synchronizer.clear()
    bench.image(100)
    assert bench.found() == [("image 100", {})]


@pytest.mark.parametrize(
    ("stamps", "backs", "counts"),
    [
        ([1000, 1033, 1066], [False] * 3, {"zero": 0, "future": 0, "jumps_back": 0}),
        # Two frames that overtook each other are no jump; a bag that begins again is one.
        ([1000, 1066, 1033], [False] * 3, {"zero": 0, "future": 0, "jumps_back": 0}),
        ([9000, 1000, 1033], [False, True, False], {"zero": 0, "future": 0, "jumps_back": 1}),
        ([0, 1000, 0, 1033], [False] * 4, {"zero": 2, "future": 0, "jumps_back": 0}),
        ([10_300, 10_100], [False, False], {"zero": 0, "future": 1, "jumps_back": 0}),
        # A pause of minutes is a pause.
        ([1000, 600_000, 600_033], [False] * 3, {"zero": 0, "future": 2, "jumps_back": 0}),
    ],
)
def test_what_stamps_tell(stamps: list[int], backs: list[bool], counts: dict[str, int]) -> None:
    seen = StampChecker()
    assert [seen.check(stamp * MS, 10_000 * MS) for stamp in stamps] == backs
    assert seen.counts == counts


def test_before_the_first_clock_message_no_stamp_is_in_the_future() -> None:
    seen = StampChecker()
    seen.check(5 * MS, 0)
    assert seen.counts["future"] == 0
