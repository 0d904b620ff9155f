"""Chairs, stools and benches, built to measure."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.furniture_parts import (
    Draw,
    Point,
    arc,
    block,
    disc,
    legs,
    pad,
    stick,
    strut,
)
from perception_contrast_sim.geometry.meshes import TriangleMesh, cylinder, merged, tube
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects.category import Category


def lean(meshes: list[TriangleMesh], y: float, z: float, degrees: float) -> TriangleMesh:
    """Tips a back rearwards about the level line through (y, z)."""
    return merged(meshes).moved(0, -y, -z).turned("x", -degrees).moved(0, y, z)


def _back(style: str, width: float, height: float, post: float) -> list[Part]:
    """A chair's back that stands on the origin, facing -y."""
    x, rail = width / 2 - post / 2, post * 1.6
    posts = [strut((s * x, 0, 0), (s * x, 0, height), post) for s in (-1, 1)]
    inner = width - 2 * post
    if style == "slats":
        places = np.linspace(-inner / 2, inner / 2, 7)[1:-1]
        slats = [block(0.025, post * 0.5, height * 0.85, (b, 0, height * 0.1)) for b in places]
        rails = [block(width, post, rail, (0, 0, z)) for z in (height - rail, height * 0.08)]
        return [Part(merged(posts + slats + rails))]
    if style == "ladder":
        rails = [
            block(inner + 0.01, post * 0.6, 0.05, (0, 0, z)) for z in np.linspace(0.12, height - 0.06, 4)
        ]
        return [Part(merged(posts + rails))]
    if style == "panel":
        return [Part(pad(width, 0.035, height * 0.6, (0, 0, height * 0.4), 0.015)), Part(merged(posts))]
    if style == "upholstered":
        return [Part(pad(width, 0.07, height, (0, 0, 0), 0.03))]
    if style == "spindle":
        hoop = arc((0, 0, height - width / 2), width / 2, 180, 0, "xz", 13)
        bow = tube([(-width / 2, 0, 0), *hoop, (width / 2, 0, 0)], post / 2.5, 8)
        xs = np.linspace(-inner / 2, inner / 2, 9)[1:-1]
        tips = [height - width / 2 + np.sqrt(max((width / 2) ** 2 - b**2, 0)) for b in xs]
        return [
            Part(
                merged([bow] + [stick((b, 0, 0), (b, 0, t), 0.007, 6) for b, t in zip(xs, tips, strict=True)])
            )
        ]
    if style == "cross":
        bars = [stick((s * x, 0, 0.05), (-s * x, 0, height - 0.05), post / 3) for s in (-1, 1)]
        return [Part(merged([*posts, *bars, block(width, post, rail, (0, 0, height - rail))]))]
    medallion = disc(width * 0.48, 0.04, (0, 0.02, height - width * 0.45), 24)
    cushion = disc(width * 0.38, 0.07, (0, 0.035, height - width * 0.45), 24)
    stems = [stick((s * x * 0.6, 0, 0), (s * x * 0.7, 0, height * 0.4), post / 2) for s in (-1, 1)]
    return [Part(merged([medallion, *stems])), Part(cushion, "second")]


def _sled(half_x: float, half_y: float, height: float) -> TriangleMesh:
    """Two tube runners instead of legs."""
    runners = []
    for s in (-1, 1):
        x = s * half_x
        path = [(x, -half_y, height), (x, -half_y - 0.02, 0.012), (x, half_y, 0.012), (x, half_y, height)]
        runners.append(tube(path, 0.012, 8))
    return merged(runners)


