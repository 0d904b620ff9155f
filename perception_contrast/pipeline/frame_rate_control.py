"""Holds a rate of frames: what each may cost, from what the last ones did cost. Imports no model library."""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass

# Sides of the network input over those of the settings. Each is an image size with an engine of its own.
SCALES = (1.0, 5 / 6, 2 / 3, 1 / 2)
# At the last level people's images are drawn for one frame in so many.
THINNED = 4
WINDOW, FEWEST = 10, 4  # frames that are judged by, and the fewest for a step down
SETTLING = 2  # frames after a step that do not count: buffers of a new size are made in them
# Shares of a frame's time: above the first quality is given up, below the last it is given back, if it would
# be so at the higher quality. In between nothing changes, so that noise does not.
HOLD, AIM, CLIMB = 0.92, 0.85, 0.80
ROOM = 0.88  # what rescoring may fill up to
PATIENCE, LONGEST_PATIENCE = 15, 960  # frames with room before a step up
# Frames after a step up, and times the patience, within which a step down means that it was one too many.
TRIAL, TRIALS = 40, 2
FASTER = 0.75  # of what it was: so much faster the machine has changed, and old failures count no more


@dataclass(frozen=True)
class FrameCost:
    """Milliseconds of one frame; of frames that were processed together, each one's share.

    Attributes:
        total: from its start to its results' publication.
        encoding: of the image encoders, whose input size is fitted.
        rescoring: of the crops.
        drawing: of images for people.
    """

    total: float
    encoding: float = 0.0
    rescoring: float = 0.0
    drawing: float = 0.0


@dataclass(frozen=True)
class FrameLimits:
    """What a frame may cost.

    Attributes:
        scale: of the network input's sides over those of the settings.
        rescoring_ms: for crops; inf: no limit.
        draw_every: one frame in so many is drawn for people.
    """

    scale: float = 1.0
    rescoring_ms: float = math.inf
    draw_every: int = 1


LEVELS = (*(FrameLimits(scale) for scale in SCALES), FrameLimits(SCALES[-1], draw_every=THINNED))


class FrameRateControl:
    """Fits the limits of frames to a rate. For one thread.

    Rescoring gets what the rest of a frame leaves of its time, so that it is dropped first and grows back by
    itself. If the rest alone does not fit, a step down the levels follows: smaller images, then fewer
    drawings. A step up follows once the rest would fit at the level above, with room to spare, for PATIENCE
    frames. Each step up that has to be taken back doubles that number, until the machine gets faster: under a
    constant load there are ever fewer steps.

    Attributes:
        level: 0 for everything that the settings ask for, up to ``len(LEVELS) - 1``.
    """

    def __init__(self) -> None:
        self.level = 0
        self._costs: deque[FrameCost] = deque(maxlen=WINDOW)
        self._granted: deque[float] = deque(maxlen=WINDOW)
        self._period = math.inf
        self._unsettled = 0
        self._calm, self._patience = 0, PATIENCE
        # Frames since the last step up, while it is on trial, and what a frame took before it.
        self._trial: int | None = None
        self._rest_before = self._failed_rest = self._expected_rest = 0.0

    @property
    def load(self) -> float:
        """What frames take without rescoring, as a share of the time that the rate leaves them.

        After a step it is what was expected of the level until frames of it were measured.
        """
        return (self._rest if self._costs else self._expected_rest) / self._period

    @property
    def holds(self) -> bool:
        """Whether the rate is held, as far as the last frames tell."""
        return not self._costs or statistics.fmean(one.total for one in self._costs) <= self._period

    @property
    def exhausted(self) -> bool:
        """Whether the rate is not held, and nothing is left to give up."""
        return self.level == len(LEVELS) - 1 and not self.holds

    @property
    def encoding_ms(self) -> float:
        """Median milliseconds of the image encoders at this level; 0 before the first frame."""
        return statistics.median(one.encoding for one in self._costs) if self._costs else 0.0

    @property
    def limits(self) -> FrameLimits:
        """For the next frame."""
        level = LEVELS[self.level]
        return FrameLimits(level.scale, self._rescoring_ms, level.draw_every)

    def add(self, cost: FrameCost, demand_hz: float) -> None:
        """Takes in what a frame did cost, and steps up or down if need be.

        Args:
            cost: of a frame with the limits that held last.
            demand_hz: frames a second that have to be processed, of all cameras together, above 0.
        """
        self._period = 1e3 / demand_hz
        if self._unsettled:
            self._unsettled -= 1
            return
        self._granted.append(self._rescoring_ms)
        self._costs.append(cost)
        self._end_trial()
        if len(self._costs) < FEWEST:
            return
        if self._rest > HOLD * self._period:
            self._step_down()
        elif self.level:
            self._step_up_if_calm()

    @property
    def _rest(self) -> float:
        """Milliseconds of a frame without rescoring: what three quarters of the last ones took at most."""
        rests = sorted(one.total - one.rescoring for one in self._costs)
        return rests[(3 * (len(rests) - 1) + 2) // 4] if rests else 0.0

    @property
    def _rescoring_ms(self) -> float:
        """What the rest leaves, less what rescoring takes beside encoding; 0 until that is known."""
        if len(self._costs) < FEWEST:
            return 0.0
        took = statistics.fmean(one.rescoring for one in self._costs)
        beside = max(took - statistics.fmean(self._granted), 0.0)
        return max(ROOM * self._period - self._rest - beside, 0.0)

    def _rest_at(self, level: int) -> float:
        """What frames would take without rescoring at another level, by the pixels and the drawings."""
        now, then = LEVELS[self.level], LEVELS[level]
        drawing = statistics.fmean(one.drawing for one in self._costs)
        encoding = self.encoding_ms * ((then.scale / now.scale) ** 2 - 1.0)
        return self._rest + encoding + drawing * (now.draw_every / then.draw_every - 1.0)

    def _step_down(self) -> None:
        lower = range(self.level + 1, len(LEVELS))
        if not lower:
            return
        fits = (level for level in lower if self._rest_at(level) <= AIM * self._period)
        if self._trial is not None:
            self._patience = min(2 * self._patience, LONGEST_PATIENCE)
            self._failed_rest = self._rest_before
        self._enter(next(fits, lower[-1]))

    def _step_up_if_calm(self) -> None:
        if self._patience > PATIENCE and self._rest < FASTER * self._failed_rest:
            self._patience = PATIENCE
        fits = self._rest_at(self.level - 1) <= CLIMB * self._period
        self._calm = self._calm + 1 if fits else 0
        if self._calm >= self._patience:
            self._rest_before = self._rest
            self._enter(self.level - 1)
            self._trial = 0

    def _end_trial(self) -> None:
        if self._trial is None:
            return
        self._trial += 1
        if self._trial > TRIAL + TRIALS * self._patience:
            self._trial = None
            self._patience = PATIENCE

    def _enter(self, level: int) -> None:
        self._expected_rest = self._rest_at(level)
        self.level, self._calm, self._trial, self._unsettled = level, 0, None, SETTLING
        self._costs.clear()
        self._granted.clear()
