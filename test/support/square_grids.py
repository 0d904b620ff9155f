"""Grids of features that show coloured squares, in the place of an encoder's."""

from __future__ import annotations

import numpy as np
import torch

from perception_contrast_training.heads.training_samples import FrameLabels, Sample, sample_of

SIDE, DIM, CLASSES = 16, 12, 2


def squares(count: int, seed: int, *, outlines: bool = True) -> list[tuple[FrameLabels, torch.Tensor]]:
    """``count`` frames of 160 x 160 pixels, a square or two each: labels and (SIDE, SIDE, DIM) features."""
    draws = np.random.default_rng(seed)
    found = []
    for number in range(count):
        grid = draws.normal(0, 0.3, (SIDE, SIDE, DIM)).astype(np.float32)
        labels = np.full((160, 160), CLASSES, np.int16)
        boxes, numbers = [], []
        for half in range(int(draws.integers(1, 3))):
            side, kind = int(draws.integers(3, 7)), int(draws.integers(CLASSES))
            x, y = int(draws.integers(0, 8 - side + 1)) + 8 * half, int(draws.integers(0, SIDE - side))
            grid[y : y + side, x : x + side, kind] += 3.0
            # As an encoder does: a cell knows how far the edges of its thing are.
            rows, columns = np.mgrid[0:side, 0:side]
            for channel, value in enumerate((columns, side - columns, rows, side - rows)):
                grid[y : y + side, x : x + side, 4 + channel] += value
            labels[10 * y : 10 * (y + side), 10 * x : 10 * (x + side)] = kind
            boxes.append([x / SIDE, y / SIDE, (x + side) / SIDE, (y + side) / SIDE])
            numbers.append(kind)
        truth = FrameLabels(
            f"{number}.png",
            (160, 160),
            torch.tensor(boxes, dtype=torch.float32),
            torch.tensor(numbers),
            torch.zeros(0, 4),
            labels if outlines else None,
            tuple(sorted(set(numbers))),
        )
        found.append((truth, torch.from_numpy(grid)))
    return found


def samples(frames: list[tuple[FrameLabels, torch.Tensor]], enlargement: int) -> list[Sample]:
    """The frames as a fit takes them."""
    return [sample_of(labels, grid, enlargement) for labels, grid in frames]
