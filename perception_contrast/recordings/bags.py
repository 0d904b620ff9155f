"""rosbag2 recordings (mcap and sqlite3, Humble and later) read without ROS, through ``rosbags``."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader
from zstandard import ZstdDecompressor, ZstdError

from perception_contrast.core.camera_model import CameraModel, camera_of_info
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.images.decode import decode_message
from perception_contrast.recordings.bag_messages import (
    BagMessage,
    BagTopic,
    OfferedQos,
    camera_info_topic,
    deserialize,
    is_rectified,
    nanoseconds,
)
from perception_contrast.recordings.recovery import RecoveredFile
from perception_contrast.recordings.recovery_mcap import RecoveredMcap
from perception_contrast.recordings.recovery_sqlite import RecoveredSqlite, has_journal
from perception_contrast.recordings.storage import opened_storage

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class BagSource:
    """A rosbag2 folder, or one .mcap or .db3 file, with or without metadata.yaml, compressed or not.

    Opening reads the index alone. Each iteration opens the files anew, so several may run at once.
    Iterating over the source gives ``frames()``.

    Args:
        path: The recording.
        recover: Read what is whole in a damaged recording, and say in ``lost`` what is not. Damage inside
            a file is met, and noted, only while messages are read.

    Attributes:
        topics: Recorded topics by name.
        start: Stamp of the first message in nanoseconds.
        end: Stamp of the last message in nanoseconds.

    Raises:
        PerceptionError: The recording is missing, empty, damaged (without ``recover``) or none.
    """

    def __init__(self, path: Path | str, *, recover: bool = False) -> None:
        self.path = Path(path)
        self._recover = recover
        self._storage = opened_storage(self.path)
        self._recovered_files: dict[Path, RecoveredFile] = {}
        self._unrecoverable: dict[Path, str] = {}
        if self._storage.lost and not recover:
            raise self._damaged(self._storage.lost[0])
        with self._readers() as readers:
            self.topics = _topics(readers)
            filled = [reader for reader in readers if reader.message_count]
            if not filled:
                raise PerceptionError(
                    f"recording '{self.path}' holds no messages{self._lost_note()}; record it again"
                )
            self.start = int(min(reader.start_time for reader in filled))
            self.end = int(max(reader.end_time for reader in filled)) - 1

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    @property
    def lost(self) -> tuple[str, ...]:
        """What of a damaged recording could not be read, as far as it is known by now."""
        recovered = [note for file in self._recovered_files.values() for note in file.lost]
        return tuple(dict.fromkeys((*self._storage.lost, *self._unrecoverable.values(), *recovered)))

    def _lost_note(self) -> str:
        return f" ({'; '.join(self.lost)})" if self.lost else ""

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
        """Topics whose first message is a colour or grey image: colour first, then the most messages."""
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
        """Decoded images of an image topic (the first of ``image_topics`` if none is given).

        Stamp (time of recording if it was left at zero) and frame_id are the message's; the camera is
        that of the CameraInfo in the same namespace, if recorded. An image that cannot be decoded
        raises FrameError, or is given to ``on_error`` and left out.
        """
        name = self._image_topic() if topic is None else self._require(topic).name
        if self.topics[name].type not in (IMAGE, COMPRESSED_IMAGE):
            raise PerceptionError(
                f"topic '{name}' carries {self.topics[name].type}, not images; "
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
            streams = [self._stream(reader, topics, start, stop) for reader in readers]
            merged = heapq.merge(*streams, key=lambda message: message.stamp)
            while True:
                with self._explained():
                    message = next(merged, None)
                if message is None:
                    return
                if message.data[:4] == _ZSTD_MAGIC:
                    message = self._unpacked(message)
                yield message

    def _unpacked(self, message: BagMessage) -> BagMessage:
        if not self._storage.packed:
            raise PerceptionError(
                f"the messages in '{self.path}' are compressed one by one; "
                "give the recording's folder with its metadata.yaml, not the file alone"
            )
        try:
            # The frame's own header may leave its size out.
            data = ZstdDecompressor().decompressobj().decompress(message.data)
        except ZstdError as error:
            if not self._recover:
                raise self._damaged(str(error)) from error
            data = b""
        return message._replace(data=data)

    def _stream(
        self, reader: Any, topics: frozenset[str], start: int | None, stop: int | None
    ) -> Iterator[BagMessage]:
        """One file's messages; where it turns out damaged on the way, goes on with what is whole behind."""
        count = 0
        try:
            for message in _stream(reader, topics, start, stop):
                yield message
                count += 1
        except Exception:
            if not self._recover or isinstance(reader, RecoveredFile):
                raise
            recovered = self._recover_file(Path(reader.path))
            if recovered is not None:
                yield from islice(_stream(recovered, topics, start, stop), count, None)

    def _recover_file(self, file: Path) -> RecoveredFile | None:
        if file not in self._recovered_files and file not in self._unrecoverable:
            try:
                self._recovered_files[file] = _recovered(file)
            except PerceptionError as error:
                self._unrecoverable[file] = str(error)
        return self._recovered_files.get(file)

    @contextmanager
    def _readers(self) -> Iterator[list[Any]]:
        with ExitStack() as stack:
            readers = [reader for file in self._storage.files if (reader := self._reader(file, stack))]
            yield readers

    def _reader(self, file: Path, stack: ExitStack) -> Any:
        """A reader of one file; None for one of which nothing can be read, when that may be."""
        if file in self._recovered_files or file in self._unrecoverable:
            return self._recovered_files.get(file)
        if file.suffix == ".db3" and has_journal(file):
            return self._recover_file(file)
        try:
            return stack.enter_context(Reader(file))
        except Exception as error:
            if not self._recover:
                raise self._damaged(str(error) or type(error).__name__) from error
            return self._recover_file(file)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever the parsers stumble over in a damaged file becomes one clear error."""
        try:
            yield
        except Exception as error:
            raise self._damaged(str(error) or type(error).__name__) from error

    def _damaged(self, detail: str) -> PerceptionError:
        return PerceptionError(
            f"recording '{self.path}' is damaged or not a rosbag2 recording: {detail.rstrip('.')}. "
            "Try `ros2 bag reindex` on its folder, or `mcap recover` on an mcap file that was cut short"
        )

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
                f"recording '{self.path}' has no topic with readable images; it has: {there}"
            )
        return names[0]

    def _camera(self, image_topic: str) -> CameraModel | None:
        info = self.topics.get(camera_info_topic(image_topic))
        if info is None or info.type != CAMERA_INFO or not info.count:
            return None
        message = deserialize(next(self.messages([info.name])))
        return camera_of_info(message, rectified=is_rectified(image_topic))

    def _frame(self, message: BagMessage, camera: CameraModel | None) -> Frame:
        fields = deserialize(message)
        image = decode_message(fields)
        header = fields.header
        stamp = nanoseconds(header.stamp.sec, header.stamp.nanosec) or message.stamp
        return Frame(image, stamp, header.frame_id, camera=camera)


def _recovered(path: Path) -> RecoveredFile:
    """Whatever is whole in a damaged storage file. Raises PerceptionError if that is nothing."""
    try:
        return RecoveredMcap(path) if path.suffix == ".mcap" else RecoveredSqlite(path)
    except OSError as error:
        raise PerceptionError(f"'{path}' cannot be read: {error.strerror or error}") from error


def _topics(readers: list[Any]) -> dict[str, BagTopic]:
    topics: dict[str, BagTopic] = {}
    for reader in readers:
        for connection in reader.connections:
            name = str(connection.topic)
            known = topics.get(name, BagTopic(name, str(connection.msgtype), 0))
            offered = (*known.qos, *(_offered(qos) for qos in connection.ext.offered_qos_profiles))
            topics[name] = BagTopic(
                name,
                known.type,
                known.count + int(connection.msgcount),
                tuple(dict.fromkeys(offered)),
                known.definition or _definition(connection),
            )
    return dict(sorted(topics.items()))


def _definition(connection: Any) -> str:
    """What a file says of a topic's type; connections of a damaged file say nothing."""
    recorded = getattr(connection, "msgdef", None)
    return "" if recorded is None else str(recorded.data)


def _offered(qos: Any) -> OfferedQos:
    return OfferedQos(
        history=qos.history.name.lower(),
        depth=int(qos.depth),
        reliability=qos.reliability.name.lower(),
        durability=qos.durability.name.lower(),
        liveliness=qos.liveliness.name.lower(),
        deadline=nanoseconds(qos.deadline.sec, qos.deadline.nsec),
        lifespan=nanoseconds(qos.lifespan.sec, qos.lifespan.nsec),
        liveliness_lease=nanoseconds(qos.liveliness_lease_duration.sec, qos.liveliness_lease_duration.nsec),
    )


def _stream(reader: Any, topics: frozenset[str], start: int | None, stop: int | None) -> Iterator[BagMessage]:
    connections = [each for each in reader.connections if each.topic in topics]
    if connections:
        for connection, stamp, data in reader.messages(connections, start=start, stop=stop):
            yield BagMessage(int(stamp), connection.topic, connection.msgtype, bytes(data))
