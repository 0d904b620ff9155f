"""Room and Placement: what the renderer is told of a scene."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Room:
    """A box of a room, its origin at the middle of the floor.

    Attributes:
        x: Half its length along x, metres.
        y: Half its length along y, metres.
        height: Metres.
    """

    x: float
    y: float
    height: float


@dataclass(frozen=True)
class Placement:
    """Where a prop stands.

    Attributes:
        prop: Its number in the scene.
        position: Of its origin in the room, metres.
        yaw: Its turn about z in radians.
        on: Number of the prop that it stands on; -1 for the floor, a wall or the ceiling.
    """

    prop: int
    position: tuple[float, float, float]
    yaw: float
    on: int = -1
