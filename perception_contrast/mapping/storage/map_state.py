"""MapState: all that a map is, as arrays and plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError, SpaceError

Arrays: TypeAlias = dict[str, NDArray[Any]]
"""Name to array, as the stores' ``arrays()`` give them."""

ObjectRecord: TypeAlias = dict[str, Any]
"""One object as a plain dictionary, as ``objects/object_state.py`` makes it; "id" is a must."""


PARTS = ("voxels", "far_rays", "surface", "keyframes")
"""The fields of a MapState that are arrays, each a file of its own."""


class MapError(PerceptionError):
    """A map that is absent, damaged, in use, or of another version."""


@dataclass(frozen=True)
class MapHeader:
    """What must be known of a map before its arrays are.

    Attributes:
        semantic_space: Identity of the space of the voxels' and objects' vectors; "" for a map without.
        spatial_space: Identity of the space of the objects' image-encoder vectors; "" for none.
        frame: TF frame that positions are in.
        voxel_size: Edge of a voxel of the language layer, metres.
        surface_voxel_size: Edge of a voxel of the surface, metres.
        calibration: Camera name to what was known of it, as JSON can hold it.
        created: Nanoseconds since 1970.
        updated: Nanoseconds since 1970; the journal's last record may be younger.
    """

    semantic_space: str = ""
    spatial_space: str = ""
    frame: str = "map"
    voxel_size: float = 0.05
    surface_voxel_size: float = 0.02
    calibration: Mapping[str, Any] = field(default_factory=dict)
    created: int = 0
    updated: int = 0


@dataclass(frozen=True)
class MapState:
    """A map between two changes.

    Attributes:
        header: Spaces, frame, sizes.
        voxels: Of VoxelStore: "keys" (n, 3) int32, "vectors" (n, c) float16, and a row for each in others.
        far_rays: Of FarRays.
        surface: Of Surface.
        keyframes: What a surface is made again from after a jump, where it is kept apart from the surface.
        objects: In the order of their ids.
        facts: What else must outlive a restart, such as the next object's id; plain values and arrays.
    """

    header: MapHeader
    voxels: Arrays = field(default_factory=dict)
    far_rays: Arrays = field(default_factory=dict)
    surface: Arrays = field(default_factory=dict)
    keyframes: Arrays = field(default_factory=dict)
    objects: Sequence[ObjectRecord] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def with_header(self, **changes: Any) -> MapState:
        """The same with other values in its header."""
        return replace(self, header=replace(self.header, **changes))


@dataclass(frozen=True)
class MapChanges:
    """What changed in a map since the last call, as the journal takes it.

    Attributes:
        voxels: As ``VoxelStore.take_changed`` gives it: changed rows, and "removed" (m, 3) int32 keys.
        far_rays: As ``FarRays.take_changed`` gives it, likewise.
        objects: The changed objects, whole.
        removed_objects: Ids of those that are no more.
        replaced: Other parts of a MapState ("far_rays", "surface", "keyframes") that changed, whole.
        facts: Those that changed, by name; the others stay. None for none.
    """

    voxels: Arrays = field(default_factory=dict)
    far_rays: Arrays = field(default_factory=dict)
    objects: Sequence[ObjectRecord] = ()
    removed_objects: Sequence[int] = ()
    replaced: Mapping[str, Arrays] = field(default_factory=dict)
    facts: Mapping[str, Any] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed."""
        rows = any(len(array) for table in (self.voxels, self.far_rays) for array in table.values())
        return not (rows or self.objects or self.removed_objects or self.replaced or self.facts)


def require_spaces(
    header: MapHeader, name: str, semantic_space: str | None, spatial_space: str | None
) -> None:
    """Checks that a map's vectors are of the spaces that the loaded models make.

    Args:
        header: The map's.
        name: The map's, for the error.
        semantic_space: Of the language model; None to accept any.
        spatial_space: Of the image encoder; None to accept any.

    Raises:
        SpaceError: They are of another model or other weights.
    """
    pairs = ((header.semantic_space, semantic_space), (header.spatial_space, spatial_space))
    for held, wanted in pairs:
        if held and wanted is not None and held != wanted:
            raise SpaceError(
                f"map '{name}' holds vectors of '{held}', which cannot be compared with those of '{wanted}'; "
                f"load that model, or renew the map's vectors with `perception-contrast map reembed {name}`"
            )
