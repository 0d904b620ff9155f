"""Doors, windows, rugs, lamps and things on walls; ``CATEGORIES`` includes the bathroom."""

from __future__ import annotations

import numpy as np

from . import bathroom
from .geometry import TriangleMesh, box, cylinder, ellipsoid, lathe, loft, merged, prism, torus, tube
from .objects import Category, ObjectModel, Part
from .shapes import Draw, Role, arc, block, disc, frame, pad, shell, stick

RGB = tuple[float, float, float]
SKIES: tuple[RGB, ...] = ((0.62, 0.8, 0.95), (0.8, 0.88, 0.95), (0.9, 0.75, 0.6), (0.06, 0.08, 0.16))
LANDS: tuple[RGB, ...] = ((0.3, 0.5, 0.22), (0.45, 0.5, 0.4), (0.55, 0.5, 0.45))


def _sheet(outline: list[tuple[float, float]], y: float, thick: float) -> TriangleMesh:
    """An upright plate of an x, z outline (counter-clockwise seen from the front) from y towards -y."""
    return prism(outline, thick).turned("x", 90).moved(0, y)


def _round(
    width: float, height: float, start: float = 0, stop: float = 360, count: int = 33
) -> list[tuple[float, float]]:
    points = arc((0, 0, 0), 0.5, start, stop, "xz", count)
    return [(p[0] * width, p[2] * height) for p in (points[:-1] if stop - start == 360 else points)]


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
                Part(_sheet(_round(2 * r, 2 * r, count=13), -0.014, 0.002).moved(x, 0, z), (0.2, 0.38, 0.15))
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
        top = _round(width, width * 0.9, 0, 180, 17)
        parts.append(Part(_sheet(top, 0, 0.014).moved(0, 0, height / 2), sky))
        bow = [(p[0], -0.03, p[1] + height / 2) for p in _round(width - rim, width * 0.9 - rim, 0, 180, 17)]
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


def _art(d: Draw, width: float, height: float, y: float) -> list[Part]:
    """A picture: a ground and blobs, bands or a landscape, each slightly before the other."""

    def tone() -> RGB:
        return (d.size((0.1, 0.95)), d.size((0.1, 0.9)), d.size((0.1, 0.9)))

    parts = [Part(box(width, 0.004, height).moved(0, y - 0.002), d.pick((tone(), (0.93, 0.9, 0.83))))]
    kind = d.pick(("blobs", "bands", "landscape"), ("blobs", "tiles"))
    for k in range(d.pick((4, 6, 8))):
        at = y - 0.004 - 0.001 * k
        w, h = d.size((0.15, 0.45)) * width, d.size((0.15, 0.45)) * height
        x, z = d.size((-0.5, 0.5)) * (width - w), d.size((-0.5, 0.5)) * (height - h)
        if kind == "landscape":
            h = height * (0.85 - 0.1 * k)
            mesh = box(width, 0.002, h).moved(0, at, (h - height) / 2)
        elif kind == "blobs":
            mesh = _sheet(_round(w, h, count=15), at, 0.002).moved(x, 0, z)
        else:
            mesh = box(width if kind == "bands" else w, 0.002, h * 0.5).moved(
                0 if kind == "bands" else x, at, z
            )
        parts.append(Part(mesh, tone()))
    return parts


