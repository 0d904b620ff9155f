"""Masks as COCO's compressed run lengths: short text that pycocotools and supervision read."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from perception_contrast.core.arrays import BoolMask


class RunLengths(TypedDict):
    """size: [height, width]. counts: runs of 0 and 1 in turn, down the columns, as COCO writes them."""

    size: list[int]
    counts: str


def encode_mask(
    mask: BoolMask, size: tuple[int, int] | None = None, corner: tuple[int, int] = (0, 0)
) -> RunLengths:
    """The run lengths of a mask.

    Args:
        mask: (h, w) bool.
        size: (height, width) of the image that the mask is a part of; its own size if None.
        corner: (x, y) of the mask's top left pixel in that image.
    """
    height, width = size or (int(mask.shape[0]), int(mask.shape[1]))
    x, y = corner
    # Only the columns of the part are laid out; what lies before and behind them is one run each.
    columns = np.zeros((mask.shape[1], height), np.bool_)
    columns[:, y : y + mask.shape[0]] = mask.T
    flat = columns.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1 + x * height
    if flat.size and flat[0]:
        edges = np.concatenate([[x * height], edges])
    if len(edges) % 2 and (x + mask.shape[1]) * height < height * width:
        edges = np.concatenate([edges, [(x + mask.shape[1]) * height]])
    runs = np.diff(np.concatenate([[0], edges, [height * width]]))
    return {"size": [height, width], "counts": _text([int(run) for run in runs])}


def decode_mask(stored: RunLengths) -> BoolMask:
    """The mask (height, width) bool of its run lengths. Raises ValueError for text that is none."""
    height, width = stored["size"]
    runs = _runs(stored["counts"])
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"run lengths do not fill a mask of {width}x{height}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _text(runs: list[int]) -> str:
    """Runs from the fourth on as differences to the one two before, in groups of 5 bits, low first."""
    characters = []
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            characters.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(characters)


def _runs(text: str) -> list[int]:
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{character!r} is no character of run lengths")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value, shift = 0, 0
    if shift:
        raise ValueError("the run lengths are cut short")
    return runs
