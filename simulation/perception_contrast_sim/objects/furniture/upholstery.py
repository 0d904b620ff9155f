"""Upholstered furniture and beds, built to measure."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.furniture_parts import (
    Draw,
    arc,
    block,
    corners,
    disc,
    legs,
    pad,
    stick,
    strut,
)
from perception_contrast_sim.geometry.meshes import TriangleMesh, box, cylinder, ellipsoid, merged, prism
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.furniture.seats import lean


def _tub(width: float, depth: float, seat: float, height: float) -> list[Part]:
    """A round back of upright channels about a round seat."""
    pieces = []
    for angle in np.linspace(-20, 200, 12):
        piece = _channel(height - 0.08).moved(0, width / 2 - 0.06).turned("z", float(angle) - 90)
        pieces.append(piece.moved(0, 0, 0.08))
    cushion = cylinder(width / 2 - 0.08, seat - 0.1, 28).moved(0, -0.03, 0.1)
    return [Part(merged(pieces)), Part(cushion), Part(legs("round", width / 4, width / 4, 0.1, 0.05), "wood")]


def _channel(height: float) -> TriangleMesh:
    return pad(0.2, 0.12, height, radius=0.05)


def _upholstered(d: Draw, width: float, seats: int, style: str) -> list[Part]:
    """A padded frame: base, seat and back cushions, arms."""
    depth, seat = d.size((0.78, 0.92), (0.94, 1.05)), d.size((0.40, 0.46))
    height, arm_h = d.size((0.74, 0.9)), d.size((0.54, 0.64))
    arm = d.size((0.12, 0.22))
    foot = d.size((0.03, 0.14))
    if style == "low":
        arm_h = height = d.size((0.68, 0.74))
    if style == "wing":
        height = d.size((0.98, 1.1))
    inner = width - 2 * arm
    parts = [Part(block(width - 0.02, depth - 0.04, seat - 0.16 - foot, (0, 0, foot)))]
    parts.append(Part(pad(width, 0.2, height - foot, (0, depth / 2 - 0.1, foot), 0.06)))
    for s in (-1, 1):
        x = s * (width / 2 - arm / 2)
        if style in ("rolled", "low"):
            roll = disc(arm * 0.62, depth - 0.06, (x, depth / 2 - 0.05, arm_h - arm * 0.5), 16)
            parts.append(
                Part(merged([block(arm * 0.9, depth - 0.08, arm_h - arm * 0.5 - foot, (x, 0, foot)), roll]))
            )
        elif style == "frame":
            parts.append(Part(_wooden_arm(x, depth, arm_h), "wood"))
        else:
            parts.append(Part(pad(arm, depth, arm_h - foot, (x, 0, foot), 0.05)))
        if style == "wing":
            wing = pad(
                0.1,
                0.36,
                height - arm_h + 0.1,
                (s * (width / 2 - 0.05), depth / 2 - 0.2, arm_h - 0.12),
                0.045,
            )
            parts.append(Part(wing))
    cushion = inner / seats
    for k in range(seats):
        x = (k + 0.5) * cushion - inner / 2
        parts.append(Part(pad(cushion - 0.008, depth - 0.2, 0.18, (x, -0.1, seat - 0.17), 0.05)))
        if style != "low":
            soft = pad(cushion - 0.02, 0.17, height - seat + 0.02, (0, 0, 0), 0.07)
            parts.append(Part(lean([soft], 0, 0, 10).moved(x, depth / 2 - 0.3, seat - 0.01)))
    feet = legs(d.pick(("tapered", "square", "round")), width / 2 - 0.07, depth / 2 - 0.08, foot, 0.05)
    return [*parts, Part(feet, d.pick(("wood", "dark", "metal")))]


def _wooden_arm(x: float, depth: float, height: float) -> TriangleMesh:
    posts = [strut((x, y, 0), (x, y, height), 0.045) for y in (-depth / 2 + 0.05, depth / 2 - 0.12)]
    return merged([*posts, block(0.07, depth - 0.04, 0.03, (x, 0, height))])


def armchair(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("boxy", "rolled", "frame"), ("wing", "tub"))
    width = d.size((0.72, 0.92), (0.7, 0.8))
    if style == "tub":
        return ObjectModel(tuple(_tub(width, width, d.size((0.42, 0.46)), d.size((0.7, 0.8)))))
    return ObjectModel(tuple(_upholstered(d, width, 1, style)))


def sofa(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    seats = d.pick((2, 3), (3, 4))
    style = d.pick(("boxy", "rolled", "frame"), ("low", "boxy"))
    width = seats * d.size((0.6, 0.72)) + 0.36
    parts = _upholstered(d, width, seats, style)
    if unseen and style == "boxy":
        side = d.pick((-1, 1))
        chaise = pad(
            width / seats - 0.1, 0.75, 0.3, (side * (width / 2 - width / seats / 2 - 0.08), -0.75, 0.1), 0.06
        )
        parts.append(Part(chaise))
    if d.chance(0.5):
        for side in (-1, 1):
            pillow = pad(0.4, 0.14, 0.38, (0, 0, 0), 0.06).turned("x", -20).turned("z", side * -20.0)
            parts.append(Part(pillow.moved(side * (width / 2 - 0.42), -0.02, 0.46), "second"))
    return ObjectModel(tuple(parts))


def ottoman(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, height = d.size((0.42, 0.62), (0.66, 0.85)), d.size((0.36, 0.45))
    style = d.pick(("square", "round"), ("hexagon", "gathered"))
    foot = d.size((0.03, 0.12))
    if style == "gathered":
        wedges = []
        for k in range(16):
            wedge = pad(width * 0.5, width * 0.2, height * 0.85, (width / 4, 0, 0), width * 0.09)
            wedges.append(wedge.turned("z", 22.5 * k))
        return ObjectModel((Part(merged(wedges)),))
    if style == "square":
        body = pad(width, width * d.size((0.7, 1.0)), height - foot, (0, 0, foot), 0.05)
    else:
        sides = 28 if style == "round" else 6
        outline = arc((0, 0, 0), width / 2, 0, 360, "xy", sides + 1)[:-1]
        low = prism([(p[0], p[1]) for p in outline], height - foot - 0.08).moved(0, 0, foot)
        soft = ellipsoid(width, width, 0.16, 20).moved(0, 0, height - 0.08)
        body = merged([low, soft])
    feet = legs(d.pick(("round", "square", "tapered")), width * 0.3, width * 0.25, foot + 0.01, 0.045)
    return ObjectModel((Part(body), Part(feet, d.pick(("wood", "dark", "metal")))))


def _headboard(d: Draw, style: str, width: float, height: float, y: float) -> Part:
    if style == "panel":
        return Part(block(width, 0.05, height, (0, y, 0)))
    if style == "padded":
        columns = [pad(width / 4, 0.1, height - 0.1, (width * (k - 1.5) / 4, y, 0.1), 0.03) for k in range(4)]
        return Part(merged(columns))
    if style == "arched":
        hoop = [(p[0], p[2]) for p in arc((0, 0, height * 0.7), width / 2, 0, 180, "xz", 17)]
        outline = [
            (-width / 2, 0.0),
            (width / 2, 0.0),
            *[(a, height * 0.7 + (b - height * 0.7) * 0.5) for a, b in hoop],
        ]
        return Part(prism(outline, 0.05).turned("x", 90).moved(0, y + 0.025))
    bars = [stick((x, y, 0), (x, y, height), 0.018) for x in (-width / 2, width / 2)]
    bars += [
        stick((x, y, 0.2), (x, y, height - 0.03), 0.008, 6)
        for x in np.linspace(-width / 2, width / 2, 11)[1:-1]
    ]
    bars += [stick((-width / 2, y, z), (width / 2, y, z), 0.014) for z in (height - 0.03, 0.3)]
    return Part(merged(bars), "main" if style == "bars" else "metal")


def bed(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, length = d.pick((0.9, 1.4, 1.6), (1.2, 1.8)), d.size((1.95, 2.1))
    low, thick = d.size((0.2, 0.3)), d.size((0.16, 0.26))
    style = d.pick(("panel", "padded", "bars", "metal"), ("arched", "canopy"))
    top = low + thick
    y = length / 2
    role = "metal" if style == "metal" else "main"
    parts = [Part(block(width, length, 0.12, (0, 0, low - 0.1)), role)]
    parts.append(Part(legs("square", width / 2 - 0.05, y - 0.05, low - 0.08, 0.07), role))
    parts.append(Part(pad(width - 0.04, length - 0.04, thick, (0, 0, low), 0.05), "white"))
    parts.append(
        _headboard(d, "panel" if style == "canopy" else style, width + 0.06, top + d.size((0.35, 0.6)), y)
    )
    if style == "canopy":
        posts = [strut((px, py, 0), (px, py, 2.0), 0.06) for px, py in corners(width / 2, y)]
        rails = [stick((-width / 2, s * y, 1.97), (width / 2, s * y, 1.97), 0.025) for s in (-1, 1)]
        rails += [stick((s * width / 2, -y, 1.97), (s * width / 2, y, 1.97), 0.025) for s in (-1, 1)]
        parts.append(Part(merged(posts + rails)))
    elif d.chance(0.4):
        parts.append(_headboard(d, style, width + 0.06, top + 0.06, -y))
    share = d.size((0.55, 0.72))
    cover = pad(
        width + 0.06,
        length * share,
        thick * 0.7,
        (0, -length * (1 - share) / 2 - 0.01, low + thick * 0.4),
        0.05,
    )
    parts.append(Part(cover, "second"))
    pillows = 1 if width < 1.3 else 2
    for k in range(pillows):
        x = (k + 0.5) * width / pillows - width / 2
        parts.append(Part(pad(0.6, 0.4, 0.14, (x, y - 0.3, top - 0.02), 0.065), "white"))
    return ObjectModel(tuple(parts))


def crib(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, height = (
        d.size((1.1, 1.3)),
        d.size((0.6, 0.68), (0.7, 0.78)),
        d.size((0.85, 0.95), (0.98, 1.1)),
    )
    x, y, low = width / 2, depth / 2, d.size((0.25, 0.35))
    frame = [strut((px, py, 0), (px, py, height), 0.05) for px, py in corners(x, y)]
    for s in (-1, 1):
        for z in (low, height - 0.06):
            frame.append(box(width, 0.035, 0.05).moved(0, s * y, z))
            frame.append(box(0.035, depth, 0.05).moved(s * x, 0, z))
        span = height - low - 0.06
        frame += [block(0.02, 0.018, span, (px, s * y, low)) for px in np.linspace(-x, x, 15)[1:-1]]
        frame += [block(0.018, 0.02, span, (s * x, py, low)) for py in np.linspace(-y, y, 8)[1:-1]]
    mattress = pad(width - 0.05, depth - 0.05, 0.11, (0, 0, low), 0.03)
    parts = [Part(merged(frame)), Part(mattress, "white")]
    if d.chance(0.6):
        blanket = pad(width * 0.5, depth - 0.08, 0.05, (width * 0.18, 0, low + 0.09), 0.02)
        parts.append(Part(blanket, "second"))
    return ObjectModel(tuple(parts))


SOFT = ("fabric", "leather")

CATEGORIES: tuple[Category, ...] = (
    Category(
        "armchair",
        armchair,
        "floor",
        ("easy chair", "lounge chair", "upholstered chair"),
        ("club chair",),
        "seat",
        SOFT,
    ),
    Category(
        "sofa",
        sofa,
        "floor",
        ("couch", "settee", "loveseat"),
        ("davenport", "living room sofa"),
        "seat",
        SOFT,
    ),
    Category(
        "ottoman",
        ottoman,
        "floor",
        ("pouf", "footstool", "hassock"),
        ("foot rest",),
        "seat",
        ("fabric", "leather", "wicker"),
    ),
    Category(
        "bed",
        bed,
        "floor",
        ("double bed", "single bed", "bedstead"),
        ("place to sleep",),
        "furniture",
        ("wood", "metal", "fabric"),
    ),
    Category(
        "crib",
        crib,
        "floor",
        ("baby bed", "infant bed"),
        ("baby cot", "nursery bed"),
        "furniture",
        ("wood",),
        held_out=True,
    ),
)
