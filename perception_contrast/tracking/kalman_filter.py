"""Constant-velocity Kalman filters of boxes (Kalman, 1960), all of them at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# In sides of a box (the square root of its area).
MEASUREMENT_NOISE = 0.05  # standard deviation of a detected centre
ACCELERATION_NOISE = 1.5  # per second squared
INITIAL_SPEED = 2.0  # standard deviation of a new track's speed, per second
MIN_NOISE = 0.5  # pixels of a detected centre
# Of a new width and height. They have no velocity: an object that is being hidden does not get thinner.
SIZE_GAIN = 0.4
# Margin around boxes that are compared: of the size, of the standard deviation, at most of the side.
BUFFER, DEVIATIONS, MAX_MARGIN = 0.15, 2.0, 1.5


class BoxKalmanFilter:
    """Rows of boxes, in pixels and seconds.

    Attributes:
        centre: (n, 2).
        velocity: (n, 2).
        size: (n, 2) width and height.
        variance: (n, 3) of position, of position with velocity, of velocity; the same along x and y.
    """

    def __init__(self) -> None:
        self.centre = self.velocity = self.size = np.zeros((0, 2))
        self.variance = np.zeros((0, 3))

    def add(self, boxes: Floats) -> None:
        """Adds rows at boxes (k, 4), whose velocity is not known."""
        size = _sizes(boxes)
        side = _sides(size)
        variance = np.stack([_noise(side), np.zeros(len(boxes)), (INITIAL_SPEED * side) ** 2], axis=1)
        self.centre = np.concatenate([self.centre, _centres(boxes)])
        self.velocity = np.concatenate([self.velocity, np.zeros((len(boxes), 2))])
        self.size = np.concatenate([self.size, size])
        self.variance = np.concatenate([self.variance, variance])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drops the rows (n,) that are False."""
        self.centre, self.velocity = self.centre[rows], self.velocity[rows]
        self.size, self.variance = self.size[rows], self.variance[rows]

    def predict(self, seconds: float) -> None:
        """Predicts every box ``seconds`` ahead."""
        t = seconds
        self.centre = self.centre + self.velocity * t
        position, both, speed = self.variance.T
        noise = (ACCELERATION_NOISE * _sides(self.size)) ** 2
        self.variance = np.stack(
            [
                position + 2 * t * both + t * t * speed + noise * t**3 / 3,
                both + t * speed + noise * t * t / 2,
                speed + noise * t,
            ],
            axis=1,
        )

    def warp(self, similarity: Floats) -> None:
        """Moves every box with the camera. similarity: (2, 3) float64, old pixels to new ones."""
        rotation = similarity[:, :2]
        scale = float(np.sqrt(abs(np.linalg.det(rotation))))
        self.centre = self.centre @ rotation.T + similarity[:, 2]
        self.velocity = self.velocity @ rotation.T
        self.size = self.size * scale
        self.variance = self.variance * scale**2

    def correct(self, rows: NDArray[np.intp], boxes: Floats) -> None:
        """Updates rows (k,) by the boxes (k, 4) at which they were detected."""
        size = _sizes(boxes)
        position, both, speed = self.variance[rows].T
        total = position + _noise(_sides(size))
        gain = np.stack([position / total, both / total], axis=1)
        innovation = _centres(boxes) - self.centre[rows]
        self.centre[rows] += gain[:, :1] * innovation
        self.velocity[rows] += gain[:, 1:] * innovation
        self.size[rows] += SIZE_GAIN * (size - self.size[rows])
        left = 1 - gain[:, 0]
        self.variance[rows] = np.stack([left * position, left * both, speed - gain[:, 1] * both], axis=1)

    def overlap(self, boxes: Floats) -> Floats:
        """(n, m) in [0, 1] buffered IoU with boxes (m, 4) (Yang et al., "C-BIoU", WACV 2023).

        The buffer grows with the row's standard deviation.
        """
        deviation = np.sqrt(self.variance[:, :1])
        most = MAX_MARGIN * _sides(self.size)[:, None]
        margin = (BUFFER * self.size + np.minimum(DEVIATIONS * deviation, most))[:, None]
        low = np.maximum((self.centre - self.size / 2)[:, None], boxes[:, :2])
        high = np.minimum((self.centre + self.size / 2)[:, None], boxes[:, 2:])
        common = np.clip(high - low + 2 * margin, 0, None).prod(axis=2)
        own = (self.size[:, None] + 2 * margin).prod(axis=2)
        other = (_sizes(boxes) + 2 * margin).prod(axis=2)
        return np.asarray(common / (own + other - common))


def _centres(boxes: Floats) -> Floats:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _sizes(boxes: Floats) -> Floats:
    return np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)


def _sides(size: Floats) -> Floats:
    return np.asarray(np.sqrt(size.prod(axis=1)))


def _noise(side: Floats) -> Floats:
    return (MEASUREMENT_NOISE * side + MIN_NOISE) ** 2
