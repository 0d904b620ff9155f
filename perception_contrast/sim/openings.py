"""Doors, windows and curtains, built to measure."""

from __future__ import annotations

import numpy as np

from .geometry import TriangleMesh, box, ellipsoid, loft, merged, tube
from .objects import Category, ObjectModel, Part
from .shapes import RGB, Draw, block, frame, oval, sheet, stick

SKIES: tuple[RGB, ...] = ((0.62, 0.8, 0.95), (0.8, 0.88, 0.95), (0.9, 0.75, 0.6), (0.06, 0.08, 0.16))
LANDS: tuple[RGB, ...] = ((0.3, 0.5, 0.22), (0.45, 0.5, 0.4), (0.55, 0.5, 0.45))


def door(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, height = d.size((0.74, 0.92)), d.size((1.95, 2.08))
    style = d.pick(("flat", "panels", "panels"), ("planks", "glazed"))
    rim = d.size((0.06, 0.1))
    leaf, low = -0.03, -height / 2
    parts: list[Part] = [Part(block(width, 0.03, height, (0, leaf / 2, low)))]
    casing = [box(rim, 0.06, height + rim).moved(s * (width + rim) / 2, -0.03, rim / 2) for s in (-1, 1)]
    casing.append(box(width, 0.06, rim).moved(0, -0.03, height / 2 + rim / 2))
    parts.append(Part(merged(casing), d.pick(("white", "main", "wood"))))
    rows: list[tuple[float, float]] = d.pick(
        ([(0.06, 0.4), (0.48, 0.94)], [(0.05, 0.3), (0.35, 0.6), (0.65, 0.95)])
    )
    if style == "panels":
        columns = d.pick((1, 2))
        for a, b in rows:
            for k in range(columns):
                w, h = (width - 0.16) / columns - 0.05, (b - a) * height
                at = ((k + 0.5 - columns / 2) * (w + 0.06), leaf - 0.006, low + (a + b) / 2 * height)
                parts.append(Part(merged(frame(w, h, 0.025, 0.014, at))))
                parts.append(Part(box(w - 0.1, 0.012, h - 0.1).moved(*at)))
    elif style == "planks":
        planks = [
            block(width / 6 - 0.008, 0.016, height, ((k - 2.5) * width / 6, leaf - 0.006, low))
            for k in range(6)
        ]
        bars = [block(width - 0.04, 0.025, 0.12, (0, leaf - 0.02, low + height * z)) for z in (0.12, 0.78)]
        parts += [Part(merged(planks + bars)), Part(block(width, 0.004, height, (0, leaf, low)), "dark")]
    elif style == "glazed":
        parts.append(
            Part(
                box(width - 0.22, 0.012, height * 0.55).moved(0, leaf - 0.004, height * 0.15),
                (0.7, 0.8, 0.84),
            )
        )
        grid = [box(0.025, 0.022, height * 0.55).moved(0, leaf - 0.006, height * 0.15)]
        grid += [
            box(width - 0.22, 0.022, 0.025).moved(0, leaf - 0.006, height * (0.15 + z)) for z in (-0.09, 0.09)
        ]
        parts.append(
            Part(
                merged(
                    [
                        *grid,
                        *frame(width - 0.16, height * 0.58, 0.03, 0.024, (0, leaf - 0.006, height * 0.15)),
                    ]
                )
            )
        )
    x, z = d.pick((-1, 1)) * (width / 2 - 0.06), low + 1.02
    plate = block(0.04, 0.01, 0.16, (x, leaf - 0.004, z - 0.09))
    grip = ellipsoid(0.055, 0.055, 0.055, 12).moved(x, leaf - 0.05, z)
    if d.chance(0.6):
        grip = tube([(x, leaf, z), (x, leaf - 0.05, z), (x - np.sign(x) * 0.12, leaf - 0.05, z)], 0.009, 8)
    stem = stick((x, leaf, z), (x, leaf - 0.05, z), 0.009)
    parts.append(Part(merged([plate, grip, stem]), d.pick(("metal", "brass", "dark"))))
    return ObjectModel(tuple(parts))


def window(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, height = d.size((0.8, 1.5)), d.size((0.9, 1.35))
    style = d.pick(("casement", "single", "sash"), ("grid", "arched", "shutters"))
    rim, role = d.size((0.05, 0.09)), d.pick(("white", "white", "main", "wood"))
    sky = d.pick(SKIES)
    parts = [Part(box(width - rim, 0.012, height - rim).moved(0, -0.006), sky)]
    if sky != SKIES[-1]:
        land = d.size((0.15, 0.4)) * height
        parts.append(Part(block(width - rim, 0.002, land, (0, -0.014, rim / 2 - height / 2)), d.pick(LANDS)))
        for _ in range(2):
            r = d.size((0.08, 0.16)) * height
            x, z = d.size((-0.3, 0.3)) * width, land - height / 2 + r * 0.4
            parts.append(
                Part(sheet(oval(2 * r, 2 * r, count=13), -0.014, 0.002).moved(x, 0, z), (0.2, 0.38, 0.15))
            )
    bars = frame(width, height, rim, 0.06, (0, -0.03, 0))
    bar = rim * 0.7
    if style in ("casement", "shutters"):
        bars.append(box(bar * 1.5, 0.05, height).moved(0, -0.025))
        parts.append(Part(block(0.02, 0.03, 0.1, (bar / 2, -0.065, -0.05)), "metal"))
    elif style == "sash":
        bars.append(box(width, 0.05, bar * 1.3).moved(0, -0.025))
    elif style == "grid":
        bars += [box(0.02, 0.03, height).moved(x * width, -0.015) for x in (-0.25, 0, 0.25)]
        bars += [box(width, 0.03, 0.02).moved(0, -0.015, z * height) for z in (-0.25, 0, 0.25)]
    elif style == "arched":
        top = oval(width, width * 0.9, 0, 180, 17)
        parts.append(Part(sheet(top, 0, 0.014).moved(0, 0, height / 2), sky))
        bow = [(p[0], -0.03, p[1] + height / 2) for p in oval(width - rim, width * 0.9 - rim, 0, 180, 17)]
        bars += [
            tube(bow, rim / 2, 8),
            stick((0, -0.02, height / 2), (0, -0.02, height / 2 + width * 0.43), 0.015),
        ]
    bars.append(box(width + 0.1, 0.14, 0.03).moved(0, -0.07, -height / 2 - 0.01))
    parts.append(Part(merged(bars), role))
    if style == "shutters":
        for s in (-1, 1):
            x = s * (width * 0.75 + 0.02)
            slats = [
                box(width / 2 - 0.1, 0.02, 0.035).turned("x", 20).moved(x, -0.02, z)
                for z in np.arange(-height / 2 + 0.1, height / 2 - 0.05, 0.06)
            ]
            parts.append(
                Part(merged([*slats, *frame(width / 2 - 0.02, height, 0.05, 0.03, (x, -0.016, 0))]), "second")
            )
    low = min(float(p.mesh.vertices[:, 2].min()) for p in parts)
    high = max(float(p.mesh.vertices[:, 2].max()) for p in parts)
    return ObjectModel(tuple(Part(p.mesh.moved(z=-(low + high) / 2), p.role) for p in parts))


def _folds(width: float, levels: list[tuple[float, float, float]], folds: int, depth: float) -> TriangleMesh:
    """Hanging cloth: levels of (z, share of the width, shift in x) from the bottom up."""
    t = np.linspace(0, 1, folds * 6 + 1)
    wave = depth / 2 * np.sin(2 * np.pi * folds * t)
    rings = []
    for z, share, shift in levels:
        x = (t - 0.5) * width * share + shift
        y = wave * (0.6 + 0.4 / max(share, 0.3) * 0.6)
        lines = [
            np.column_stack([x, y - 0.004, np.full_like(x, z)]),
            np.column_stack([x, y + 0.004, np.full_like(x, z)])[::-1],
        ]
        rings.append(np.concatenate(lines))
    return loft(rings)


def curtain(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    height, span = d.size((1.8, 2.15), (1.3, 1.65)), d.size((1.2, 2.0))
    sides = d.pick(((-1, 1), (-1, 1), (0,)))
    wide = d.size((0.35, 0.48)) * span if len(sides) == 2 else d.size((0.5, 0.9)) * span
    half, y = height / 2, -0.09
    panels = []
    for s in sides:
        x = s * (span - wide) / 2
        levels = [(-half, 1.0, x), (half - 0.06, d.size((0.85, 1.0)), x)]
        if unseen:
            out = s * wide * 0.3
            levels = [
                (-half, 0.7, x + out * 0.6),
                (-half * 0.25, 0.3, x + out),
                (0.1 * half, 0.5, x + out * 0.7),
                (half - 0.06, 1, x),
            ]
        panels.append(_folds(wide, levels, int(wide / 0.09) + 2, d.size((0.04, 0.08))).moved(0, y))
    rod = [stick((-span / 2 - 0.1, y, half - 0.03), (span / 2 + 0.1, y, half - 0.03), 0.013)]
    rod += [ellipsoid(0.05, 0.05, 0.05, 10).moved(s * (span / 2 + 0.1), y, half - 0.03) for s in (-1, 1)]
    rod += [stick((s * span / 2, 0, half - 0.03), (s * span / 2, y, half - 0.03), 0.01) for s in (-1, 1)]
    parts = [Part(merged(panels)), Part(merged(rod), d.pick(("metal", "brass", "wood", "dark")))]
    if d.chance(0.3):
        lace = _folds(span * 0.8, [(-half + 0.05, 1, 0), (half - 0.06, 1, 0)], 10, 0.02).moved(0, y + 0.05)
        parts.append(Part(lace, "white"))
    return ObjectModel(tuple(parts))


CATEGORIES: tuple[Category, ...] = (
    Category(
        "door",
        door,
        "wall",
        ("room door", "wooden door", "entrance"),
        ("doorway door", "interior door"),
        "fixture",
        ("wood", "plastic", "metal"),
    ),
    Category("window", window, "wall", ("window pane", "glass window"), ("casement",), "fixture"),
    Category("curtain", curtain, "wall", ("curtains", "drapes"), ("window drapery",), "fixture", ("fabric",)),
)
