"""What the frozen image encoder sees of labelled images, as arrays that are stored and trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.arrays import RgbImage
from perception_contrast.encoders.alignment_head import AlignmentConfig, colour_statistics
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.preprocessing.to_tensor import image_tensor
from perception_contrast_training.household.precision import encoding_precision
from perception_contrast_training.household.scene_shards import ARRAYS


class TokenArrays:
    """Encodes images one by one, on one thread: processes of their own work side by side.

    Args:
        model: The image encoder.
        layers: 0-based blocks that are kept.
        offline: Whether a network may not be touched.
    """

    def __init__(self, model: str, layers: Sequence[int], offline: bool) -> None:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        self._tower = load_dino(model, offline=offline, pinned=True)
        self._layers = tuple(layers)
        self._arrays: dict[str, list[NDArray[Any]]] = {name: [] for name in ARRAYS}

    def add(
        self, rgb: RgbImage, labels: NDArray[np.int32], numbers: Sequence[int], size: tuple[int, int]
    ) -> None:
        """Encodes an image.

        Args:
            rgb: (H, W, 3) uint8.
            labels: (H, W) which region a pixel belongs to.
            numbers: The labels that count, at most 254, in the order that cells number them from 1 on.
            size: (height, width) that the encoder is given.
        """
        config, tower = AlignmentConfig(), self._tower
        image = image_tensor(rgb, size, tower.mean, tower.std)
        plain = image_tensor(rgb, size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        with torch.inference_mode(), encoding_precision():
            out = tower(image, layers=self._layers)
        rows, columns = (side // tower.patch * config.up for side in size)
        cells, purity = cell_labels(labels, numbers, rows, columns)
        tokens = torch.cat([layer.float() for layer in out.layers], dim=-1)
        colours = colour_statistics(plain, config.patch // config.up)
        added = {
            "tokens": tokens[0].half().numpy(),
            "cls": out.cls[0].float().half().numpy(),
            "colours": colours[0].half().numpy(),
            "cells": cells,
            "purity": purity,
        }
        for name, value in added.items():
            self._arrays[name].append(value)

    def stacked(self) -> dict[str, NDArray[Any]]:
        """All images so far, along a new first axis."""
        return {name: np.stack(values) for name, values in self._arrays.items()}


def cell_labels(
    instances: NDArray[np.int32], numbers: Sequence[int], rows: int, columns: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Majority label and its share for every cell of a grid; 0 for what is not in ``numbers``."""
    height, width = instances.shape
    # A crop may lack the last of its image's numbers.
    table = np.zeros(max(int(instances.max()), max(numbers, default=0)) + 2, np.uint8)
    for position, number in enumerate(numbers):
        table[number + 1] = position + 1
    local = table[instances + 1]
    y = np.minimum(np.arange(height) * rows // height, rows - 1)
    x = np.minimum(np.arange(width) * columns // width, columns - 1)
    cell = (y[:, None] * columns + x[None, :]).ravel()
    counts = np.bincount(cell * 256 + local.ravel(), minlength=rows * columns * 256).reshape(
        rows * columns, 256
    )
    total = counts.sum(axis=1)
    winner = counts.argmax(axis=1)
    share = counts[np.arange(len(counts)), winner] / np.maximum(total, 1)
    return (
        winner.astype(np.uint8).reshape(rows, columns),
        np.round(share * 255).astype(np.uint8).reshape(rows, columns),
    )
