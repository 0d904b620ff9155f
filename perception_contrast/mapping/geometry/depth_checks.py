"""Which depth can be used: its range, and depth whose unit is wrong by a factor of 1000."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_contrast.core.arrays import BoolMask, DepthImage
from perception_contrast.core.running_median import RunningMedian

# Medians of indoor and outdoor depth lie between these metres, whatever the sensor. A thousandth of the
# farther one is below the nearer one's usual depth, and so the two faults cannot be mistaken for each other.
LEAST_MEDIAN, LARGEST_MEDIAN = 0.03, 100.0
# From the expected distance on, and against it: halfway to 1000 by ratio, so that coming near to a wall or
# leaving it is no fault.
LEAST_RATIO = 1000.0**0.75
# Frames that the expected distance is taken over.
_REMEMBERED = 15
# Every n-th pixel of a row and of a column is enough for a median.
_STRIDE = 4


def usable(depth: DepthImage, near: float, far: float) -> BoolMask:
    """Where depth is measured and in range.

    Args:
        depth: (H, W) float32 metres, or any other shape.
        near: Metres, included.
        far: Metres, included.

    Returns:
        Of the same shape; False for NaN, infinity, zero and what is out of range.
    """
    return np.asarray((depth >= near) & (depth <= far) & (depth > 0) & np.isfinite(depth))


@dataclass(frozen=True)
class DepthVerdict:
    """Whether the unit of a frame's depth is right.

    Attributes:
        problem: What is wrong and the remedy; "" where nothing is.
        is_new: True for the first frame of a problem: the one to tell it at.
    """

    problem: str = ""
    is_new: bool = False

    @property
    def is_usable(self) -> bool:
        """False where the frame has to be skipped."""
        return not self.problem


class DepthScaleCheck:
    """Notices depth that is 1000 times too large or too small, as from a driver that mixes mm and metres.

    The median of each frame is held against what sensors measure, and against what was measured before or the
    camera's height. Frames without any depth are no evidence of either. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._usual, self._told = RunningMedian(_REMEMBERED), ""

    def check(self, depth: DepthImage, camera_height: float | None = None) -> DepthVerdict:
        """Judges the next frame of one camera.

        Args:
            depth: (H, W) float32 metres.
            camera_height: Metres of the camera above the floor, where it is known: what it sees is then
                taken to be neither a thousand times nearer nor farther.

        Returns:
            The verdict. A frame with a problem does not count as what was measured before.
        """
        sample = depth[::_STRIDE, ::_STRIDE]
        sample = sample[np.isfinite(sample) & (sample > 0)]
        if not sample.size:
            return DepthVerdict()
        median = float(np.median(sample))
        kind = _fault(median, self._usual.value, camera_height)
        is_new, self._told = bool(kind) and kind != self._told, kind
        if not kind:
            self._usual.add(median)
            return DepthVerdict()
        return DepthVerdict(
            f"depth is about 1000 times too {kind}, with a median of {median:.3g} m; in 16UC1 a number is a "
            "millimetre, in 32FC1 a metre (REP 118): correct the encoding or the scale of the depth driver",
            is_new,
        )


def _fault(median: float, *expected: float | None) -> str:
    """ "large", "small" or "" for a median in metres, by what sensors measure and by expected distances."""
    references = [one for one in expected if one is not None and one > 0]
    if median > LARGEST_MEDIAN or any(median > one * LEAST_RATIO for one in references):
        return "large"
    if median < LEAST_MEDIAN or any(median * LEAST_RATIO < one for one in references):
        return "small"
    return ""
