"""ObjectModel: the textured meshes that one thing consists of."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast_sim.geometry.meshes import TriangleMesh


@dataclass(frozen=True)
class Part:
    """A mesh and what it looks like.

    Attributes:
        mesh: In the frame of its thing.
        role: "main" takes the thing's colour and material, "second" another colour; else a fixed look
            ("metal", "dark", "white", "grey", "wood", "glass", "screen", "leaf", "rubber", "paper",
            "brass") or an RGB triple in [0, 1].
        texture: Name of an image of the asset library, or None.
    """

    mesh: TriangleMesh
    role: str | tuple[float, float, float] = "main"
    texture: str | None = None


@dataclass(frozen=True)
class ObjectModel:
    """A thing in its own frame: it stands on z = 0, centred on the z axis, its front towards -y.

    A thing that hangs on a wall has its back at y = 0 and its centre at z = 0.

    Attributes:
        parts: Its meshes.
        color: The name of its natural colour (a banana is "yellow"); None where any colour suits its main
            parts.
        tops: Flat surfaces that other things may stand on: half extents along x and y, and height, metres.
    """

    parts: tuple[Part, ...]
    color: str | None = None
    tops: tuple[tuple[float, float, float], ...] = ()
