"""Bags, boxes and baskets."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    Floats,
    TriangleMesh,
    box,
    cylinder,
    ellipsoid,
    loft,
    merged,
    superellipsoid,
    torus,
    tube,
)
from perception_contrast_sim.geometry.object_model import ObjectModel
from perception_contrast_sim.geometry.small_parts import (
    Draw,
    arc,
    bar,
    part,
    rectangle,
    smooth,
    stand,
    vessel,
)


def level_ring(x: float, y: float, z: float, radius: float, dx: float = 0.0, dy: float = 0.0) -> Floats:
    """A level rounded rectangle of full side lengths at height z."""
    outline = np.array(rectangle(x, y, min(radius, x * 0.49, y * 0.49)))
    return np.column_stack([outline + np.array([dx, dy]), np.full(len(outline), z)])


def backpack(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.28, 0.34), d.any(0.14, 0.18), d.span(0.4, 0.47)
    levels = (
        (0.92, 0.9, 0.0),
        (1.0, 1.0, 0.05),
        (1.0, 1.0, 0.6),
        (0.94, 0.85, 0.85),
        (0.7, 0.6, 0.97),
        (0.35, 0.3, 1.0),
    )
    if d.unseen:
        levels = (
            (0.8, 0.9, 0.0),
            (0.9, 1.0, 0.05),
            (0.95, 1.0, 0.78),
            (0.98, 1.02, 0.8),
            (0.98, 1.02, 0.96),
            (0.9, 0.9, 1.0),
        )
    body = loft([level_ring(x * a, y * b, h * c, 0.05, 0, y * (1 - b) * 0.3) for a, b, c in levels])
    pocket = superellipsoid(x * 0.74, y * 0.5, h * 0.4, 0.35, 0.35).moved(0, -y * 0.5, h * 0.27)
    parts = [part(body), part(pocket, d.pick(("main", "second", "dark")))]
    zip_line = tube([(-x * 0.3, -y * 0.76, h * 0.4), (x * 0.3, -y * 0.76, h * 0.4)], 0.004, 6)
    over = tube(
        smooth(
            [
                (-x * 0.51, -y * 0.2, h * 0.35),
                (-x * 0.46, -y * 0.3, h * 0.8),
                (0, -y * 0.24, h * 0.985),
                (x * 0.46, -y * 0.3, h * 0.8),
                (x * 0.51, -y * 0.2, h * 0.35),
            ],
            18,
        ),
        0.004,
        6,
    )
    grip = tube(arc(0.04, 0, 180, 9) + np.array([0, y * 0.15, h * 0.98]), 0.007, 8)
    parts += [part(merged([zip_line, over]), "dark" if not d.unseen else "metal"), part(grip, "dark")]
    for side in (-1, 1):
        strap = smooth(
            [
                (side * x * 0.22, y * 0.4, h * 0.9),
                (side * x * 0.26, y * 0.75, h * 0.7),
                (side * x * 0.3, y * 0.75, h * 0.35),
                (side * x * 0.4, y * 0.45, h * 0.06),
            ],
            12,
        )
        parts.append(part(tube(strap, 0.013, 8), "dark"))
        if d.chance(0.5):
            parts.append(
                part(
                    superellipsoid(0.05, y * 0.6, h * 0.3, 0.5, 0.4, 14).moved(side * x * 0.5, 0, h * 0.2),
                    "dark",
                )
            )
    return stand(parts)


def handbag(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.27, 0.34), d.any(0.1, 0.13), d.span(0.18, 0.24)
    top = 0.8 if not d.unseen else d.pick((1.15, 0.55))
    body = loft(
        [
            level_ring(x * a, y * b, h * c, 0.02)
            for a, b, c in ((1, 0.95, 0), (1.02, 1, 0.1), (1 + (top - 1) * 0.7, 0.6, 0.8), (top, 0.3, 1.0))
        ]
    )
    parts = [part(body)]
    for side in (-1, 1):
        loop = arc(x * 0.22, 0, 180, 14) * [1, 1, 1.5 if not d.unseen else 0.9] + np.array(
            [0, side * y * 0.16, h * 0.93]
        )
        parts.append(part(tube(loop, 0.007, 8), d.pick(("main", "second", "wood"))))
    parts.append(
        part(tube([(-x * top * 0.45, 0, h * 1.005), (x * top * 0.45, 0, h * 1.005)], 0.006, 8), "brass")
    )
    if d.chance(0.6):
        flap = (
            loft([level_ring(x * 0.4, 0.006, z, 0.003) for z in (h * 0.55, h * 0.95)])
            .turned("x", 0)
            .moved(0, -y * 0.36)
        )
        parts += [
            part(flap, d.pick(("main", "second"))),
            part(ellipsoid(0.024, 0.014, 0.024, 12).moved(0, -y * 0.38, h * 0.62), "brass"),
        ]
    return stand(parts)


def suitcase(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.38, 0.46), d.span(0.22, 0.28), d.span(0.54, 0.66)
    if d.unseen and d.chance(0.5):
        x, h = x * 1.35, x * 0.95
        body = superellipsoid(x, y * 0.8, h, 0.12, 0.12, 24)
        straps = [box(0.04, y * 0.82, h * 1.01).moved(s * x * 0.28) for s in (-1, 1)]
        corners = [
            ellipsoid(0.07, y * 0.75, 0.07, 8).moved(s * x * 0.465, 0, t * h * 0.455)
            for s in (-1, 1)
            for t in (-1, 1)
        ]
        grip = tube(
            smooth(
                [(-0.07, 0, h * 0.49), (-0.06, 0, h * 0.55), (0.06, 0, h * 0.55), (0.07, 0, h * 0.49)], 10
            ),
            0.01,
            8,
        )
        return stand(
            [
                part(body),
                part(merged(straps), (0.35, 0.2, 0.1)),
                part(merged(corners), "brass"),
                part(grip, "dark"),
            ]
        )
    body = superellipsoid(x, y, h, 0.22, 0.15, 24).moved(z=h / 2 + 0.04)
    parts = [part(body), part(box(x * 1.003, 0.012, h * 0.985).moved(z=h / 2 + 0.04), "dark")]
    ribs = [
        box(0.022, y * 1.012, h * 0.86).moved(q * x, 0, h / 2 + 0.04) for q in (-0.3, -0.15, 0, 0.15, 0.3)
    ]
    if d.chance(0.8):
        parts.append(part(merged(ribs)))
    wheels = [
        cylinder(0.024, 0.022, 16).turned("y", 90).moved(sx * x * 0.38 - 0.011, sy * y * 0.36, 0.024)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    parts.append(part(merged(wheels), "dark"))
    up = d.any(0.25, 0.4) if d.chance(0.7) else 0.03
    rods = [bar((s * x * 0.2, y * 0.36, h), (s * x * 0.2, y * 0.36, h + 0.04 + up), 0.007) for s in (-1, 1)]
    parts += [
        part(merged(rods), "metal"),
        part(bar((-x * 0.23, y * 0.36, h + 0.04 + up), (x * 0.23, y * 0.36, h + 0.04 + up), 0.013), "dark"),
    ]
    parts.append(
        part(
            tube(
                smooth(
                    [(-0.06, 0, h + 0.03), (-0.05, 0, h + 0.065), (0.05, 0, h + 0.065), (0.06, 0, h + 0.03)],
                    8,
                ),
                0.009,
                8,
            ),
            "dark",
        )
    )
    return stand(parts)


def cardboard_box(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.3, 0.45), d.span(0.24, 0.34), d.span(0.2, 0.32)
    kraft, light = (0.66, 0.48, 0.3), (0.78, 0.6, 0.4)
    if d.chance(0.5):
        seam = [box(0.055, y * 1.002, h * 1.002).moved(z=h / 2), box(0.004, y * 1.004, 0.0012).moved(z=h)]
        parts = [
            part(box(x, y, h).moved(z=h / 2), kraft),
            part(seam[0], (0.82, 0.7, 0.5)),
            part(seam[1], (0.35, 0.24, 0.13)),
        ]
        if d.chance(0.6):
            parts.append(part(box(x * 0.26, 0.002, h * 0.3).moved(x * 0.28, -y / 2, h * 0.62), "white"))
        return stand(parts, "brown", (x * 0.42, y * 0.42, h))
    wall = 0.006
    sides = [box(x, wall, h).moved(0, s * (y - wall) / 2, h / 2) for s in (-1, 1)] + [
        box(wall, y, h).moved(s * (x - wall) / 2, 0, h / 2) for s in (-1, 1)
    ]
    flaps: list[TriangleMesh] = []
    for s in (-1, 1):
        lean = d.any(25, 80) if not d.unseen else d.pick((-20, 105))
        flaps.append(
            box(x * 0.98, y * 0.45, wall)
            .moved(0, s * y * 0.225)
            .turned("x", -s * (lean - 75))
            .moved(0, s * y / 2, h)
        )
        flaps.append(
            box(x * 0.4, y * 0.98, wall)
            .moved(s * x * 0.2)
            .turned("y", s * (d.any(25, 80) - 75))
            .moved(s * x / 2, 0, h)
        )
    return stand(
        [part(merged([*sides, box(x, y, wall).moved(z=wall / 2)]), kraft), part(merged(flaps), light)],
        "brown",
    )


def wicker_basket(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.14, 0.19), d.span(0.16, 0.24)
    long = d.any(1.0, 1.35)
    foot = 0.78 if not d.unseen else d.pick((1.02, 0.5))
    rows = 9
    weave: list[TriangleMesh] = []
    for k in range(rows):
        t = k / (rows - 1)
        a = np.linspace(0, 2 * np.pi, 37)
        q = r * (foot + (1 - foot) * t) + 0.005 * np.cos(9 * a + np.pi * k)
        weave.append(
            tube(
                np.stack([q * np.cos(a), q * np.sin(a), np.full(37, 0.012 + h * t)], 1), h / rows * 0.55, 5
            ).scaled(long, 1, 1)
        )
    cane = (0.68, 0.47, 0.24)
    inside = vessel([(r * foot * 0.98, 0), (r * 0.98, h)], 0.004, 24).scaled(long, 1, 1)
    parts = [part(merged(weave), cane), part(inside, (0.5, 0.33, 0.16))]
    parts.append(
        part(torus(r * 1.01, 0.024, 28, 8).scaled(long, 1, 1).moved(z=h + 0.012), (0.58, 0.38, 0.18))
    )
    if d.unseen or d.chance(0.5):
        hoop = arc(r, 0, 180, 17) * [long, 1, 1.15] + np.array([0, 0, h])
        parts.append(part(tube(hoop, 0.011, 8), (0.58, 0.38, 0.18)))
    if d.chance(0.3):
        parts.append(
            part(
                ellipsoid(r * 1.7 * long, r * 1.7, h * 0.5, 18).moved(z=h * 0.9), d.pick(("white", "second"))
            )
        )
    return stand(parts, "brown")
