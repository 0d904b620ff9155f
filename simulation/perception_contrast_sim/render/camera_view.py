"""View: where a simulated camera is, which way it looks, and how wide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class View:
    """A camera's pose in the room and its field of view.

    Attributes:
        position: (3,) float64 metres.
        rotation: (3, 3) float64; columns are the axes of the optical frame, x right, y down, z forward
            (REP 103).
        fov_y: Vertical field of view in degrees.
    """

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]
    fov_y: float


def look_at(
    position: Sequence[float] | NDArray[np.float64],
    target: Sequence[float] | NDArray[np.float64],
    fov_y: float,
    roll: float = 0.0,
) -> View:
    """The view from ``position`` towards ``target``, metres; fov_y in degrees, roll in radians."""
    eye = np.asarray(position, float)
    forward = np.asarray(target, float) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < 1e-9:  # straight up or down: the image's right is the room's x
        right = np.array([1.0, 0.0, 0.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return View(eye, np.column_stack([c * right + s * down, -s * right + c * down, forward]), fov_y)
