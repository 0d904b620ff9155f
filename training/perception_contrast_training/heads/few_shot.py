"""A few boxes of each class, as somebody draws who wants to be done soon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.evaluation.readers.coco import boxes_of
from perception_contrast_training.heads.labelled_frames import LabelledData, LabelledFrame

LEAST_SHARE = 0.002  # of an image; nobody shows what is smaller while larger ones are there


@dataclass(frozen=True)
class ShownBox:
    """place: of the frame in the data. thing: its index there. label: of the class."""

    place: int
    thing: int
    label: str


def chosen_boxes(data: LabelledData, places: Sequence[int], count: int, seed: int) -> list[ShownBox]:
    """``count`` boxes of each class, of different frames where there are so many.

    Things that can hardly be seen are taken last.

    Args:
        data: Labelled frames with things.
        places: Of the frames that may be used.
        count: Of boxes of a class.
        seed: Of what is drawn.

    Raises:
        PerceptionError: A class has fewer boxes.
    """
    draws = np.random.default_rng(seed)
    boxes: dict[str, list[tuple[bool, float, ShownBox]]] = {name: [] for name in data.classes}
    for place in places:
        frame = data.frame(place)
        if frame is None or frame.things is None:
            continue
        for index, thing in enumerate(frame.things):
            if not thing.ignored:
                small = bool(thing.mask.mean() < LEAST_SHARE)
                shown = ShownBox(place, index, thing.names[0])
                boxes[thing.names[0]].append((small, float(draws.random()), shown))
    chosen: list[ShownBox] = []
    for name, found in boxes.items():
        if len(found) < count:
            raise PerceptionError(
                f"the frames have {len(found)} boxes of '{name}', fewer than --boxes {count}; label more, or "
                "leave the class out with --classes"
            )
        found.sort(key=lambda one: one[:2])
        first_of_frame: list[ShownBox] = []
        others: list[ShownBox] = []
        for small, _, shown in found:
            seen = any(one.place == shown.place for one in first_of_frame)
            (others if seen or small else first_of_frame).append(shown)
        chosen += [*first_of_frame, *others][:count]
    return chosen


def some_boxes(data: LabelledData, places: Sequence[int], count: int, seed: int) -> Iterator[LabelledFrame]:
    """The frames of ``chosen_boxes`` with these boxes alone; all else in them is none of the classes."""
    by_place: dict[int, list[int]] = {}
    for shown in chosen_boxes(data, places, count, seed):
        by_place.setdefault(shown.place, []).append(shown.thing)
    for place in sorted(by_place):
        frame = data.frame(place)
        if frame is None or frame.things is None:
            continue
        things = tuple(frame.things[index] for index in sorted(by_place[place]))
        classes = tuple(sorted({data.classes.index(thing.names[0]) for thing in things}))
        # A box, not the outline that the data may have: that is what was drawn.
        yield replace(frame, things=things, labels=None, classes=classes)


def box_of_thing(frame: LabelledFrame, thing: int) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 in pixels of a thing of a frame."""
    assert frame.things is not None
    x0, y0, x1, y1 = boxes_of([frame.things[thing].mask])[0].tolist()
    return x0, y0, x1, y1
