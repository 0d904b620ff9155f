"""What a page shows of a map, wherever it comes from. Plain values, which workers can send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from perception_contrast.mapping.geometry.boxes import Box3D

Point: TypeAlias = tuple[float, float, float]
Answer: TypeAlias = Literal["found", "unconfirmed", "direction", "not_seen"]
ANSWERS: tuple[Answer, ...] = ("found", "unconfirmed", "direction", "not_seen")


@dataclass(frozen=True)
class MapThing:
    """A thing of the map, or a place that may be one.

    Attributes:
        id: Stays with the thing; "" for a place.
        label: What it was mostly called; "" for a place.
        score: Probability that it is what was asked for; of a thing that was not asked for, its confidence.
        status: "confirmed", "unconfirmed" or "gone".
        center: Of its box in the map, metres.
        size: Sides of its box along its own axes, metres.
        yaw: Turn of its box about z, radians.
        first_seen: Nanoseconds; 0 where it is not known.
        last_seen: Nanoseconds; 0 where it is not known.
        sightings: Frames that it was seen in; 0 where it is not known.
        thumbnail: JPEG, or empty.
    """

    id: str
    label: str
    score: float
    status: str
    center: Point
    size: Point
    yaw: float
    first_seen: int = 0
    last_seen: int = 0
    sightings: int = 0
    thumbnail: bytes = b""


@dataclass(frozen=True)
class Cloud:
    """The surface as points.

    Attributes:
        points: (n, 3) float32 metres in the map.
        rgb: (n, 3) uint8.
        heat: (n,) float32 cosines with some words; None where there are none.
    """

    points: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    heat: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Ground:
    """The ground from above.

    Attributes:
        cells: (rows, columns) int8: 0 free, 100 occupied, -1 unknown; rows along y, columns along x.
        resolution: Side of a cell in metres.
        origin: x, y in metres of the outer corner of cell (0, 0).
    """

    cells: NDArray[np.int8]
    resolution: float
    origin: tuple[float, float]


@dataclass(frozen=True)
class MapLayers:
    """All that is drawn of a map. A layer that changes is another object.

    Attributes:
        things: With a box.
        cloud: None until there is one.
        ground: None until there is one.
        labels: Names that a question by label may have.
        now: Nanoseconds; of the map's clock.
        problem: What is missing and the remedy, or "".
    """

    things: tuple[MapThing, ...] = ()
    cloud: Cloud | None = None
    ground: Ground | None = None
    labels: tuple[str, ...] = ()
    now: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Question:
    """What is looked for: exactly one of these.

    Attributes:
        text: Words, which a language model encodes.
        label: A name that things of the map were given.
        like: A thing whose likes are looked for.
        image: The bytes of an image file that shows what is looked for.
    """

    text: str = ""
    label: str = ""
    like: MapThing | None = None
    image: bytes = b""

    @property
    def words(self) -> str:
        """As people read it."""
        if self.like is not None:
            return f"things like {self.like.label or 'this place'} {self.like.id}".strip()
        return self.text or self.label or "the image"


@dataclass(frozen=True)
class FindOptions:
    """Which answers count.

    Attributes:
        near: A point of the map; None for anywhere.
        radius: Metres around it.
        since: Nanoseconds; 0 for any time.
        min_score: Probability; 0 for the map's own.
        include_gone: What is not there any more too.
        most: Most answers.
    """

    near: Point | None = None
    radius: float = 1.0
    since: int = 0
    min_score: float = 0.0
    include_gone: bool = False
    most: int = 20


@dataclass(frozen=True)
class MapAnswer:
    """The answer to one question.

    Attributes:
        kind: How sure it is.
        message: In words.
        things: Best first.
        rays: (n, 6) float64: origin in metres and unit vector towards what was seen from afar.
        now: Nanoseconds, when it was answered, by the map's clock.
    """

    kind: Answer
    message: str
    things: tuple[MapThing, ...] = ()
    rays: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 6)))
    now: int = 0


@dataclass(frozen=True)
class RecallOptions:
    """Which sightings are recalled, the newest first.

    Attributes:
        thing: Id; "" for all.
        since: Nanoseconds; 0 for no limit.
        until: Nanoseconds; 0 for no limit.
        most: Most sightings.
    """

    thing: str = ""
    since: int = 0
    until: int = 0
    most: int = 200


@dataclass(frozen=True)
class Sighting:
    """A thing as one image showed it.

    Attributes:
        stamp: Of the image, nanoseconds.
        thing: Id.
        label: What it was taken for.
        score: Confidence of the detection.
        camera: Name, "" for the only one.
        center: Of its box, metres.
        thumbnail: JPEG, or empty.
    """

    stamp: int
    thing: str
    label: str
    score: float
    camera: str
    center: Point
    thumbnail: bytes = b""


@dataclass(frozen=True)
class ApproachPlace:
    """Where a robot can stand to face a thing.

    Attributes:
        x: Metres in the map.
        y: Metres in the map.
        yaw: Radians about z, of where it looks.
        message: In words.
    """

    x: float
    y: float
    yaw: float
    message: str


@dataclass(frozen=True)
class MapEntry:
    """A map on the disk.

    Attributes:
        name: Of the map.
        problem: Why it cannot be read, or "".
        objects: Number of things.
        voxels: Number of voxels.
        bytes: Of all its files.
        updated: Nanoseconds since 1970; 0 for one that cannot be read.
        current: Whether it is written as the map grows.
    """

    name: str
    problem: str
    objects: int
    voxels: int
    bytes: int
    updated: int
    current: bool = False


def box_fields(box: Box3D) -> tuple[Point, Point, float]:
    """center, size and yaw of a box."""
    return point_of(box.center), point_of(box.size), float(box.yaw)


def point_of(values: NDArray[np.float64]) -> Point:
    """(3,) as numbers."""
    x, y, z = (float(value) for value in values)
    return x, y, z
