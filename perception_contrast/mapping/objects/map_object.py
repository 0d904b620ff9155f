"""MapObject: one thing of the map, with all that is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.core.feature_grid import unit_vectors
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.mapping.objects.voxel_set import VoxelSet

Status: TypeAlias = Literal["confirmed", "unconfirmed", "gone"]

# A mean over more sightings would no longer follow a thing that changes.
_VECTOR_CAP = 50.0
_TRACKS = 32
# Frames that a label is doubted by before anything was seen of it: one sighting proves little.
_PRIOR_LOOKS = 1.0
# Mean probability of a frame at which half of the labels are right, by simulated rooms.
_HALF_RIGHT = 0.08


@dataclass(frozen=True)
class Vote:
    """What speaks for a label of an object.

    Attributes:
        probability: Sum of the probabilities of its detections.
        looks: Frames that had the object in view while the label was looked for.
    """

    probability: float = 0.0
    looks: float = 0.0

    @property
    def mean(self) -> float:
        """Mean probability of the frames that had the object in view, as if one more had found nothing."""
        return self.probability / (max(self.looks, 1.0) + _PRIOR_LOOKS)

    @property
    def confidence(self) -> float:
        """How probable it is that the label is right, in [0, 1).

        Frames of one thing are alike in what they miss, so even a low mean is good evidence.
        """
        return self.mean / (self.mean + _HALF_RIGHT)

    def __add__(self, other: Vote) -> Vote:
        return Vote(self.probability + other.probability, self.looks + other.looks)


@dataclass(frozen=True)
class MeanVector:
    """A running mean of unit vectors.

    Attributes:
        unit: (c,) float32, the mean at unit length.
        weight: Vectors that it is of, at most 50.
        agreement: Their mean cosine with it.
    """

    unit: FloatArray
    weight: float = 1.0
    agreement: float = 1.0

    def __add__(self, other: MeanVector) -> MeanVector:
        """The mean of both; the sum's length is how far they agree."""
        first, second = self.weight * self.agreement, other.weight * other.agreement
        total = first * self.unit + second * other.unit
        weight = self.weight + other.weight
        agreement = min(float(np.linalg.norm(total)) / weight, 1.0)
        return MeanVector(unit_vectors(total), min(weight, _VECTOR_CAP), agreement)


def mean_of(first: MeanVector | None, second: MeanVector | None) -> MeanVector | None:
    """The mean of two means; the other where one is None."""
    if first is None or second is None:
        return second if first is None else first
    return first + second


@dataclass(frozen=True)
class Thumbnail:
    """The best crop of an object so far.

    Attributes:
        jpeg: The crop as JPEG; empty where there was no image.
        quality: By which a later crop is compared with it.
    """

    jpeg: bytes = b""
    quality: float = 0.0


