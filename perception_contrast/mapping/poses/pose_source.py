"""Where a camera was at a stamp: from a tree of transforms, or from poses that a localiser publishes."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from perception_contrast.core.arrays import Float64Array
from perception_contrast.core.rigid_transform import PoseError, RigidTransform
from perception_contrast.mapping.poses.transform_buffer import OnRefused, TransformBuffer

MAX_GAP = 1_000_000_000
"""Nanoseconds between two samples of a pose beyond which it is not interpolated."""

SET_BACK = 2_000_000_000
"""Nanoseconds that a stamp may be older than the newest; beyond, the clock was set back."""

_UNNAMED = "posed body"


class NoPosesError(PoseError):
    """No pose has arrived yet."""

    reason = "no_poses"


class PoseFrameError(PoseError):
    """Poses that are given in a frame which the map's frame is not joined with."""

    reason = "pose_frame"


class TransformLookup(Protocol):
    """A tree of transforms: ``TransformBuffer``, or tf2's own behind the same method."""

    def lookup(self, target: str, source: str, stamp: int = 0) -> RigidTransform:
        """target_from_source at a stamp in nanoseconds. Raises PoseError."""
        ...


class PoseSource(Protocol):
    """Tells where a camera's optical frame is."""

    def pose(self, frame: str, stamp: int) -> RigidTransform:
        """map_from_frame at a stamp in nanoseconds. Raises PoseError, whose ``reason`` is a slug."""
        ...


class TransformPoses:
    """Poses from the tree of transforms (TF).

    Args:
        transforms: The tree.
        map_frame: Frame of the map (REP 105), such as "map" or "odom".
    """

    def __init__(self, transforms: TransformLookup, map_frame: str) -> None:
        self._transforms, self.map_frame = transforms, map_frame

    def pose(self, frame: str, stamp: int) -> RigidTransform:
        """As ``PoseSource.pose``."""
        return self._transforms.lookup(self.map_frame, frame, stamp)


class SampledPoses:
    """Poses from samples of one body's pose, as of PoseStamped or Odometry, interpolated between them.

    Args:
        map_frame: Frame of the map; "" for the frame that the samples are in.
        body_from_camera: Where the camera sits on the body; None to look that up in ``transforms`` where the
            samples name the body's frame and it is not the camera's, else for the camera itself.
        transforms: The tree that joins body and camera, and the samples' frame and the map's.
        max_gap: Nanoseconds between two samples beyond which nothing is interpolated.
        on_refused: As of ``TransformBuffer``.
    """

    def __init__(
        self,
        map_frame: str,
        *,
        body_from_camera: RigidTransform | None = None,
        transforms: TransformLookup | None = None,
        max_gap: int = MAX_GAP,
        on_refused: OnRefused | None = None,
    ) -> None:
        self.map_frame = map_frame
        self._body_from_camera, self._transforms = body_from_camera, transforms
        self._samples = TransformBuffer(max_gap=max_gap, on_refused=on_refused)
        self._frame = self._body = ""
        self._newest = 0

    @property
    def refused(self) -> Counter[str]:
        """How many samples were not taken, by reason, as of ``TransformBuffer.refused``."""
        return self._samples.refused

    def add(
        self, stamp: int, frame: str, translation: Float64Array, quaternion: Float64Array, body: str = ""
    ) -> bool:
        """Takes the pose of the body at a stamp; one of far before begins anew, as after a jump of the clock.

        Args:
            stamp: Nanoseconds.
            frame: Frame that the pose is in (header.frame_id).
            translation: (3,) metres.
            quaternion: (4,) x, y, z, w.
            body: Frame whose pose it is (child_frame_id of Odometry); "" for PoseStamped, which names none.

        Returns:
            Whether it was taken; if not, it is counted in ``refused``.
        """
        # What is no pose says nothing of the clock either: its stamp is as likely zero as its quaternion.
        transform = self._samples.checked(frame, body or _UNNAMED, translation, quaternion)
        if transform is None:
            return False
        if stamp < self._newest - SET_BACK:
            self.clear()
        taken = self._samples.set_transform(frame, body or _UNNAMED, stamp, transform)
        if taken:
            self._frame, self._body = frame.removeprefix("/"), body.removeprefix("/")
            self._newest = max(self._newest, stamp)
        return taken

    def clear(self) -> None:
        """Forgets all samples, as after a jump of the clock."""
        self._samples.clear()
        self._newest = 0

    def pose(self, frame: str, stamp: int) -> RigidTransform:
        """As ``PoseSource.pose``."""
        if not self._frame:
            raise NoPosesError("no pose has arrived; see that the pose topic is published and remapped right")
        found = self._samples.lookup(self._frame, self._body or _UNNAMED, stamp)
        if self.map_frame and self.map_frame != self._frame:
            found = self._joined(self.map_frame, self._frame, stamp) @ found
        if self._body_from_camera is not None:
            return found @ self._body_from_camera
        if self._body and self._body != frame:
            found = found @ self._joined(self._body, frame, stamp)
        return found

    def _joined(self, target: str, source: str, stamp: int) -> RigidTransform:
        if self._transforms is None:
            raise PoseFrameError(
                f"poses are given of '{self._body or 'the camera'}' in '{self._frame}', and nothing joins "
                f"'{target}' with '{source}'; set the map's frame to '{self._frame}', give the camera's "
                "place on the body, or publish TF"
            )
        return self._transforms.lookup(target, source, stamp)
