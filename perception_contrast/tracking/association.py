"""Assigns detections to tracks: the cheapest pairs by box overlap, appearance and label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from perception_contrast.tracking.kalman_filter import Floats

LABEL_COST = 0.4  # of another label, beside costs of overlap and appearance of at most 1 each
MAX_COST = 1.0  # of a pair; from here on a track and a detection are two instances
UNKNOWN_APPEARANCE_COST = 0.3  # of embeddings that cannot be compared


class Appearance(Protocol):
    """A track or a detection: what association compares."""

    @property
    def embedding(self) -> NDArray[np.float32] | None: ...

    @property
    def space(self) -> str: ...


class _Embeddings(NamedTuple):
    """Indices of the items that have an embedding in one space, and the embeddings (k, c)."""

    indices: list[int]
    vectors: list[NDArray[np.float32]]


def label_costs(tracks: Sequence[frozenset[str]], things: Sequence[frozenset[str]]) -> Floats:
    """(n, m) cost of labels (of n tracks, of m things) that have none in common."""
    differs = [[track.isdisjoint(thing) for thing in things] for track in tracks]
    return LABEL_COST * np.array(differs)


def appearance_costs(tracks: Sequence[Appearance], detections: Sequence[Appearance]) -> Floats:
    """(n, m) 1 - cosine of embeddings of one space, UNKNOWN_APPEARANCE_COST where there are none."""
    cost = np.full((len(tracks), len(detections)), UNKNOWN_APPEARANCE_COST)
    for space in {found.space for found in detections} - {""}:
        rows, columns = _embeddings(tracks, space), _embeddings(detections, space)
        if rows.indices and columns.indices:
            cosines = np.stack(rows.vectors) @ np.stack(columns.vectors).T
            cost[np.ix_(rows.indices, columns.indices)] = 1 - np.clip(cosines, 0, 1)
    return np.asarray(np.nan_to_num(cost, nan=UNKNOWN_APPEARANCE_COST))


def _embeddings(items: Iterable[Appearance], space: str) -> _Embeddings:
    found = [(k, one.embedding) for k, one in enumerate(items) if one.space == space]
    known = [(k, embedding) for k, embedding in found if embedding is not None]
    return _Embeddings([k for k, _ in known], [embedding for _, embedding in known])


def assign(
    rows: NDArray[np.intp], tracks: NDArray[np.intp], detections: NDArray[np.intp], cost: Floats
) -> None:
    """Writes the track of each detection, by the assignment of least total cost (Kuhn, 1955).

    Args:
        rows: (all detections,) written: the row of each assigned detection's track.
        tracks: rows of the tracks to choose from.
        detections: indices of the detections to assign.
        cost: (all tracks, all detections); pairs from MAX_COST on stay apart.
    """
    capped = np.minimum(cost[np.ix_(tracks, detections)], MAX_COST)
    for row, column in zip(*linear_sum_assignment(capped), strict=True):
        if capped[row, column] < MAX_COST:
            rows[detections[column]] = tracks[row]
