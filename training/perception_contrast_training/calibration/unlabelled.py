"""`perception-contrast calibrate --unlabelled`: the level of a place by a recording of it, without labels."""

from __future__ import annotations

from collections.abc import Iterator

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.self_calibration import LEAST_FRAMES, AbsentNames
from perception_contrast.segmentation.place_level import PlaceLevel


def measure_level(pipeline: Pipeline, frames: Iterator[Frame], place: str, most_fired: float) -> PlaceLevel:
    """The level of a place by its frames; those that cannot be read are left out.

    Raises:
        PerceptionError: There are too few frames.
    """
    names = AbsentNames(pipeline)
    for frame in frames:
        try:
            names.add(frame)
        except FrameError as error:
            print(f"left out: {error}")
    return names.level(place, most_fired)


def report_level(level: PlaceLevel) -> None:
    """Prints what was measured."""
    facts = level.facts
    print(
        f"'{level.place}' for {level.space}: {facts['frames']:.0f} frames, {facts['absent_names']:.0f} names"
    )
    print(f"detection threshold: {facts['own_threshold']:.3f} before, {level.detection:.3f} after")
    for what, key in (("in any frame", "fired"), ("a frame", "fired_a_frame")):
        before, after = (100 * facts[f"{key}_{when}"] for when in ("before", "after"))
        print(f"absent names that are reported {what}: {before:.1f} % before, {after:.1f} % after")


def require_frames(frames: int) -> None:
    """Raises PerceptionError for a number of frames that says nothing of a place."""
    if frames < LEAST_FRAMES:
        raise PerceptionError(
            f"--frames {frames} is too few to calibrate by; look at {LEAST_FRAMES} frames at least"
        )