def chair(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth = d.size((0.40, 0.47), (0.49, 0.56)), d.size((0.40, 0.46))
    seat, back = d.size((0.43, 0.48)), d.size((0.38, 0.5), (0.52, 0.66))
    style = d.pick(("slats", "ladder", "panel", "upholstered"), ("spindle", "cross", "medallion"))
    leg = d.pick(("square", "tapered", "round", "turned", "metal"), ("tapered", "round", "sled"))
    thick = d.size((0.03, 0.045))
    parts: list[Part] = []
    x, y = width / 2 - thick, depth / 2 - thick
    if leg == "sled":
        parts.append(Part(_sled(x, y, seat), "metal"))
    else:
        kind = "round" if leg == "metal" else leg
        splay = d.size((0.0, 0.05)) if kind != "square" else 0.0
        support = legs(kind, x, y, seat - 0.02, thick, splay)
        parts.append(Part(support, "metal" if leg == "metal" else "main"))
        if d.chance(0.4) and leg in ("square", "tapered", "turned"):
            bars = [stick((s * x, -y, seat / 2), (s * x, y, seat / 2), 0.01) for s in (-1, 1)]
            parts.append(Part(merged(bars)))
    soft = style in ("upholstered", "medallion") or d.chance(0.3)
    parts.append(Part(pad(width, depth, 0.035, (0, 0, seat - 0.035), 0.015)))
    if soft:
        role = "main" if style == "upholstered" else "second"
        parts.append(Part(pad(width * 0.96, depth * 0.96, 0.06, (0, 0, seat - 0.01), 0.03), role))
    tilt = d.size((4, 12))
    for part in _back(style, width, back, thick):
        parts.append(
            Part(lean([part.mesh], 0, 0, tilt).moved(0, depth / 2 - thick / 2, seat - 0.02), part.role)
        )
    return ObjectModel(tuple(parts))


def rocking_chair(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, seat = d.size((0.48, 0.54), (0.55, 0.62)), d.size((0.45, 0.5)), d.size((0.40, 0.45))
    back, x, y = d.size((0.6, 0.7), (0.72, 0.8)), width / 2 - 0.03, depth / 2 - 0.03
    radius = d.size((1.0, 1.4))
    rockers, supports = [], []
    for s in (-1, 1):
        rockers.append(tube(arc((s * x, 0.06, radius + 0.02), radius, 247, 293, "yz", 11), 0.02, 8))
        for end in (-1, 1):
            foot_z = radius + 0.02 - float(np.sqrt(radius**2 - (end * y - 0.06) ** 2))
            supports.append(stick((s * x, end * y, foot_z), (s * x, end * y * 0.9, seat), 0.018))
        supports.append(stick((s * x, -y * 0.8, seat), (s * x, -y * 0.8, seat + 0.22), 0.014))
        supports.append(block(0.06, depth + 0.04, 0.025, (s * (x + 0.01), 0, seat + 0.22)))
    style = d.pick(("slats", "ladder"), ("spindle",))
    parts = [Part(merged(rockers + supports)), Part(pad(width, depth, 0.04, (0, 0, seat - 0.02), 0.018))]
    for part in _back(style, width - 0.02, back, 0.04):
        parts.append(Part(lean([part.mesh], 0, 0, 12).moved(0, y, seat - 0.01), part.role))
    if d.chance(0.5):
        parts.append(Part(pad(width * 0.9, depth * 0.9, 0.06, (0, 0, seat + 0.01), 0.03), "second"))
    return ObjectModel(tuple(parts))


def office_chair(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    seat, width = d.size((0.44, 0.52)), d.size((0.46, 0.52))
    back = d.size((0.42, 0.6), (0.66, 0.78))
    base, wheels = [], []
    for k in range(5):
        a = np.radians(72 * k + 18)
        x, y = 0.3 * np.cos(a), 0.3 * np.sin(a)
        base.append(tube([(0, 0, 0.11), (x, y, 0.07)], [0.028, 0.018], 8))
        wheels.append(cylinder(0.028, 0.045, 12).turned("y", 90).turned("z", 72 * k + 108).moved(x, y, 0.028))
    parts = [Part(merged(base), d.pick(("dark", "metal"))), Part(merged(wheels), "dark")]
    parts.append(Part(cylinder(0.025, seat - 0.15).moved(0, 0, 0.1), "metal"))
    parts.append(Part(block(0.2, 0.25, 0.04, (0, 0, seat - 0.08)), "dark"))
    parts.append(Part(pad(width, 0.48, 0.09, (0, 0, seat - 0.05), 0.04)))
    rest = [pad(width * d.size((0.85, 1.0)), 0.07, back, (0, 0, 0.06), 0.035)]
    if unseen:
        rest.append(pad(0.28, 0.08, 0.15, (0, -0.02, back + 0.1), 0.04))
    parts.append(Part(lean(rest, 0, 0, 8).moved(0, 0.23, seat + 0.02)))
    spine = [(0, 0.08, seat - 0.06), (0, 0.27, seat - 0.05), (0, 0.3, seat + 0.2)]
    parts.append(Part(tube(spine, 0.022, 8), "dark"))
    if d.chance(0.7):
        for s in (-1, 1):
            x = s * (width / 2 + 0.04)
            arm = [(s * 0.1, 0, seat - 0.06), (x, 0, seat - 0.06), (x, 0, seat + 0.2)]
            rest_pad = pad(0.07, 0.26, 0.03, (x, 0, seat + 0.2), 0.014)
            parts.append(Part(merged([tube(arm, 0.015, 8), rest_pad]), "dark"))
    return ObjectModel(tuple(parts))


def stool(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    height = d.size((0.44, 0.78))
    style = d.pick(("round", "square", "three"), ("pedestal", "saddle"))
    r = d.size((0.15, 0.19))
    top: TriangleMesh
    if style in ("square", "saddle"):
        top = pad(2 * r, 1.6 * r if style == "saddle" else 2 * r, 0.045, (0, 0, height - 0.045), 0.015)
    else:
        top = cylinder(r, 0.04, 28).moved(0, 0, height - 0.04)
    parts = [Part(top)]
    metal = "metal" if d.chance(0.4) else "main"
    if style == "pedestal":
        plate = merged([cylinder(0.2, 0.015, 28), cylinder(0.03, height - 0.05, 16).moved(0, 0, 0.01)])
        rest = tube(arc((0, 0, height * 0.35), 0.14, 200, 340, "xy", 13), 0.01, 8)
        parts.append(Part(merged([plate, rest]), "metal"))
    else:
        parts.append(Part(_stool_legs(3 if style == "three" else 4, r, height, d.size((0.02, 0.08))), metal))
    return ObjectModel(tuple(parts), tops=((r * 0.65, r * 0.65, height),))


def _stool_legs(count: int, r: float, height: float, splay: float) -> TriangleMesh:
    bars: list[TriangleMesh] = []
    middle: list[Point] = []
    for k in range(count):
        c, s = np.cos(2 * np.pi * (k + 0.5) / count), np.sin(2 * np.pi * (k + 0.5) / count)
        low, high = r + splay, r * 0.8
        bars.append(tube([(low * c, low * s, 0), (high * c, high * s, height - 0.03)], [0.013, 0.017], 8))
        reach = low + (high - low) * 0.3
        middle.append((reach * c, reach * s, (height - 0.03) * 0.3))
    bars += [stick(middle[k], middle[(k + 1) % count], 0.009, 6) for k in range(count)]
    return merged(bars)


def bench(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, seat = d.size((0.95, 1.35), (1.45, 1.8)), d.size((0.32, 0.42)), d.size((0.42, 0.47))
    style = d.pick(("legs", "planks", "back"), ("sides", "trestle"))
    planks = 1 if style in ("legs", "sides") else 3
    boards = [
        block(width, depth / planks - 0.012, 0.035, (0, (k + 0.5) * depth / planks - depth / 2, seat - 0.035))
        for k in range(planks)
    ]
    parts = [Part(merged(boards))]
    x, y = width / 2 - 0.1, depth / 2 - 0.04
    if style == "sides":
        sides = [block(0.035, depth * 0.92, seat - 0.035, (s * x, 0, 0)) for s in (-1, 1)]
        parts.append(Part(merged([*sides, block(2 * x, 0.03, 0.08, (0, 0, seat * 0.4))])))
    elif style == "trestle":
        cross = [
            strut((s * x, t * y, 0), (s * x, -t * y, seat - 0.035), 0.05) for s in (-1, 1) for t in (-1, 1)
        ]
        parts.append(Part(merged([*cross, stick((-x, 0, seat / 2), (x, 0, seat / 2), 0.02)])))
    else:
        parts.append(Part(legs(d.pick(("square", "tapered", "hairpin")), x, y, seat - 0.03, 0.055)))
    if style == "back":
        posts = [strut((s * x, 0, -0.05), (s * x, 0, 0.42), 0.045) for s in (-1, 1)]
        rails = [block(width, 0.025, 0.08, (0, -0.02, z)) for z in (0.1, 0.22, 0.34)]
        parts.append(Part(lean(posts + rails, 0, 0, 10).moved(0, y, seat)))
    top = (width * 0.42, depth * 0.3 if style == "back" else depth * 0.42, seat)
    return ObjectModel(tuple(parts), tops=(top,))


WOODEN = ("wood", "plastic", "metal")

CATEGORIES: tuple[Category, ...] = (
    Category(
        "chair",
        chair,
        "floor",
        ("dining chair", "side chair", "kitchen chair"),
        ("seat with a back",),
        "seat",
        WOODEN,
    ),
    Category(
        "office chair",
        office_chair,
        "floor",
        ("desk chair", "swivel chair", "computer chair"),
        ("task chair",),
        "seat",
        ("fabric", "leather", "plastic"),
    ),
    Category(
        "stool",
        stool,
        "floor",
        ("bar stool", "kitchen stool", "backless seat"),
        ("counter stool",),
        "seat",
        WOODEN,
    ),
    Category(
        "bench",
        bench,
        "floor",
        ("wooden bench", "sitting bench", "hallway bench"),
        ("long seat",),
        "seat",
        WOODEN,
    ),
    Category(
        "rocking chair",
        rocking_chair,
        "floor",
        ("rocker",),
        ("rocking armchair",),
        "seat",
        ("wood",),
        held_out=True,
    ),
)
