"""Figures of a map's objects against what truly stands in the room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.mapping.answers.find_answers import label_score
from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.mapping.objects.object_store import ObjectStore
from perception_contrast_training.evaluation.mapping.room_truth import RoomTruth, is_structure
from perception_contrast_training.evaluation.metrics.ranking import roc_auc

NEAR = 0.25  # metres from an answer to the thing that is meant


@dataclass(frozen=True)
class RoomQuestions:
    """What is asked of a room.

    Attributes:
        present: Names of what was shown, to the numbers of the things that may be called so.
        absent: Names of nothing that is in the room.
        texts: (p, c) float32 unit vectors of each name.
    """

    present: Mapping[str, Sequence[int]]
    absent: Sequence[str]
    texts: Mapping[str, FloatArray]


@dataclass
class RoomFigures:
    """Counts of one room, or of several added up.

    Attributes:
        present: Names asked for that are there.
        located: Of them, those whose surest object lies within NEAR of such a thing.
        found: Of them, those for which that object is confirmed and called so.
        objects: Confirmed objects that are not gone.
        duplicates: Of them, those whose thing has another object already.
        on_structure: Of them, those that lie on the floor, a wall or the ceiling.
        things: Things that were shown.
        mapped: Of them, those with an object.
        named: Of them, those with an object of a name that is true of it.
        absent: Names asked for that are not there.
        absent_found: Of them, those that a confirmed object is called.
        rooms: Rooms that were added up.
        scores: Of each name that is there, and of each that is not: the best confidence of an object.
        cosines: The same by the vectors of texts and objects.
    """

    present: int = 0
    located: int = 0
    found: int = 0
    objects: int = 0
    duplicates: int = 0
    on_structure: int = 0
    things: int = 0
    mapped: int = 0
    named: int = 0
    absent: int = 0
    absent_found: int = 0
    rooms: int = 0
    scores: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    cosines: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def __iadd__(self, other: RoomFigures) -> RoomFigures:
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.scores, other.scores), (self.cosines, other.cosines)):
            for own, more in zip(mine, theirs, strict=True):
                own.extend(more)
        return self

    def summary(self) -> dict[str, Any]:
        """The figures as docs/evaluate.md names them."""
        return {name: getattr(self, name) for name in _COUNTS} | {
            "located_share": self.located / self.present if self.present else float("nan"),
            "found_share": self.found / self.present if self.present else float("nan"),
            "duplicate_share": self.duplicates / self.objects if self.objects else float("nan"),
            "absent_found_per_room": self.absent_found / self.rooms if self.rooms else float("nan"),
            "on_structure_per_room": self.on_structure / self.rooms if self.rooms else float("nan"),
            "auc": roc_auc(*self.scores),
            "auc_vectors": roc_auc(*self.cosines),
        }


_COUNTS = (
    "present", "located", "found", "objects", "duplicates", "on_structure", "things", "mapped", "named",
    "absent", "absent_found", "rooms",
)  # fmt: skip


def room_figures(store: ObjectStore, truth: RoomTruth, questions: RoomQuestions) -> RoomFigures:
    """Asks a map of objects for each name.

    Args:
        store: After a loop.
        truth: Of that loop.
        questions: What is asked.
    """
    live = [one for one in store.objects if one.status != "gone"]
    there = [one for one in live if one.status == "confirmed"]
    owners = {one.id: truth.owner(one.voxels) for one in there}
    figures = RoomFigures(rooms=1, objects=len(there), present=len(questions.present))
    figures.absent = len(questions.absent)
    counts = Counter(owner for owner in owners.values() if owner >= 0 and not is_structure(owner))
    figures.duplicates = sum(count - 1 for count in counts.values())
    figures.on_structure = sum(is_structure(owner) for owner in owners.values())
    shown = truth.shown
    figures.things, figures.mapped = len(shown), len(set(counts) & set(shown))
    means = {name: set(numbers) for name, numbers in questions.present.items()}
    figures.named = len(
        {owners[one.id] for one in there if owners[one.id] in means.get(one.label, set())} & set(shown)
    )
    for name, numbers in questions.present.items():
        best, score = answer(name, live)
        figures.scores[0].append(score)
        figures.cosines[0].append(_best_cosine(questions.texts[name], live))
        if best is not None and distance(best, truth, numbers) <= NEAR:
            figures.located += 1
            figures.found += best.status == "confirmed" and best.label == name
    for name in questions.absent:
        figures.scores[1].append(answer(name, live)[1])
        figures.cosines[1].append(_best_cosine(questions.texts[name], live))
        figures.absent_found += any(one.label == name for one in there)
    return figures


def answer(name: str, objects: Iterable[MapObject]) -> tuple[MapObject | None, float]:
    """The object that is most surely called so, and how surely, as a map answers."""
    best, score = None, 0.0
    for one in objects:
        own = label_score(name, one)
        if own > score:
            best, score = one, own
    return best, score


def distance(one: MapObject, truth: RoomTruth, numbers: Sequence[int]) -> float:
    """Metres from an object's position to the nearest of some things; inf where there is none."""
    known = [truth.things[number] for number in numbers if number in truth.things]
    return min((thing.distance(one.position) for thing in known), default=float("inf"))


def _best_cosine(texts: FloatArray, objects: Iterable[MapObject]) -> float:
    vectors = [one.semantic for one in objects if one.semantic is not None]
    return float((np.stack(vectors) @ texts.T).max()) if vectors else -1.0