@dataclass(frozen=True)
class MapObject:
    """One thing of the map. It does not change: an update puts another in its place.

    Attributes:
        id: Positive, never used for another thing.
        voxels: Where it is, map frame.
        evidence: What speaks for each label that ever named it.
        first_seen: Nanoseconds.
        last_seen: Nanoseconds; of the last frame with a detection of it.
        last_look: Nanoseconds; of the last frame that had its place in view.
        submap: Number of the submap that last saw it.
        sightings: Frames with a detection of it.
        looks: Frames that had it in view, found or not.
        language: Mean of the vectors that are comparable with texts; None where there were none.
        appearance: Mean of the image encoder's vectors; None where there were none.
        best_score: Highest probability of one detection.
        confirmed: Whether the evidence suffices.
        gone: Whether it was seen to be no longer where it was.
        through: Visible frames running in which it was seen through.
        apart: Ids of objects that were seen beside it in one frame, so that they are no part of it.
        tracks: "camera/track id" of its 2D tracks, the latest 32.
        thumbnail: Its best crop.
    """

    id: int
    voxels: VoxelSet
    evidence: dict[str, Vote]
    first_seen: int
    last_seen: int
    last_look: int
    submap: int = 0
    sightings: int = 1
    looks: int = 1
    language: MeanVector | None = None
    appearance: MeanVector | None = None
    best_score: float = 0.0
    confirmed: bool = False
    gone: bool = False
    through: int = 0
    apart: frozenset[int] = frozenset()
    tracks: tuple[str, ...] = ()
    thumbnail: Thumbnail = field(default_factory=Thumbnail)

    @property
    def status(self) -> Status:
        """Whether it is there, may be there, or was there."""
        if self.gone:
            return "gone"
        return "confirmed" if self.confirmed else "unconfirmed"

    @property
    def votes(self) -> dict[str, float]:
        """Label to the sum of the probabilities of its detections."""
        return {label: vote.probability for label, vote in self.evidence.items()}

    @property
    def label(self) -> str:
        """The label with the most confidence; of equals the first by name."""
        return min(self.evidence, key=lambda label: (-self.evidence[label].confidence, label), default="")

    @property
    def confidence(self) -> float:
        """Of its label, in [0, 1)."""
        return self.evidence[self.label].confidence if self.evidence else 0.0

    @property
    def keys(self) -> NDArray[np.int32]:
        """(n, 3) int32 keys of its voxels."""
        return self.voxels.keys

    @property
    def points(self) -> FloatArray:
        """(n, 3) float32 metres in the map frame, one in each voxel."""
        return self.voxels.centroids

    @cached_property
    def _bounds(self) -> tuple[FloatArray, FloatArray]:
        return self.voxels.bounds()

    @property
    def low(self) -> FloatArray:
        """(3,) float32 lowest corner of its axis-aligned box, metres."""
        return self._bounds[0]

    @property
    def high(self) -> FloatArray:
        """(3,) float32 highest corner."""
        return self._bounds[1]

    @property
    def centre(self) -> Float64Array:
        """(3,) float64 middle of the axis-aligned box, metres."""
        return np.asarray((self.low.astype(np.float64) + self.high) / 2)

    @cached_property
    def box(self) -> Box3D:
        """Its box in the map, turned about the vertical where that makes it clearly smaller."""
        return Box3D.turned(self.points)

    @cached_property
    def extents(self) -> tuple[float, float, float]:
        """Longer and shorter side in the plane along its own axes, and height; metres between points."""
        points = np.asarray(self.points, np.float64)
        flat = points[:, :2] - points[:, :2].mean(axis=0)
        axes = np.linalg.eigh(flat.T @ flat)[1]
        shorter, longer = sorted(float(span) for span in np.ptp(flat @ axes, axis=0))
        return longer, shorter, float(np.ptp(points[:, 2]))

    @property
    def position(self) -> Float64Array:
        """(3,) float64 the object's own point that is nearest to the middle of its box, metres."""
        away = np.linalg.norm(self.points - self.centre, axis=1)
        return np.asarray(self.points[int(away.argmin())], np.float64)

    @property
    def semantic(self) -> FloatArray | None:
        """(c,) float32 unit mean that is comparable with texts."""
        return None if self.language is None else self.language.unit

    @property
    def spatial(self) -> FloatArray | None:
        """(d,) float32 unit mean of the image encoder's vectors."""
        return None if self.appearance is None else self.appearance.unit

    def joined(self, other: MapObject) -> MapObject:
        """This object with all that is known of ``other``, which is the same thing in the same place."""
        later = self if self.last_seen >= other.last_seen else other
        return replace(
            self,
            voxels=self.voxels.joined(other.voxels),
            evidence=joined_votes(self.evidence, other.evidence),
            first_seen=min(self.first_seen, other.first_seen),
            last_seen=later.last_seen,
            last_look=max(self.last_look, other.last_look),
            submap=later.submap,
            sightings=self.sightings + other.sightings,
            looks=self.looks + other.looks,
            language=mean_of(self.language, other.language),
            appearance=mean_of(self.appearance, other.appearance),
            best_score=max(self.best_score, other.best_score),
            confirmed=self.confirmed or other.confirmed,
            gone=self.gone and other.gone,
            through=min(self.through, other.through),
            apart=(self.apart | other.apart) - {self.id, other.id},
            tracks=joined_tracks(self.tracks, other.tracks),
            thumbnail=max(self.thumbnail, other.thumbnail, key=lambda one: one.quality),
        )

    def in_place_of(self, newcomer: MapObject) -> MapObject:
        """This object, which is gone from its place, as what stands where ``newcomer`` is."""
        return replace(
            self.joined(newcomer),
            voxels=newcomer.voxels,
            gone=False,
            through=newcomer.through,
            apart=newcomer.apart,
        )


def joined_votes(first: dict[str, Vote], second: dict[str, Vote]) -> dict[str, Vote]:
    """Votes of both."""
    nothing = Vote()
    return {label: first.get(label, nothing) + second.get(label, nothing) for label in {**first, **second}}


def joined_tracks(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """The latest of both, each once."""
    return tuple(dict.fromkeys((*second[::-1], *first[::-1])))[:_TRACKS][::-1]
