"""PosedRecording: images of a recording with their depth and pose, read without ROS."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.arrays import DepthImage
from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.depth_registration import DepthRegistration
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.frame import Frame, PosedFrame
from perception_contrast.core.rigid_transform import PoseError, RigidTransform
from perception_contrast.images.decode import decode_depth_message, decode_message
from perception_contrast.mapping.geometry.depth_checks import DepthScaleCheck
from perception_contrast.mapping.poses.transform_buffer import TransformBuffer
from perception_contrast.recordings.bag_cameras import camera_at, first_camera
from perception_contrast.recordings.bag_messages import (
    BagMessage,
    camera_info_topic,
    deserialize,
    is_rectified,
    nanoseconds,
)
from perception_contrast.recordings.bags import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, BagSource
from perception_contrast.recordings.image_topics import holds_depth

logger = logging.getLogger(__name__)

TRANSFORMS = "tf2_msgs/msg/TFMessage"
_FOR_EVER = 1 << 62  # nanoseconds of transforms that are kept: a recording is read as a whole
_KEPT = 30  # depth images around an image


class PosedRecording:
    """The posed frames of one camera of a recording.

    Iterating gives them in the order of the images. Images without depth or pose are left out and counted.

    Args:
        path: The recording.
        image_topic: Of the images; None takes the first topic with colour images.
        depth_topic: Of the depth; None takes the one with depth that is nearest to the images by name.
        map_frame: Frame of the map; None takes the root of the transforms that the camera hangs on.
        slop: Most seconds between an image and its depth.

    Attributes:
        source: The recording.
        image_topic: Of the images.
        depth_topic: Of the depth.
        map_frame: Frame that poses are in.
        skipped: How many images were left out, by reason; complete once all frames have been read.

    Raises:
        PerceptionError: The recording has no images, depth, calibration or transforms; it says which.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        image_topic: str | None = None,
        depth_topic: str | None = None,
        map_frame: str | None = None,
        slop: float = 0.02,
    ) -> None:
        self.source = BagSource(path)
        self.image_topic = self.source.image_topic(image_topic)
        self.depth_topic = self._depth_topic(depth_topic)
        self._slop = round(slop * 1e9)
        self._color = self._camera(self.image_topic)
        self._depth = self._own_camera(self.depth_topic)
        self._told: set[str] = set()
        self._transforms = self._read_transforms()
        self.map_frame = map_frame or ""
        self.skipped: Counter[str] = Counter()
        self._registrations: dict[tuple[CameraModel, CameraModel], DepthRegistration] = {}

    def __iter__(self) -> Iterator[PosedFrame]:
        self.skipped.clear()
        check = DepthScaleCheck()
        for image, depth in self._pairs():
            frame = self._frame(image, depth, check)
            if isinstance(frame, str):
                self.skipped[frame] += 1
                continue
            pose = self._pose(frame)
            if pose is None:
                self.skipped["no_pose"] += 1
                continue
            yield PosedFrame(frame, pose)

    def count(self) -> int:
        """Number of the recorded images."""
        return self.source.topics[self.image_topic].count

    def _depth_topic(self, asked: str | None) -> str:
        images = [one.name for one in self.source.topics.values() if one.type in (IMAGE, COMPRESSED_IMAGE)]
        if asked is not None:
            if asked not in images:
                raise PerceptionError(
                    f"recording '{self.source.path}' has no images on '{asked}'; it has: {', '.join(images)}"
                )
            return asked
        others = [
            name
            for name in images
            if name != self.image_topic and holds_depth(self.source.samples(name), deserialize)
        ]
        if not others:
            raise PerceptionError(
                f"recording '{self.source.path}' has no depth; a map needs it. It has images on: "
                f"{', '.join(images)}. Record the depth topic too, or give it by name"
            )
        return max(others, key=lambda name: (_shared(name, self.image_topic), name))

    def _own_camera(self, topic: str) -> CameraModel | None:
        info = self.source.topics.get(camera_info_topic(topic))
        if info is None or info.type != CAMERA_INFO or not info.count:
            return None
        return first_camera(self.source.messages([info.name]), deserialize, rectified=is_rectified(topic))

    def _camera(self, topic: str) -> CameraModel:
        camera = self._own_camera(topic)
        if camera is None:
            raise PerceptionError(
                f"recording '{self.source.path}' has no usable calibration on "
                f"'{camera_info_topic(topic)}'; a map needs it: record camera_info too"
            )
        return camera

    def _read_transforms(self) -> TransformBuffer:
        topics = [one.name for one in self.source.topics.values() if one.type == TRANSFORMS and one.count]
        if not topics:
            raise PerceptionError(
                f"recording '{self.source.path}' has no transforms, so nobody knows where the camera was; "
                "record /tf and /tf_static too"
            )
        buffer = TransformBuffer(cache_time=_FOR_EVER, on_refused=self._tell_refused)
        for message in self.source.messages(topics):
            static = message.topic.rpartition("/")[2] == "tf_static"
            with suppress(FrameError):
                for one in deserialize(message).transforms:
                    _add(buffer, one, static)
        return buffer

    def _tell_refused(self, reason: str, message: str) -> None:
        """Tells of the first transform that is left out for a reason; a recording may have thousands."""
        if reason not in self._told:
            self._told.add(reason)
            logger.warning("recording '%s': left out: %s", self.source.path, message)

    def _pairs(self) -> Iterator[tuple[Any, Any | None]]:
        """Images with the nearest depth; each image waits until later depth has come."""
        waiting: deque[tuple[int, BagMessage]] = deque()
        depths: deque[tuple[int, BagMessage]] = deque(maxlen=_KEPT)
        for message in self.source.messages([self.image_topic, self.depth_topic]):
            stamp = _header_stamp(message)
            if stamp is None:
                self.skipped["bad_message"] += message.topic == self.image_topic
                continue
            (depths if message.topic == self.depth_topic else waiting).append((stamp, message))
            while waiting and depths and (depths[-1][0] >= waiting[0][0] or len(waiting) > _KEPT):
                yield self._paired(*waiting.popleft(), depths)
        while waiting:
            yield self._paired(*waiting.popleft(), depths)

    def _paired(
        self, stamp: int, image: BagMessage, depths: deque[tuple[int, BagMessage]]
    ) -> tuple[BagMessage, BagMessage | None]:
        nearest = min(depths, key=lambda one: abs(one[0] - stamp), default=None)
        if nearest is None or abs(nearest[0] - stamp) > self._slop:
            return image, None
        return image, nearest[1]

    def _frame(self, image: BagMessage, depth: BagMessage | None, check: DepthScaleCheck) -> Frame | str:
        """The frame, or a slug of why there is none."""
        if depth is None:
            return "no_depth"
        try:
            fields, depth_fields = deserialize(image), deserialize(depth)
            rgb, metres = decode_message(fields), decode_depth_message(depth_fields)
        except FrameError as error:
            return error.reason
        if check.check(metres).problem:
            return "depth_scale"
        size = (int(rgb.shape[0]), int(rgb.shape[1]))
        camera = camera_at(self._color, size)
        header = fields.header
        stamp = nanoseconds(header.stamp.sec, header.stamp.nanosec) or image.stamp
        try:
            metres = self._registered(metres, camera, header.frame_id, depth_fields.header.frame_id, stamp)
        except FrameError as error:
            return error.reason
        return Frame(rgb, stamp, header.frame_id, depth=metres, camera=camera)

    def _registered(
        self, depth: DepthImage, camera: CameraModel, color_frame: str, depth_frame: str, stamp: int
    ) -> DepthImage:
        """Depth at the image's pixels, by both calibrations and, where transforms tell it, by both places."""
        size = (int(depth.shape[0]), int(depth.shape[1]))
        own = camera_at(self._depth, size) if self._depth is not None else camera_at(camera, size)
        pair = (own, camera)
        if pair not in self._registrations:
            between = None
            if depth_frame and color_frame and depth_frame != color_frame:
                with suppress(PoseError):
                    between = self._transforms.lookup(color_frame, depth_frame, stamp)
            self._registrations[pair] = DepthRegistration.of_cameras(own, camera, between)
        return self._registrations[pair].apply(depth)

    def _pose(self, frame: Frame) -> RigidTransform | None:
        if not self.map_frame:
            self.map_frame = self._root(frame.frame_id)
        try:
            return self._transforms.lookup(self.map_frame, frame.frame_id, frame.stamp)
        except PoseError:
            return None

    def _root(self, frame: str) -> str:
        """map where there is one, else the highest frame above the camera's."""
        frames = self._transforms.frames
        for usual in ("map", "odom", "world"):
            if usual in frames and usual != frame:
                return usual
        above = self._transforms.root(frame)
        if above == frame:
            raise PerceptionError(
                f"recording '{self.source.path}' has no transform above the camera's frame '{frame}'; record "
                "the transforms of a localisation too"
            )
        return above


def _add(buffer: TransformBuffer, one: Any, static: bool) -> None:
    header, moved, turned = one.header, one.transform.translation, one.transform.rotation
    buffer.set_quaternion(
        header.frame_id,
        one.child_frame_id,
        nanoseconds(header.stamp.sec, header.stamp.nanosec),
        np.array([moved.x, moved.y, moved.z]),
        np.array([turned.x, turned.y, turned.z, turned.w]),
        static=static,
    )


def _header_stamp(message: BagMessage) -> int | None:
    """Nanoseconds of the header, or of recording where it has none; None for a malformed message."""
    try:
        stamp = deserialize(message).header.stamp
    except FrameError:
        return None
    return nanoseconds(stamp.sec, stamp.nanosec) or message.stamp


def _shared(first: str, second: str) -> int:
    """Number of leading characters that two names share."""
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )
