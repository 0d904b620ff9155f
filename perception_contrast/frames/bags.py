"""rosbag2 recordings (mcap and sqlite3, Humble and later) read without ROS, through ``rosbags``."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from ..errors import FrameError, PerceptionError
from .camera import camera_of_info
from .decode import decode_message
from .types import CameraModel, Frame

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

_SUFFIXES = (".mcap", ".db3")
_PACKED_SUFFIXES = tuple(f"{suffix}.zstd" for suffix in _SUFFIXES)
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class OfferedQos:
    """What a recorded publisher offered. Names as in rclpy, lower case; times in nanoseconds."""

    history: str
    depth: int
    reliability: str
    durability: str
    liveliness: str
    deadline: int
    lifespan: int
    liveliness_lease: int


@dataclass(frozen=True)
class BagTopic:
    """type: as "sensor_msgs/msg/Image". qos: one for each recorded publisher, empty if not recorded."""

    name: str
    type: str
    count: int
    qos: tuple[OfferedQos, ...] = ()


class BagMessage(NamedTuple):
    """One recorded message. stamp: nanoseconds, when it was received. data: CDR with its header."""

    stamp: int
    topic: str
    type: str
    data: bytes


class BagSource:
    """A rosbag2 folder, or one .mcap or .db3 file, with or without metadata.yaml.

    Opening reads only the index; each iteration opens the files anew, so several may run at once.
    topics: by name. start, end: stamps of the first and the last message in nanoseconds. Raises
    PerceptionError for what is missing, empty, damaged or no recording.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._files = _storage(self.path)
        with self._readers() as readers:
            self.topics = _topics(readers)
            filled = [reader for reader in readers if reader.message_count]
            if not filled:
                raise PerceptionError(f"recording '{self.path}' holds no messages; record it again")
            self.start = int(min(reader.start_time for reader in filled))
            self.end = int(max(reader.end_time for reader in filled)) - 1

    def messages(
        self, topics: Collection[str] = (), start: int | None = None, stop: int | None = None
    ) -> Iterator[BagMessage]:
        """Serialised messages in time order; of some topics only, from ``start`` until before ``stop``.

        Raises PerceptionError for a topic that is not there, and for damage where it is met.
        """
        for topic in topics:
            self._require(topic)
        return self._messages(frozenset(topics) or frozenset(self.topics), start, stop)

    def image_topics(self) -> tuple[str, ...]:
        """Topics whose first message is a colour or grey picture: colour first, then the most messages."""
        ranked = []
        for topic in self.topics.values():
            if topic.type in (IMAGE, COMPRESSED_IMAGE) and topic.count:
                try:
                    image = self._frame(next(self.messages([topic.name])), None).image
                except FrameError:
                    continue
                grey = bool((image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all())
                ranked.append((grey, -topic.count, topic.name))
        return tuple(name for _, _, name in sorted(ranked))

    def frames(
        self, topic: str | None = None, on_error: Callable[[FrameError], None] | None = None
    ) -> Iterator[Frame]:
        """Decoded pictures of an image topic (the first of ``image_topics`` if none is given).

        Stamp (time of recording if it was left at zero) and frame_id are the message's; the camera is
        that of the CameraInfo in the same namespace, if recorded. A picture that cannot be decoded
        raises FrameError, or is given to ``on_error`` and left out.
        """
        name = self._image_topic() if topic is None else self._require(topic).name
        if self.topics[name].type not in (IMAGE, COMPRESSED_IMAGE):
            raise PerceptionError(
                f"topic '{name}' carries {self.topics[name].type}, not pictures; "
                f"choose one of: {', '.join(self.image_topics()) or 'none is there'}"
            )
        return self._frames(name, on_error)

    def _frames(self, name: str, on_error: Callable[[FrameError], None] | None) -> Iterator[Frame]:
        camera = self._camera(name)
        for message in self.messages([name]):
            try:
                frame = self._frame(message, camera)
            except FrameError as error:
                if on_error is None:
                    raise
                on_error(error)
                continue
            yield frame

    def _messages(self, topics: frozenset[str], start: int | None, stop: int | None) -> Iterator[BagMessage]:
        with self._readers() as readers:
            streams = [_stream(reader, topics, start, stop) for reader in readers]
            merged = heapq.merge(*streams, key=lambda message: message.stamp)
            while True:
                with self._explained():
                    message = next(merged, None)
                if message is None:
                    return
                if message.data[:4] == _ZSTD_MAGIC:
                    raise PerceptionError(
                        f"the messages in '{self.path}' are compressed one by one; "
                        "give the recording's folder with its metadata.yaml, not the file alone"
                    )
                yield message

    @contextmanager
    def _readers(self) -> Iterator[list[Any]]:
        with ExitStack() as stack:
            with self._explained():
                readers = [stack.enter_context(Reader(file)) for file in self._files]
            yield readers

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever the parsers stumble over in a damaged file becomes one clear error."""
        try:
            yield
        except Exception as error:
            detail = str(error) or type(error).__name__
            raise PerceptionError(
                f"recording '{self.path}' is damaged or not a rosbag2 recording: {detail.rstrip('.')}. "
                "Try `ros2 bag reindex` on its folder, or `mcap recover` on an mcap file that was cut short"
            ) from error

    def _require(self, topic: str) -> BagTopic:
        if topic not in self.topics:
            there = ", ".join(f"{each.name} ({each.type})" for each in self.topics.values())
            raise PerceptionError(f"recording '{self.path}' has no topic '{topic}'; it has: {there}")
        return self.topics[topic]

    def _image_topic(self) -> str:
        names = self.image_topics()
        if not names:
            there = ", ".join(f"{each.name} ({each.type})" for each in self.topics.values())
            raise PerceptionError(
                f"recording '{self.path}' has no topic with readable pictures; it has: {there}"
            )
        return names[0]

    def _camera(self, image_topic: str) -> CameraModel | None:
        base = image_topic.removesuffix("/compressed").rpartition("/")[0]
        info = self.topics.get(f"{base}/camera_info")
        if info is None or info.type != CAMERA_INFO or not info.count:
            return None
        message = _deserialised(next(self.messages([info.name])))
        rectified = "rect" in image_topic.removesuffix("/compressed").rpartition("/")[2]
        return camera_of_info(message, rectified=rectified)

    def _frame(self, message: BagMessage, camera: CameraModel | None) -> Frame:
        fields = _deserialised(message)
        image = decode_message(fields)
        header = fields.header
        stamp = _nanoseconds(header.stamp.sec, header.stamp.nanosec) or message.stamp
        return Frame(image, stamp, header.frame_id, camera=camera)


def is_recording(path: Path) -> bool:
    """Whether a path looks like a rosbag2 recording, by its names alone."""
    if path.is_file():
        return path.suffix in _SUFFIXES or path.name.endswith(_PACKED_SUFFIXES)
    return path.is_dir() and (
        (path / "metadata.yaml").is_file()
        or any(is_recording(file) for file in path.iterdir() if file.is_file())
    )


def _storage(path: Path) -> tuple[Path, ...]:
    """What to open: the folder if it has metadata, else the storage files in it, or the one file."""
    if not path.exists():
        raise PerceptionError(f"recording '{path}' does not exist; check the path")
    if path.suffix == ".bag":
        raise PerceptionError(
            f"'{path}' is a ROS 1 bag; convert it with `rosbags-convert --src {path} --dst {path.stem}`"
        )
    if path.is_file():
        if path.suffix not in _SUFFIXES:
            raise PerceptionError(f"'{path}' is no recording; give a rosbag2 folder, an .mcap or a .db3 file")
        return (path,)
    if (path / "metadata.yaml").exists():
        return (path,)
    files = tuple(sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES))
    if not files:
        raise PerceptionError(f"folder '{path}' holds no rosbag2 recording (metadata.yaml, .mcap or .db3)")
    return files


def _topics(readers: list[Any]) -> dict[str, BagTopic]:
    topics: dict[str, BagTopic] = {}
    for reader in readers:
        for connection in reader.connections:
            name = str(connection.topic)
            known = topics.get(name, BagTopic(name, str(connection.msgtype), 0))
            offered = (*known.qos, *(_offered(qos) for qos in connection.ext.offered_qos_profiles))
            topics[name] = BagTopic(
                name, known.type, known.count + int(connection.msgcount), tuple(dict.fromkeys(offered))
            )
    return dict(sorted(topics.items()))


def _offered(qos: Any) -> OfferedQos:
    return OfferedQos(
        history=qos.history.name.lower(),
        depth=int(qos.depth),
        reliability=qos.reliability.name.lower(),
        durability=qos.durability.name.lower(),
        liveliness=qos.liveliness.name.lower(),
        deadline=_nanoseconds(qos.deadline.sec, qos.deadline.nsec),
        lifespan=_nanoseconds(qos.lifespan.sec, qos.lifespan.nsec),
        liveliness_lease=_nanoseconds(qos.liveliness_lease_duration.sec, qos.liveliness_lease_duration.nsec),
    )


def _nanoseconds(seconds: int, nanoseconds: int) -> int:
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def _stream(reader: Any, topics: frozenset[str], start: int | None, stop: int | None) -> Iterator[BagMessage]:
    connections = [each for each in reader.connections if each.topic in topics]
    if connections:
        for connection, stamp, data in reader.messages(connections, start=start, stop=stop):
            yield BagMessage(int(stamp), connection.topic, connection.msgtype, bytes(data))


_TYPESTORE = get_typestore(Stores.ROS2_HUMBLE)


def _deserialised(message: BagMessage) -> Any:
    """The message's fields. Pictures and CameraInfo are the same in every ROS 2 distribution since Humble."""
    try:
        return _TYPESTORE.deserialize_cdr(message.data, message.type)
    except Exception as error:
        raise FrameError(
            "bad_message", f"a {message.type} on '{message.topic}' cannot be deserialised: {error}"
        ) from error
