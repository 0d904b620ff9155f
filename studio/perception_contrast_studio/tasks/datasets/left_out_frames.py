"""Finds the frames again that an extraction left out: the same decisions on the same recordings."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.files import encode_image
from perception_contrast.images.resize import resize_image
from perception_contrast.recordings.bag_messages import BagMessage
from perception_contrast_studio.components.dataset.dataset_frames import LeftOutFrames
from perception_contrast_studio.workers.worker_process import Report
from perception_contrast_training.data.bags.image_bytes import decoded_image
from perception_contrast_training.data.bags.messages import fields_of, stamp_of
from perception_contrast_training.data.bags.output import SourceJob
from perception_contrast_training.data.bags.plan import read_plan
from perception_contrast_training.data.bags.source import KEPT, replay_source

WIDTH = 240


class _Found:
    """Collects what is left out; of each reason some examples, evenly from all.

    Every time the examples of a reason are too many, each second one is dropped, and from then on only
    every second frame becomes one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.fates: list[str] = []
        self.lanes: list[tuple[str, str]] = []
        self.stamps: list[int] = []
        self.examples: dict[str, list[tuple[int, str, bytes]]] = defaultdict(list)
        self._seen: dict[str, int] = defaultdict(int)
        self._stride: dict[str, int] = defaultdict(lambda: 1)

    def add(self, job: SourceJob, message: BagMessage, fate: str) -> None:
        if fate == KEPT:
            return
        stamp = message.stamp
        try:
            fields = fields_of(message)
            stamp = stamp_of(fields, message.stamp)
        except FrameError:
            fields = None
        self.fates.append(fate)
        self.lanes.append((job.name, message.topic))
        self.stamps.append(stamp)
        number = self._seen[fate]
        self._seen[fate] += 1
        if fields is None or number % self._stride[fate]:
            return
        picture = _example(fields)
        if picture is None:
            return
        kept = self.examples[fate]
        kept.append((stamp, f"{job.name} {message.topic}", picture))
        if len(kept) > self._most:
            del kept[1::2]
            self._stride[fate] *= 2


def _example(fields: Any) -> bytes | None:
    try:
        image = decoded_image(fields)
    except FrameError:
        return None
    height, width = image.shape[:2]
    small = resize_image(image, (max(1, round(height * WIDTH / width)), WIDTH)) if width > WIDTH else image
    return encode_image(np.ascontiguousarray(small), ".jpg")


def find_left_out(report: Report, folder: str, examples: int = 8) -> LeftOutFrames:
    """Looks through the recordings of a dataset once more.

    Args:
        report: Progress.
        folder: Of a dataset that `data extract` made.
        examples: Images of each reason, at most.

    Raises:
        PerceptionError: It is none, or none of its recordings is there any more.
    """
    path = Path(folder)
    plan = read_plan(path)
    if plan is None:
        raise PerceptionError(f"'{path}' is no dataset of `data extract`, so nothing was left out")
    found, failed = _Found(examples), {}
    jobs = plan.jobs(path)
    for number, job in enumerate(jobs):

        def tell(_: int, done: int, total: int, number: int = number, job: SourceJob = job) -> None:
            report((number + done / max(1, total)) / len(jobs), f"{job.name}: image {done} of {total}")

        def look(message: BagMessage, fate: str, job: SourceJob = job) -> None:
            found.add(job, message, fate)

        try:
            replay_source(job, look, tell)
        except PerceptionError as error:
            failed[job.name] = str(error)
    if len(failed) == len(jobs):
        raise PerceptionError(
            "the recordings cannot be looked at any more, so nobody knows which frames were left out: "
            + "; ".join(failed.values())
        )
    return _arranged(found, failed)


def _arranged(found: _Found, failed: dict[str, str]) -> LeftOutFrames:
    reasons, lanes = tuple(dict.fromkeys(found.fates)), tuple(dict.fromkeys(found.lanes))
    numbers = {name: number for number, name in enumerate(reasons)}
    places = {name: number for number, name in enumerate(lanes)}
    return LeftOutFrames(
        reasons=reasons,
        reason=np.array([numbers[one] for one in found.fates], np.int32),
        lanes=lanes,
        lane=np.array([places[one] for one in found.lanes], np.int32),
        stamps=np.array(found.stamps, np.int64),
        examples=dict(found.examples),
        failed=failed,
    )
