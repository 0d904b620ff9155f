"""Answers a question from a map: objects say whether, voxels say where, far rays say in which direction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.mapping.answers.map_answer import AnswerKind, DirectionHit, Hit, MapAnswer
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.answers.name_contrast import NameContrast
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.mapping.language.far_rays import FarRays
from perception_contrast.mapping.language.voxel_store import VoxelStore
from perception_contrast.mapping.objects.map_object import MapObject

DEFAULT_SCORE = 0.5
# Cosine of an example with another view of the same thing, and the width of that edge.
SAME_THING, SAME_THING_WIDTH = 0.75, 0.06
_CANDIDATES = 256  # voxels, the most alike, that are compared with the bank
_PLACE = 0.15  # metres around the best voxel that belong to the same place
_MAX_DIRECTIONS = 3
# A thing that is confirmed goes before one that is not where their scores differ by less than this.
NEAR_TIE = 0.1


@dataclass(frozen=True)
class MapContents:
    """What a question is answered from.

    Attributes:
        objects: All objects of the map.
        voxels: The language layer; None where the map has none yet.
        far: Rays beyond the range of depth.
        names: Levels of generic names in this map.
    """

    objects: Sequence[MapObject]
    voxels: VoxelStore | None
    far: FarRays | None
    names: NameContrast


def find(query: MapQuery, filters: FindFilters, contents: MapContents) -> MapAnswer:
    """Answers one question.

    Args:
        query: What is looked for.
        filters: Which answers count.
        contents: The map.
    """
    threshold = DEFAULT_SCORE if filters.min_score is None else filters.min_score
    hits = _object_hits(query, filters, contents)
    best = max((hit.score for hit in hits), default=0.0)
    enough = _ranked(hit for hit in hits if hit.score >= threshold)
    if not enough or enough[0].status == "unconfirmed":
        place = _place(query, filters, contents)
        best = max(best, place.score if place is not None else 0.0)
        if place is not None and place.score >= threshold:
            enough = _ranked([*enough, place])
    if enough:
        kept = tuple(enough[: filters.max_results])
        kind = AnswerKind.UNCONFIRMED if kept[0].status == "unconfirmed" else AnswerKind.FOUND
        return MapAnswer(kind, kept, (), best, _in_words(kept))
    directions = _directions(query, filters, contents)
    best = max([best, *(one.score for one in directions)])
    directions = [one for one in directions if one.score >= threshold]
    if directions:
        message = "not within the range of depth; something like it was seen from afar"
        return MapAnswer(AnswerKind.DIRECTION, (), tuple(directions[:_MAX_DIRECTIONS]), best, message)
    return MapAnswer(
        AnswerKind.NOT_SEEN,
        (),
        (),
        best,
        f"not seen: nothing reaches {threshold:.2f}, the best is {best:.2f}",
    )


def _ranked(hits: Iterable[Hit]) -> list[Hit]:
    """Hits, best first: by score; of two that are nearly as good, what is confirmed and there goes first."""
    return sorted(hits, key=lambda hit: -hit.score - NEAR_TIE * (hit.status == "confirmed"))


def _in_words(hits: Sequence[Hit]) -> str:
    """Hits, best first, in words that say what is sure of them."""
    sure = [hit for hit in hits if hit.status != "unconfirmed"]
    doubtful = len(hits) - len(sure)
    if not sure:
        return f"perhaps: {doubtful} unconfirmed"
    if hits[0].status == "unconfirmed":
        best, other = hits[0], sure[0]
        assert other.thing is not None
        return (
            f"perhaps: the best of {len(hits)} is unconfirmed ({best.score:.2f}); "
            f"{other.thing.label} {other.thing.id} is {other.thing.status} and fits less ({other.score:.2f})"
        )
    words = _found(sure)
    return f"{words}, and {doubtful} unconfirmed" if doubtful else words


def _found(hits: Sequence[Hit]) -> str:
    gone = sum(hit.status == "gone" for hit in hits)
    if gone == len(hits):
        return f"{gone} found that {'is' if gone == 1 else 'are'} not there any more"
    return f"{len(hits)} found" + (f", {gone} of them not there any more" if gone else "")


def object_scores(query: MapQuery, objects: Sequence[MapObject], names: NameContrast) -> Float64Array:
    """(n,) how probable it is that each object is what is asked for: by its votes, by words, by examples."""
    scores = np.array([label_score(query.label, one) for one in objects], float)
    if len(query.texts):
        scores = np.maximum(scores, _of_vectors(query.texts, [o.semantic for o in objects], names))
    for examples, vectors in (
        (query.semantic_exemplars, [one.semantic for one in objects]),
        (query.spatial_exemplars, [one.spatial for one in objects]),
    ):
        if len(examples):
            scores = np.maximum(scores, _likeness(examples, vectors))
    return scores


def label_score(label: str, thing: MapObject) -> float:
    """How probable it is that the detections of an object named it rightly as ``label``.

    An object that is called otherwise more surely has less of a claim to the name; some, since a thing may
    have two names.
    """
    wanted = label.casefold()
    votes = [vote for name, vote in thing.evidence.items() if name.casefold() == wanted]
    surest = max((vote.mean for vote in thing.evidence.values()), default=0.0)
    if not votes or not surest:
        return 0.0
    best = max(votes, key=lambda vote: vote.mean)
    return float(best.confidence * np.sqrt(best.mean / surest))


def _of_vectors(texts: FloatArray, vectors: Sequence[FloatArray | None], names: NameContrast) -> Float64Array:
    known = {index: vector for index, vector in enumerate(vectors) if vector is not None}
    scores = np.zeros(len(vectors))
    if known:
        scores[list(known)] = names.probabilities(texts, np.stack(list(known.values())))
    return scores


def _likeness(examples: FloatArray, vectors: Sequence[FloatArray | None]) -> Float64Array:
    """(n,) probability that a vector is of the same thing as any of the examples (m, c)."""
    scores = np.zeros(len(vectors))
    for index, vector in enumerate(vectors):
        if vector is not None and len(vector) == examples.shape[1]:
            scores[index] = _same_thing(float((examples @ vector).max()))
    return scores


def _same_thing(cosine: float) -> float:
    return float(1.0 / (1.0 + np.exp(-(cosine - SAME_THING) / SAME_THING_WIDTH)))


def _object_hits(query: MapQuery, filters: FindFilters, contents: MapContents) -> list[Hit]:
    """Objects that the filters let through."""
    objects = [
        one
        for one in contents.objects
        if (filters.include_gone or one.status != "gone") and one.last_seen >= filters.since
    ]
    if not objects:
        return []
    centres = np.array([one.box.center for one in objects], float)
    kept = [one for one, inside in zip(objects, filters.admits(centres), strict=True) if inside]
    scores = object_scores(query, kept, contents.names)
    return [Hit(float(score), one.box, one, one.last_seen) for score, one in zip(scores, kept, strict=True)]


def _place(query: MapQuery, filters: FindFilters, contents: MapContents) -> Hit | None:
    """The place of the voxels that are most like what is asked for; None where no words are given."""
    voxels = contents.voxels
    given = [rows for rows in (query.texts, query.semantic_exemplars) if len(rows)]
    if voxels is None or not len(voxels) or not given:
        return None
    rows = voxels.live_rows()
    cosines = voxels.scores(np.concatenate(given)).max(axis=0)
    positions = voxels.positions(rows).astype(float)
    allowed = filters.admits(positions) & (voxels.last_seen[rows] >= filters.since)
    if not allowed.any():
        return None
    cosines = np.where(allowed, cosines, -np.inf)
    count = min(_CANDIDATES, int(allowed.sum()))
    top = np.argpartition(-cosines, count - 1)[:count]
    candidates = voxels.vectors(rows[top])
    scores = np.zeros(len(top))
    if len(query.texts):
        scores = contents.names.probabilities(query.texts, candidates, places=True)
    if len(query.semantic_exemplars):
        scores = np.maximum(scores, _likeness(query.semantic_exemplars, list(candidates)))
    best = int(scores.argmax())
    near = np.linalg.norm(positions[top] - positions[top][best], axis=1) <= _PLACE
    near &= scores >= scores[best] / 2
    tight = Box3D.aligned(positions[top][near], trim=0.0)
    box = replace(tight, size=tight.size + voxels.size)
    return Hit(float(scores[best]), box, None, int(voxels.last_seen[rows[top][near]].max()))


def _directions(query: MapQuery, filters: FindFilters, contents: MapContents) -> list[DirectionHit]:
    """Far rays, best first, of what was asked for in words.

    How far away it is, is not known: it can be said neither to be in a box nor near a point.
    """
    far = contents.far
    somewhere = filters.within is not None or filters.near is not None
    if far is None or not len(far) or not len(query.texts) or somewhere:
        return []
    scores = contents.names.probabilities(query.texts, far.vectors(), places=True)
    scores = np.where(far.last_seen() >= filters.since, scores, 0.0)
    order = np.argsort(-scores)[:_MAX_DIRECTIONS]
    origins, directions = far.origins(), far.directions()
    return [
        DirectionHit(float(scores[i]), origins[i].astype(float), directions[i].astype(float)) for i in order
    ]
