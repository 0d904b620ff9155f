"""MapAnswer: what a map answers to a question."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from perception_contrast.core.arrays import Float64Array
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.mapping.objects.map_object import MapObject, Status


class AnswerKind(IntEnum):
    """How sure the answer is; the numbers are those of FindObjects.srv."""

    FOUND = 0
    UNCONFIRMED = 1
    DIRECTION = 2
    NOT_SEEN = 3


@dataclass(frozen=True)
class Hit:
    """A thing, or a place, that may be what was asked for.

    Attributes:
        score: Probability that it is.
        box: Where it is in the map.
        thing: The object; None for a place without one.
        last_seen: Nanoseconds.
    """

    score: float
    box: Box3D
    thing: MapObject | None
    last_seen: int

    @property
    def status(self) -> Status:
        """Of its thing; a place without one is unconfirmed."""
        return "unconfirmed" if self.thing is None else self.thing.status


@dataclass(frozen=True)
class DirectionHit:
    """A direction in which something like it was seen beyond the range of depth.

    Attributes:
        score: Probability that it is what was asked for.
        origin: (3,) metres in the map.
        direction: (3,) unit vector in the map.
    """

    score: float
    origin: Float64Array
    direction: Float64Array


@dataclass(frozen=True)
class MapAnswer:
    """The answer to one question.

    Attributes:
        kind: How sure its best hit is.
        hits: Things and places, best first; of FOUND and UNCONFIRMED.
        directions: Best first; of DIRECTION.
        best_score: The highest score of anything in the map, whether or not it was enough.
        message: The answer in words.
    """

    kind: AnswerKind
    hits: tuple[Hit, ...] = ()
    directions: tuple[DirectionHit, ...] = ()
    best_score: float = 0.0
    message: str = ""
