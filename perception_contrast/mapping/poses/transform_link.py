"""Link: a frame's place in its parent over time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

import numpy as np

from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.poses.transform_errors import SampleGapError, extrapolation

LATEST = 0
"""The time that asks for the latest transform that all links have in common."""


@dataclass(frozen=True)
class Sample:
    """A transform parent_from_child at one stamp."""

    parent: str
    transform: RigidTransform

    def equals(self, other: Sample) -> bool:
        """Whether nothing differs."""
        return (
            self.parent == other.parent
            and np.array_equal(self.transform.translation, other.transform.translation)
            and np.array_equal(self.transform.rotation, other.transform.rotation)
        )


@dataclass
class Link:
    """A frame's place in its parent: over time by ascending stamp, or for ever.

    Attributes:
        static: Holds at every time; None for a frame that moves.
        stamps: Nanoseconds, ascending.
        samples: One for each stamp. Of several with one stamp the last counts, but of the oldest the first.
    """

    static: Sample | None = None
    stamps: list[int] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def add(self, stamp: int, sample: Sample, cache_time: int) -> bool:
        """Whether the sample is kept: one older than the cache time is not, and old ones leave before it."""
        if self.stamps:
            oldest = self.stamps[-1] - cache_time
            stale = bisect_left(self.stamps, oldest)
            del self.stamps[:stale], self.samples[:stale]
            if stamp < oldest:
                return False
        place = bisect_right(self.stamps, stamp)
        same = place
        while same and self.stamps[same - 1] == stamp:
            same -= 1
            if self.samples[same].equals(sample):
                return True
        self.stamps.insert(place, stamp)
        self.samples.insert(place, sample)
        return True

    def latest(self) -> tuple[int, str] | None:
        """Stamp and parent of the newest sample; stamp 0 for a static one; None where there is none."""
        if self.static is not None:
            return LATEST, self.static.parent
        return (self.stamps[-1], self.samples[-1].parent) if self.stamps else None

    def at(self, child: str, stamp: int, max_gap: int | None) -> Sample:
        """The sample of a stamp, interpolated where its neighbours have one parent.

        Args:
            child: The frame, for errors.
            stamp: Nanoseconds; ``LATEST`` for the newest.
            max_gap: Nanoseconds between two samples beyond which nothing is interpolated; None for no limit.

        Raises:
            ExtrapolationError: No samples lie around the stamp.
            SampleGapError: They lie too far apart.
        """
        if self.static is not None:
            return self.static
        if not self.stamps:
            raise extrapolation("", child, stamp, None)
        if stamp == LATEST:
            return self.samples[-1]
        place = bisect_right(self.stamps, stamp) - 1
        if place < 0:
            raise extrapolation(self.samples[0].parent, child, stamp, self.stamps[0])
        if stamp == self.stamps[0] < self.stamps[-1]:
            return self.samples[0]
        sample = self.samples[place]
        if self.stamps[place] == stamp:
            return sample
        if place + 1 == len(self.stamps):
            raise extrapolation(sample.parent, child, stamp, self.stamps[place])
        following = self.samples[place + 1]
        if following.parent != sample.parent:
            return sample
        gap = self.stamps[place + 1] - self.stamps[place]
        if max_gap is not None and gap > max_gap:
            raise SampleGapError(sample.parent, child, gap, max_gap)
        share = (stamp - self.stamps[place]) / gap
        return Sample(sample.parent, sample.transform.interpolated(following.transform, share))
