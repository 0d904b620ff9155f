"""Images and results of one stamp come together, in the order of time, and nothing grows."""

from __future__ import annotations

from perception_contrast_studio.robot import frame_join
from perception_contrast_studio.robot.frame_join import PATIENCE, FrameJoin


def _joined(*names: str) -> FrameJoin:
    join = FrameJoin()
    join.want(names)
    return join


def test_a_frame_is_whole_when_all_that_is_shown_has_come() -> None:
    join = _joined("detections", "masks")
    for stamp in (1, 2, 3):
        join.add_image(stamp, f"image {stamp}", 10)
    join.add_result("detections", 2, "boxes", 0.0)
    assert join.take(0.1) is None
    join.add_result("masks", 2, "pixels", 0.1)
    frame = join.take(0.1)
    assert frame is not None
    assert (frame.stamp, frame.image) == (2, "image 2")
    assert frame.results == {"detections": "boxes", "masks": "pixels"}
    # The image of 3 still waits; what came before it does not.
    assert join.images == 1 and join.take(9.0) is None


def test_a_result_may_come_before_its_image() -> None:
    join = _joined("detections")
    join.add_result("detections", 5, "boxes", 0.0)
    assert join.take(0.0) is None
    join.add_image(5, "image", 10)
    frame = join.take(0.0)
    assert frame is not None and frame.image == "image"


def test_the_newest_whole_frame_wins() -> None:
    join = _joined("detections")
    for stamp in (1, 2, 3):
        join.add_image(stamp, stamp, 10)
        join.add_result("detections", stamp, stamp, 0.0)
    frame = join.take(0.0)
    assert frame is not None and frame.stamp == 3
    assert join.take(10.0) is None


def test_an_output_that_does_not_come_delays_a_few_frames_only() -> None:
    join = _joined("detections", "masks")
    waited = []
    for stamp in range(1, 6):
        join.add_image(stamp, stamp, 10)
        join.add_result("detections", stamp, stamp, float(stamp))
        at_once = join.take(float(stamp)) is not None
        waited.append(not at_once)
        if not at_once:
            assert join.take(stamp + 2 * PATIENCE) is not None
    assert waited == [True, True, True, False, False]
    # Once it comes it is waited for again.
    join.add_image(6, 6, 10)
    join.add_result("masks", 6, 6, 6.0)
    assert join.take(6.0) is None


def test_results_without_an_image_do_not_hold_up_others() -> None:
    join = _joined("detections")
    join.add_result("detections", 1, "lost", 0.0)
    join.add_image(2, "image", 10)
    join.add_result("detections", 2, "boxes", 0.0)
    frame = join.take(1.0)
    assert frame is not None and frame.stamp == 2


def test_what_waits_is_bounded() -> None:
    join = _joined("detections")
    for stamp in range(10_000):
        join.add_image(stamp, stamp, 1)
        join.add_result("detections", -stamp - 1, stamp, 0.0)
    assert join.images == frame_join.MOST_IMAGES
    for stamp in range(10_000, 10_010):
        join.add_image(stamp, stamp, frame_join.MOST_BYTES // 2)
    assert join.images == 2
