"""ObjectModel: the textured meshes that one thing consists of."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast_sim.geometry.meshes import TriangleMesh


@dataclass(frozen=True)
class Part:
    """A mesh and what it is made of.

    role: "main" takes the object's colour and material; otherwise one of the fixed looks
    "metal", "dark", "white", "grey", "wood", "glass", "screen", "leaf", "rubber", "paper", "brass",
    "second" (a second colour that differs from the main one), or an RGB triple in [0, 1].
    texture: name of an image of the asset library, or None.
    """

    mesh: TriangleMesh
    role: str | tuple[float, float, float] = "main"
    texture: str | None = None


@dataclass(frozen=True)
class ObjectModel:
    """A thing in its own frame: stands on z = 0, centred on the z axis, front towards -y.

    Wall things have their back at y = 0 and their centre at z = 0. color: its named natural colour
    (a banana is "yellow"); None when any colour of the palette suits its main parts.
    tops: flat surfaces (x, y half extents; z) on which other things may stand.
    """

    parts: tuple[Part, ...]
    color: str | None = None
    tops: tuple[tuple[float, float, float], ...] = ()
