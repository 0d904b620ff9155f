"""When two objects of the map are one thing."""

from __future__ import annotations

import numpy as np

from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.mapping.objects.object_association import cosine
from perception_contrast.mapping.objects.object_settings import ObjectSettings


def are_one(first: MapObject, second: MapObject, settings: ObjectSettings) -> bool:
    """Whether two objects are one thing.

    They are where they share voxels and are called alike or look alike; and where one lies in the box of the
    other, is called as it is, and no frame showed them beside each other: the sides of a sofa share no voxel.
    """
    alike = cosine(first.language, second.language)
    named_alike = first.label == second.label
    if first.voxels.overlap(second.voxels) > settings.merge_overlap:
        return named_alike or (alike is not None and alike > settings.merge_cosine)
    apart = first.id in second.apart or second.id in first.apart
    if apart or not named_alike or (alike is not None and alike <= settings.associate_cosine):
        return False
    return _inside(first, second, settings) > settings.merge_inside


def _inside(first: MapObject, second: MapObject, settings: ObjectSettings) -> float:
    """Share of the points of the smaller object that lie in the box of the larger."""
    small, large = sorted((first, second), key=lambda one: one.box.volume)
    return float(np.mean(large.box.contains(small.points, settings.voxel)))


def survivor(first: MapObject, second: MapObject) -> tuple[MapObject, MapObject]:
    """The object whose id stays, and the other: the confirmed one, then the older one."""
    ordered = sorted((first, second), key=lambda one: (not one.confirmed, one.first_seen, one.id))
    return ordered[0], ordered[1]
