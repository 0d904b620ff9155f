"""rosbag2 recordings (mcap and sqlite3, Humble and later) read without ROS, through ``rosbags``."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader
from zstandard import ZstdDecompressor, ZstdError

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.images.decode import decode_message
from perception_contrast.recordings.bag_cameras import camera_at, first_camera
from perception_contrast.recordings.bag_messages import (
    BagMessage,
    BagTopic,
    camera_info_topic,
    deserialize,
    is_rectified,
    nanoseconds,
    ros_stamp,
)
from perception_contrast.recordings.bag_topics import holds_ros1, left_out_channels, merged_topics, stream
from perception_contrast.recordings.image_topics import COLOR, kind_of_images
from perception_contrast.recordings.mcap_file import IndexedMcap, mcap_profile
from perception_contrast.recordings.recovery import RecoveredFile
from perception_contrast.recordings.recovery_mcap import RecoveredMcap
from perception_contrast.recordings.recovery_sqlite import RecoveredSqlite, has_journal
from perception_contrast.recordings.sqlite_file import IndexedSqlite
from perception_contrast.recordings.storage import (
    MCAP,
    SQLITE,
    ZSTD_MAGIC,
    opened_storage,
    ros1_error,
    storage_kind,
)

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

_TRIED = 200
"""Messages at the beginning of a topic of which one must be readable; then some of the rest are tried."""

_TRIED_PLACES = 16
_MOST_UNPACKED = 1 << 29  # bytes of a message: four times the largest image that is decoded


class BagSource:
    """A rosbag2 folder, or one .mcap or .db3 file, with or without metadata.yaml, compressed or not.

    Opening reads the index alone. Each iteration opens the files anew, so several may run at once.
    Iterating over the source gives ``frames()``.

    Args:
        path: The recording.
        recover: Read what is whole in a damaged or incomplete recording, and say in ``lost`` what is not.
            Damage inside a file is met, and noted, only while messages are read.

    Attributes:
        topics: Recorded ROS 2 topics by name.
        start: Stamp of the first message in nanoseconds.
        end: Stamp of the last message in nanoseconds.

    Raises:
        PerceptionError: The recording is missing, empty, damaged (without ``recover``) or none.
    """

    def __init__(self, path: Path | str, *, recover: bool = True) -> None:
        self.path = Path(path)
        self._recover = recover
        self._storage = opened_storage(self.path)
        self._recovered_files: dict[Path, RecoveredFile] = {}
        self._unrecoverable: dict[Path, str] = {}
        self._left_out: dict[tuple[str, str], str] = {}
        self._unreadable: dict[str, Counter[str]] = {}
        if self._storage.lost and not recover:
            raise self._damaged(self._storage.lost[0])
        with self._readers() as readers:
            self.topics = merged_topics(readers)
            self._left_out = left_out_channels(readers, self.topics)
            filled = [reader for reader in readers if reader.message_count]
            if not filled or not self.topics:
                if holds_ros1(readers):
                    raise ros1_error(self.path)
                what = "no messages of ROS 2" if self._left_out else "no messages"
                raise PerceptionError(
                    f"recording '{self.path}' holds {what}{self._lost_note()}; record it again"
                )
            self.start = ros_stamp(min(reader.start_time for reader in filled))
            self.end = ros_stamp(max(reader.end_time for reader in filled) - 1)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    @property
    def lost(self) -> tuple[str, ...]:
        """What of the recording could not be read, as far as it is known by now, a line for each.

        Files that are missing or damaged, channels that are not ROS 2, and, once ``frames`` has come to
        them, images that cannot be decoded, counted by their reason.
        """
        recovered = [note for file in self._recovered_files.values() for note in file.lost]
        images = [
            f"'{topic}': {sum(counts.values())} image(s) cannot be read ({_counted(counts)})"
            for topic, counts in sorted(self._unreadable.items())
            if counts
        ]
        damage = (*self._storage.lost, *self._unrecoverable.values(), *recovered)
        return tuple(dict.fromkeys((*damage, *self._left_out.values(), *images)))

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
        """Topics with a readable colour or grey image: colour first, then the most messages.

        The first images of a topic may be damaged. 16-bit grey on a topic whose name says "depth" is depth.
        """
        ranked = []
        for topic in self.topics.values():
            if topic.type in (IMAGE, COMPRESSED_IMAGE) and topic.count and self.kind_of(topic.name) == COLOR:
                image = self._first_image(topic.name)
                grey = bool((image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all())
                ranked.append((grey, -topic.count, topic.name))
        return tuple(name for _, _, name in sorted(ranked))

    def kind_of(self, topic: str) -> str:
        """What an image topic holds: "color", "depth", or why none of its first messages can be read."""
        return kind_of_images(self.samples(topic), deserialize, topic)

    def samples(self, topic: str) -> Iterator[BagMessage]:
        """The first messages of a topic, then single ones that are spread over the rest of its time."""
        last = self.start
        first = islice(self.messages([topic]), _TRIED + 1)
        for number, message in enumerate(first):
            if number == _TRIED:
                break
            last = message.stamp
            yield message
        else:
            return
        step = max(1, (self.end - last) // _TRIED_PLACES)
        for place in range(last + step, self.end + 1, step):
            yield from islice(self.messages([topic], place), 1)

    def frames(
        self, topic: str | None = None, on_error: Callable[[FrameError], None] | None = None
    ) -> Iterator[Frame]:
        """Decoded images of an image topic (the first of ``image_topics`` if none is given).

        Stamp (time of recording if it was left at zero) and frame_id are the message's; the camera is
        that of the first usable CameraInfo in the same namespace, scaled to the image. An image that
        cannot be decoded is left out, counted in ``lost`` and given to ``on_error``. Without ``on_error``
        FrameError is raised at the end if no image at all could be decoded.
        """
        return self._frames(self._topic_of_images(topic), on_error)

    def numbered_frames(
        self, topic: str | None = None, start: int = 0
    ) -> Iterator[tuple[int, Frame | FrameError]]:
        """Every image of a topic as ``frames`` gives it, with its number among all images of the topic.

        In the place of one that cannot be decoded stands the reason, so numbers are those of the messages
        in every program that counts them. Those before number ``start`` are not decoded.
        """
        return enumerate(self._decoded(self._topic_of_images(topic), start), start)

    def image_topic(self, topic: str | None = None) -> str:
        """An image topic that can be read: the given one, or the first of ``image_topics``.

        Raises PerceptionError that says why the images of the others cannot be read.
        """
        names = self.image_topics()
        if topic in names:
            return topic
        if topic is None and names:
            return names[0]
        if topic is not None:
            self._require(topic)
        asked = "no topic with readable images" if topic is None else f"no readable images on '{topic}'"
        others = [
            f"{one.name} ({one.type}{self._fault(one)})"
            for one in self.topics.values()
            if one.name not in names
        ]
        readable = f"readable: {', '.join(names)}; " if names else ""
        raise PerceptionError(
            f"recording '{self.path}' has {asked}; {readable}it has: {', '.join(others)}{self._lost_note()}"
        )

    def _fault(self, topic: BagTopic) -> str:
        """Why an image topic gives no colour images, to stand behind its type; "" for other topics."""
        if topic.type not in (IMAGE, COMPRESSED_IMAGE):
            return ""
        return f": {self.kind_of(topic.name)}"

    def _topic_of_images(self, topic: str | None) -> str:
        """The name of a topic of an image type. Raises PerceptionError."""
        name = self.image_topic() if topic is None else self._require(topic).name
        if self.topics[name].type not in (IMAGE, COMPRESSED_IMAGE):
            raise PerceptionError(
                f"topic '{name}' carries {self.topics[name].type}, not images; "
                f"choose one of: {', '.join(self.image_topics()) or 'none is there'}"
            )
        return name

    def _frames(self, name: str, on_error: Callable[[FrameError], None] | None) -> Iterator[Frame]:
        first: FrameError | None = None
        decoded = False
        for one in self._decoded(name):
            if isinstance(one, Frame):
                decoded = True
                yield one
            elif on_error is not None:
                on_error(one)
            else:
                first = first or one
        if first is not None and not decoded:
            raise first

    def _decoded(self, name: str, start: int = 0) -> Iterator[Frame | FrameError]:
        counts = self._unreadable[name] = Counter()
        camera = self._camera(name)
        for message in islice(self.messages([name]), start, None):
            try:
                frame = self._frame(message, camera)
            except FrameError as error:
                counts[error.reason] += 1
                yield error
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
                if message.data[:4] == ZSTD_MAGIC:
                    message = self._unpacked(message)
                yield message

    def _unpacked(self, message: BagMessage) -> BagMessage:
        """A message that was compressed by itself, which its first bytes tell: CDR never begins so."""
        try:
            # The frame's own header may leave its size out.
            with ZstdDecompressor().stream_reader(message.data, read_across_frames=True) as reader:
                data = reader.read(_MOST_UNPACKED + 1)
            if len(data) > _MOST_UNPACKED:
                raise ZstdError(f"a message on '{message.topic}' unpacks to over {_MOST_UNPACKED >> 20} MiB")
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
        wanted = {name: self.topics[name].type for name in topics}
        try:
            for message in stream(reader, wanted, start, stop):
                yield message
                count += 1
        except Exception:
            if not self._recover or isinstance(reader, RecoveredFile):
                raise
            recovered = self._recover_file(Path(reader.path))
            if recovered is not None:
                yield from islice(stream(recovered, wanted, start, stop), count, None)

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
        kind = storage_kind(file)
        if kind == SQLITE and has_journal(file):
            return self._recover_file(file)
        if kind == MCAP and mcap_profile(file) == "ros1":
            raise ros1_error(self.path)
        try:
            if kind != file.suffix:
                raise PerceptionError(f"'{file.name}' is no {file.suffix} file")  # rosbags goes by the name
            return stack.enter_context(Reader(file))
        except Exception as error:
            return self._reader_of_unusual(file, stack, error)

    def _reader_of_unusual(self, file: Path, stack: ExitStack, error: Exception) -> Any:
        """A reader of a file that rosbags refuses: for what its channels carry, or because it is damaged."""
        indexed = IndexedMcap if storage_kind(file) == MCAP else IndexedSqlite
        with suppress(PerceptionError, OSError):
            return stack.enter_context(indexed(file))
        recovered = self._recover_file(file)
        if not self._recover and (recovered is None or recovered.lost or not recovered.message_count):
            raise self._damaged(str(error) or type(error).__name__) from error
        return recovered

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

    def _first_image(self, topic: str) -> RgbImage:
        """The first image of a topic that can be decoded, where one can."""
        for message in self.samples(topic):
            with suppress(FrameError):
                return decode_message(deserialize(message))
        raise PerceptionError(f"topic '{topic}' of recording '{self.path}' has no readable image")

    def _camera(self, image_topic: str) -> CameraModel | None:
        info = self.topics.get(camera_info_topic(image_topic))
        if info is None or info.type != CAMERA_INFO or not info.count:
            return None
        rectified = is_rectified(image_topic)
        return first_camera(self.messages([info.name]), deserialize, rectified=rectified)

    def _frame(self, message: BagMessage, camera: CameraModel | None) -> Frame:
        fields = deserialize(message)
        image = decode_message(fields)
        header = fields.header
        stamp = nanoseconds(header.stamp.sec, header.stamp.nanosec) or message.stamp
        size = (int(image.shape[0]), int(image.shape[1]))
        scaled = None if camera is None else camera_at(camera, size)
        return Frame(image, stamp, header.frame_id, camera=scaled)


def _recovered(path: Path) -> RecoveredFile:
    """Whatever is whole in a damaged storage file. Raises PerceptionError if that is nothing."""
    try:
        return RecoveredMcap(path) if storage_kind(path) == MCAP else RecoveredSqlite(path)
    except OSError as error:
        raise PerceptionError(f"'{path}' cannot be read: {error.strerror or error}") from error


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
