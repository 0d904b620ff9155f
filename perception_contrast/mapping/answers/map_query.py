"""MapQuery: what is asked of a map. FindFilters: which answers count."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.core.errors import QueryError


def _no_vectors() -> FloatArray:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class MapQuery:
    """What is looked for: a label that detections were given, words, or examples.

    Attributes:
        label: Of detections; "" for none. Objects that were voted this label answer by their votes.
        texts: (p, c) float32 unit vectors of the words, in the map's semantic space.
        semantic_exemplars: (m, c) float32 unit vectors of examples, in the map's semantic space.
        spatial_exemplars: (m, d) float32 unit vectors of examples, in the map's spatial space.
    """

    label: str = ""
    texts: FloatArray = field(default_factory=_no_vectors)
    semantic_exemplars: FloatArray = field(default_factory=_no_vectors)
    spatial_exemplars: FloatArray = field(default_factory=_no_vectors)

    def __post_init__(self) -> None:
        vectors = (self.texts, self.semantic_exemplars, self.spatial_exemplars)
        if not self.label and not any(len(rows) for rows in vectors):
            raise QueryError("nothing is asked for; give words, an example or a label")
        if any(rows.ndim != 2 or not np.isfinite(rows).all() for rows in vectors):
            raise QueryError("a vector of the question is not finite; encode it again")


@dataclass(frozen=True)
class FindFilters:
    """Which answers count.

    Attributes:
        near: (3,) metres in the map, with ``radius``; None for anywhere.
        radius: Metres around ``near``.
        within: ((3,), (3,)) lowest and highest corner in metres; None for anywhere.
        since: Nanoseconds; what was seen at this time or later.
        min_score: Probability from which an object answers; None takes the map's own.
        include_gone: Whether things that are not there any more answer too.
        max_results: Most answers.
    """

    near: Float64Array | None = None
    radius: float = math.inf
    within: tuple[Float64Array, Float64Array] | None = None
    since: int = 0
    min_score: float | None = None
    include_gone: bool = False
    max_results: int = 10

    def __post_init__(self) -> None:
        if self.near is not None and not self.radius > 0:
            raise QueryError(f"radius {self.radius:g} is not above 0; give metres around `near`")
        if self.min_score is not None and not 0.0 <= self.min_score <= 1.0:
            raise QueryError(f"min_score {self.min_score:g} is no probability; give 0 to 1")
        if self.max_results < 1:
            raise QueryError(f"max_results {self.max_results} is below 1")

    def admits(self, points: Float64Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """(n,) which of the points (n, 3), metres in the map, the filters on places let through."""
        kept = np.ones(len(points), bool)
        if self.near is not None:
            kept &= np.linalg.norm(points - self.near, axis=1) <= self.radius
        if self.within is not None:
            low, high = self.within
            kept &= ((points >= low) & (points <= high)).all(axis=1)
        return kept
