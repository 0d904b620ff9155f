"""What was known around an image: depth, camera, pose and texts, in windows of bounded length."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.errors import FrameError
from perception_contrast.recordings.bag_cameras import camera_at, usable_camera
from perception_contrast.recordings.bag_messages import BagMessage, is_rectified
from perception_contrast.recordings.bags import BagSource
from perception_contrast_training.data.bags.captions import Captions
from perception_contrast_training.data.bags.image_bytes import decoded_depth
from perception_contrast_training.data.bags.messages import STRING, LabelledBox, boxes_of, fields_of, stamp_of
from perception_contrast_training.data.bags.options import NANOSECONDS, ExtractOptions
from perception_contrast_training.data.bags.topics import Topics
from perception_contrast_training.data.bags.transforms import Pose, TransformBuffer

_LABELS_SLOP = 0.1  # seconds; detectors keep their image's stamp


@dataclass(frozen=True)
class _Dated:
    stamp: int
    received: int
    value: Any


class _Window:
    """What came in the last ``length`` nanoseconds, by time of reception."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._held: deque[_Dated] = deque()

    def add(self, one: _Dated) -> None:
        self._held.append(one)
        while one.received - self._held[0].received > self._length:
            self._held.popleft()

    def nearest(self, stamp: int, slop: int) -> _Dated | None:
        best = min(self._held, key=lambda one: abs(one.stamp - stamp), default=None)
        return best if best is not None and abs(best.stamp - stamp) <= slop else None

    def within(self, stamp: int, slop: int) -> list[_Dated]:
        return [one for one in self._held if abs(one.stamp - stamp) <= slop]


class Context:
    """Fed every message that is no image to keep; asked for an image's surroundings ``delay`` later.

    Malformed messages are given to ``on_error`` with their reason and left out.
    """

    def __init__(
        self,
        topics: Topics,
        options: ExtractOptions,
        captions: Captions | None,
        bag: str,
        on_error: Callable[[str, FrameError], None],
    ) -> None:
        self._topics, self._options, self._captions, self._bag = topics, options, captions, bag
        self._on_error = on_error
        held = round((options.delay + max(options.slop, _LABELS_SLOP) + 1.0) * NANOSECONDS)
        self._depths = {name: _Window(held) for name in topics.depth.values()}
        text = max(held, round((options.delay + 2 * options.text_window) * NANOSECONDS))
        self._texts = {name: _Window(text) for name in topics.text}
        self._transforms = TransformBuffer()
        self._infos: dict[str, Any] = {}

    def prepare(self, bag: BagSource) -> None:
        """Takes from a recording what holds for all its frames, however late it was recorded.

        That is the first transform of each frame on /tf_static, and the first usable CameraInfo.
        """
        static = [name for name in self._topics.tf if _is_static(name)]
        if static:
            # The last that is added holds: of a frame that was placed twice that is the first one.
            for message in reversed(list(bag.messages(static))):
                with suppress(FrameError):
                    self._transforms.add(fields_of(message), static=True)
        for name in dict.fromkeys(self._topics.infos.values()):
            for message in bag.messages([name]):
                with suppress(FrameError):
                    if self._take_info(name, fields_of(message)):
                        break

    def _take_info(self, name: str, info: Any) -> bool:
        """Takes a CameraInfo unless it cannot be used; then the last good one stays."""
        usable = usable_camera(info) is not None or usable_camera(info, rectified=True) is not None
        if usable:
            self._infos[name] = info
        return usable

    def hear(self, message: BagMessage) -> None:
        try:
            self._hear(message)
        except FrameError as error:
            self._on_error(message.topic, error)

    def _hear(self, message: BagMessage) -> None:
        name = message.topic
        if name in self._depths:
            # Decoded only if a kept image asks for it.
            fields = fields_of(message)
            self._depths[name].add(_Dated(stamp_of(fields, message.stamp), message.stamp, fields))
        elif name in self._topics.tf:
            self._transforms.add(fields_of(message), static=_is_static(name))
        elif name in self._topics.odometry:
            self._transforms.add_odometry(fields_of(message))
        elif name in self._texts:
            fields = fields_of(message)
            is_text = message.type == STRING
            value = str(fields.data).strip() if is_text else boxes_of(fields)
            stamp = message.stamp if is_text else stamp_of(fields, message.stamp)
            self._texts[name].add(_Dated(stamp, message.stamp, value))
        elif name in self._topics.infos.values():
            self._take_info(name, fields_of(message))

    def pose(self, frame_id: str, stamp: int) -> Pose | None:
        options = self._options
        return self._transforms.pose(
            frame_id, stamp, round(options.pose_slop * NANOSECONDS), options.fixed_frame
        )

    def depth(self, topic: str, stamp: int) -> tuple[str, NDArray[np.float32]] | None:
        """(depth topic, metres) of an image topic's frame. Raises FrameError for depth that is malformed."""
        name = self._topics.depth.get(topic)
        if name is None:
            return None
        found = self._depths[name].nearest(stamp, round(self._options.slop * NANOSECONDS))
        if found is None:
            return None
        return name, decoded_depth(found.value)

    def camera(self, topic: str, size: tuple[int, int]) -> str | None:
        """Intrinsics of a topic's images at (height, width), as JSON."""
        info = self._infos.get(self._topics.infos.get(topic, ""))
        model = None if info is None else usable_camera(info, rectified=is_rectified(topic))
        return None if model is None else camera_json(model, size)

    def boxes(self, stamp: int) -> tuple[LabelledBox, ...]:
        """Of every named Detection2DArray topic, the array nearest in time."""
        slop = round(_LABELS_SLOP * NANOSECONDS)
        arrays = [window.nearest(stamp, slop) for window in self._texts.values()]
        return tuple(
            box for one in arrays if one is not None and isinstance(one.value, tuple) for box in one.value
        )

    def texts(self, topic: str, stamp: int, received: int) -> list[str]:
        """Strings heard around it, labels of boxes, captions; each once, in this order."""
        window = round(self._options.text_window * NANOSECONDS)
        found = [
            one.value
            for held in self._texts.values()
            for one in held.within(received, window)
            if isinstance(one.value, str)
        ]
        labels = list(dict.fromkeys(box.label for box in self.boxes(stamp)))
        found += [", ".join(labels)] if labels else []
        if self._captions is not None:
            found += self._captions.at(stamp, topic, self._bag)
        return list(dict.fromkeys(text for text in found if text))


def _is_static(topic: str) -> bool:
    return topic.rpartition("/")[2] == "tf_static"


def camera_json(camera: CameraModel, size: tuple[int, int]) -> str:
    return json.dumps(asdict(camera_at(camera, size)), sort_keys=True)
