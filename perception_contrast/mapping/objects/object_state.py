"""Objects as plain dictionaries of numbers, texts, bytes and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.objects.map_object import MapObject, MeanVector, Thumbnail, Vote
from perception_contrast.mapping.objects.voxel_set import VoxelSet, packed

_PLAIN = {
    "id": int, "first_seen": int, "last_seen": int, "last_look": int, "submap": int, "sightings": int,
    "looks": int, "best_score": float, "confirmed": bool, "gone": bool, "through": int,
}  # fmt: skip


def record_of(one: MapObject) -> dict[str, Any]:
    """An object as a dictionary.

    Returns:
        The plain attributes by name; ``evidence`` {label: [probability, looks]}; ``apart`` [id];
        ``tracks`` [text]; ``keys`` (n, 3) int32, ``centroids`` (n, 3) float32, ``hits`` and ``voxel_looks``
        (n,) uint16; ``semantic`` (c,) and ``spatial`` (d,) float32 or None, with ``semantic_weight`` and
        ``spatial_weight`` [weight, agreement]; ``thumbnail`` bytes with ``thumbnail_quality``. For readers,
        and not read back: ``label``, ``confidence``, ``status``, ``low``, ``high``.
    """
    record: dict[str, Any] = {name: kind(getattr(one, name)) for name, kind in _PLAIN.items()}
    return record | {
        "evidence": {label: [vote.probability, vote.looks] for label, vote in one.evidence.items()},
        "apart": sorted(one.apart),
        "tracks": list(one.tracks),
        "keys": one.voxels.keys,
        "centroids": one.voxels.centroids,
        "hits": one.voxels.hits,
        "voxel_looks": one.voxels.looks,
        "semantic": one.semantic,
        "semantic_weight": _weight(one.language),
        "spatial": one.spatial,
        "spatial_weight": _weight(one.appearance),
        "thumbnail": one.thumbnail.jpeg,
        "thumbnail_quality": one.thumbnail.quality,
        "label": one.label,
        "confidence": one.confidence,
        "status": one.status,
        "low": one.low,
        "high": one.high,
    }


def object_of(record: Mapping[str, Any]) -> MapObject:
    """The object that ``record_of`` made a dictionary of.

    Raises:
        PerceptionError: The dictionary lacks something, or its arrays do not belong together.
    """
    try:
        plain = {name: kind(record[name]) for name, kind in _PLAIN.items()}
        voxels = _voxels(record)
        return MapObject(
            **plain,
            voxels=voxels,
            evidence={str(label): Vote(float(p), float(n)) for label, (p, n) in record["evidence"].items()},
            language=_mean(record["semantic"], record["semantic_weight"]),
            appearance=_mean(record["spatial"], record["spatial_weight"]),
            apart=frozenset(int(number) for number in record["apart"]),
            tracks=tuple(str(track) for track in record["tracks"]),
            thumbnail=Thumbnail(bytes(record["thumbnail"]), float(record["thumbnail_quality"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PerceptionError(
            f"an object of the map cannot be read ({type(error).__name__}: {error}); "
            "load an older copy of the map"
        ) from error


def _voxels(record: Mapping[str, Any]) -> VoxelSet:
    keys = np.asarray(record["keys"], np.int32).reshape(-1, 3)
    centroids = np.asarray(record["centroids"], np.float32).reshape(-1, 3)
    hits, looks = (np.asarray(record[name], np.uint16).reshape(-1) for name in ("hits", "voxel_looks"))
    if not len(keys) == len(centroids) == len(hits) == len(looks) or not len(keys):
        raise ValueError(f"its {len(keys)} voxels and what is known of them differ in number")
    codes = packed(keys)
    if (np.diff(codes) <= 0).any():
        raise ValueError("its voxels are not in order")
    return VoxelSet(codes, centroids, hits, looks)


def _weight(mean: MeanVector | None) -> list[float]:
    return [0.0, 0.0] if mean is None else [mean.weight, mean.agreement]


def _mean(vector: FloatArray | None, weight: Sequence[float]) -> MeanVector | None:
    if vector is None:
        return None
    count, agreement = weight
    return MeanVector(np.asarray(vector, np.float32), float(count), float(agreement))
