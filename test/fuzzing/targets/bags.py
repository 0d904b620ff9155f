"""Recordings through the tolerant reader, and through the extraction that builds on it."""

from __future__ import annotations

import contextlib
import shutil
import zlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import ClassVar

import recordings
import yaml
from mcap.writer import CompressionType
from odd_recordings import OddChannel, odd_mcap
from rosbags.rosbag2 import StoragePlugin

from fuzzing.formats.mcap_records import mutated_mcap
from fuzzing.formats.sqlite_rows import mutated_pages, mutated_rows
from fuzzing.target import Mutation, Target
from fuzzing.trees import mutated_tree
from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.bags import BagSource
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.bags.output import SourceJob
from perception_contrast_training.data.bags.source import extract_source

_MOST_FRAMES = 50
_EXTRACTED_EVERY = 5


class _Bag(Target):
    allowed = (PerceptionError,)
    suffix: ClassVar[str] = ""

    def run(self, data: bytes) -> None:
        path = self.scratch / f"recording{self.suffix}"
        path.write_bytes(data)
        self.read(path, data)

    def read(self, path: Path, data: bytes) -> None:
        """Every way to read a recording. Raises PerceptionError if none of its images can be read."""
        strict_error = None
        try:
            self._play(BagSource(path, recover=False))
        except PerceptionError as error:
            strict_error = error
        source = BagSource(path)
        try:
            self._play(source)
        except PerceptionError:
            if strict_error is None:
                raise AssertionError("a recording that can be read strictly is refused by recovery") from None
            raise
        finally:
            for line in source.lost:
                assert isinstance(line, str)
        # Extraction takes longer than all the rest; the content decides, so that a replay does the same.
        if zlib.crc32(data) % _EXTRACTED_EVERY == 0:
            self._extract(path)

    def _play(self, source: BagSource) -> None:
        for topic in source.topics.values():
            assert isinstance(topic.name, str) and isinstance(topic.type, str)
        for message in islice(source.messages(), 10 * _MOST_FRAMES):
            assert isinstance(message.data, bytes)
        names = source.image_topics()
        for name in names[:2]:
            for _ in islice(source.frames(name, lambda error: None), _MOST_FRAMES):
                pass
        if not names:
            for _ in islice(source, 1):
                pass

    def _extract(self, path: Path) -> None:
        dataset = self.scratch / "dataset"
        shutil.rmtree(dataset, ignore_errors=True)
        with contextlib.suppress(PerceptionError):
            extract_source(extraction_job(path, dataset))


def extraction_job(path: Path, dataset: Path) -> SourceJob:
    """Of one recording into a folder, with the settings of `data extract`."""
    return SourceJob(0, "recording", path, dataset, ExtractOptions())


def drive() -> list[recordings.Message]:
    """A short recording: three images of 12x16 with depth, poses, a narration and detections."""
    small = [one for one in recordings.drive(3) if one.topic not in (recordings.COLOR, recordings.DEPTH)]
    for number in range(3):
        stamp = recordings.START + number * recordings.SECOND
        image = recordings.image(number, (12, 16))
        small.append(recordings.color(stamp, recordings.jpeg(image)))
        small.append(recordings.raw(stamp, image[..., 0].astype("u2"), recordings.DEPTH, "16UC1"))
    small.append(recordings.text(recordings.START, "a red mug"))
    small.append(recordings.detections(recordings.START, [("mug", (1, 2, 3, 4))]))
    return sorted(small, key=lambda one: one.stamp)


class Mcap(_Bag):
    suffix = ".mcap"

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (mutated_mcap,)

    def seeds(self) -> list[bytes]:
        odd = OddChannel("/json", "json", "a", "jsonschema", b"{}", (b"{}",))
        found = [recordings.mcap_bytes(drive(), compression=one) for one in CompressionType]
        found.append(recordings.mcap_bytes(drive(), chunked=False))
        return [*found, odd_mcap(drive()[:4], [odd]), odd_mcap(drive()[:6], profile="ros1")]


class Sqlite(_Bag):
    suffix = ".db3"

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (mutated_rows, mutated_pages)

    def seeds(self) -> list[bytes]:
        folder = recordings.write(self.scratch / "seed", drive(), StoragePlugin.SQLITE3)
        data = next(folder.glob("*.db3")).read_bytes()
        shutil.rmtree(folder)
        return [data]


class Metadata(_Bag):
    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        self._folder = recordings.write_split(scratch / "recording", drive())
        self._sound = (self._folder / "metadata.yaml").read_bytes()

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (mutated_yaml,)

    def seeds(self) -> list[bytes]:
        return [self._sound]

    def run(self, data: bytes) -> None:
        (self._folder / "metadata.yaml").write_bytes(data)
        self.read(self._folder, data)


def mutated_yaml(rng: Random, data: bytes) -> bytes:
    """The tree changed and written again."""
    try:
        tree = yaml.load(data.decode("utf-8", "replace"), _Loader)
        changed = mutated_tree(rng, tree, tree, dates=True) if isinstance(tree, dict | list) else tree
        return yaml.dump(changed, allow_unicode=True, sort_keys=False, Dumper=_Dumper).encode(
            "utf-8", "surrogatepass"
        )
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, OverflowError):
        return data


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
