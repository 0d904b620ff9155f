"""What belongs to a room: openings, bathroom, wall things, rugs, lamps, the fireplace."""

from __future__ import annotations

import numpy as np

from . import bathroom, openings, wall_things
from .geometry import cylinder, ellipsoid, lathe, merged, prism, tube
from .objects import Category, ObjectModel, Part
from .shapes import Draw, Role, arc, block, disc, frame, oval, shell, stick


def rug(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("plain", "border", "round", "stripes"), ("runner", "diamonds", "oval"))
    width, depth, thick = d.size((1.2, 2.2)), d.size((0.8, 1.5)), d.size((0.006, 0.012))
    if style == "runner":
        width, depth = d.size((1.9, 2.6)), d.size((0.5, 0.7))
    if style == "round":
        width = depth = d.size((0.9, 1.7))
    tone: Role = d.pick(("second", "white", "grey", "paper"))
    if style in ("round", "oval"):
        parts = [Part(prism(oval(width, depth, count=41), thick))]
        for share in d.pick(((), (0.7,), (0.8, 0.6, 0.4))):
            lift = thick + (1 - share) * 0.006
            parts.append(
                Part(
                    prism(oval(width * share, depth * share, count=41), lift),
                    tone if len(parts) % 2 else "main",
                )
            )
        return ObjectModel(tuple(parts))
    parts = [Part(block(width, depth, thick))]
    if style == "border":
        edge = d.size((0.06, 0.14))
        inner = merged([block(width - 2 * edge, depth - 2 * edge, thick + 0.001)])
        parts += [Part(inner, tone), Part(block(width - 3.2 * edge, depth - 3.2 * edge, thick + 0.002))]
    elif style in ("stripes", "runner"):
        count = d.pick((3, 5, 8))
        bars = [
            block(width / count * 0.4, depth, thick + 0.001, ((k + 0.5) * width / count - width / 2, 0, 0))
            for k in range(count)
        ]
        parts.append(Part(merged(bars), tone))
    elif style == "diamonds":
        marks = []
        for k in range(4):
            for j in range(2):
                x, y = (k - 1.5) * width / 4, (j - 0.5) * depth / 2
                marks.append(cylinder(depth * 0.2, thick + 0.001, 4).moved(x, y))
        parts.append(Part(merged(marks), tone))
    if d.chance(0.4):
        fringe = [
            block(0.05, 0.006, 0.004, (s * (width / 2 + 0.025), y, 0))
            for s in (-1, 1)
            for y in np.arange(-depth / 2 + 0.01, depth / 2, 0.03)
        ]
        parts.append(Part(merged(fringe), "paper"))
    return ObjectModel(tuple(parts))


