"""Tables and desks, built to measure."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.furniture_parts import Draw, arc, block, corners, fronts, legs, strut
from perception_contrast_sim.geometry.meshes import TriangleMesh, cylinder, merged, prism, tube
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects.category import Category


def round_top(width: float, depth: float, thick: float, z: float, sides: int = 32) -> TriangleMesh:
    outline = [(p[0], p[1]) for p in arc((0, 0, 0), 0.5, 0, 360, "xy", sides + 1)[:-1]]
    return prism(outline, thick).scaled(width, depth, 1).moved(0, 0, z - thick)


def _pedestal(height: float, radius: float, spread: float) -> TriangleMesh:
    """A column on four sloping feet."""
    feet = [
        tube([(0, 0, 0.16), (x, y, 0.03)], [0.045, 0.03], 8) for x, y in corners(spread * 0.7, spread * 0.7)
    ]
    return merged([cylinder(radius, height - 0.08, 20).moved(0, 0, 0.08), *feet])


def _trestles(half_x: float, half_y: float, height: float) -> TriangleMesh:
    bars = []
    for s in (-1, 1):
        bars += [strut((s * half_x, t * half_y, 0), (s * half_x, -t * half_y, height), 0.06) for t in (-1, 1)]
    return merged([*bars, block(2 * half_x, 0.04, 0.08, (0, 0, height * 0.45))])


def dining_table(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    height, thick = d.size((0.71, 0.78)), d.size((0.025, 0.05))
    style = d.pick(("rectangle", "rectangle", "square", "round"), ("trestle", "oval", "pedestal"))
    width, depth = d.size((1.2, 1.9), (1.5, 2.1)), d.size((0.75, 0.95))
    if style == "square":
        width = depth
    if style in ("round", "pedestal"):
        width = depth = d.size((0.85, 1.2))
    curved = style in ("round", "oval", "pedestal")
    top = (
        round_top(width, depth, thick, height)
        if curved
        else block(width, depth, thick, (0, 0, height - thick))
    )
    parts = [Part(top)]
    x, y = (width * 0.3, depth * 0.3) if curved else (width / 2 - 0.07, depth / 2 - 0.07)
    if style == "trestle":
        parts.append(Part(_trestles(width * 0.36, depth * 0.36, height - thick)))
    elif style == "pedestal":
        parts.append(Part(_pedestal(height - thick, 0.05, width * 0.4)))
    else:
        kind = d.pick(("square", "tapered", "turned", "round"), ("hairpin", "round"))
        role = "metal" if kind == "hairpin" else d.pick(("main", "main", "white", "dark"))
        parts.append(Part(legs(kind, x, y, height - thick, d.size((0.05, 0.08)), d.size((0, 0.03))), role))
        if kind in ("square", "turned", "tapered") and not curved:
            apron = [block(2 * x, 0.02, 0.09, (0, s * y, height - thick - 0.09)) for s in (-1, 1)]
            apron += [block(0.02, 2 * y, 0.09, (s * x, 0, height - thick - 0.09)) for s in (-1, 1)]
            parts.append(Part(merged(apron), role))
    share = 0.34 if curved else 0.47
    return ObjectModel(tuple(parts), tops=((width * share, depth * share, height),))


def desk(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, height = d.size((1.0, 1.5), (1.55, 1.8)), d.size((0.55, 0.75)), d.size((0.71, 0.77))
    style = d.pick(("drawers", "pedestal", "panels"), ("lift", "hutch"))
    parts = [Part(block(width, depth, 0.028, (0, 0, height - 0.028)))]
    x, y, under = width / 2, depth / 2, height - 0.028
    if style == "lift":
        columns = [block(0.08, 0.07, under - 0.04, (s * x * 0.7, 0, 0.04)) for s in (-1, 1)]
        columns += [block(0.08, depth * 0.9, 0.04, (s * x * 0.7, 0, 0)) for s in (-1, 1)]
        parts.append(Part(merged([*columns, block(width * 0.7, 0.05, 0.04, (0, 0, under - 0.04))]), "dark"))
    elif style == "drawers":
        kind = d.pick(("square", "tapered", "round"))
        parts.append(Part(legs(kind, x - 0.05, y - 0.05, under, 0.05), d.pick(("main", "metal", "white"))))
        parts.append(Part(block(width - 0.12, depth - 0.1, 0.11, (0, 0.01, under - 0.11))))
        parts += fronts(
            width - 0.13, 0.11, 1, d.pick((2, 3)), (0, -y + 0.06, under - 0.11), d.pick(("knob", "bar"))
        )
    else:
        sides = [-1, 1] if style == "panels" and d.chance(0.5) else [1]
        for s in sides:
            at = s * (x - 0.22)
            parts.append(Part(block(0.4, depth - 0.06, under, (at, 0.02, 0))))
            parts += fronts(0.39, under - 0.04, 3, 1, (at, -y + 0.05, 0.03), d.pick(("bar", "knob", "cup")))
        if len(sides) == 1:
            parts.append(Part(block(0.035, depth - 0.04, under, (-x + 0.04, 0, 0))))
        parts.append(Part(block(width - 0.1, 0.02, under * 0.5, (0, y - 0.12, under * 0.5))))
    if style == "hutch":
        boards = [block(0.025, 0.22, 0.5, (s * (x - 0.0125), y - 0.11, height)) for s in (-1, 0, 1)]
        boards += [block(width, 0.22, 0.025, (0, y - 0.11, height + z)) for z in (0.22, 0.5)]
        parts.append(Part(merged([*boards, block(width, 0.01, 0.5, (0, y, height))])))
        return ObjectModel(tuple(parts), tops=((x * 0.92, y - 0.24, height),))
    return ObjectModel(tuple(parts), tops=((x * 0.95, y * 0.92, height),))


def coffee_table(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("rectangle", "shelf", "round"), ("drum", "hexagon", "box"))
    width, depth, height = d.size((0.85, 1.25)), d.size((0.5, 0.68)), d.size((0.36, 0.48), (0.32, 0.4))
    curved = style in ("round", "drum", "hexagon")
    if curved:
        width = depth = d.size((0.6, 0.95))
    thick = d.size((0.02, 0.05))
    role = "glass" if d.chance(0.2) and style in ("rectangle", "round") else "main"
    sides = 6 if style == "hexagon" else 32
    top = (
        round_top(width, depth, thick, height, sides)
        if curved
        else block(width, depth, thick, (0, 0, height - thick))
    )
    parts = [Part(top, role)]
    x, y = (width * 0.28, depth * 0.28) if curved else (width / 2 - 0.05, depth / 2 - 0.05)
    share = 0.3 if curved else 0.46
    tops = [(width * share, depth * share, height)]
    if style == "drum":
        parts.append(Part(cylinder(width * 0.42, height - thick, 28)))
    elif style == "box":
        sides_ = [block(0.04, depth, height - thick, (s * (width / 2 - 0.02), 0, 0)) for s in (-1, 1)]
        parts.append(Part(merged([*sides_, block(width, depth, 0.03, (0, 0, 0.02))])))
        tops.append((width * 0.42, depth * 0.42, 0.05))
    else:
        kind = d.pick(("square", "tapered", "round", "hairpin"))
        metal = "metal" if kind == "hairpin" or role == "glass" else "main"
        parts.append(
            Part(legs(kind, x, y, height - thick, 0.05, d.size((0, 0.05)) if curved else 0.0), metal)
        )
    if style == "shelf":
        parts.append(Part(block(2 * x, 2 * y, 0.018, (0, 0, 0.12))))
        tops.append((x * 0.8, y * 0.8, 0.138))
    return ObjectModel(tuple(parts), tops=tuple(tops))


CATEGORIES: tuple[Category, ...] = (
    Category(
        "dining table",
        dining_table,
        "floor",
        ("table", "kitchen table", "dinner table"),
        ("eating table",),
        "furniture",
        ("wood", "plastic", "stone", "metal"),
    ),
    Category(
        "desk",
        desk,
        "floor",
        ("writing desk", "office desk", "study table"),
        ("work desk", "workstation table"),
        "furniture",
        ("wood", "plastic", "metal"),
    ),
    Category(
        "coffee table",
        coffee_table,
        "floor",
        ("low table", "living room table"),
        ("cocktail table",),
        "furniture",
        ("wood", "metal", "stone", "plastic"),
    ),
)
