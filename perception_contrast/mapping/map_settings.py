"""MapSettings: sizes and limits of a map."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast.mapping.grid.occupancy import GridSettings
from perception_contrast.mapping.objects.object_settings import ObjectSettings

MEGABYTE = 1 << 20
# Depth up to so many times ``max_range`` is inexact, and surely behind what lies within.
_SURE_BEHIND = 1.6


@dataclass(frozen=True)
class MapSettings:
    """Sizes and limits of a map.

    Attributes:
        voxel: Side in metres of the voxels with features.
        surface_voxel: Side in metres of the voxels of the surface; 0 builds no surface.
        near: Metres below which depth is not used.
        max_range: Metres beyond which depth makes no voxels and objects; farther features are kept as rays.
        max_bytes: Memory in bytes for the voxels with features; the least valuable voxels are removed first.
        min_detection_score: Lowest probability of a detection that counts as a vote.
        grid_cell: Side in metres of the cells of the grid for navigation.
        robot_height: Metres above the floor; higher things are no obstacles.
    """

    voxel: float = 0.05
    surface_voxel: float = 0.02
    near: float = 0.15
    max_range: float = 5.0
    max_bytes: int = 600 * MEGABYTE
    min_detection_score: float = 0.0
    grid_cell: float = 0.05
    robot_height: float = 1.2


def grid_settings(settings: MapSettings) -> GridSettings:
    """Derives the settings of the grid for navigation.

    Args:
        settings: Settings of the map.

    Returns:
        Settings of the grid.
    """
    return GridSettings(
        resolution=settings.grid_cell, high=settings.robot_height, max_range=settings.max_range
    )


def object_settings(settings: MapSettings) -> ObjectSettings:
    """Derives the settings of the objects.

    Args:
        settings: Settings of the map.

    Returns:
        Settings of the objects.
    """
    return ObjectSettings(near=settings.near, far=_SURE_BEHIND * settings.max_range)
