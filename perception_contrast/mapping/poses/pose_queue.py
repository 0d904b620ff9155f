"""PoseQueue: images that wait for their pose, in order and not for long."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from perception_contrast.core.rigid_transform import PoseError, RigidTransform
from perception_contrast.mapping.poses.pose_source import PoseSource
from perception_contrast.mapping.poses.transform_errors import ExtrapolationError

T = TypeVar("T")


@dataclass(frozen=True)
class Posed(Generic[T]):
    """What was put into the queue, with its pose.

    Attributes:
        item: As it was put.
        stamp: Nanoseconds.
        pose: map_from_frame at the stamp.
    """

    item: T
    stamp: int
    pose: RigidTransform


@dataclass
class _Waiting(Generic[T]):
    item: T
    frame: str
    stamp: int
    until: float
    late: bool = False


class PoseQueue(Generic[T]):
    """Waits for poses without blocking: ``put`` what needs one, ``take`` what has got one.

    What belongs to one frame leaves in the order in which it came; frames do not wait for each other. What
    gets no pose within the patience is dropped, and so is at once what lies before all that is known, as no
    waiting helps that.

    Args:
        poses: Tells the poses.
        patience: Seconds that one item waits at most.
        limit: Items of one frame that wait at most; the oldest leaves.

    Attributes:
        patience: As given; may be set for the items to come.
        posed: Items that got their pose.
        late: Those of them whose pose was not there at the first look.
        dropped: Items that got none, by the slug of the last reason; "queue_full" where newer ones took the
            place.
        last_error: The last reason in words; "" before the first.
    """

    def __init__(self, poses: PoseSource, patience: float = 0.5, limit: int = 30) -> None:
        self.posed = self.late = 0
        self.dropped: Counter[str] = Counter()
        self.last_error = ""
        self._poses, self.patience, self._limit = poses, patience, limit
        self._waiting: dict[str, deque[_Waiting[T]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, item: T, frame: str, stamp: int, now: float) -> None:
        """Adds an item.

        Args:
            item: Anything.
            frame: The camera's optical frame.
            stamp: Nanoseconds at which its pose is wanted.
            now: Seconds of a steady clock.
        """
        waiting = self._waiting.setdefault(frame, deque())
        waiting.append(_Waiting(item, frame, stamp, now + self.patience))
        if len(waiting) > self._limit:
            waiting.popleft()
            self.dropped["queue_full"] += 1

    def take(self, now: float) -> list[Posed[T]]:
        """What has its pose by now, by ascending stamp.

        Args:
            now: Seconds of the clock of ``put``.
        """
        found = [posed for waiting in self._waiting.values() for posed in self._taken(waiting, now)]
        return sorted(found, key=lambda one: one.stamp)

    def clear(self) -> None:
        """Drops what waits, as after a jump of the clock."""
        self.dropped["clock_jump"] += len(self)
        self._waiting.clear()

    def _taken(self, waiting: deque[_Waiting[T]], now: float) -> list[Posed[T]]:
        found = []
        while waiting:
            first = waiting[0]
            try:
                pose = self._poses.pose(first.frame, first.stamp)
            except PoseError as error:
                hopeless = isinstance(error, ExtrapolationError) and not error.future
                if not hopeless and now < first.until:
                    first.late = True
                    break
                self.dropped[error.reason] += 1
                self.last_error = str(error)
            else:
                found.append(Posed(first.item, first.stamp, pose))
                self.posed += 1
                self.late += first.late
            waiting.popleft()
        return found
