"""What all visitors of the live page share: cameras, the node's state, its queries and parameters."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.robot.bag_recorder import BagRecorder
from perception_contrast_studio.robot.label_colours import LabelColours
from perception_contrast_studio.robot.live_camera import LiveCamera
from perception_contrast_studio.robot.live_frame import FrameContext
from perception_contrast_studio.robot.live_vocabulary import LiveVocabulary
from perception_contrast_studio.robot.robot_link import RobotLink, camera_names

if TYPE_CHECKING:
    from perception_contrast.client import PerceptionClient
    from perception_contrast.client.node_diagnostics import Diagnostics
    from perception_contrast.client.streams import Stream

_LOG = logging.getLogger(__name__)
# Encoding releases the interpreter's lock; more threads would take the node's processor.
ENCODERS = 2
# Diagnostics come once a second.
ABSENT_SECONDS = 3.5
RETRY_SECONDS = 2.0


class FrameHub:
    """Made once; works while somebody looks. Lives in the event loop.

    Args:
        robot: The robot's nodes.
    """

    def __init__(self, robot: RobotLink) -> None:
        self.robot = robot
        self.colours = LabelColours()
        self._executor = ThreadPoolExecutor(ENCODERS, thread_name_prefix="live")
        self._cameras: dict[str, LiveCamera] = {}
        self._connecting: asyncio.Task[PerceptionClient] | None = None
        self._visitors: set[object] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self.names: tuple[str, ...] = ("",)
        self.diagnostics: tuple[Diagnostics, ...] = ()
        self.diagnosed = float("-inf")
        self.vocabulary: LiveVocabulary | None = None
        self.parameters: dict[str, Any] = {}
        self._labels: dict[int, str] = {}
        self.listeners: list[Callable[[], None]] = []
        self.recorder: BagRecorder | None = None
        self.recording = asyncio.Lock()

    @property
    def records(self) -> bool:
        """Whether a recording runs."""
        return self.recorder is not None and not self.recorder.state.ended

    def close(self) -> None:
        """Ends a recording, so that its bag is whole, and the threads."""
        if self.recorder is not None:
            self.recorder.stop()
        self._executor.shutdown(wait=False, cancel_futures=True)

    # Visitors.

    async def client(self) -> PerceptionClient:
        """The client of the node; made in a thread, once.

        Raises:
            PerceptionError: ROS 2 is not there.
        """
        if self._connecting is None or (self._connecting.done() and self._connecting.exception()):
            self._connecting = asyncio.create_task(self.robot.connected())
        return await asyncio.shield(self._connecting)

    async def enter(self, visitor: object) -> None:
        """Watches the node from now on.

        Args:
            visitor: Anything that tells it from the others.

        Raises:
            PerceptionError: ROS 2 is not there.
        """
        client = await self.client()
        self._visitors.add(visitor)
        if self.vocabulary is None:
            self.vocabulary = LiveVocabulary(client, self.colours)
        if not self._tasks:
            watches = (
                self._watch(client.diagnostics, self._diagnosed),
                self._watch(client.labels, self._vocabulary_changed),
                self._watch(client.parameters.changes, self._parameters_changed),
                self._find_cameras(client),
            )
            self._tasks = [asyncio.create_task(one) for one in watches]

    def leave(self, visitor: object) -> None:
        """Ends the watch with its last visitor."""
        self._visitors.discard(visitor)
        if not self._visitors:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    async def camera(self, name: str) -> LiveCamera:
        """A camera.

        Raises:
            PerceptionError: The node has none of that name.
        """
        if name not in self._cameras:
            client = await self.client()
            if name and name not in self.names:
                raise PerceptionError(f"the node has no camera '{name}', but {', '.join(self.names)}")
            context = FrameContext(self._executor, self.colours, self._labels)
            self._cameras[name] = LiveCamera(name, client.for_camera(name), context)
        return self._cameras[name]

    # The node.

    @property
    def present(self) -> bool:
        """Whether the node told of itself within the last seconds."""
        return time.monotonic() - self.diagnosed < ABSENT_SECONDS

    @property
    def target(self) -> str:
        """Name of the node."""
        return self.robot.options.target

    def status(self, camera: str) -> Diagnostics | None:
        """What the node says of a camera; None while it says nothing."""
        if not self.present:
            return None
        return next((one for one in self.diagnostics if one.camera == camera), self.diagnostics[0])

    def note(self, camera: LiveCamera) -> str:
        """Why no results are shown, and what to do; "" while they are."""
        now = time.monotonic()
        if camera.wanted and camera.gives_results(now):
            return ""
        status = self.status(camera.name)
        images = camera.images.silence(now) < 2.0
        shown = " The camera's own images are shown." if images else ""
        if status is None:
            return (
                f"No node '{self.target}' answers.{shown} Start one: ros2 launch perception_contrast "
                "perception.launch.py image:=/camera/image_raw"
            )
        if not images:
            return f"No image yet. The node says: {status.message}"
        if not camera.wanted:
            return ""
        return f"No results yet. The node says: {status.message}.{shown}"

    async def _watch(self, opened: Callable[[], Stream[Any]], received: Callable[[Any], Any]) -> None:
        with opened() as stream:
            async for value in stream:
                try:
                    waiting = received(value)
                    if waiting is not None:
                        await waiting
                except Exception:
                    _LOG.exception("a message of the node was not understood")

    def _diagnosed(self, statuses: tuple[Diagnostics, ...]) -> None:
        self.diagnostics, self.diagnosed = statuses, time.monotonic()
        names = tuple(one.camera for one in statuses if one.camera)
        if names and names != self.names:
            self.names = names
            self._tell()

    def _vocabulary_changed(self, labels: dict[int, str]) -> Any:
        assert self.vocabulary is not None
        self._labels = labels
        for camera in self._cameras.values():
            camera.context.labels = labels
        return self.vocabulary.refresh()

    def _parameters_changed(self, changed: dict[str, Any]) -> None:
        self.parameters.update(changed)
        self._tell()

    async def _find_cameras(self, client: PerceptionClient) -> None:
        """Asks for the names of the cameras and the parameters that pages show, again after each absence."""
        while True:
            try:
                found = await client.start.parameters.get(["cameras", "detection_threshold", "model"])
                self.parameters.update(found)
                self.names = camera_names(found)
                if self.vocabulary is not None:
                    await self.vocabulary.refresh()
                self._tell()
                await self._until_absent()
            except PerceptionError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _until_absent(self) -> None:
        await asyncio.sleep(ABSENT_SECONDS)
        while self.present:
            await asyncio.sleep(1.0)

    def _tell(self) -> None:
        for listener in tuple(self.listeners):
            listener()
