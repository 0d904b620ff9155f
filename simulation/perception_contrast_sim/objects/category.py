"""What a category of household things is: how to build one, what it is called, where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

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


Builder = Callable[[np.random.Generator, bool], ObjectModel]


@dataclass(frozen=True)
class Category:
    """build(rng, unseen): unseen=True draws shapes and proportions that unseen=False never draws.

    place: "table" (small things), "floor", "wall", "ceiling". synonyms: other names used in
    training; unseen_synonyms: names that only the evaluation uses. parent: a wider word
    ("fruit", "vehicle toy") or "". materials: of "plastic", "wood", "metal", "ceramic",
    "glass", "fabric", "leather", "paper", "rubber", "stone", "wicker"; empty: not varied.
    held_out: never in training, neither by look nor by name.
    """

    name: str
    build: Builder
    place: str
    synonyms: tuple[str, ...] = ()
    unseen_synonyms: tuple[str, ...] = ()
    parent: str = ""
    materials: tuple[str, ...] = ()
    held_out: bool = False
