"""Where boxes are and how they move: a constant-velocity Kalman filter (Kalman, 1960) a box, all at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array

# In sizes of a box, its side where it is a square: noise of a found centre, how strongly a thing
# speeds up (a second squared), and how fast a new one may be (a second).
MEASURED, PUSHED, UNKNOWN_SPEED = 0.05, 1.5, 2.0
LEAST_NOISE = 0.5  # pixels
SIZE_GAIN = (
    0.4  # of a new width and height; they have no velocity: a thing that is being hidden is no thinner
)
BUFFER, DEVIATIONS, WIDEST = 0.15, 2.0, 1.5  # margin: of the size, of the uncertainty, most of the size


class BoxMotion:
    """Rows of boxes. Pixels and seconds.

    centre, velocity, size: (n, 2). variance: (n, 3) of place, of place with velocity, of velocity; the
    same along x and y.
    """

    def __init__(self) -> None:
        self.centre = self.velocity = self.size = np.zeros((0, 2))
        self.variance = np.zeros((0, 3))

    def add(self, boxes: Float64Array) -> None:
        """New rows at boxes (k, 4), whose speed is not known."""
        size = _sizes(boxes)
        side = _sides(size)
        variance = np.stack([_noise(side), np.zeros(len(boxes)), (UNKNOWN_SPEED * side) ** 2], axis=1)
        self.centre = np.concatenate([self.centre, _centres(boxes)])
        self.velocity = np.concatenate([self.velocity, np.zeros((len(boxes), 2))])
        self.size = np.concatenate([self.size, size])
        self.variance = np.concatenate([self.variance, variance])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forgets the rows that are False."""
        self.centre, self.velocity = self.centre[rows], self.velocity[rows]
        self.size, self.variance = self.size[rows], self.variance[rows]

    def predict(self, seconds: float) -> None:
        """Moves every box on by its velocity."""
        t = seconds
        self.centre = self.centre + self.velocity * t
        place, both, speed = self.variance.T
        push = (PUSHED * _sides(self.size)) ** 2
        self.variance = np.stack(
            [
                place + 2 * t * both + t * t * speed + push * t**3 / 3,
                both + t * speed + push * t * t / 2,
                speed + push * t,
            ],
            axis=1,
        )

    def warp(self, similarity: Float64Array) -> None:
        """Takes every box along with the image. similarity: (2, 3), old pixels to new ones."""
        turn = similarity[:, :2]
        scale = float(np.sqrt(abs(np.linalg.det(turn))))
        self.centre = self.centre @ turn.T + similarity[:, 2]
        self.velocity = self.velocity @ turn.T
        self.size = self.size * scale
        self.variance = self.variance * scale**2

    def correct(self, rows: NDArray[np.intp], boxes: Float64Array) -> None:
        """Rows (k,) were found at boxes (k, 4)."""
        size = _sizes(boxes)
        place, both, speed = self.variance[rows].T
        total = place + _noise(_sides(size))
        gain = np.stack([place / total, both / total], axis=1)
        missed = _centres(boxes) - self.centre[rows]
        self.centre[rows] += gain[:, :1] * missed
        self.velocity[rows] += gain[:, 1:] * missed
        self.size[rows] += SIZE_GAIN * (size - self.size[rows])
        left = 1 - gain[:, 0]
        self.variance[rows] = np.stack([left * place, left * both, speed - gain[:, 1] * both], axis=1)

    def overlap(self, boxes: Float64Array) -> Float64Array:
        """(n, m) in [0, 1]: IoU with boxes (m, 4), both enlarged by a margin for what the row is unsure of.

        Buffered IoU (Yang et al., "C-BIoU", WACV 2023) with the filter's deviation in the buffer.
        """
        deviation = np.sqrt(self.variance[:, :1])
        widest = WIDEST * _sides(self.size)[:, None]
        margin = (BUFFER * self.size + np.minimum(DEVIATIONS * deviation, widest))[:, None]
        low = np.maximum((self.centre - self.size / 2)[:, None], boxes[:, :2])
        high = np.minimum((self.centre + self.size / 2)[:, None], boxes[:, 2:])
        common = np.clip(high - low + 2 * margin, 0, None).prod(axis=2)
        own = (self.size[:, None] + 2 * margin).prod(axis=2)
        other = (_sizes(boxes) + 2 * margin).prod(axis=2)
        return np.asarray(common / (own + other - common))


def _centres(boxes: Float64Array) -> Float64Array:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _sizes(boxes: Float64Array) -> Float64Array:
    return np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)


def _sides(size: Float64Array) -> Float64Array:
    return np.asarray(np.sqrt(size.prod(axis=1)))


def _noise(side: Float64Array) -> Float64Array:
    return (MEASURED * side + LEAST_NOISE) ** 2
