"""Hats, shoes, umbrellas, cushions and towels; the categories of these and of bags."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    Floats,
    TriangleMesh,
    cylinder,
    ellipsoid,
    lathe,
    loft,
    merged,
    superellipsoid,
    torus,
    tube,
)
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.geometry.small_parts import Draw, bar, outward, part, smooth, stand
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.small.bags import (
    backpack,
    cardboard_box,
    handbag,
    level_ring,
    suitcase,
    wicker_basket,
)

FABRICS = ("fabric", "leather")


def hat(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.any(0.08, 0.09), d.span(0.1, 0.13)
    if d.unseen and d.chance(0.5):
        dome = lathe([(r, 0), (r * 0.97, h * 0.4), (r * 0.7, h * 0.8), (0, h * 0.95)], 28)
        rim = ellipsoid(r * 2.1, r * 2.6, 0.012, 22)
        v = rim.vertices.copy()
        v[:, 1] = np.minimum(v[:, 1], 0.0) * 1.35
        peak = TriangleMesh(v, rim.faces, rim.uv).moved(0, -r * 0.35, 0.006)
        button = ellipsoid(0.018, 0.018, 0.01, 10).moved(z=h * 0.95)
        return stand(
            [part(dome.scaled(1, 1.15, 1)), part(peak, d.pick(("main", "second"))), part(button, "second")]
        )
    brim = r * d.any(1.75, 2.1) if not d.unseen else r * 1.45
    top = 0.85 if not d.unseen else 1.08
    shape = [
        (brim, 0.006),
        (brim, 0.009),
        (r * 1.1, 0.006),
        (r, 0.018),
        (r * top, h * 0.9),
        (r * top * 0.85, h),
        (r * 0.3, h * 0.93),
        (0, h * 0.92),
    ]
    parts = [part(lathe([(0, 0), (r, 0), *shape], 32).scaled(1, 1.12, 1))]
    ribbon = lathe(
        [(r * 0.98, 0.014), (r * 1.012, 0.014), (r * (0.8 + 0.2 * top) * 1.012, 0.042), (r * 0.95, 0.042)], 32
    )
    parts.append(part(ribbon.scaled(1, 1.12, 1), d.pick(("dark", "second", "second"))))
    return stand(parts)


def _boot_leg(neck: Floats) -> list[Part]:
    parts: list[Part] = []
    leg = loft([neck + np.array([0, 0, z]) for z in (0.07, 0.2)])
    parts += [
        part(leg),
        part(
            loft(
                [
                    neck * (0.9, 1, 1) + np.array([0, 0, 0.2]),
                    neck * (0.9, 1, 1) + np.array([0, 0, 0.2005]),
                ]
            ),
            "dark",
        ),
    ]
    parts.append(part(tube(np.vstack([neck, neck[:1]]) + np.array([0, 0, 0.2]), 0.006, 8), "second"))
    return parts


def _shoe_opening(d: Draw, neck: Floats, long: float, wide: float) -> list[Part]:
    parts: list[Part] = []
    mouth = tube(np.vstack([neck, neck[:1]]) * (0.95, 1, 1) + np.array([0, 0, 0.108]), 0.009, 8)
    hole = ellipsoid(wide * 0.56, long * 0.32, 0.03, 16).moved(0, -long * 0.2, 0.1)
    parts += [part(mouth, d.pick(("main", "second"))), part(hole, "dark")]
    return parts


def shoe(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long, wide = d.span(0.25, 0.29), d.any(0.09, 0.1)
    boot = d.unseen and d.chance(0.5)
    t = np.linspace(0, 1, 11)
    width = np.interp(t, [0, 0.08, 0.35, 0.7, 0.92, 1], [0.45, 0.68, 0.62, 1.0, 0.75, 0.3]) * wide
    tall = (
        np.interp(t, [0, 0.06, 0.3, 0.45, 0.6, 0.75, 0.93, 1], [0.72, 1.0, 0.92, 0.86, 0.66, 0.5, 0.38, 0.2])
        * 0.095
    )
    a = np.radians(np.linspace(0, 360, 20, endpoint=False))
    upper = []
    for k in range(11):
        c, s = np.cos(a), np.sin(a)
        z = 0.02 + tall[k] * np.where(s > 0, np.abs(s) ** 0.75, 0) - 0.004
        upper.append(
            np.column_stack([width[k] / 2 * np.sign(c) * np.abs(c) ** 0.6, np.full(20, -t[k] * long), z])[
                ::-1
            ]
        )
    left, right = (np.column_stack([side * width / 2 * 1.07, -t * long]) for side in (-1, 1))
    outline = np.vstack([left, right[::-1]])
    sole = outward(loft([np.column_stack([outline, np.full(len(outline), z)]) for z in (0, 0.024)]))
    parts = [part(sole, d.pick(("white", "white", "dark"))), part(outward(loft(upper)))]
    neck = level_ring(wide * 0.62, long * 0.34, 0, 0.03, 0, -long * 0.2)
    parts += _boot_leg(neck) if boot else _shoe_opening(d, neck, long, wide)
    laces = [
        bar(
            (-wide * 0.24, -long * q, 0.02 + 0.095 * h),
            (wide * 0.24, -long * (q + 0.02), 0.02 + 0.095 * h),
            0.004,
            8,
        )
        for q, h in ((0.42, 0.93), (0.5, 0.85), (0.57, 0.74), (0.64, 0.65))
    ]
    parts.append(part(merged(laces), "white" if not boot else "second"))
    if d.chance(0.6):
        parts += [
            part(
                tube(
                    smooth(
                        [
                            (s * wide * 0.4, -long * 0.32, 0.05),
                            (s * wide * 0.44, -long * 0.5, 0.035),
                            (s * wide * 0.44, -long * 0.64, 0.05),
                        ],
                        7,
                    ),
                    0.006,
                    8,
                ),
                "second",
            )
            for s in (-1, 1)
        ]
    return stand(parts)


def umbrella(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r = d.span(0.42, 0.52)
    ribs, bulge = 8, r * d.any(0.42, 0.55)
    if d.unseen and d.chance(0.5):
        long = 0.6
        folds = [ellipsoid(0.03, 0.075, long * 0.9, 8).moved(0, 0.02).turned("z", 60 * k) for k in range(6)]
        hook = [
            (0, 0, long * 0.4),
            (0, 0, long * 0.72),
            (0.012, 0, long * 0.8),
            (0.045, 0, long * 0.8),
            (0.055, 0, long * 0.7),
        ]
        parts = [
            part(merged(folds)),
            part(tube(smooth(hook, 14), 0.011, 8), "wood"),
            part(bar((0, 0, -long * 0.6), (0, 0, long * 0.5), 0.006), "metal"),
            part(torus(0.05, 0.016, 16, 6).moved(z=0.08), "second"),
        ]
        return stand([Part(p.mesh.turned("y", 88), p.role) for p in parts])
    levels = np.linspace(1, 0.06, 7)
    rings = []
    for s in levels:
        a = np.linspace(0, 2 * np.pi, ribs * 3, endpoint=False)
        q = r * s * np.where(np.arange(ribs * 3) % 3 == 0, 1.0, 1 - 0.09 * s)
        rings.append(np.column_stack([q * np.cos(a), q * np.sin(a), np.full(len(a), bulge * (1 - s**2))]))
    parts = [
        part(loft(rings)),
        part(bar((0, 0, -r * 0.55), (0, 0, bulge + 0.05), 0.006), "metal"),
    ]
    hook = [
        (0, 0, -r * 0.5),
        (0, 0, -r * 0.75),
        (0.02, 0, -r * 0.86),
        (0.055, 0, -r * 0.86),
        (0.07, 0, -r * 0.75),
    ]
    parts.append(part(tube(smooth(hook, 14), 0.013, 8), "wood"))
    parts += [
        part(bar((0, 0, bulge * 0.2), (0.8 * r, 0, bulge * 0.25), 0.003, 6).turned("z", 45 * k), "metal")
        for k in range(ribs)
    ]
    return stand([Part(p.mesh.turned("y", 62), p.role) for p in parts])


def cushion(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.38, 0.5), d.any(0.36, 0.46), d.any(0.1, 0.15)
    if d.unseen:
        x, y = d.pick(((0.7, 0.45), (0.45, 0.45), (0.6, 0.2)))
    side = 0.25 if not (d.unseen and x == y) else 1.0
    mesh = superellipsoid(x, y, h if y > 0.25 else y, side, 0.9, 26)
    v = mesh.vertices.copy()
    ear = np.abs(v[:, 0] / x * 2) * np.abs(v[:, 1] / y * 2)
    v[:, :2] *= (0.93 + 0.1 * ear * (side < 1))[:, None]
    parts = [part(TriangleMesh(v, mesh.faces, mesh.uv))]
    if d.chance(0.35):
        parts += [part(ellipsoid(0.03, 0.03, 0.012, 10).moved(z=h / 2 * 0.98), "second")]
    if d.chance(0.4) and y > 0.25:
        parts.append(part(superellipsoid(x * 0.2, y * 0.93, h * 1.03, 0.3, 0.9, 20), "second"))
    up = d.chance(0.3)
    return stand([Part(p.mesh.turned("x", 68), p.role) for p in parts] if up else parts)


def folded_towel(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, thick = d.span(0.26, 0.34), d.any(0.18, 0.24), d.any(0.018, 0.026)
    if d.unseen:
        a = np.linspace(0, 5 * np.pi, 50)
        q = 0.01 + 0.0044 * a
        out = np.stack([(q + 0.009) * np.cos(a), (q + 0.009) * np.sin(a)], 1)
        core = cylinder(float(q[-1]), x, 28).turned("y", 90).moved(-x / 2)
        ends = [tube(np.column_stack([np.full(50, s * x / 2), out]), 0.0045, 6) for s in (-1, 1)]
        return stand(
            [
                part(merged([core, *ends])),
                part(
                    merged(
                        [
                            cylinder(float(q[-1]) + 0.001, 0.03, 28)
                            .turned("y", 90)
                            .moved(s * x * 0.34 - 0.015)
                            for s in (-1, 1)
                        ]
                    ),
                    "second",
                ),
            ]
        )
    parts: list[Part] = []
    for k in range(d.count(3, 5)):
        sheet = superellipsoid(x * d.any(0.97, 1.0), y * d.any(0.97, 1.0), thick, 0.08, 0.5, 20)
        parts.append(part(sheet.moved(d.any(-0.003, 0.003), d.any(-0.003, 0.003), thick * 0.93 * k)))
    top = thick * 0.93 * (len(parts) - 1)
    stripe = superellipsoid(0.022, y * 0.995, thick * 1.04, 0.1, 0.4, 14)
    return stand(
        [
            *parts,
            *(part(stripe.moved(q * x, 0, top), "second") for q in ((0.3, 0.4) if d.chance(0.7) else ())),
        ]
    )


CATEGORIES: tuple[Category, ...] = (
    Category(
        "hat", hat, "table", ("sun hat", "brimmed hat"), ("headgear",), "clothing", ("fabric", "leather")
    ),
    Category("shoe", shoe, "floor", ("sneaker", "trainer"), ("footwear",), "clothing", FABRICS),
    Category("backpack", backpack, "floor", ("rucksack", "school bag"), ("knapsack",), "bag", ("fabric",)),
    Category("handbag", handbag, "table", ("purse", "ladies' bag"), ("tote bag",), "bag", FABRICS),
    Category(
        "suitcase",
        suitcase,
        "floor",
        ("luggage", "travel case", "trolley case"),
        ("baggage",),
        "bag",
        ("plastic", "leather"),
    ),
    Category(
        "cardboard box",
        cardboard_box,
        "floor",
        ("carton", "packing box", "moving box"),
        ("parcel",),
        "container",
    ),
    Category("basket", wicker_basket, "floor", ("wicker basket", "woven basket"), ("hamper",), "container"),
    Category(
        "umbrella",
        umbrella,
        "floor",
        ("rain umbrella",),
        ("parasol", "brolly"),
        "accessory",
        ("fabric",),
        True,
    ),
    Category("cushion", cushion, "floor", ("pillow", "throw pillow"), ("sofa pillow",), "textile", FABRICS),
    Category(
        "folded towel",
        folded_towel,
        "table",
        ("towel", "bath towel"),
        ("hand towel",),
        "textile",
        ("fabric",),
    ),
)
