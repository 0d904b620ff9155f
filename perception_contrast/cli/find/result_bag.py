"""A recording with our topics beside the recorded ones, as a rosbag2 folder with one MCAP file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from perception_contrast.cli.find.recorded_results import (
    DETECTIONS,
    LABEL_INFO,
    MASKS,
    VISION_INFO,
    RecordedHeader,
    detections_data,
    label_info_data,
    masks_data,
    vision_info_data,
)
from perception_contrast.core.arrays import LabelMask
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.recordings.bag_messages import BagMessage, BagTopic, deserialize
from perception_contrast.recordings.bag_writing import add_topic, mcap_writer, rosbags_qos
from perception_contrast.recordings.bags import BagSource
from perception_contrast.recordings.message_types import message_types

_NO_HASH = "RIHS01_" + "0" * 64
_TYPES = {"detections": DETECTIONS, "masks": MASKS, "label_info": LABEL_INFO, "vision_info": VISION_INFO}
_LATCHED = ("label_info", "vision_info")


@dataclass(frozen=True)
class BagResults:
    """What was found in one recording.

    Attributes:
        image_topic: The topic that was searched.
        entries: Results in the order of its messages; "frame" is the number of the message.
        label_map: Gives the label map (H, W) uint16 of a frame's number.
        vocabulary: The queries.
        model: (name, space) of the model that words were compared by.
        threshold: Probability from which things were reported.
        node: Name of the node whose topics these are.
    """

    image_topic: str
    entries: Iterable[Mapping[str, Any]]
    label_map: Callable[[int], LabelMask]
    vocabulary: Vocabulary
    model: tuple[str, str]
    threshold: float
    node: str = "perception_node"

    def topic(self, name: str) -> str:
        return f"/{self.node.strip('/')}/{name}"


def require_free_topics(recording: BagSource, node: str) -> None:
    """Raises PerceptionError if a recording has one of our topics already."""
    taken = [f"/{node.strip('/')}/{name}" for name in _TYPES]
    for topic in taken:
        if topic in recording.topics:
            raise PerceptionError(
                f"recording '{recording.path}' has '{topic}' already; name another node with --node"
            )


def write_result_bag(
    recording: BagSource, target: Path, results: BagResults, progress: Callable[[int], None] = lambda _: None
) -> tuple[str, ...]:
    """Writes the folder ``target``, which must not exist, from the recording and its results.

    The folder appears when it is whole. Our messages stand right behind their image, with its time of
    recording and its header.

    Args:
        recording: The recording.
        target: Folder of the new one; its files are written beside it first.
        results: What was found.
        progress: Called with the number of messages written, now and then.

    Returns:
        Topics that could not be copied, for neither the recording nor this package has their definition.

    Raises:
        PerceptionError: The recording is damaged, or the disk is full.
    """
    unfinished = target.parent / "unfinished" / target.name
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        with mcap_writer(unfinished) as writer:
            left_out = _write(writer, recording, results, progress)
        unfinished.replace(target)
        unfinished.parent.rmdir()
    except OSError as error:
        raise PerceptionError(f"'{target}' cannot be written: {error.strerror or error}") from error
    return left_out


def _write(
    writer: Writer, recording: BagSource, results: BagResults, progress: Callable[[int], None]
) -> tuple[str, ...]:
    require_free_topics(recording, results.node)
    copied = {name: one for topic in recording.topics.values() for name, one in _copied(writer, topic)}
    ours = {
        name: add_topic(writer, results.topic(name), kind, latched=name in _LATCHED)
        for name, kind in _TYPES.items()
    }
    first = RecordedHeader(*divmod(recording.start, 10**9), "")
    writer.write(
        ours["label_info"],
        recording.start,
        label_info_data(results.vocabulary, first, results.threshold),
    )
    version = vision_info_data(*results.model, results.vocabulary.version, first)
    writer.write(ours["vision_info"], recording.start, version)
    waiting = iter(results.entries)
    for count, message in enumerate(recording.messages([*copied, *_image_topic(copied, results)])):
        if message.topic in copied:
            writer.write(copied[message.topic], message.stamp, message.data)
        if message.topic == results.image_topic:
            _write_results(writer, ours, message, next(waiting, {}), results)
        if count % 1000 == 0:
            progress(count)
    return tuple(name for name in recording.topics if name not in copied)


def _image_topic(copied: Mapping[str, Any], results: BagResults) -> list[str]:
    return [] if results.image_topic in copied else [results.image_topic]


def _write_results(
    writer: Writer,
    ours: Mapping[str, Any],
    message: BagMessage,
    entry: Mapping[str, Any],
    results: BagResults,
) -> None:
    if "detections" not in entry:
        return
    header = _header_of(message)
    if header is None:
        return
    writer.write(ours["detections"], message.stamp, detections_data(entry["detections"], header))
    writer.write(ours["masks"], message.stamp, masks_data(results.label_map(entry["frame"]), header))


def _header_of(message: BagMessage) -> RecordedHeader | None:
    try:
        header = deserialize(message).header
    except FrameError:
        return None
    return RecordedHeader(int(header.stamp.sec), int(header.stamp.nanosec), str(header.frame_id))


def _copied(writer: Writer, topic: BagTopic) -> Iterator[tuple[str, Any]]:
    """The topic's name and the connection that it is copied to, unless its type has no definition."""
    definition, digest = _definition(topic)
    if not definition:
        return
    yield (
        topic.name,
        writer.add_connection(
            topic.name,
            topic.type,
            msgdef=definition,
            rihs01=digest,
            offered_qos_profiles=[rosbags_qos(one) for one in topic.qos],
        ),
    )


def _definition(topic: BagTopic) -> tuple[str, str]:
    """The text that defines a topic's type, "" if nobody has it, and its hash."""
    store = message_types()
    if not topic.definition:
        if topic.type not in store.types:
            return "", ""
        text, _ = store.generate_msgdef(topic.type, ros_version=2)
        return str(text), str(store.hash_rihs01(topic.type))
    try:
        own = get_typestore(Stores.EMPTY)
        own.register(get_types_from_msg(topic.definition, topic.type))
        return topic.definition, str(own.hash_rihs01(topic.type))
    except Exception:  # IDL, or a text that rosbags' parser does not take; readers need the text alone
        return topic.definition, _NO_HASH


def read_label_map(path: Path) -> LabelMask:
    """A 16-bit PNG of label ids. Raises PerceptionError if it is gone."""
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise PerceptionError(f"'{path}' is gone or damaged; search again with --restart")
    return np.asarray(stored, np.uint16)
