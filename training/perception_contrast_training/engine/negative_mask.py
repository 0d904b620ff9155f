"""Where and when the frames of a batch were taken, and which of them may stand against each other."""

from __future__ import annotations

import torch
from torch import Tensor

FRAME_POSITIONS = "where"
"""In a batch: (2, n, 7) float64, of the frames of both views. Of one frame, by columns: its number; the
recording's; the time in it; the fixed frame's number; the camera's x, y, z in that.

Times and places are in units of the radii within which frames are no negatives; NaN where not known."""

NEAR = 1 - 1e-9  # what is a whole radius away but for rounding is not near
STRIP = 1 << 18  # comparisons at once


def may_be_negatives(one: Tensor, other: Tensor) -> Tensor:
    """(m, 7) and (n, 7), rows as FRAME_POSITIONS says, to (m, n) bool.

    False for a frame and itself, for frames of one recording nearer in time than 1, and for frames whose
    cameras were nearer than 1, whatever the time or the recording. What is not known is not near.
    """
    a, b = one.T.contiguous()[:, :, None], other.T.contiguous()[:, None]
    frame, recording, time, world, place = range(5)
    near = a[frame] == b[frame]
    near |= (a[recording] == b[recording]) & ((a[time] - b[time]).abs_() < NEAR)
    square = (a[place:] - b[place:]).square_().sum(dim=0)
    near |= (a[world] == b[world]) & (square < NEAR**2)
    return near.logical_not_()


class NegativeMask:
    """The table (n, n) of ``may_be_negatives`` of n frames, of which only the rows asked for are made."""

    def __init__(self, where: Tensor) -> None:
        self._where = where.detach()

    def __call__(self, start: int, stop: int) -> Tensor:
        """Rows from ``start`` to before ``stop``: (stop - start, n) bool."""
        frames = self._where
        rows = torch.empty(stop - start, len(frames), dtype=torch.bool, device=frames.device)
        # Numbers in between are a few times as large as the rows: never of all of them at once.
        strip = max(1, STRIP // max(1, len(frames)))
        for first in range(start, stop, strip):
            last = min(first + strip, stop)
            rows[first - start : last - start] = may_be_negatives(frames[first:last], frames)
        return rows
