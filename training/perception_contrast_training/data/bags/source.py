"""The extraction of one recording: a stream of messages in, finished shards out, resumable at each shard."""

from __future__ import annotations

import errno
import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.recordings.bag_messages import BagMessage
from perception_contrast.recordings.bags import BagSource
from perception_contrast_training.data.bags import bucket_output
from perception_contrast_training.data.bags.anonymise import Seen, load_hook
from perception_contrast_training.data.bags.captions import Captions
from perception_contrast_training.data.bags.frame_context import Context
from perception_contrast_training.data.bags.frame_selection import TOO_SOON, Chooser
from perception_contrast_training.data.bags.image_bytes import Kept, decoded_image, depth_png, kept_image
from perception_contrast_training.data.bags.image_measures import measure, thumbnail_descriptor, thumbnail_of
from perception_contrast_training.data.bags.messages import fields_of, stamp_of
from perception_contrast_training.data.bags.options import NANOSECONDS, NONE, THUMBNAIL
from perception_contrast_training.data.bags.output import Output, SourceJob
from perception_contrast_training.data.bags.topics import choose_topics
from perception_contrast_training.data.bags.transforms import Pose
from perception_contrast_training.data.curation.descriptors import load_descriptor
from perception_contrast_training.data.datasets.manifest import SHARDS
from perception_contrast_training.storage.place import Bucket

KEPT, READ = "kept", "read"
_REPORT_EVERY = 20
_FULL = (errno.ENOSPC, errno.EDQUOT)

Report = Callable[[int, int, int], None]
"""Called with a recording's number, images read so far and images in all."""
Look = Callable[[BagMessage, str], None]
"""Called with an image's message and its fate: ``KEPT``, or why it was left out."""


def extract_source(job: SourceJob, report: Report | None = None) -> dict[str, Any]:
    """Extracts one recording, or what is left of it; gives its counts.

    The result is ``{"name", "frames", "shards", "topics": {topic: {reason: count}}, "malformed", "lost",
    "skipped"}``. Raises PerceptionError; finished shards stay, and the next call goes on behind them.
    """
    name = f"{SHARDS}/{job.result_file.name}"
    bucket = Bucket(job.bucket) if job.bucket else None
    if bucket is not None:
        bucket_output.fetch_tables(bucket, job.dataset, job.prefix)
    if job.result_file.is_file():
        found: dict[str, Any] = json.loads(job.result_file.read_text())
        return found
    try:
        result = _Extraction(job, report).run()
        atomic_write(job.result_file, json.dumps(result, indent=1, sort_keys=True).encode())
        if bucket is not None:
            bucket_output.send(bucket, job.dataset, name)
    except OSError as error:
        what = "no space is left on the device" if error.errno in _FULL else error.strerror or str(error)
        raise PerceptionError(
            f"'{job.dataset}' cannot be written: {what}. Finished shards stay; mend that and run the same "
            "command again"
        ) from error
    except FrameError as error:
        # Its two arguments do not survive the way between processes.
        raise PerceptionError(str(error)) from error
    return result


def replay_source(job: SourceJob, look: Look, report: Report | None = None) -> None:
    """Decides about each image of a recording as ``extract_source`` does, and writes nothing.

    Args:
        job: Of a dataset's plan.
        look: Called for each image, in their order.
        report: Called now and then.

    Raises:
        PerceptionError: The recording cannot be read any more, or nothing in it is an image.
    """
    try:
        _Extraction(job, report).replay(look)
    except FrameError as error:
        raise PerceptionError(str(error)) from error


class _Nowhere(Output):
    """Takes frames and keeps none."""

    def add(self, row: dict[str, Any], kept: Kept, depth: bytes | None) -> None:
        return

    def close_if_full(self, state: Callable[[], dict[str, Any]]) -> None:
        return


