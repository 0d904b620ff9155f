"""What requests to map_node ask for, as filters and vectors. Raises QueryError for what makes no sense."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.core.errors import QueryError
from perception_contrast.mapping.answers.map_query import FindFilters
from perception_contrast.memory.sightings import Filters, Point
from perception_contrast.ros.messages.image_messages import nanoseconds


def unit_vector(exemplar: Any) -> FloatArray:
    """(c,) float32 of an Embedding, at unit length. Raises QueryError where it has none."""
    vector = np.asarray(exemplar.data, np.float32)
    norm = float(np.linalg.norm(vector))
    if not (math.isfinite(norm) and norm > 0):
        raise QueryError("the exemplar is not a finite vector that is not zero")
    return np.asarray(vector / norm, np.float32)


def filters_of(request: Any, min_score: float) -> FindFilters:
    """The filters of a find request.

    Args:
        request: Of FindObjects.
        min_score: Taken where the request has 0.

    Raises:
        QueryError: A filter that makes no sense.
    """
    near = _near(request)
    return FindFilters(
        near=near,
        radius=math.inf if near is None else float(request.radius),
        within=box_of(request.within),
        since=nanoseconds(request.since),
        min_score=float(request.min_score) or min_score,
        include_gone=bool(request.include_gone),
        max_results=int(request.max_results) or 10,
    )


def recall_filters_of(request: Any) -> Filters:
    """The filters of a RecallSightings request.

    Raises:
        QueryError: A filter that makes no sense.
    """
    identity = request.object_id.strip()
    if identity and not identity.isdecimal():
        raise QueryError(f"'{identity}' is the id of no thing; ask ~/find for what there is")
    since, until = nanoseconds(request.since), nanoseconds(request.until)
    near = _near(request)
    return Filters(
        label=request.label.strip(),
        object_id=int(identity) if identity else None,
        since=since or None,
        until=until or None,
        near=None if near is None else _tuple(near),
        radius=float(request.radius),
    )


def _near(request: Any) -> Float64Array | None:
    """The point of ``near`` where the request has a radius."""
    near, radius = _point(request.near), float(request.radius)
    if not math.isfinite(radius) or radius < 0:
        raise QueryError(f"radius {radius:g} is no length; give metres, or 0 for no filter")
    if radius > 0 and not np.isfinite(near).all():
        raise QueryError("the point `near` is not finite")
    return near if radius > 0 else None


def _tuple(point: Float64Array) -> Point:
    x, y, z = (float(value) for value in point)
    return x, y, z


def _point(message: Any) -> Float64Array:
    return np.array([message.x, message.y, message.z], float)


def box_of(message: Any) -> tuple[Float64Array, Float64Array] | None:
    """Lowest and highest corner of a BoundingBox3D, which filters take along the map's axes."""
    size, center = _point(message.size), _point(message.center.position)
    if not size.any():
        return None
    if not (np.isfinite(size).all() and np.isfinite(center).all() and (size > 0).all()):
        raise QueryError("the box `within` needs a finite centre and sizes above 0 along x, y and z")
    return center - size / 2, center + size / 2