def fireplace(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, height, depth = d.size((1.1, 1.5)), d.size((1.0, 1.2)), 0.36
    hole_w, hole_h = width * d.size((0.48, 0.58)), height * d.size((0.5, 0.62))
    side = (width - hole_w) / 2
    front = -depth / 2 + 0.06
    pieces = [block(side, depth - 0.06, height - 0.06, (s * (width - side) / 2, 0.03, 0)) for s in (-1, 1)]
    pieces.append(block(hole_w, depth - 0.06, height - 0.06 - hole_h, (0, 0.03, hole_h)))
    mantel = block(width + 0.16, depth, 0.06, (0, 0, height - 0.06))
    parts = [Part(block(hole_w + 0.02, 0.02, hole_h + 0.02, (0, depth / 2 - 0.01, 0)), (0.05, 0.045, 0.04))]
    if unseen:
        rows = int((height - 0.08) / 0.085)
        bricks = []
        for row in range(rows):
            z = 0.01 + row * 0.085
            for x in np.arange(-width / 2 + 0.11 * (row % 2), width / 2 - 0.02, 0.22):
                low, high = max(x, -width / 2), min(x + 0.21, width / 2)
                if z + 0.04 < hole_h and high > -hole_w / 2 and low < hole_w / 2:
                    low, high = (low, -hole_w / 2) if low < -hole_w / 2 else (hole_w / 2, high)
                if high - low > 0.03:
                    bricks.append(block(high - low, 0.03, 0.075, ((low + high) / 2, front - 0.01, z)))
        parts += [Part(merged(bricks), (0.6, 0.28, 0.2)), Part(merged(pieces), "grey"), Part(mantel, "wood")]
    else:
        for s in (-1, 1):
            pieces.append(block(side * 0.7, 0.05, height - 0.2, (s * (width - side) / 2, front - 0.02, 0.06)))
            pieces.append(block(side * 0.9, 0.07, 0.08, (s * (width - side) / 2, front - 0.02, 0)))
        parts += [
            Part(merged([*pieces, mantel])),
            Part(
                merged(
                    frame(hole_w + 0.08, hole_h + 0.04, 0.05, 0.02, (0, front - 0.005, hole_h / 2 + 0.02))
                ),
                "dark",
            ),
        ]
    logs = [
        stick((-0.18, 0.02, 0.06), (0.18, 0.05, 0.07), 0.04),
        stick((-0.15, -0.05, 0.06), (0.16, -0.03, 0.06), 0.04),
        stick((-0.12, 0.02, 0.13), (0.13, -0.02, 0.15), 0.035),
    ]
    parts.append(Part(merged(logs), (0.3, 0.2, 0.13)))
    if d.chance(0.6):
        for tone, scale in (((0.95, 0.4, 0.08), 1.0), ((1.0, 0.8, 0.25), 0.6)):
            y = 0.0 if scale == 1 else -0.05
            flames = [
                ellipsoid(0.11 * scale, 0.06, d.size((0.2, 0.34)) * scale, 12).moved(x, y, 0.2)
                for x in (-0.1, 0.0, 0.1)
            ]
            parts.append(Part(merged(flames), tone))
    parts.append(Part(block(width + 0.1, 0.3, 0.03, (0, front - 0.14, 0)), d.pick(("grey", "dark"))))
    return ObjectModel(tuple(parts), tops=((width / 2, depth / 2 - 0.04, height),))


def ceiling_lamp(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("cone", "dome", "globe", "flush"), ("chandelier", "drum"))
    drop, r = d.size((0.35, 0.8)), d.size((0.15, 0.25))
    metal = d.pick(("dark", "metal", "brass", "white"))
    rose = cylinder(0.05, 0.025, 20).moved(0, 0, -0.025)
    if style == "flush":
        bowl = ellipsoid(2 * r, 2 * r, 0.16, 24).moved(0, 0, -0.05)
        return ObjectModel((Part(bowl, "white"), Part(cylinder(r * 1.05, 0.05, 28).moved(0, 0, -0.05))))
    cord = Part(
        merged([rose, stick((0, 0, -0.01), (0, 0, -drop), 0.006 if style != "chandelier" else 0.012, 6)]),
        metal,
    )
    if style == "chandelier":
        arms, cups, count = [], [], d.pick((5, 6, 8))
        for k in range(count):
            c, s = np.cos(2 * np.pi * k / count), np.sin(2 * np.pi * k / count)
            path = [
                (0, 0, -drop),
                (r * 0.5 * c, r * 0.5 * s, -drop - 0.08),
                (r * c * 1.2, r * s * 1.2, -drop - 0.03),
                (r * 1.3 * c, r * 1.3 * s, -drop + 0.06),
            ]
            arms.append(tube(path, 0.008, 6))
            cups += [ellipsoid(0.035, 0.035, 0.07, 8).moved(r * 1.3 * c, r * 1.3 * s, -drop + 0.1)]
        arms.append(ellipsoid(0.07, 0.07, 0.1, 12).moved(0, 0, -drop))
        return ObjectModel((Part(merged(arms)), Part(merged(cups), "white"), cord))
    bulb = Part(ellipsoid(0.07, 0.07, 0.09, 12).moved(0, 0, -drop - 0.12), "white")
    if style == "globe":
        return ObjectModel(
            (Part(ellipsoid(1.5 * r, 1.5 * r, 1.5 * r, 20).moved(0, 0, -drop - 0.7 * r)), cord)
        )
    profiles = {
        "cone": [(r, -0.22), (0.04, 0.0)],
        "dome": [(r, -0.2), (r * 0.93, -0.12), (r * 0.7, -0.05), (0.03, 0.0)],
        "drum": [(r * 1.2, -0.24), (r * 1.2, 0.0)],
    }
    return ObjectModel((Part(shell(profiles[style], 0.004, 28).moved(0, 0, -drop)), bulb, cord))


def fire_extinguisher(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, tall = d.size((0.06, 0.075), (0.08, 0.095)), d.size((0.34, 0.42), (0.28, 0.33))
    t = np.linspace(0, np.pi / 2, 6)
    dome = [(r * float(np.cos(a)) * 0.85 + 0.15 * r, tall + r * 0.8 * float(np.sin(a))) for a in t]
    from_low = [(0.0, 0.0), (r * 0.9, 0.0), (r, 0.015), *dome, (0.0, tall + r * 0.8)]
    parts = [Part(lathe(from_low, 24)), Part(cylinder(r * 1.01, 0.03, 24), "dark")]
    top = tall + r * 0.8
    valve = [cylinder(0.018, 0.05, 14).moved(0, 0, top - 0.01)]
    levers = [
        tube([(0.02, 0, top + 0.03), (-0.06, 0, top + 0.05), (-0.11, 0, top + 0.04)], 0.008, 6),
        tube([(0.02, 0, top + 0.04), (-0.05, 0, top + 0.085), (-0.1, 0, top + 0.09)], 0.008, 6),
    ]
    gauge = disc(0.017, 0.02, (0, -0.012, top + 0.015), 14)
    hose = tube(arc((0.02, 0, top - 0.09), 0.12, 95, -60, "xz", 10), 0.01, 8)
    horn = cylinder(0.012, 0.09, 12, 0.028).turned("x", 180).moved(0.085, 0, top - 0.18)
    parts += [Part(merged(valve), "brass"), Part(merged([*levers, hose, horn]), "dark"), Part(gauge, "white")]
    label = block(r * 1.1, r * 0.4, tall * 0.32, (0, -r * 0.82, tall * 0.35))
    band = cylinder(r * 1.012, tall * 0.3, 24).moved(0, 0, tall * 0.4)
    parts.append(Part(band if unseen else label, "paper"))
    return ObjectModel(tuple(parts), color="red")


CATEGORIES: tuple[Category, ...] = (
    *bathroom.CATEGORIES,
    *openings.CATEGORIES,
    *wall_things.CATEGORIES,
    Category(
        "rug",
        rug,
        "floor",
        ("carpet", "floor mat", "area rug"),
        ("floor covering",),
        "decoration",
        ("fabric",),
    ),
    Category(
        "fireplace",
        fireplace,
        "floor",
        ("hearth", "open fire"),
        ("chimney corner",),
        "fixture",
        ("stone", "wood"),
    ),
    Category(
        "ceiling lamp",
        ceiling_lamp,
        "ceiling",
        ("pendant lamp", "hanging lamp", "ceiling light"),
        ("suspended lamp",),
        "lamp",
        ("metal", "paper", "glass", "fabric"),
    ),
    Category(
        "fire extinguisher",
        fire_extinguisher,
        "floor",
        ("extinguisher",),
        ("fire-fighting bottle",),
        "fixture",
        held_out=True,
    ),
)
