"""The categories of furniture: seats, beds, tables, storage."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.furniture_parts import (
    Draw,
    Role,
    arc,
    block,
    frame,
    fronts,
    stick,
    strut,
)
from perception_contrast_sim.geometry.meshes import ellipsoid, merged, tube
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.furniture import cupboards as storage
from perception_contrast_sim.objects.furniture import seats, tables, upholstery
from perception_contrast_sim.objects.furniture.cupboards import carcass, whole_top

BOARD = ("wood", "plastic", "metal")


def kitchen_counter(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, height = d.size((1.2, 2.2)), d.size((0.58, 0.66), (0.75, 0.95)), d.size((0.86, 0.94))
    parts = carcass(width, depth, height - 0.03, 0.1, "plinth")
    units = round(width / 0.5)
    unit, grip = (width - 0.01) / units, d.pick(("bar", "cup", "knob"))
    for k in range(units):
        at = ((k + 0.5) * unit - units * unit / 2, -depth / 2, 0.11)
        if d.chance(0.35):
            parts += fronts(unit, height - 0.16, 3, 1, at, grip)
        else:
            parts += fronts(unit, height - 0.34, 1, 1, at, "door-rail" if grip == "bar" else "door-knob")
            parts += fronts(unit, 0.17, 1, 1, (at[0], at[1], height - 0.22), grip)
    looks: tuple[Role, ...] = ("wood", "grey", "dark", "white", (0.62, 0.6, 0.57))
    role = d.pick(looks)
    parts.append(Part(block(width + 0.03, depth + 0.05, 0.035, (0, 0, height - 0.035)), role))
    if unseen:
        parts.append(
            Part(
                merged([block(0.04, depth + 0.05, height, (s * (width / 2 + 0.02), 0, 0)) for s in (-1, 1)]),
                role,
            )
        )
    return ObjectModel(tuple(parts), tops=whole_top(width, depth, height))


def shelf(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("brackets", "double"), ("cube", "zigzag"))
    width, depth = d.size((0.6, 1.1), (0.4, 0.6)), d.size((0.18, 0.26))
    if style == "cube":
        pieces = [piece.moved(0, -depth / 2) for piece in frame(width, width, 0.025, depth, (0, 0, 0))]
        return ObjectModel((Part(merged(pieces)),))
    levels = {"brackets": [0.07], "double": [-0.1, 0.22], "zigzag": [-0.15, 0.07, 0.29]}[style]
    offset = 0.12 if style == "zigzag" else 0.0
    boards = [block(width, depth, 0.025, (offset * (-1) ** k, -depth / 2, z)) for k, z in enumerate(levels)]
    brackets = []
    for k, z in enumerate(levels):
        for s in (-1, 1):
            x = s * width * 0.32 + offset * (-1) ** k
            brackets += [
                block(0.02, 0.012, 0.16, (x, -0.006, z - 0.16)),
                block(0.02, depth * 0.85, 0.01, (x, -depth * 0.43, z - 0.01)),
            ]
            brackets.append(stick((x, -0.006, z - 0.15), (x, -depth * 0.8, z - 0.01), 0.007, 6))
    return ObjectModel((Part(merged(boards)), Part(merged(brackets), d.pick(("dark", "metal", "main")))))


def coat_rack(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    height, style = d.size((1.65, 1.9)), d.pick(("tree", "straight"), ("rail",))
    if style == "rail":
        half = d.size((0.4, 0.6))
        bars = [tube([(s * half, 0, 0.03), (s * half, 0, height), (0, 0, height)], 0.014, 8) for s in (-1, 1)]
        bars += [stick((s * half, -0.22, 0.02), (s * half, 0.22, 0.02), 0.014) for s in (-1, 1)]
        bars.append(stick((-half, 0, 0.15), (half, 0, 0.15), 0.012))
        hooks = [
            tube(arc((x, 0, height - 0.03), 0.03, 180, 400, "yz", 9), 0.004, 6)
            for x in np.linspace(-half, half, 9)[1:-1]
        ]
        return ObjectModel((Part(merged(bars)), Part(merged(hooks), "metal")))
    bars = [tube([(0, 0, 0.06), (0, 0, height - 0.1), (0, 0, height)], [0.024, 0.02, 0.016], 10)]
    bars.append(ellipsoid(0.05, 0.05, 0.05, 10).moved(0, 0, height))
    for k in range(4):
        c, s = np.cos(np.pi / 2 * k + 0.4), np.sin(np.pi / 2 * k + 0.4)
        bars.append(tube([(0, 0, 0.22), (0.2 * c, 0.2 * s, 0.1), (0.28 * c, 0.28 * s, 0.016)], 0.016, 8))
        for low, reach in ((0.05, 0.16), (0.28, 0.12)):
            z = height - low - 0.12
            rise = 0.12 if style == "straight" else 0.06
            hook = [
                (0, 0, z),
                (reach * 0.6 * c, reach * 0.6 * s, z + rise * 0.3),
                (reach * c, reach * s, z + rise),
            ]
            bars += [
                tube(hook, 0.009, 6),
                ellipsoid(0.025, 0.025, 0.025, 6).moved(reach * c, reach * s, z + rise),
            ]
    return ObjectModel((Part(merged(bars)),))


def ladder(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    steps = d.pick((4, 5, 6), (3, 7, 8))
    height, width, spread = 0.25 * steps + 0.2, d.size((0.4, 0.5), (0.52, 0.6)), 0.0
    spread = height * d.size((0.26, 0.34))
    rails, treads, rear = [], [], []
    for s in (-1, 1):
        x, top = s * width / 2, s * width * 0.36
        rails.append(strut((x, -spread, 0), (top, 0, height), 0.04))
        rear.append(strut((x, spread, 0), (top, 0.05, height - 0.05), 0.03))
    for k in range(1, steps):
        share = k / steps
        span = width * (1 - 0.28 * share) - 0.03
        treads.append(block(span, 0.09, 0.025, (0, -spread * (1 - share), height * share)))
    rear += [
        stick(
            (-width * 0.45, spread * t, height * (1 - t)), (width * 0.45, spread * t, height * (1 - t)), 0.012
        )
        for t in (0.75, 0.4)
    ]
    cap = block(width * 0.8, 0.14, 0.03, (0, 0.02, height - 0.02))
    role = d.pick(("dark", "second"))
    return ObjectModel((Part(merged(rails)), Part(merged(rear)), Part(merged(treads)), Part(cap, role)))


CATEGORIES: tuple[Category, ...] = (
    *seats.CATEGORIES,
    *tables.CATEGORIES,
    *upholstery.CATEGORIES,
    *storage.CATEGORIES,
    Category(
        "kitchen counter",
        kitchen_counter,
        "floor",
        ("countertop", "worktop", "kitchen unit"),
        ("kitchen island",),
        "furniture",
        BOARD,
    ),
    Category("shelf", shelf, "wall", ("wall shelf", "floating shelf"), ("hanging rack",), "furniture", BOARD),
    Category(
        "coat rack",
        coat_rack,
        "floor",
        ("coat stand", "clothes stand"),
        ("hat stand", "coat tree"),
        "furniture",
        BOARD,
    ),
    Category(
        "ladder",
        ladder,
        "floor",
        ("stepladder", "folding ladder"),
        ("step ladder",),
        "",
        ("metal", "wood"),
        held_out=True,
    ),
)
