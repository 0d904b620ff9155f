"""Pseudo-labels as a COCO file whose every annotation says that a model made it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.core.file_writing import writing
from perception_contrast_training.data.autolabel.agreement import TRACK
from perception_contrast_training.data.autolabel.label_journal import SeenFrame, SeenThing, track_lengths
from perception_contrast_training.evaluation.readers.coco import MODEL

LABELS_FILE = "labels.json"


@dataclass(frozen=True)
class Judged:
    """A thing that was found. doubt: why it is left out, "" for a label."""

    frame: SeenFrame
    thing: SeenThing
    doubt: str


@dataclass(frozen=True)
class Rules:
    """What becomes a label.

    Attributes:
        threshold: Least probability.
        agree: Checks that must all find it.
        least: Probability from which a check has found it.
        track_frames: Frames of a video that must show it, where tracks are checked.
    """

    threshold: float
    agree: tuple[str, ...] = ()
    least: float = 0.1
    track_frames: int = 3


def judged(frames: Sequence[SeenFrame], rules: Rules) -> list[Judged]:
    """Every thing that was found, with the first reason against it."""
    lengths = track_lengths(frames)
    return [Judged(f, one, _doubt(one, rules, lengths)) for f in frames for one in f.things]


def _doubt(one: SeenThing, rules: Rules, lengths: Mapping[str, int]) -> str:
    if one.score < rules.threshold:
        return f"score below {rules.threshold:.2f}"
    for check in rules.agree:
        if check == TRACK:
            if one.track and lengths[one.track] < rules.track_frames:
                return f"seen in {lengths[one.track]} of {rules.track_frames} frames"
        elif one.agreed.get(check, 0.0) < rules.least:
            return f"not found by {check}"
    return ""


def write_labels(
    path: Path,
    frames: Sequence[SeenFrame],
    found: Sequence[Judged],
    names: Sequence[str],
    about: Mapping[str, Any],
) -> int:
    """Writes the labels; images without any are in the file too. Returns how many labels there are.

    Args:
        path: The file.
        frames: All that were labelled.
        found: As of ``judged``; what is in doubt is left out.
        names: Of the classes.
        about: For the file's "info": model, space, queries, rules.

    Raises:
        StorageError: It cannot be written.
    """
    numbers = {name: number for number, name in enumerate(names, 1)}
    readable = [one for one in frames if not one.error]
    ids = {(one.source, one.index): number for number, one in enumerate(readable, 1)}
    kept = [one for one in found if not one.doubt]
    content = {
        "info": {"source": MODEL, **about},
        "images": [
            {"id": number, "file_name": one.file, "height": one.size[0], "width": one.size[1]}
            for number, one in enumerate(readable, 1)
        ],
        "annotations": [
            _annotation(number, one, ids[one.frame.source, one.frame.index], numbers, about)
            for number, one in enumerate(kept, 1)
        ],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
    }
    with writing(path) as part:
        part.write_text(json.dumps(content))
    return len(kept)


def _annotation(
    number: int, one: Judged, image: int, numbers: Mapping[str, int], about: Mapping[str, Any]
) -> dict[str, Any]:
    x0, y0, x1, y1 = one.thing.box
    return {
        "id": number,
        "image_id": image,
        "category_id": numbers[one.thing.label],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "iscrowd": 0,
        "segmentation": dict(one.thing.mask),
        "score": round(one.thing.score, 6),
        "source": MODEL,
        "space": about["space"],
        "agreed": {name: round(value, 6) for name, value in one.thing.agreed.items()},
    }
