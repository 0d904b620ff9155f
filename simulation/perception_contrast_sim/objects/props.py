"""Props: objects with a shape, a colour, a material and a size, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from perception_contrast_sim.geometry.meshes import merged
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.materials import COLOURS, MATERIALS


@dataclass(frozen=True)
class Prop:
    """A thing with its shape; where it stands and what colour it has is settled per view.

    colorable: its main parts may take any named colour. size: "small", "large" or "" for usual.
    radius: of the vertical cylinder that holds it, metres. low, high: bounding box (3,).
    """

    category: Category
    model: ObjectModel
    material: str
    size: str
    radius: float
    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def colorable(self) -> bool:
        return self.model.color is None and any(part.role == "main" for part in self.model.parts)

    @property
    def height(self) -> float:
        return self.high[2] - self.low[2]


@dataclass(frozen=True)
class SceneObject:
    """What a visible thing is: the words that are true of it.

    index: value in the instance image. on: index of what it stands on, -1 for the floor or a wall.
    """

    index: int
    category: str
    color: str = ""
    material: str = ""
    size: str = ""
    on: int = -1


def draw_prop(rng: np.random.Generator, category: Category, unseen: bool) -> Prop:
    """Builds one prop of a category; its size word is set when it was made small or large on purpose."""
    model = category.build(rng, unseen)
    size, factor = "", float(rng.uniform(0.92, 1.08))
    if category.place == "table" and rng.random() < 0.4:
        size = str(rng.choice(["small", "large"]))
        factor = float(rng.uniform(0.68, 0.78) if size == "small" else rng.uniform(1.3, 1.5))
    parts = tuple(replace(part, mesh=part.mesh.scaled(factor)) for part in model.parts)
    tops = tuple((x * factor, y * factor, z * factor) for x, y, z in model.tops)
    low, high = merged([part.mesh for part in parts]).bounds()
    radius = float(np.hypot(max(abs(low[0]), high[0]), max(abs(low[1]), high[1])))
    material = str(rng.choice(category.materials)) if category.materials else ""
    low_t = (float(low[0]), float(low[1]), float(low[2]))
    high_t = (float(high[0]), float(high[1]), float(high[2]))
    return Prop(category, replace(model, parts=parts, tops=tops), material, size, radius, low_t, high_t)


def draw_colour(
    rng: np.random.Generator, prop: Prop, forbidden: frozenset[tuple[str, str]], only: Sequence[str] = ()
) -> str:
    """A colour name for the main parts that suits the material.

    forbidden: (colour, category) pairs that must not come up (kept back for evaluation).
    only: colours to choose among when any of them suits.
    """
    if prop.model.color is not None or not prop.colorable:
        return prop.model.color or ""
    suited = MATERIALS[prop.material].colours if prop.material else ()
    names = [c for c in (suited or COLOURS) if (c, prop.category.name) not in forbidden]
    names = [c for c in names if c in only] or names
    return str(rng.choice(names))


def look_groups(prop: Prop) -> list[tuple[Part, ...]]:
    """Parts of one prop that share a look, so that each group becomes one mesh."""
    groups: dict[tuple[object, str | None], list[Part]] = {}
    for part in prop.model.parts:
        groups.setdefault((part.role, part.texture), []).append(part)
    return [tuple(parts) for parts in groups.values()]