def painting(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, height = d.size((0.3, 0.9)), d.size((0.3, 0.75))
    rim = d.size((0.02, 0.05), (0.06, 0.1))
    role: Role = d.pick(("main", "wood", "dark", "brass", "white"))
    inner = (width - 2 * rim, height - 2 * rim)
    parts = [
        Part(merged(frame(width, height, rim, 0.035, (0, -0.018, 0))), role),
        Part(box(inner[0], 0.01, inner[1]).moved(0, -0.005), "paper"),
    ]
    if d.chance(0.4):
        inner = (inner[0] * 0.75, inner[1] * 0.75)
    return ObjectModel((*parts, *_art(d, *inner, -0.01)))


def mirror(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("rectangle", "round"), ("oval", "arched"))
    width, height = d.size((0.4, 0.7)), d.size((0.55, 1.0))
    if style == "round":
        width = height = d.size((0.45, 0.75))
    if style == "rectangle":
        outline = [
            (-width / 2, -height / 2),
            (width / 2, -height / 2),
            (width / 2, height / 2),
            (-width / 2, height / 2),
        ]
    elif style == "arched":
        bow = [(x, z + (height - width) / 2) for x, z in _round(width, width, 0, 180, 17)]
        outline = [(-width / 2, -height / 2), (width / 2, -height / 2), *bow]
    else:
        outline = _round(width, height)
    share = 1 - d.size((0.03, 0.08))
    inner = [(x * share, z * (1 - (1 - share) * width / height)) for x, z in outline]
    role: Role = d.pick(("main", "brass", "metal", "wood", "dark"))
    silver: RGB = d.pick(((0.7, 0.76, 0.79), (0.6, 0.66, 0.7), (0.78, 0.82, 0.84)))
    parts = [Part(_sheet(outline, 0, 0.02), role), Part(_sheet(inner, -0.02, 0.002), silver)]
    glints = []
    for shift, thick in ((-0.08, 0.05), (0.04, 0.02)):
        glint = box(thick * width * 2, 0.001, min(width, height) * 0.55).turned("y", 40)
        glints.append(glint.moved(shift * width, -0.0228, height * 0.05))
    return ObjectModel((*parts, Part(merged(glints), (0.88, 0.92, 0.94))))


def wall_clock(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, square = d.size((0.12, 0.19)), unseen and d.chance(0.6)
    if square:
        case, dial = (
            pad(2 * r, 0.04, 2 * r, (0, -0.02, -r), 0.015),
            box(1.8 * r, 0.004, 1.8 * r).moved(0, -0.042),
        )
    else:
        case = merged([disc(r, 0.03, (0, 0, 0), 32), torus(r, 0.03, 32, 8).turned("x", 90).moved(0, -0.03)])
        dial = disc(r * 0.96, 0.004, (0, -0.03, 0), 32)
    face = d.pick(("white", "paper")) if not unseen or square else d.pick(("dark", "wood"))
    ink: Role = "white" if face in ("dark", "wood") else "dark"
    y = -0.046 if square else -0.036
    marks = []
    for k in range(12):
        long = 0.14 if k % 3 == 0 else 0.08
        marks.append(box(0.05 * r, 0.003, long * r).moved(0, y, r * 0.8).turned("y", 30 * k))
    minute, hour = d.size((0, 360)), d.size((0, 360))
    hands = [block(0.05 * r, 0.003, 0.72 * r, (0, y - 0.003, -0.08 * r)).turned("y", minute)]
    hands += [
        block(0.08 * r, 0.003, 0.5 * r, (0, y - 0.006, -0.06 * r)).turned("y", hour),
        disc(0.07 * r, 0.01, (0, y, 0), 12),
    ]
    return ObjectModel((Part(case), Part(dial, face), Part(merged(marks + hands), ink)))


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
        parts = [Part(prism(_round(width, depth, count=41), thick))]
        for share in d.pick(((), (0.7,), (0.8, 0.6, 0.4))):
            lift = thick + (1 - share) * 0.006
            parts.append(
                Part(
                    prism(_round(width * share, depth * share, count=41), lift),
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
                merged(frame(hole_w + 0.08, hole_h + 0.04, 0.05, 0.02, (0, front - 0.005, hole_h / 2))),
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


def light_switch(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    count, side = d.pick((1, 2), (3, 4)), d.size((0.08, 0.09))
    plate = pad(side * count, 0.01, side, (0, -0.005, -side / 2), 0.004)
    keys, joints = [], []
    for k in range(count):
        x = (k + 0.5 - count / 2) * side
        keys.append(box(side * 0.62, 0.008, side * 0.68).turned("x", d.pick((-5, 5))).moved(x, -0.012))
        joints.append(box(side * 0.68, 0.003, side * 0.74).moved(x, -0.0095))
    colors: tuple[str | None, ...] = ("white", "white", "black", "grey")
    return ObjectModel((Part(plate), Part(merged(joints), "dark"), Part(merged(keys))), color=d.pick(colors))


def power_outlet(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    count, side = d.pick((1, 2), (3,)), d.size((0.08, 0.09))
    plate = pad(side * count, 0.012, side, (0, -0.006, -side / 2), 0.004)
    wells, holes = [], []
    for k in range(count):
        x = (k + 0.5 - count / 2) * side
        wells.append(disc(side * 0.26, 0.002, (x, -0.012, 0), 24))
        holes += [disc(side * 0.04, 0.002, (x + s * side * 0.12, -0.0138, 0), 10) for s in (-1, 1)]
    rims = [
        torus(side * 0.26, 0.005, 24, 5).turned("x", 90).moved((k + 0.5 - count / 2) * side, -0.013)
        for k in range(count)
    ]
    return ObjectModel(
        (Part(merged([plate, *rims])), Part(merged(wells), "grey"), Part(merged(holes), (0.03, 0.03, 0.03))),
        color=d.pick(("white", "white", "black")),
    )


def whiteboard(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, height = d.size((0.9, 1.6), (0.5, 0.75)), d.size((0.7, 1.0))
    parts = [
        Part(box(width, 0.015, height).moved(0, -0.008), "white"),
        Part(merged(frame(width, height, 0.025, 0.025, (0, -0.013, 0))), d.pick(("metal", "grey", "wood"))),
    ]
    inks: tuple[RGB, ...] = ((0.1, 0.2, 0.7), (0.75, 0.1, 0.1), (0.05, 0.05, 0.05), (0.1, 0.5, 0.2))
    for _ in range(d.pick((2, 3))):
        path = [(d.size((-0.42, 0.42)) * width, -0.0165, d.size((-0.4, 0.4)) * height)]
        lines = []
        for _ in range(d.pick((4, 7, 10))):
            x, _y, z = path[-1]
            new = (
                float(np.clip(x + d.size((-0.2, 0.2)), -0.45 * width, 0.45 * width)),
                -0.0165,
                float(np.clip(z + d.size((-0.12, 0.12)), -0.43 * height, 0.43 * height)),
            )
            lines.append(stick(path[-1], new, 0.004, 5))
            path.append(new)
        parts.append(Part(merged(lines), d.pick(inks)))
    tray = [block(width * 0.5, 0.06, 0.012, (0, -0.04, -height / 2 - 0.005))]
    pens = [
        stick((x, -0.045, -height / 2 + 0.016), (x + 0.12, -0.045, -height / 2 + 0.016), 0.009)
        for x in (-0.15, 0.03)
    ]
    parts += [Part(merged(tray), "grey"), Part(merged(pens), d.pick(inks))]
    return ObjectModel(tuple(parts), color="white")


def air_conditioner(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, height, depth = d.size((0.75, 0.95)), d.size((0.26, 0.31), (0.36, 0.42)), d.size((0.18, 0.23))
    body = pad(width, depth, height, (0, -depth / 2, -height / 2), 0.05 if not unseen else 0.02)
    slot = box(width * 0.86, 0.02, height * 0.16).moved(0, -depth + 0.004, -height * 0.3)
    vanes = [
        box(width * 0.84, 0.03, 0.006).turned("x", 30).moved(0, -depth - 0.002, -height * z)
        for z in (0.26, 0.34)
    ]
    parts = [Part(body), Part(slot, "dark"), Part(merged(vanes))]
    parts.append(Part(box(0.06, 0.006, 0.02).moved(width * 0.33, -depth, 0.02), "screen"))
    if unseen:
        grille = [
            box(width * 0.8, 0.008, 0.008).moved(0, -depth, height * z) for z in np.linspace(0.05, 0.4, 8)
        ]
        parts.append(Part(merged(grille), "grey"))
    return ObjectModel(tuple(parts), color="white")


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
    Category(
        "painting",
        painting,
        "wall",
        ("picture on the wall", "artwork", "wall art"),
        ("canvas in a frame",),
        "decoration",
    ),
    Category("mirror", mirror, "wall", ("wall mirror", "looking glass"), ("hanging mirror",), "decoration"),
    Category(
        "wall clock",
        wall_clock,
        "wall",
        ("clock", "clock on the wall"),
        ("analogue clock",),
        "decoration",
        ("plastic", "wood", "metal"),
    ),
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
    Category("light switch", light_switch, "wall", ("switch", "wall switch"), ("lamp switch",), "fixture"),
    Category(
        "power outlet",
        power_outlet,
        "wall",
        ("socket", "wall socket", "electric outlet"),
        ("plug socket",),
        "fixture",
    ),
    Category(
        "whiteboard", whiteboard, "wall", ("marker board", "dry-erase board"), ("writing board",), "fixture"
    ),
    Category(
        "air conditioner",
        air_conditioner,
        "wall",
        ("air conditioning unit", "AC unit"),
        ("wall-mounted cooler",),
        "appliance",
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