class _Extraction:
    def __init__(self, job: SourceJob, report: Report | None) -> None:
        options = job.options
        self._job, self._options, self._report = job, options, report
        self._bag = BagSource(job.path, recover=options.recover)
        self._topics = choose_topics(self._bag, options)
        self._hook = load_hook(options.anonymise)
        own = options.novelty in (THUMBNAIL, NONE)
        self._descriptor = None if own else load_descriptor(options.novelty)
        window = round(options.text_window * NANOSECONDS)
        captions = Captions(Path(options.captions), window) if options.captions else None
        self._malformed: dict[str, Counter[str]] = defaultdict(Counter)
        self._context = Context(self._topics, options, captions, job.name, self._note)
        self._context.prepare(self._bag)
        self._choosers = {topic: Chooser(options) for topic in self._topics.images}
        self._counts: dict[str, Counter[str]] = {topic: Counter() for topic in self._topics.images}
        self._indices: Counter[str] = Counter()
        self._read, self._resumed = 0, 0
        self._total = sum(self._bag.topics[topic].count for topic in self._topics.images)
        self._output = Output(job)
        self._look: Look | None = None

    def _note(self, topic: str, error: FrameError) -> None:
        self._malformed[topic][error.reason] += 1

    def run(self) -> dict[str, Any]:
        state = self._output.resume()
        if state is not None:
            self._resumed = state["read"]
            self._counts = {topic: Counter(counts) for topic, counts in state["counts"].items()}
            for topic, kept in state["choosers"].items():
                self._choosers[topic].restore(kept)
        with self._output:
            self._stream()
            self._output.finish(self._state)
        return {
            "name": self._job.name,
            "frames": sum(counts[KEPT] for counts in self._counts.values()),
            "shards": self._output.count,
            "topics": {topic: dict(counts) for topic, counts in self._counts.items()},
            "malformed": {topic: dict(counts) for topic, counts in self._malformed.items()},
            "lost": list(self._bag.lost),
            "skipped": self._topics.skipped,
            "depth": self._topics.depth,
        }

    def replay(self, look: Look) -> None:
        self._output, self._look = _Nowhere(self._job), look
        self._stream()

    def _stream(self) -> None:
        """An image is looked at only when what belongs to it has had time to arrive."""
        delay = round(self._options.delay * NANOSECONDS)
        waiting: deque[BagMessage] = deque()
        images = frozenset(self._topics.images)
        for message in self._bag.messages(self._topics.all()):
            while waiting and waiting[0].stamp + delay <= message.stamp:
                self._take(waiting.popleft())
            if message.topic in images:
                waiting.append(message)
            else:
                self._context.hear(message)
        while waiting:
            self._take(waiting.popleft())
        self._tell(force=True)

    def _tell(self, force: bool = False) -> None:
        if self._report is not None and (force or self._read % _REPORT_EVERY == 0):
            self._report(self._job.number, self._read, self._total)

    def _take(self, message: BagMessage) -> None:
        index = self._indices[message.topic]
        self._indices[message.topic] += 1
        self._read += 1
        self._tell()
        if self._read <= self._resumed:
            return
        counts = self._counts[message.topic]
        counts[READ] += 1
        try:
            reason = self._consider(message, index)
        except FrameError as error:
            reason = error.reason
        counts[reason] += 1
        if self._look is not None:
            self._look(message, reason)
        if reason == KEPT:
            self._output.close_if_full(self._state)

    def _consider(self, message: BagMessage, index: int) -> str:
        """Keeps the frame, or says why not. Raises FrameError for one that is malformed."""
        fields = fields_of(message)
        stamp, frame_id = stamp_of(fields, message.stamp), str(fields.header.frame_id)
        chooser = self._choosers[message.topic]
        if not chooser.in_time(stamp):
            return TOO_SOON
        image = decoded_image(fields)
        measures, pose = measure(image), self._context.pose(frame_id, stamp)
        verdict, vector = chooser.judge(stamp, measures, pose, lambda: self._described(image, measures))
        if verdict.reason:
            return verdict.reason
        seen = Seen(message.topic, frame_id, stamp, self._context.boxes(stamp))
        kept = kept_image(fields, image, seen, self._hook, self._options)
        row = self._row(message, index, stamp, frame_id, pose, kept) | {
            "sharpness": measures.sharpness,
            "brightness": measures.brightness,
            "change": verdict.change,
            "similarity": verdict.similarity,
        }
        self._output.add(row, kept, self._depth(message.topic, stamp, row))
        chooser.keep(stamp, measures, pose, vector)
        return KEPT

    def _described(self, image: Any, measures: Any) -> Any:
        if self._descriptor is None:
            return thumbnail_descriptor(measures.thumbnail[None])[0]
        return self._descriptor([image])[0]

    def _row(
        self, message: BagMessage, index: int, stamp: int, frame_id: str, pose: Pose | None, kept: Kept
    ) -> dict[str, Any]:
        topic = message.topic
        number = self._topics.images.index(topic)
        size = (int(kept.image.shape[0]), int(kept.image.shape[1]))
        return {
            "key": f"{self._job.prefix}_{number:02d}_{index:08d}",
            "source": self._job.number,
            "bag": self._job.name,
            "topic": topic,
            "frame_id": frame_id,
            "stamp": stamp,
            "received": message.stamp,
            "height": size[0],
            "width": size[1],
            "pose": None if pose is None else pose.values(),
            "pose_parent": None if pose is None else pose.parent,
            "pose_child": None if pose is None else pose.child,
            "camera": self._context.camera(topic, size),
            "depth_camera": None,
            "texts": self._context.texts(topic, stamp, message.stamp),
            "thumbnail": thumbnail_of(kept.image).tobytes(),
        }

    def _depth(self, topic: str, stamp: int, row: dict[str, Any]) -> bytes | None:
        try:
            found = self._context.depth(topic, stamp)
        except FrameError as error:
            # The image is good without it.
            self._counts[topic][f"depth_{error.reason}"] += 1
            return None
        if found is None:
            return None
        name, depth = found
        row["depth_camera"] = self._context.camera(name, (depth.shape[0], depth.shape[1]))
        return depth_png(depth)

    def _state(self) -> dict[str, Any]:
        """All that the next frame's fate depends on, beside what the recording itself tells again."""
        return {
            "read": self._read,
            "counts": {topic: dict(counts) for topic, counts in self._counts.items()},
            "choosers": {topic: chooser.state() for topic, chooser in self._choosers.items()},
        }
