"""Which thing that is gone from its place stands elsewhere now: alike in looks and size, and no other is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.mapping.objects.object_association import cosine
from perception_contrast.mapping.objects.object_settings import ObjectSettings


def moved_pairs(
    gone: Sequence[MapObject], newcomers: Iterable[MapObject], settings: ObjectSettings
) -> list[tuple[MapObject, MapObject]]:
    """Pairs of an object that is gone and the object that it has become, each in one pair at most.

    A pair has to be alike by ``likeness``, and clearly more so than either is to any third.

    Args:
        gone: Objects that are no longer in their place.
        newcomers: Objects elsewhere that may be one of them.
        settings: What has to be alike.
    """
    others = list(newcomers)
    if not gone or not others:
        return []
    table = np.array([[likeness(one, other, settings) for other in others] for one in gone])
    pairs = []
    for row, one in enumerate(gone):
        column = int(table[row].argmax())
        best = float(table[row, column])
        if best < settings.reidentify_cosine or int(table[:, column].argmax()) != row:
            continue
        rivals = np.concatenate([np.delete(table[row], column), np.delete(table[:, column], row)])
        if best - rivals.max(initial=-1.0) >= settings.reidentify_lead:
            pairs.append((one, others[column]))
    return pairs


def likeness(gone: MapObject, newcomer: MapObject, settings: ObjectSettings) -> float:
    """Mean cosine of the vectors of two objects; -1 where they cannot be one thing.

    They cannot where the newcomer was seen while the other was still in its place, where they never had a
    label in common, or where their sizes differ too much.
    """
    if newcomer.first_seen <= gone.last_seen or not set(gone.evidence) & set(newcomer.evidence):
        return -1.0
    if _size_ratio(gone, newcomer, settings.voxel) > settings.reidentify_size:
        return -1.0
    cosines = [cosine(gone.language, newcomer.language), cosine(gone.appearance, newcomer.appearance)]
    known = [value for value in cosines if value is not None]
    return float(np.mean(known)) if known else -1.0


def _size_ratio(first: MapObject, second: MapObject, voxel: float) -> float:
    """Largest ratio of two objects' extents, to each of which a voxel is added."""
    pairs = zip(first.extents, second.extents, strict=True)
    return max((max(pair) + voxel) / (min(pair) + voxel) for pair in pairs)
