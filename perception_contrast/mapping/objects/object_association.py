"""Which object of the map a detection is: by the voxels that they share, and by their vectors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.detection import Detection
from perception_contrast.mapping.map_frame import MapFrame, RegionVectors
from perception_contrast.mapping.objects.map_object import MapObject, MeanVector
from perception_contrast.mapping.objects.object_settings import ObjectSettings
from perception_contrast.mapping.objects.voxel_set import VoxelSet

# Share of the smaller voxel set up to which two detections of one frame are things of their own.
_APART = 0.1


@dataclass(frozen=True)
class Candidate:
    """A detection with its place in the map.

    Attributes:
        index: Of the detection in its frame.
        detection: As the frame has it.
        voxels: Map frame.
        language: Its vector that is comparable with texts.
        appearance: Its vector by the image encoder.
        track: "camera/track id", "" where nothing is tracked.
    """

    index: int
    detection: Detection
    voxels: VoxelSet
    language: MeanVector | None = None
    appearance: MeanVector | None = None
    track: str = ""


def candidates_of(frame: MapFrame, lifted: Sequence[FloatArray], settings: ObjectSettings) -> list[Candidate]:
    """The detections of a frame that have enough voxels in the map.

    Args:
        frame: With detections.
        lifted: For each detection its points (n, 3) in metres, map frame; empty where depth is missing.
        settings: With the voxels' size.
    """
    found = []
    for index, (detection, points) in enumerate(zip(frame.detections, lifted, strict=True)):
        voxels = VoxelSet.of_points(points, settings.voxel)
        if len(voxels) < settings.least_voxels:
            continue
        vectors = frame.vectors[index] if frame.vectors else RegionVectors()
        track = f"{frame.camera_name}/{detection.track_id}" if detection.track_id else ""
        found.append(
            Candidate(index, detection, voxels, _mean(vectors.semantic), _mean(vectors.spatial), track)
        )
    return found


def _mean(vector: FloatArray | None) -> MeanVector | None:
    if vector is None or not np.isfinite(vector).all() or not vector.any():
        return None
    norm = np.float32(np.linalg.norm(vector))
    return MeanVector(np.asarray(vector / norm, np.float32))


def cosine(first: MeanVector | None, second: MeanVector | None) -> float | None:
    """Cosine of two means; None where one is missing."""
    if first is None or second is None:
        return None
    return float(first.unit @ second.unit)


def same_thing(first: Candidate, second: Candidate, settings: ObjectSettings) -> bool:
    """Whether two detections of one frame are one thing under two names."""
    if first.voxels.overlap(second.voxels) <= settings.merge_overlap:
        return False
    alike = cosine(first.language, second.language)
    if alike is None:
        return first.detection.label == second.detection.label
    return alike > settings.merge_cosine


def beside(groups: Mapping[int, Sequence[Candidate]], slack: float) -> dict[int, frozenset[int]]:
    """Which objects one frame shows near each other, as things of their own.

    Args:
        groups: Ids of objects to their detections in the frame.
        slack: Metres between their boxes at most.

    Returns:
        Id to the ids beside it.
    """
    found: dict[int, set[int]] = {number: set() for number in groups}
    for (number, one), (other, more) in combinations(groups.items(), 2):
        pairs = [(first.voxels, second.voxels) for first in one for second in more]
        if not any(_meet(first, second, slack) for first, second in pairs):
            continue
        if max(first.overlap(second) for first, second in pairs) < _APART:
            found[number].add(other)
            found[other].add(number)
    return {number: frozenset(others) for number, others in found.items()}


def _meet(first: VoxelSet, second: VoxelSet, slack: float) -> bool:
    (low, high), (other_low, other_high) = first.bounds(), second.bounds()
    return bool((low <= other_high + slack).all() and (other_low <= high + slack).all())


def best_match(
    candidate: Candidate,
    objects: Iterable[MapObject],
    tracked: int | None,
    doubted: Collection[int],
    settings: ObjectSettings,
) -> int | None:
    """Id of the object that a detection is of; None for none.

    Args:
        candidate: The detection.
        objects: Those whose boxes meet its own.
        tracked: Id of the object that the 2D tracker says it is.
        doubted: Ids of objects that the depth sees behind of: what is there now has to be very much alike.
        settings: What has to be shared.
    """
    best, best_score = None, 0.0
    for one in objects:
        same_track = one.id == tracked
        alike = cosine(candidate.language, one.language)
        if alike is None:
            alike = 1.0 if candidate.detection.label in one.evidence else 0.0
        least = settings.merge_cosine if one.id in doubted else settings.associate_cosine
        if alike <= least and not same_track:
            continue
        overlap = candidate.voxels.overlap(one.voxels)
        enough = settings.track_overlap if same_track else settings.associate_overlap
        if overlap <= enough and not _another_side(candidate, one, settings):
            continue
        score = overlap + alike + float(same_track)
        if score > best_score:
            best, best_score = one.id, score
    return best


def _another_side(candidate: Candidate, one: MapObject, settings: ObjectSettings) -> bool:
    """Whether a detection lies in the box of an object that is called as it is: sides share no voxels."""
    if candidate.detection.label != one.label or one.gone:
        return False
    return bool(np.mean(one.box.contains(candidate.voxels.centroids, settings.voxel)) > settings.merge_inside)
