"""How much rescoring may do in one frame, and how much it did."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class RescoringLimits:
    """What one frame may cost. Views that are remembered cost nothing and do not count.

    Attributes:
        views: most enlarged views that are encoded.
        milliseconds: for encoding them; 0 encodes none, inf sets no limit. What a frame leaves over is
            added to the next, up to one view: so a small limit encodes a view now and then.
    """

    views: int
    milliseconds: float = math.inf


@dataclass(frozen=True)
class RescoringCounts:
    """Enlarged views of one frame, by what became of them.

    Attributes:
        encoded: by the image encoder.
        remembered: from an earlier frame of the stream, in which they looked the same.
        left_out: for want of views or time; their regions keep the probability before rescoring.
    """

    encoded: int = 0
    remembered: int = 0
    left_out: int = 0
