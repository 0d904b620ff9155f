"""One camera of the live page: one set of subscriptions for all viewers, frames with their results."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perception_contrast_studio.robot.frame_join import FrameJoin, JoinedFrame
from perception_contrast_studio.robot.live_frame import PICTURES, FrameContext, LiveFrame
from perception_contrast_studio.robot.rates import Durations, Rate

if TYPE_CHECKING:
    from perception_contrast.client import PerceptionClient
    from perception_contrast.client.streams import Stream

_LOG = logging.getLogger(__name__)
# What a viewer may show, by the output that is needed for it.
LAYERS = {
    "boxes": "detections",
    "names": "detections",
    "scores": "detections",
    "ids": "detections",
    "hover": "features",
    **PICTURES,
}
# Without results for so long, in seconds, or for so many of the node's latencies, images are shown alone.
SILENCE, SILENT_LATENCIES = 2.0, 4.0
RECENT = 8
MOST_CLUSTERINGS = 8
MOST_SCORES = 2000
# A stamp that lies so far behind the newest one, in nanoseconds, tells that time began anew.
JUMP_BACK = 500_000_000
_TICK = 0.05


class LiveCamera:
    """Subscribes to what somebody shows, and makes frames of it. Lives in the event loop.

    Args:
        name: Of the camera, "" for the only one.
        client: Of that camera.
        context: What pictures are made with.
    """

    def __init__(self, name: str, client: PerceptionClient, context: FrameContext) -> None:
        self.name, self.client, self.context = name, client, context
        self._join = FrameJoin()
        self._viewers: dict[object, frozenset[str]] = {}
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._ticker: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self.recent: deque[LiveFrame] = deque(maxlen=RECENT)
        self.held: dict[object, LiveFrame] = {}
        self.newest_features: Any = None
        self.scores: OrderedDict[str, deque[float]] = OrderedDict()
        self.node_latency: OrderedDict[int, float] = OrderedDict()
        self.images, self.results, self.node_ms = Rate(), Rate(), Durations()
        self._newest_stamp = 0
        self._joined_since = 0.0
        self._published = 0

    # Viewers.

    def show(self, viewer: object, layers: frozenset[str]) -> None:
        """Subscribes to what a viewer shows.

        Args:
            viewer: Anything that tells it from the others.
            layers: Names of LAYERS.
        """
        self._viewers[viewer] = layers
        self._subscribe()

    def leave(self, viewer: object) -> None:
        """Ends what a viewer alone used."""
        self._viewers.pop(viewer, None)
        self.held.pop(viewer, None)
        self._subscribe()

    @property
    def viewers(self) -> int:
        """Number of those who look."""
        return len(self._viewers)

    @property
    def wanted(self) -> frozenset[str]:
        """Outputs of the node that are shown to somebody."""
        return frozenset(LAYERS[one] for layers in self._viewers.values() for one in layers)

    @property
    def newest(self) -> LiveFrame | None:
        """The newest frame."""
        return self.recent[-1] if self.recent else None

    async def after(self, number: int) -> LiveFrame:
        """The newest frame, once there is one with a larger number."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.newest is not None and self.newest.number > number)
        assert self.newest is not None
        return self.newest

    def hold(self, viewer: object, stamp: int) -> None:
        """Keeps a frame that a viewer works with; 0 lets it go."""
        frame = self.frame_of(stamp)
        self.held.pop(viewer, None)
        if frame is not None:
            self.held[viewer] = frame

    def frame_of(self, stamp: int) -> LiveFrame | None:
        """A frame that was shown a moment ago, or that somebody holds."""
        known = [*self.held.values(), *self.recent]
        return next((one for one in reversed(known) if one.stamp == stamp), None)

    def gives_results(self, now: float) -> bool:
        """Whether results come. now: monotonic seconds."""
        slow = SILENT_LATENCIES * (self.node_ms.median() or 0.0) / 1e3
        return self.results.silence(now) < max(SILENCE, slow)

    # Subscriptions.

    def _subscribe(self) -> None:
        needed = self.wanted | {"images", "latency"} if self._viewers else frozenset()
        for name in self._pumps.keys() - needed:
            self._pumps.pop(name).cancel()
        for name in needed - self._pumps.keys():
            self._pumps[name] = asyncio.create_task(self._pump(name), name=f"live {self.name} {name}")
        self._join.want(self.wanted)
        if "features" not in needed:
            self.newest_features = None
        if needed and self._ticker is None:
            self._joined_since = time.monotonic()
            self._ticker = asyncio.create_task(self._tick(), name=f"live {self.name}")
        elif not needed and self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
            self._join.clear()
            self.recent.clear()

    def _stream(self, name: str) -> Stream[Any]:
        client = self.client
        opened: dict[str, Callable[[], Stream[Any]]] = {
            "images": client.images,
            "latency": client.latency,
            "detections": client.detections,
            "masks": client.masks,
            "instances": client.instances,
            "pca": client.pca,
            "features": client.features,
        }
        return opened[name]()

    async def _pump(self, name: str) -> None:
        try:
            with self._stream(name) as stream:
                async for value in stream:
                    await self._received(name, value, time.monotonic())
        except Exception:
            # Else an error of a task that nobody awaits is not told.
            _LOG.exception("%s of camera '%s' are not shown any more", name, self.name)

    async def _received(self, name: str, value: Any, now: float) -> None:
        if name == "latency":
            self._timed(value)
        elif name == "images":
            await self._image(value, now)
        else:
            if name == "detections":
                self._count(value)
            if name == "features":
                self.newest_features = value
            if name in self.wanted:
                self._join.add_result(name, value.stamp, value, now)
                await self._deliver(now)

    async def _image(self, image: Any, now: float) -> None:
        self.images.add(now)
        if image.stamp < self._newest_stamp - JUMP_BACK:
            self._join.clear()
        self._newest_stamp = image.stamp
        self._join.add_image(image.stamp, image, image.nbytes)
        waiting = self.gives_results(now) or now - self._joined_since < SILENCE
        if self.wanted and waiting:
            await self._deliver(now)
        else:
            await self._publish(JoinedFrame(image.stamp, image, {}))

    async def _tick(self) -> None:
        """Frames whose outputs do not all come are shown when their patience is over."""
        while True:
            await asyncio.sleep(_TICK)
            await self._deliver(time.monotonic())

    async def _deliver(self, now: float) -> None:
        frame = self._join.take(now)
        if frame is not None:
            self.results.add(now)
            await self._publish(frame)

    async def _publish(self, frame: JoinedFrame) -> None:
        self._published += 1
        if len(self.context.clusters) > MOST_CLUSTERINGS:
            self.context.clusters.clear()
        async with self._changed:
            self.recent.append(LiveFrame(self._published, frame, self.context))
            self._changed.notify_all()

    def _count(self, detections: Any) -> None:
        for one in detections.things:
            if one.label not in self.scores:
                self.scores[one.label] = deque(maxlen=MOST_SCORES)
                while len(self.scores) > 64:
                    self.scores.popitem(last=False)
            self.scores[one.label].append(one.score)

    def _timed(self, times: Any) -> None:
        if (whole := times.milliseconds.get("end_to_end")) is not None:
            self.node_ms.add(whole)
            self.node_latency[times.stamp] = whole
            while len(self.node_latency) > 4 * RECENT:
                self.node_latency.popitem(last=False)
