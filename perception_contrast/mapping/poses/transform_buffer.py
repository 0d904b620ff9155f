"""TransformBuffer: the tree of frames over the last seconds, with the semantics of tf2's BufferCore.

What holds, as tf2 documents it (http://wiki.ros.org/tf2, geometry2's own tests): each frame has one parent
at a time; between two samples the translation is interpolated linearly and the rotation along the arc;
nothing is extrapolated; one sample answers its own stamp alone; time 0 is the latest time that all links
have in common; a static transform holds at every time. Where the parent changes between two samples, the
older one holds until the newer.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from perception_contrast.core.arrays import Float64Array
from perception_contrast.core.rigid_transform import PoseError, RigidTransform
from perception_contrast.mapping.poses.transform_errors import (
    DisconnectedError,
    ExtrapolationError,
    FrameLoopError,
    UnknownFrameError,
)
from perception_contrast.mapping.poses.transform_link import LATEST, Link, Sample

CACHE_TIME = 10_000_000_000
"""Nanoseconds for which samples are kept, as in tf2."""

OnRefused: TypeAlias = Callable[[str, str], None]
"""Takes the reason as a slug, and a message."""

_MOST_LINKS = 1000
_MOST_NAMES = 8


class TransformBuffer:
    """Transforms between frames over time. Safe to use from several threads.

    Args:
        cache_time: Nanoseconds for which a frame's samples are kept, counted from its newest.
        max_gap: Nanoseconds between two samples beyond which nothing is interpolated; None for no limit, as
            tf2.
        on_refused: Called with the reason, and with a message that names the frames, the fault and the
            remedy, for each transform that can be none; not for one that is only too old.

    Attributes:
        refused: How many transforms were not taken, by reason: "self_transform", "no_child_frame",
            "no_parent_frame", "not_finite", "invalid_quaternion" or "older_than_cache".

    Example:
        >>> buffer = TransformBuffer()
        >>> buffer.set_transform("map", "base", 1_000, RigidTransform.identity())
        True
        >>> buffer.lookup("map", "base", 1_000).translation.tolist()
        [0.0, 0.0, 0.0]
    """

    def __init__(
        self,
        cache_time: int = CACHE_TIME,
        max_gap: int | None = None,
        on_refused: OnRefused | None = None,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._on_refused = on_refused
        self._cache_time, self._max_gap = cache_time, max_gap
        self._lock = threading.Lock()
        self._links: dict[str, Link] = {}
        self._names: set[str] = set()

    def set_transform(
        self, parent: str, child: str, stamp: int, transform: RigidTransform, *, static: bool = False
    ) -> bool:
        """Takes one transform; one leading slash of a name is left out, as tf2 does.

        Args:
            parent: Frame that the transform leads to.
            child: Frame whose points it takes.
            stamp: Nanoseconds; of no meaning for a static transform.
            transform: parent_from_child.
            static: Whether it holds at every time. The last kind that is given to a child holds.

        Returns:
            Whether it was taken; if not, it is counted in ``refused``.
        """
        parent, child = parent.removeprefix("/"), child.removeprefix("/")
        if fault := _fault(parent, child, transform):
            self._refuse(*fault)
            return False
        with self._lock:
            taken = self._add(parent, child, stamp, transform, static)
            self.refused.update([] if taken else ["older_than_cache"])
            return taken

    def set_quaternion(
        self,
        parent: str,
        child: str,
        stamp: int,
        translation: Float64Array,
        quaternion: Float64Array,
        *,
        static: bool = False,
    ) -> bool:
        """As ``set_transform``, of a translation in metres and a quaternion (x, y, z, w) of a message.

        A quaternion that is not of unit length is refused and counted, as tf2 does, but for rounding.
        """
        transform = self.checked(parent, child, translation, quaternion)
        return transform is not None and self.set_transform(parent, child, stamp, transform, static=static)

    def checked(
        self, parent: str, child: str, translation: Float64Array, quaternion: Float64Array
    ) -> RigidTransform | None:
        """The transform of a message's numbers; None for what is refused, and counted, as no rotation."""
        try:
            return RigidTransform.of_quaternion(translation, quaternion, unit=True)
        except PoseError as error:
            self._refuse(error.reason, f"{_named(parent, child)}: {error}")
            return None

    def _refuse(self, reason: str, message: str) -> None:
        with self._lock:
            self.refused[reason] += 1
        if self._on_refused is not None:
            self._on_refused(reason, message)

    def _add(self, parent: str, child: str, stamp: int, transform: RigidTransform, static: bool) -> bool:
        link = self._links.get(child)
        if link is None or (link.static is not None) != static:
            link = self._links[child] = Link()
        self._names.update((parent, child))
        sample = Sample(parent, transform)
        if static:
            link.static = sample
            return True
        return link.add(stamp, sample, self._cache_time)

    def clear(self) -> None:
        """Forgets all samples over time, as after a jump of the clock; static transforms stay."""
        with self._lock:
            for link in self._links.values():
                link.stamps.clear()
                link.samples.clear()

    @property
    def frames(self) -> frozenset[str]:
        """Names of all frames that a transform ever named."""
        with self._lock:
            return frozenset(self._names)

    def lookup(self, target: str, source: str, stamp: int = LATEST) -> RigidTransform:
        """target_from_source: what takes points of ``source`` to ``target`` at a time.

        Args:
            target: Frame that the points are wanted in.
            source: Frame that the points are in.
            stamp: Nanoseconds; 0 for the latest time that all links between the two have in common.

        Raises:
            UnknownFrameError: A name is unknown, empty or begins with a slash.
            DisconnectedError: No path joins the two.
            ExtrapolationError: A link between the two has no samples around the time.
            FrameLoopError: The frames form a loop.
            SampleGapError: The time lies in a gap that is longer than ``max_gap``.
        """
        if target == source:
            return RigidTransform.identity()
        with self._lock:
            self._check_name(target)
            self._check_name(source)
            if stamp == LATEST:
                stamp = self._latest_common_time(target, source)
            return self._path(target, source, stamp)

    def can_transform(self, target: str, source: str, stamp: int = LATEST) -> bool:
        """Whether ``lookup`` has an answer."""
        try:
            self.lookup(target, source, stamp)
        except PoseError:
            return False
        return True

    def latest_common_time(self, target: str, source: str) -> int:
        """Nanoseconds of the latest time that all links between two frames know; 0 where all are static.

        Raises:
            PoseError: As ``lookup`` raises.
        """
        with self._lock:
            self._check_name(target)
            self._check_name(source)
            return self._latest_common_time(target, source)

    def root(self, frame: str) -> str:
        """The frame that a frame hangs on in the end, at the latest times; itself where it hangs on none."""
        with self._lock:
            return self._root(frame)

    def _check_name(self, frame: str) -> None:
        if frame in self._names:
            return
        if not frame:
            raise UnknownFrameError(
                "a frame's name is empty; set the frame_id of the message or the parameter"
            )
        if frame.startswith("/"):
            raise UnknownFrameError(f"frame '{frame}' begins with a slash; name it '{frame.lstrip('/')}'")
        known = sorted(self._names)
        listed = ", ".join(known[:_MOST_NAMES]) + (", ..." if len(known) > _MOST_NAMES else "")
        raise UnknownFrameError(
            f"frame '{frame}' is in no transform; see that it is published on /tf or /tf_static and spelt "
            f"so. Known: {listed or 'none'}"
        )

    def _latest_common_time(self, target: str, source: str) -> int:
        if target == source:
            newest = self._links[source].latest() if source in self._links else None
            return newest[0] if newest else LATEST
        above: dict[str, int] = {source: 0}
        times: list[int] = []
        for stamp, parent in self._newest_up(source):
            times.append(stamp)
            above[parent] = len(times)
            if parent == target:
                break
        frame, own = target, list[int]()
        for stamp, parent in self._newest_up(target):
            if frame in above:
                break
            own.append(stamp)
            frame = parent
        if frame not in above:
            raise self._disconnected(target, source)
        return min((stamp for stamp in own + times[: above[frame]] if stamp != LATEST), default=LATEST)

    def _newest_up(self, frame: str) -> Iterator[tuple[int, str]]:
        """Newest stamp and parent of a frame, of that parent and so on."""
        for _ in range(_MOST_LINKS):
            link = self._links.get(frame)
            newest = link.latest() if link else None
            if newest is None:
                return
            yield newest
            frame = newest[1]
        raise _loop(frame)

    def _path(self, target: str, source: str, stamp: int) -> RigidTransform:
        """Up from the source as far as it goes, then up from the target until the two ways meet."""
        missing: ExtrapolationError | None = None
        above = {source: RigidTransform.identity()}
        frame, ancestor_from_source = source, above[source]
        try:
            for parent, transform in self._up(source, stamp):
                frame, ancestor_from_source = parent, transform @ ancestor_from_source
                above[frame] = ancestor_from_source
                if frame == target:
                    return ancestor_from_source
        except ExtrapolationError as error:
            # A link further up than the common ancestor does not matter.
            missing = error
        frame, ancestor_from_target = target, RigidTransform.identity()
        if frame not in above:
            for parent, transform in self._up(target, stamp):
                frame, ancestor_from_target = parent, transform @ ancestor_from_target
                if frame in above:
                    break
        if frame not in above:
            raise missing or self._disconnected(target, source)
        return ancestor_from_target.inverse() @ above[frame]

    def _up(self, frame: str, stamp: int) -> Iterator[tuple[str, RigidTransform]]:
        """Parent and parent_from_frame of a frame, of that parent and so on. Raises ExtrapolationError."""
        for _ in range(_MOST_LINKS):
            link = self._links.get(frame)
            if link is None:
                return
            sample = link.at(frame, stamp, self._max_gap)
            yield sample.parent, sample.transform
            frame = sample.parent
        raise _loop(frame)

    def _disconnected(self, target: str, source: str) -> DisconnectedError:
        roots = [self._root(frame) for frame in (target, source)]
        return DisconnectedError(
            f"frames '{target}' and '{source}' are not joined: they hang in the trees of '{roots[0]}' and "
            f"'{roots[1]}'; see that what publishes the transform between those runs"
        )

    def _root(self, frame: str) -> str:
        """The top of a frame's tree by the newest samples; of a loop the frame itself."""
        top = frame
        try:
            for _, parent in self._newest_up(frame):
                top = parent
        except FrameLoopError:
            return frame
        return top


def _named(parent: str, child: str) -> str:
    return f"the pose of '{child}' in '{parent}'"


def _fault(parent: str, child: str, transform: RigidTransform) -> tuple[str, str] | None:
    """Why a transform is refused, as a slug and in words; None if it is not."""
    if not child:
        return "no_child_frame", f"a pose in '{parent}' names no frame whose it is; set child_frame_id"
    if not parent:
        return "no_parent_frame", f"the pose of '{child}' names no frame that it is in; set header.frame_id"
    if parent == child:
        return "self_transform", f"{_named(parent, child)}: a frame has no pose in itself; stop publishing it"
    if not (np.isfinite(transform.translation).all() and np.isfinite(transform.rotation).all()):
        return "not_finite", f"{_named(parent, child)} is not finite; check who publishes it"
    return None


def _loop(frame: str) -> FrameLoopError:
    return FrameLoopError(
        f"the tree of frames has a loop that '{frame}' is part of; two publishers name each other's frames "
        "as parents: stop one"
    )
