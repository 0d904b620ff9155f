"""Cupboards, drawers and shelves, built to measure."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.furniture_parts import (
    Draw,
    arc,
    block,
    corners,
    fronts,
    legs,
    stick,
    strut,
)
from perception_contrast_sim.geometry.meshes import merged, prism
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.furniture.tables import round_top

Top = tuple[float, float, float]
BOARD = ("wood", "plastic", "metal")


def carcass(width: float, depth: float, height: float, foot: float, kind: str) -> list[Part]:
    """A closed body on a recessed plinth ("plinth") or legs."""
    body = Part(block(width, depth, height - foot, (0, 0, foot)))
    if kind == "plinth":
        return [body, Part(block(width - 0.02, depth - 0.06, foot, (0, 0.02, 0)), "dark")]
    return [body, Part(legs(kind, width / 2 - 0.04, depth / 2 - 0.04, foot, 0.04, 0.01))]


def whole_top(width: float, depth: float, height: float) -> tuple[Top, ...]:
    """The usable upper face of a closed body."""
    return ((width * 0.46, depth * 0.44, height),)


def nightstand(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, height = d.size((0.38, 0.5), (0.52, 0.6)), d.size((0.34, 0.42)), d.size((0.48, 0.64))
    style = d.pick(("drawers", "open"), ("round", "door"))
    grip = d.pick(("knob", "bar", "cup"))
    if style == "round":
        parts = [Part(round_top(width, width, 0.02, z)) for z in (height, height * 0.3)]
        parts.append(Part(legs("round", width * 0.33, width * 0.33, height - 0.02, 0.035)))
        return ObjectModel(tuple(parts), tops=((width * 0.33, width * 0.33, height),))
    if style == "open":
        low = height - 0.17
        kind = d.pick(("square", "tapered", "turned"))
        parts = [
            Part(block(width, depth, 0.17, (0, 0, low))),
            Part(legs(kind, width / 2 - 0.02, depth / 2 - 0.02, low, 0.04)),
        ]
        parts.append(Part(block(width - 0.04, depth - 0.04, 0.018, (0, 0, 0.12))))
        parts += fronts(width - 0.03, 0.14, 1, 1, (0, -depth / 2, low + 0.015), grip)
        return ObjectModel(tuple(parts), tops=whole_top(width, depth, height))
    foot = d.size((0.04, 0.18))
    parts = carcass(width, depth, height, foot, d.pick(("square", "tapered", "round", "plinth")))
    rows = 1 if style == "door" else d.pick((2, 3))
    grip = "door-knob" if style == "door" else grip
    parts += fronts(width - 0.03, height - foot - 0.05, rows, 1, (0, -depth / 2, foot + 0.02), grip)
    return ObjectModel(tuple(parts), tops=whole_top(width, depth, height))


def dresser(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    rows, columns = d.pick(((3, 1), (4, 1), (3, 2), (4, 2)), ((5, 1), (6, 1), (3, 3)))
    width, depth, height = (
        0.3 + columns * d.size((0.38, 0.5)),
        d.size((0.38, 0.5)),
        0.16 + rows * d.size((0.18, 0.22)),
    )
    foot = d.size((0.05, 0.16))
    parts = carcass(width, depth, height, foot, d.pick(("plinth", "square", "tapered", "turned")))
    grip = d.pick(("knob", "bar", "cup", ""))
    parts += fronts(width - 0.04, height - foot - 0.05, rows, columns, (0, -depth / 2, foot + 0.02), grip)
    if d.chance(0.5):
        parts.append(
            Part(block(width + 0.04, depth + 0.04, 0.025, (0, 0, height - 0.01)), d.pick(("main", "wood")))
        )
        height += 0.015
    return ObjectModel(tuple(parts), tops=whole_top(width, depth, height))


def wardrobe(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    doors = d.pick((2, 2, 3), (3, 4))
    width, depth, height = doors * d.size((0.45, 0.55)), d.size((0.52, 0.62)), d.size((1.8, 2.1))
    foot, low = d.size((0.05, 0.12)), d.pick((0.0, 0.0, 0.4))
    parts = carcass(width, depth, height, foot, d.pick(("plinth", "square", "turned")))
    front = (0.0, -depth / 2, foot + 0.02 + low)
    grip = d.pick(("door-knob", "door-rail"))
    parts += fronts(width - 0.03, height - foot - 0.06 - low, 1, doors, front, grip, d.chance(0.5))
    if low:
        parts += fronts(width - 0.03, low - 0.01, d.pick((1, 2)), 1, (0, -depth / 2, foot + 0.02), "knob")
    if unseen:
        hoop = [(p[0], p[2]) for p in arc((0, 0, 0), width / 2 + 0.03, 0, 180, "xz", 15)]
        crown = prism([(a, b * 0.22) for a, b in hoop], depth * 0.2).turned("x", 90)
        parts.append(Part(crown.moved(0, -depth / 2 + depth * 0.2, height)))
        glass = block(
            width / doors - 0.16,
            0.01,
            height * 0.65,
            (width / 2 - width / doors / 2, -depth / 2 - 0.02, height * 0.2),
        )
        parts.append(Part(glass, (0.72, 0.77, 0.8)))
    elif d.chance(0.5):
        parts.append(Part(block(width + 0.06, depth + 0.04, 0.05, (0, 0, height - 0.02))))
    return ObjectModel(tuple(parts))


def _open_case(width: float, depth: float, height: float, boards: list[float], thick: float) -> list[Part]:
    """Sides, a back and boards whose upper faces are at the given heights."""
    pieces = [block(thick, depth, height, (s * (width / 2 - thick / 2), 0, 0)) for s in (-1, 1)]
    pieces += [block(width - 2 * thick, depth, thick, (0, 0, z - thick)) for z in boards]
    return [Part(merged(pieces)), Part(block(width - 0.01, 0.008, height, (0, depth / 2 - 0.004, 0)))]


def bookshelf(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("case", "case", "low"), ("ladder", "cubes"))
    width, depth = d.size((0.6, 0.95), (1.0, 1.3)), d.size((0.26, 0.36))
    levels = d.pick((4, 5)) if style != "low" else d.pick((2, 3))
    gap = d.size((0.3, 0.36))
    height, thick = levels * gap + 0.1, 0.022
    boards = [0.08 + k * gap for k in range(levels)] + [height]
    if style == "ladder":
        posts = [
            strut((x, y, 0), (x, y, height), 0.025) for x, y in corners(width / 2 - 0.013, depth / 2 - 0.013)
        ]
        shelves = [block(width - 0.02, depth - 0.01, thick, (0, 0, z - thick)) for z in boards]
        cross = stick((-width / 2, depth / 2, 0.1), (width / 2, depth / 2, height - 0.1), 0.006, 6)
        parts = [Part(merged([*posts, cross]), "dark"), Part(merged(shelves))]
    else:
        parts = _open_case(width, depth, height, boards, thick)
    if style == "cubes":
        uprights = [block(0.018, depth - 0.02, height - 0.1, (x * width / 6, 0, 0.08)) for x in (-1, 1)]
        parts.append(Part(merged(uprights)))
        tops = tuple((width / 6 - 0.03, depth / 2 - 0.04, z) for z in boards[:-1])
    else:
        tops = tuple((width / 2 - 0.06, depth / 2 - 0.04, z) for z in boards[:-1])
    return ObjectModel(tuple(parts), tops=(*tops, (width / 2 - 0.05, depth / 2 - 0.04, height)))


def cabinet(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    doors = d.pick((1, 2, 2), (2,))
    width, depth = doors * d.size((0.36, 0.5)), d.size((0.32, 0.55))
    height = d.size((0.75, 1.1), (1.4, 1.9))
    foot = d.size((0.05, 0.12))
    parts = carcass(width, depth, height, foot, "plinth")
    rows = 2 if unseen else 1
    span, at, grip = height - foot - 0.04, (0.0, -depth / 2, foot + 0.02), d.pick(("door-knob", "door-rail"))
    parts += fronts(width - 0.03, span, rows, doors, at, grip, d.chance(0.6))
    if unseen and d.chance(0.6):
        cell = (width - 0.03) / doors
        panes = [
            block(
                cell - 0.13,
                0.01,
                span / 2 - 0.16,
                ((k + 0.5) * cell - cell * doors / 2, -depth / 2 - 0.02, foot + span / 2 + 0.1),
            )
            for k in range(doors)
        ]
        parts.append(Part(merged(panes), (0.6, 0.68, 0.7)))
    return ObjectModel(tuple(parts), tops=whole_top(width, depth, height))


def sideboard(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth = d.size((1.2, 1.6), (1.65, 1.95)), d.size((0.36, 0.48))
    height, foot = d.size((0.62, 0.85), (0.46, 0.58)), d.size((0.08, 0.2))
    kind = d.pick(("tapered", "round", "square"), ("plinth", "hairpin"))
    parts = carcass(width, depth, height, foot, kind)
    third, span, y = (width - 0.04) / 3, height - foot - 0.05, -depth / 2
    middle = d.chance(0.5)
    for k in (-1, 0, 1):
        drawers = (k == 0) == middle
        grip = d.pick(("knob", "bar")) if drawers else "door-knob"
        parts += fronts(third - 0.004, span, 3 if drawers else 1, 1, (k * third, y, foot + 0.02), grip)
    return ObjectModel(tuple(parts), tops=whole_top(width, depth, height))


CATEGORIES: tuple[Category, ...] = (
    Category(
        "nightstand",
        nightstand,
        "floor",
        ("bedside table", "night table"),
        ("bedside cabinet",),
        "furniture",
        BOARD,
    ),
    Category(
        "wardrobe",
        wardrobe,
        "floor",
        ("closet", "armoire"),
        ("clothes cupboard",),
        "furniture",
        ("wood", "plastic"),
    ),
    Category(
        "bookshelf",
        bookshelf,
        "floor",
        ("bookcase", "shelving unit", "book rack"),
        ("open shelves",),
        "furniture",
        BOARD,
    ),
    Category(
        "cabinet",
        cabinet,
        "floor",
        ("cupboard", "kitchen cabinet", "storage cabinet"),
        ("pantry cupboard",),
        "furniture",
        BOARD,
    ),
    Category(
        "dresser",
        dresser,
        "floor",
        ("chest of drawers", "drawer unit", "bureau"),
        ("clothes drawers", "tallboy"),
        "furniture",
        BOARD,
    ),
    Category(
        "sideboard", sideboard, "floor", ("credenza", "buffet cabinet"), ("low cabinet",), "furniture", BOARD
    ),
)
