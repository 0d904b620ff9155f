"""Records a camera's images and detections into a bag while the page goes on."""

from __future__ import annotations

import queue
import shutil
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception_contrast.core.errors import PerceptionError, StorageError
from perception_contrast.core.file_writing import MAKE_ROOM

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_FREE_BYTES = 1 << 30
MOST_SECONDS = 3600.0
DISCOVERY_SECONDS = 5.0
MOST_WAITING_BYTES = 128 << 20
DETECTIONS, LABELS = "vision_msgs/msg/Detection2DArray", "vision_msgs/msg/LabelInfo"


@dataclass(frozen=True)
class RecordedTopics:
    """What is recorded.

    Attributes:
        images: Full name of the topic of the camera's images.
        detections: That of the detections.
        labels: That of the labels of mask ids, which is latched.
    """

    images: str
    detections: str
    labels: str


@dataclass(frozen=True)
class RecordingState:
    """How far a recording is.

    Attributes:
        path: Folder of the bag, once it is whole.
        seconds: Since it began.
        bytes: Of messages, before compression.
        messages: Number of them.
        lost: Messages that came faster than they could be written.
        problem: Why it ended by itself; "" while it runs or after it was stopped.
        ended: Whether it is over.
    """

    path: Path
    seconds: float
    bytes: int
    messages: int
    lost: int
    problem: str
    ended: bool


class BagRecorder:
    """Records from its start until ``stop``, a full disk, or MOST_SECONDS.

    Args:
        target: Folder of the bag, which appears when it is whole; its files are written beside it first.
        topics: What is recorded.
        ros_arguments: As of a node's command line.

    Raises:
        PerceptionError: There is too little room, or nobody publishes the images.
    """

    def __init__(self, target: Path, topics: RecordedTopics, ros_arguments: Sequence[str]) -> None:
        self._target, self._topics = target, topics
        self._part = target.parent / "unfinished" / target.name
        self._part.parent.mkdir(parents=True, exist_ok=True)
        if free_bytes(target.parent) < LEAST_FREE_BYTES:
            raise StorageError(f"less than 1 GB is free for '{target.parent}': {MAKE_ROOM}")
        self._waiting: queue.SimpleQueue[tuple[str, int, bytes]] = queue.SimpleQueue()
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._waiting_bytes = self._bytes = self._messages = self._lost = 0
        self._problem, self._ended = "", 0.0
        self._begun = time.monotonic()
        self._background, kinds = self._subscribe(list(ros_arguments))
        self._thread = threading.Thread(target=self._run, args=(kinds,), name="bag recorder", daemon=True)
        self._thread.start()

    @property
    def state(self) -> RecordingState:
        """How far it is. Any thread may ask."""
        seconds = (self._ended or time.monotonic()) - self._begun
        with self._lock:
            return RecordingState(
                self._target,
                seconds,
                self._bytes,
                self._messages,
                self._lost,
                self._problem,
                bool(self._ended),
            )

    def stop(self) -> RecordingState:
        """Writes what waits and closes the bag; returns when that is done."""
        self._stopping.set()
        self._thread.join()
        return self.state

    def _subscribe(self, ros_arguments: list[str]) -> tuple[Any, dict[str, str]]:
        """A node of its own, so that recording loses no image to other work; types by topic."""
        from vision_msgs.msg import Detection2DArray, LabelInfo

        from perception_contrast.client.background_node import BackgroundNode
        from perception_contrast.client.camera_image import image_source
        from perception_contrast.client.topic_subscription import Source, TopicSubscription
        from perception_contrast.ros.qos import latched_qos, output_qos

        named = ["--ros-args", "-r", f"__node:=studio_recorder_{time.monotonic_ns()}"]
        background = BackgroundNode(None, [*ros_arguments, *named])
        source = _wait(partial(image_source, background.node, self._topics.images))
        if source is None:
            background.close()
            raise PerceptionError(f"nobody publishes images on {self._topics.images}: does the camera run?")
        name = "sensor_msgs/msg/" + source.kind.__name__
        kinds = {self._topics.images: name, self._topics.detections: DETECTIONS, self._topics.labels: LABELS}
        for one, qos in (
            (source, None),
            (Source(self._topics.detections, Detection2DArray), output_qos(10)),
            (Source(self._topics.labels, LabelInfo), latched_qos()),
        ):
            subscription = TopicSubscription(
                background, one, lambda data: data, lambda *_: None, linger=0.0, qos=qos, raw=True
            )
            subscription.add_listener(partial(self._received, one.topic), lambda: None)
        return background, kinds

    def _received(self, topic: str, data: bytes) -> None:
        with self._lock:
            if self._waiting_bytes + len(data) > MOST_WAITING_BYTES:
                self._lost += 1
                return
            self._waiting_bytes += len(data)
        self._waiting.put((topic, time.time_ns(), data))

    def _run(self, kinds: dict[str, str]) -> None:
        from perception_contrast.recordings.bag_writing import add_topic, mcap_writer

        try:
            with mcap_writer(self._part) as writer:
                connections = {
                    topic: add_topic(writer, topic, kind, latched=kind == LABELS)
                    for topic, kind in kinds.items()
                }
                while not (self._stopping.is_set() and self._waiting.empty()):
                    self._write(writer, connections)
            self._part.replace(self._target)
        except Exception as error:
            self._problem = f"'{self._target}' was not recorded whole: {error}"
        finally:
            self._background.close()
            self._ended = time.monotonic()

    def _write(self, writer: Any, connections: dict[str, Any]) -> None:
        if not self._stopping.is_set():
            self._check_limits()
        try:
            topic, stamp, data = self._waiting.get(timeout=0.2)
        except queue.Empty:
            return
        writer.write(connections[topic], stamp, data)
        with self._lock:
            self._waiting_bytes -= len(data)
            self._bytes += len(data)
            self._messages += 1

    def _check_limits(self) -> None:
        if time.monotonic() - self._begun > MOST_SECONDS:
            self._problem = f"stopped after {MOST_SECONDS / 60:.0f} minutes; start another recording"
        elif self._messages % 32 == 0 and free_bytes(self._part.parent) < LEAST_FREE_BYTES:
            self._problem = f"stopped with less than 1 GB free: {MAKE_ROOM}"
        if self._problem:
            self._stopping.set()


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that a folder is on."""
    return shutil.disk_usage(folder).free


def _wait(find: Any) -> Any:
    """What ``find`` gives, once it does; None where it does not within DISCOVERY_SECONDS."""
    end = time.monotonic() + DISCOVERY_SECONDS
    while time.monotonic() < end:
        if (found := find()) is not None:
            return found
        time.sleep(0.05)
    return None
