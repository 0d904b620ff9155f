"""What a frame makes of one object: new, seen again, or in view and not found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.objects.appearance import look_of, looks_unlike
from perception_contrast.mapping.objects.map_object import (
    MapObject,
    MeanVector,
    Thumbnail,
    Vote,
    joined_tracks,
    joined_votes,
    mean_of,
)
from perception_contrast.mapping.objects.object_association import Candidate
from perception_contrast.mapping.objects.object_settings import ObjectSettings
from perception_contrast.mapping.objects.thumbnails import better_thumbnail
from perception_contrast.mapping.objects.visibility import PointState, Visibility
from perception_contrast.mapping.objects.voxel_set import VoxelSet

# Of one sighting nobody knows how far others agree with it.
_SIGHTINGS_TO_COMPARE = 2


def new_object(
    number: int, found: Sequence[Candidate], frame: MapFrame, submap: int, settings: ObjectSettings
) -> MapObject:
    """The object that the detections of one frame make."""
    votes = frame_votes(found)
    return MapObject(
        id=number,
        voxels=frame_voxels(found),
        evidence=votes,
        first_seen=frame.stamp,
        last_seen=frame.stamp,
        last_look=frame.stamp,
        submap=submap,
        language=_mean(candidate.language for candidate in found),
        appearance=_mean(candidate.appearance for candidate in found),
        best_score=max(candidate.detection.scores.probability for candidate in found),
        tracks=joined_tracks((), _tracks(found)),
        thumbnail=_thumbnail(Thumbnail(), found, frame, settings),
    )


def seen_again(
    known: MapObject,
    found: Sequence[Candidate],
    frame: MapFrame,
    submap: int,
    look: Visibility | None,
    settings: ObjectSettings,
) -> MapObject:
    """An object after a frame with detections of it.

    Args:
        known: Before.
        found: Its detections.
        frame: Of the detections.
        submap: In force.
        look: What the depth says of its points; None where it was not looked at.
        settings: Of thumbnails.
    """
    seen = frame_voxels(found)
    voxels = known.voxels
    if known.gone:
        # What is back may stand a little aside.
        voxels = seen
    else:
        if look is not None:
            outside = seen.rows_of(voxels.codes) < 0
            voxels = voxels.looked_at(
                outside & (look.states == PointState.SEEN), outside & (look.states == PointState.BEHIND)
            )
        voxels = voxels.joined(seen)
    return replace(
        known,
        voxels=voxels,
        evidence=joined_votes(known.evidence, _with_misses(known, frame_votes(found), frame)),
        last_seen=max(known.last_seen, frame.stamp),
        last_look=max(known.last_look, frame.stamp),
        submap=submap,
        sightings=known.sightings + 1,
        looks=known.looks + 1,
        language=mean_of(known.language, _mean(candidate.language for candidate in found)),
        appearance=mean_of(known.appearance, _mean(candidate.appearance for candidate in found)),
        best_score=max(known.best_score, *(c.detection.scores.probability for c in found)),
        gone=False,
        through=0,
        tracks=joined_tracks(known.tracks, _tracks(found)),
        thumbnail=_thumbnail(known.thumbnail, found, frame, settings),
    )


def unseen(
    known: MapObject, frame: MapFrame, look: Visibility, others: FloatArray, settings: ObjectSettings
) -> MapObject:
    """An object after a frame in which nothing was detected as it; the same where that says nothing.

    Args:
        known: Before.
        frame: Without a detection of it.
        look: What the depth says of its points.
        others: (n, c) unit vectors of other objects.
        settings: When it is gone.
    """
    if not look.in_view:
        return known
    left = look.through or _looks_unlike(known, frame, look, others, settings)
    through = known.through + 1 if left else 0
    after = replace(
        known,
        evidence=joined_votes(known.evidence, _with_misses(known, {}, frame)),
        last_look=max(known.last_look, frame.stamp),
        looks=known.looks + 1,
        through=through,
        gone=through >= settings.through_frames,
    )
    return replace(after, confirmed=known.confirmed and after.confidence >= settings.doubt_confidence)


def _looks_unlike(
    known: MapObject, frame: MapFrame, look: Visibility, others: FloatArray, settings: ObjectSettings
) -> bool:
    surface, grid = look.surface, frame.semantic
    if grid is None or known.language is None or known.sightings < _SIGHTINGS_TO_COMPARE:
        return False
    hidden = int(np.count_nonzero(look.states == PointState.HIDDEN))
    if len(surface) < max(settings.visible_points, settings.unlike_visible * (len(surface) + hidden)):
        return False
    if grid.shape[2] != len(known.language.unit):
        return False
    share = settings.unlike if known.sightings >= settings.unlike_sightings else settings.unlike_few
    return looks_unlike(look_of(grid, surface, settings.unlike_cells), known.language, others, share)


def frame_voxels(found: Sequence[Candidate]) -> VoxelSet:
    """Voxels of one object in one frame: each was hit once, however many of its detections have it."""
    voxels = reduce(VoxelSet.joined, (candidate.voxels for candidate in found))
    ones = np.ones(len(voxels), np.uint16)
    return replace(voxels, hits=ones, looks=ones.copy())


def frame_votes(found: Sequence[Candidate]) -> dict[str, Vote]:
    """For each label its best detection."""
    votes: dict[str, Vote] = {}
    for candidate in found:
        label, probability = candidate.detection.label, candidate.detection.scores.probability
        votes[label] = Vote(max(votes.get(label, Vote()).probability, probability), 1.0)
    return votes


def _with_misses(known: MapObject, votes: dict[str, Vote], frame: MapFrame) -> dict[str, Vote]:
    """The votes of a frame, and a doubt of each label that was looked for and did not find the object."""
    looked_for = frame.labels or frozenset()
    missed = [label for label in known.evidence if label in looked_for and label not in votes]
    return votes | {label: Vote(0.0, 1.0) for label in missed}


def _mean(vectors: Iterable[MeanVector | None]) -> MeanVector | None:
    """The mean of one frame's vectors of one object, which counts as one."""
    mean = reduce(mean_of, vectors)
    return None if mean is None else replace(mean, weight=1.0)


def _tracks(found: Iterable[Candidate]) -> tuple[str, ...]:
    return tuple(candidate.track for candidate in found if candidate.track)


def _thumbnail(
    known: Thumbnail, found: Sequence[Candidate], frame: MapFrame, settings: ObjectSettings
) -> Thumbnail:
    best = max(found, key=lambda candidate: candidate.detection.scores.probability)
    return better_thumbnail(known, best.detection, frame.image, settings.thumbnail_side)
