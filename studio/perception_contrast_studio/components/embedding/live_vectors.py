"""Vectors of the robot's frames, collected while somebody looks; one collection for all visitors."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import encode_image
from perception_contrast_studio.points.pictures import KeptPictures, thumbnail
from perception_contrast_studio.points.point_set import PointSet
from perception_contrast_studio.points.sources import LivePoints
from perception_contrast_studio.robot.robot_link import RobotLink
from perception_contrast_studio.server.studio_page import Studio

MOST_FRAMES = 2000
_WAITING_IMAGES = 32
_SIDE = 128
_NOTE = "live vectors"
_RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class _Frame:
    stamp: int
    vector: Any
    picture: bytes


class LiveVectors:
    """The newest frames of the first camera's ``embedding`` topic, of one embedding space.

    Args:
        robot: Whose frames they are.
    """

    def __init__(self, robot: RobotLink) -> None:
        self._robot = robot
        self._frames: deque[_Frame] = deque(maxlen=MOST_FRAMES)
        self._images: OrderedDict[int, Any] = OrderedDict()
        self._tasks: list[asyncio.Task[None]] = []
        self._visitors = 0
        self.space = self.model = self.problem = ""
        self.version = 0

    def __len__(self) -> int:
        return len(self._frames)

    def watch(self) -> None:
        """A visitor looks: the topic is subscribed to with the first one."""
        self._visitors += 1
        if self._visitors == 1:
            self._tasks = [asyncio.create_task(self._vectors()), asyncio.create_task(self._camera())]

    def leave(self) -> None:
        """A visitor has gone."""
        self._visitors -= 1
        if not self._visitors:
            for task in self._tasks:
                task.cancel()
            self._tasks, self._images = [], OrderedDict()

    def points(self) -> LivePoints:
        """The frames up to now.

        Raises:
            PerceptionError: There are fewer than two.
        """
        frames = list(self._frames)
        if len(frames) < 2:
            raise PerceptionError(
                self.problem or "no frames have come yet; start a camera and the perception_node"
            )
        points = PointSet(
            title=f"{len(frames)} frames of the robot",
            space=self.space,
            model=self.model,
            channels=len(frames[0].vector),
            labels=np.full(len(frames), -1, np.int32),
            stamps=np.array([one.stamp for one in frames], np.int64),
            names=tuple(f"frame {one.stamp}" for one in frames),
            pictures=KeptPictures([one.picture for one in frames]),
        )
        return LivePoints(self.version, points, np.stack([one.vector for one in frames]))

    async def _vectors(self) -> None:
        while True:
            try:
                client = await self._robot.camera()
                async for one in client.embedding(timeout=10.0):
                    self.problem = ""
                    await self._add(one)
            except PerceptionError as error:
                self.problem = str(error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _camera(self) -> None:
        while True:
            with contextlib.suppress(PerceptionError):
                client = await self._robot.camera()
                async for image in client.images(timeout=10.0):
                    self._images[image.stamp] = image
                    while len(self._images) > _WAITING_IMAGES:
                        self._images.popitem(last=False)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _add(self, one: Any) -> None:
        image = self._images.pop(one.stamp, None)
        picture = b"" if image is None else await asyncio.to_thread(_small, image)
        if one.vectors.space != self.space:
            # Vectors of two models cannot lie in one picture.
            self._frames.clear()
            self.space, self.model = one.vectors.space, one.vectors.model
        self._frames.append(_Frame(one.stamp, np.asarray(one.vectors.vectors[0], np.float32), picture))
        self.version += 1


def live_vectors(studio: Studio) -> LiveVectors | None:
    """Those of the studio's robot, if it has one."""
    if studio.robot is None:
        return None
    found: LiveVectors = studio.notes.setdefault(_NOTE, LiveVectors(studio.robot))
    return found


def _small(image: Any) -> bytes:
    try:
        data = image.encoded or encode_image(np.ascontiguousarray(image.pixels), ".jpg")
        return thumbnail(data, "frame", _SIDE)
    except PerceptionError:
        return b""
