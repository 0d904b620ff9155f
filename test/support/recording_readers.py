"""Every reader of the project on one recording: which images come out of it, and what it says was lost.

python test/support/recording_readers.py FOLDER OF RECORDINGS > table.md
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from find_process import colour_detector
from small_models import pipeline_of

from perception_contrast.cli.demo.demo_graph import make_source
from perception_contrast.cli.main import main as command
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.images.decode import decode_message
from perception_contrast.pipeline.detector import load
from perception_contrast.pipeline.detector.image_inputs import frames_of
from perception_contrast.recordings.bag_messages import BagMessage, deserialize, nanoseconds
from perception_contrast.recordings.bags import BagSource
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.evaluation.exemplars import read_boxes
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.evaluation.tasks import propagate

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
PATIENCE = 60.0  # seconds until the last image of a node has come

Fingerprint = tuple[int, int]
"""Stamp in nanoseconds (0 where a reader keeps none) and CRC of the pixels."""


@dataclass(frozen=True)
class Reading:
    """frames: what came out, in order. said: all that the reader printed or logged, or its error.

    beside: what else it took of the recording, by name.
    """

    frames: tuple[Fingerprint, ...]
    said: str
    beside: dict[str, int]

    def pixels(self) -> tuple[int, ...]:
        """The CRCs alone."""
        return tuple(crc for _, crc in self.frames)


def fingerprint(image: np.ndarray, stamp: int = 0) -> Fingerprint:
    """image: (H, W, 3) uint8."""
    return stamp, zlib.crc32(np.ascontiguousarray(image).tobytes())


@contextlib.contextmanager
def _heard() -> Iterator[io.StringIO]:
    """What is printed and logged meanwhile."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logging.getLogger().addHandler(handler)
    try:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            yield text
    finally:
        logging.getLogger().removeHandler(handler)


def _read(frames: Callable[[list[Fingerprint], dict[str, int]], str | None]) -> Reading:
    """A reader that fills a list; what it returns is said as well. Its error is what it says."""
    found: list[Fingerprint] = []
    beside: dict[str, int] = {}
    with _heard() as text:
        try:
            more = frames(found, beside) or ""
        except PerceptionError as error:
            more = str(error)
    return Reading(tuple(found), text.getvalue() + more, beside)


def frame_source(path: Path, folder: Path) -> Reading:
    """BagSource, which all others stand on."""

    def read(found: list[Fingerprint], beside: dict[str, int]) -> str:
        bag = BagSource(path)
        frames = list(bag)
        found += [fingerprint(frame.image, frame.stamp) for frame in frames]
        beside["camera"] = sum(frame.camera is not None for frame in frames)
        return "\n".join(bag.lost)

    return _read(read)


def python_api(path: Path, folder: Path) -> Reading:
    """What Detector.track is given by a path."""

    def read(found: list[Fingerprint], beside: dict[str, int]) -> None:
        for frame in frames_of(path):
            found.append(fingerprint(frame.image, frame.stamp))

    return _read(read)


def find(path: Path, folder: Path) -> Reading:
    """`perception-contrast find` with a detector that knows colours."""

    def read(found: list[Fingerprint], beside: dict[str, int]) -> None:
        detector = colour_detector()
        submit = detector.submit

        def seen(frames: Sequence[Frame], *arguments: Any) -> Any:
            found.extend(fingerprint(frame.image, frame.stamp) for frame in frames)
            return submit(frames, *arguments)

        detector.submit = seen  # type: ignore[method-assign]
        with mock.patch.object(load, "load", lambda *arguments, **options: detector):
            command(["find", str(path), "--queries", "red", "--save", str(folder / "found")])

    return _read(read)


def extract(path: Path, folder: Path) -> Reading:
    """`perception-contrast data extract`, keeping every frame; read as training reads it."""

    def read(found: list[Fingerprint], beside: dict[str, int]) -> None:
        out = folder / "dataset"
        keep_all = "--every 0 --min-change 0 --max-similarity 1 --min-sharpness 0 --max-clipped 1"
        words = ["data", "extract", str(path), "--out", str(out), "--format", "png", "--workers", "1"]
        if command([*words, *keep_all.split(), "--novelty", "none"]) == 0:
            for sample in (dataset := open_dataset(str(out))):
                image = np.asarray(sample["image"]).transpose(1, 2, 0)
                found.append(fingerprint(image, int(sample["stamp"])))
            rows: Any = getattr(dataset, "rows")  # noqa: B009
            for name in ("pose", "camera", "depth_size"):
                beside[name.removesuffix("_size")] = sum(bool(one) for one in rows[name].to_pylist())

    return _read(read)


def propagate_task(path: Path, folder: Path) -> Reading:
    """`perception-contrast eval --task propagate`."""

    def read(found: list[Fingerprint], beside: dict[str, int]) -> None:
        measured = propagate.features_of

        def seen(pipeline: Any, frame: Frame) -> Any:
            found.append(fingerprint(frame.image, frame.stamp))
            return measured(pipeline, frame)

        pipeline = pipeline_of("colours", short_side=112, max_tokens=256)
        with (
            mock.patch.object(propagate, "features_of", seen),
            mock.patch.object(propagate, "pipeline_of", lambda job, words: pipeline),
        ):
            command(["eval", "--task", "propagate", "--data", str(path), "--homographies", "0"])

    return _read(read)


def exemplars_task(path: Path, folder: Path) -> Reading:
    """What `perception-contrast eval --task exemplars` reads, with a box on every readable image."""

    def read(found: list[Fingerprint], beside: dict[str, int]) -> str:
        bag = BagSource(path)
        images = [
            {
                "id": index,
                "frame_index": index,
                "stamp": one.stamp,
                "height": one.size[0],
                "width": one.size[1],
            }
            for index, one in bag.numbered_frames()
            if isinstance(one, Frame)
        ]
        file = folder / "boxes.json"
        file.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
        data = read_boxes(file, path, skipped=Skipped())
        found += [fingerprint(one.frame.image, one.frame.stamp) for one in data.frames]
        return "\n".join(data.lost)

    return _read(read)


def training(path: Path, folder: Path) -> Reading:
    """A recording named as data to learn from: the way to a dataset is told."""
    return _read(lambda found, beside: str(len(open_dataset(str(path)))))


def calibrate(path: Path, folder: Path) -> Reading:
    """`perception-contrast calibrate`."""
    return _read(lambda found, beside: str(command(["calibrate", "--data", str(path)])))


def bag_player(path: Path, folder: Path) -> Reading:
    """The node bag_player, heard over DDS."""
    try:
        bag = BagSource(path)
        topic = bag.image_topic()
    except PerceptionError:
        topic = "/none"
    words = [sys.executable, "-m", "perception_contrast.nodes.bag_player", str(path), "--rate", "20"]
    words += ["--ros-args", "-p", "wait_for_subscribers:=1"]
    return _played(words, topic, IMAGE)


def demo(path: Path, folder: Path) -> Reading:
    """The source of `perception-contrast demo`: its choice of topics, and the node that plays them."""
    try:
        source = make_source(["bag", str(path)], seed=1, offline=True, topic=None)
    except PerceptionError as error:
        return Reading((), str(error), {})
    source.program.parameters.update(loop=False, rate=20.0, wait_for_subscribers=1)
    reading = _played(source.program.command(folder), source.topic, source.type)
    return Reading(reading.frames, "\n".join([*source.lost, reading.said]), reading.beside)


def _played(words: Sequence[str], topic: str, kind: str) -> Reading:
    """Starts a player and decodes the images that a subscriber gets until it ends."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import CompressedImage, Image

    context, got = rclpy.Context(), list[bytes]()
    rclpy.init(context=context)
    node = rclpy.create_node("reader", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    message = CompressedImage if kind == COMPRESSED else Image
    node.create_subscription(message, topic, got.append, QoSProfile(depth=500), raw=True)
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            list(words), cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT, env={**os.environ}
        )
        end = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)
        process.kill()
        process.wait()
        executor.spin_once(timeout_sec=0.2)
        output.seek(0)
        said = output.read()
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)
    frames, undecodable = [], 0
    for data in got:
        try:
            frames.append(_decoded(data, kind))
        except PerceptionError:
            undecodable += 1
    return Reading(tuple(frames), said, {"messages": len(got), "undecodable": undecodable})


def _decoded(data: bytes, kind: str) -> Fingerprint:
    fields = deserialize(BagMessage(0, "", kind, data))
    stamp = nanoseconds(fields.header.stamp.sec, fields.header.stamp.nanosec)
    return fingerprint(decode_message(fields), stamp)


READERS: dict[str, Callable[[Path, Path], Reading]] = {
    "frame source": frame_source,
    "Python API": python_api,
    "find": find,
    "data extract, training": extract,
    "eval propagate": propagate_task,
    "eval exemplars": exemplars_task,
    "bag_player": bag_player,
    "demo": demo,
}
REFUSING: dict[str, Callable[[Path, Path], Reading]] = {"train": training, "calibrate": calibrate}
"""Readers that take no recording, and say so."""

_TOLD = (
    "ROS 1",
    "rosbags-convert",
    "is left out",
    "cannot be read",
    "is listed in",
    "is a recording",
    "kept;",
)


def told(said: str) -> list[str]:
    """The lines that say what was lost or why nothing came, each once."""
    lines = [line.split("WARN] ")[-1].strip() for line in said.splitlines()]
    return list(dict.fromkeys(line for line in lines if any(word in line for word in _TOLD)))


def cell(reading: Reading, path: Path) -> str:
    """One cell of the table; the recording's path is left out."""
    beside = ", ".join(f"{name} {count}" for name, count in reading.beside.items() if count)
    said = [line.replace(str(path), path.name) for line in told(reading.said)]
    lines = "<br>".join(line[:150].replace("|", "\\|") for line in said[-1:])
    return "; ".join(part for part in (f"{len(reading.frames)} frames", beside, lines) if part)


def table(recordings: Sequence[Path]) -> str:
    """Markdown: a row for each recording, a column for each reader."""
    readers = READERS | REFUSING
    rows = [["recording", *readers], ["---"] * (1 + len(readers))]
    for path in recordings:
        row = [path.name]
        for read in readers.values():
            with tempfile.TemporaryDirectory() as folder:
                row.append(cell(read(path, Path(folder)), path))
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(table(sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir())))
