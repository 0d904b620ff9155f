"""Toy cars, trains and aeroplanes."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    TriangleMesh,
    box,
    cylinder,
    ellipsoid,
    lathe,
    loft,
    merged,
    prism,
    tube,
)
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.geometry.small_parts import Draw, Role, bar, part, rectangle, slab, stand

BRIGHT: tuple[tuple[float, float, float], ...] = (
    (0.85, 0.15, 0.12), (0.95, 0.75, 0.1), (0.15, 0.4, 0.8),
    (0.2, 0.6, 0.25), (0.95, 0.5, 0.1), (0.55, 0.25, 0.65),
)  # fmt: skip


def rolling(radius: float, width: float, hub: Role = "metal") -> list[Part]:
    """A wheel about the y axis with its middle at the origin."""
    tyre = lathe(
        [
            (0, -width / 2),
            (radius * 0.85, -width / 2),
            (radius, -width * 0.3),
            (radius, width * 0.3),
            (radius * 0.85, width / 2),
            (0, width / 2),
        ],
        20,
    )
    cap = lathe(
        [(0, -width * 0.54), (radius * 0.5, -width * 0.54), (radius * 0.5, width * 0.54), (0, width * 0.54)],
        14,
    )
    return [part(tyre.turned("x", 90), "rubber"), part(cap.turned("x", 90), hub)]


def _cross_sections(
    profile: list[tuple[float, float, float, float, float]], corner: float = 0.3
) -> TriangleMesh:
    """A body along x: (x, width, bottom, top, lean of the sides inwards) per section."""
    rings = []
    for x, width, low, high, lean in profile:
        outline = np.array(rectangle(width, high - low, corner * min(width, high - low)))
        share = outline[:, 1] / (high - low) + 0.5
        rings.append(
            np.column_stack(
                [
                    np.full(len(outline), x),
                    outline[:, 0] * (1 - lean * share),
                    outline[:, 1] + (low + high) / 2,
                ]
            )
        )
    return loft(rings)


def _racer_body(long: float, wide: float, base: float, belt: float, roof: float) -> list[Part]:
    parts: list[Part] = []
    parts.append(
        part(
            _cross_sections(
                [
                    (-long / 2, wide * 0.3, base, belt * 0.7, 0),
                    (-long * 0.1, wide * 0.5, base, belt * 1.1, 0.1),
                    (long * 0.3, wide * 0.4, base, belt * 1.2, 0.1),
                    (long * 0.45, wide * 0.3, base, belt, 0),
                ]
            )
        )
    )
    parts += [
        part(box(long * 0.1, wide, 0.004).moved(long * 0.48, 0, roof * 0.8), "second"),
        part(box(long * 0.1, wide * 0.95, 0.004).moved(-long * 0.5, 0, base * 1.1), "second"),
    ]
    parts += [
        part(box(long * 0.06, 0.004, roof * 0.5).moved(long * 0.47, 0, roof * 0.55), "dark"),
        part(
            ellipsoid(long * 0.13, long * 0.13, long * 0.13, 14).moved(long * 0.08, 0, belt * 1.15),
            "white",
        ),
    ]
    return parts


def _truck_body(long: float, wide: float, base: float) -> list[Part]:
    parts: list[Part] = []
    parts += [
        part(box(long, wide * 0.9, base * 0.5).moved(z=base), "dark"),
        part(slab(long * 0.3, wide, long * 0.32, 0.006).moved(-long * 0.34, 0, base)),
        part(slab(long * 0.66, wide, long * 0.2, 0.003).moved(long * 0.17, 0, base * 1.3), "second"),
    ]
    parts += [
        part(box(0.003, wide * 0.8, long * 0.12).moved(-long * 0.49, 0, base + long * 0.23), "screen"),
        part(
            ellipsoid(long * 0.6, wide * 0.9, long * 0.14, 12).moved(long * 0.17, 0, base * 1.3 + long * 0.2),
            (0.5, 0.36, 0.2),
        ),
    ]
    return parts


def _saloon_body(
    long: float, wide: float, base: float, belt: float, roof: float, *, beetle: bool
) -> list[Part]:
    parts: list[Part] = []
    round_ = 0.45 if beetle else 0.35
    parts.append(
        part(
            _cross_sections(
                [
                    (-long * 0.5, wide * 0.8, base, belt * 0.75, 0.05),
                    (-long * 0.44, wide, base, belt * 0.95, 0.05),
                    (long * 0.44, wide, base, belt, 0.05),
                    (long * 0.5, wide * 0.85, base, belt * 0.85, 0.05),
                ],
                0.25,
            )
        )
    )
    nose, tail = (-0.22, 0.42) if beetle else (-0.24, 0.38)
    cabin = [
        (long * nose, wide * 0.86, belt * 0.9, belt * 1.02, 0.0),
        (long * (nose + 0.13), wide * 0.86, belt * 0.9, roof, 0.2),
        (long * (tail - 0.18), wide * 0.86, belt * 0.9, roof, 0.2),
        (long * tail, wide * 0.86, belt * 0.9, belt * 1.02, 0),
    ]
    parts.append(part(_cross_sections(cabin, round_ * 0.4), "screen"))
    top = [
        (x * 0.86 + long * 0.01, w * 0.9, high - 0.003, high + 0.002, 0.0) for x, w, _, high, _ in cabin[1:3]
    ]
    parts.append(part(_cross_sections([(x, w * 0.86, low, high, 0) for x, w, low, high, _ in top])))
    parts += [
        part(
            ellipsoid(0.006, wide * 0.17, wide * 0.14, 10).moved(-long * 0.495, s * wide * 0.28, belt * 0.72),
            (1.0, 0.95, 0.7),
        )
        for s in (-1, 1)
    ]
    parts += [
        part(
            box(0.005, wide * 0.16, belt * 0.18).moved(long * 0.495, s * wide * 0.3, belt * 0.7),
            (0.8, 0.08, 0.06),
        )
        for s in (-1, 1)
    ]
    return parts


def toy_car(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long = d.span(0.09, 0.15)
    wide, wheel = long * d.any(0.42, 0.5), long * d.any(0.09, 0.11)
    style = d.pick(("saloon", "beetle", "saloon"), ("truck", "racer"))
    base, belt, roof = wheel * 0.7, long * 0.2, long * 0.34
    if style == "racer":
        parts = _racer_body(long, wide, base, belt, roof)
        wheel *= 1.15
    elif style == "truck":
        parts = _truck_body(long, wide, base)
    else:
        parts = _saloon_body(long, wide, base, belt, roof, beetle=style == "beetle")
    for x in (-0.3, 0.3):
        for s in (-1, 1):
            parts += [
                part(p.mesh.moved(x * long, s * wide * 0.5, wheel), p.role)
                for p in rolling(wheel, wide * 0.2)
            ]
    return stand(parts)


def _locomotive(d: Draw, long: float, wide: float, r: float) -> list[Part]:
    parts = [part(box(long, wide, 0.008).moved(z=r * 1.4), "dark")]
    boiler = (
        cylinder(wide * 0.42, long * 0.62, 22).turned("y", -90).moved(long * 0.14, 0, r * 1.4 + wide * 0.45)
    )
    parts += [
        part(boiler),
        part(
            cylinder(wide * 0.44, long * 0.05, 22)
            .turned("y", -90)
            .moved(-long * 0.45, 0, r * 1.4 + wide * 0.45),
            "dark",
        ),
    ]
    cab = box(long * 0.3, wide, wide * 1.15).moved(long * 0.32, 0, r * 1.4 + wide * 0.58)
    parts += [
        part(cab, d.pick(("second", "main"))),
        part(
            box(long * 0.38, wide * 1.2, 0.007).moved(long * 0.32, 0, r * 1.4 + wide * 1.18),
            d.pick(("dark", "main")),
        ),
    ]
    parts += [
        part(box(long * 0.15, wide * 1.01, wide * 0.35).moved(long * 0.33, 0, r * 1.4 + wide * 0.8), "screen")
    ]
    funnel = lathe([(0, 0), (0.5, 0), (0.5, 0.9), (0.85, 1.3), (0.85, 1.5), (0, 1.5)], 18).scaled(wide * 0.25)
    parts += [
        part(funnel.moved(-long * 0.33, 0, r * 1.4 + wide * 0.8), "dark"),
        part(
            ellipsoid(wide * 0.3, wide * 0.3, wide * 0.3, 12).moved(-long * 0.08, 0, r * 1.4 + wide * 0.88),
            "brass",
        ),
    ]
    cow = loft(
        [
            np.array([(x, y, z) for y, z in ((-w, 0.002), (w, 0.002), (w * 0.7, t), (-w * 0.7, t))])
            for x, w, t in ((-long * 0.6, wide * 0.1, 0.01), (-long * 0.5, wide * 0.5, 0.03))
        ]
    )
    parts.append(part(cow, (0.8, 0.1, 0.08)))
    return parts


def toy_train(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long = d.span(0.12, 0.16)
    wide, r = long * 0.36, long * 0.07
    parts = _locomotive(d, long, wide, r)
    axles = [
        (x * long, r * (1.35 if big else 1.0))
        for x, big in ((-0.33, False), (-0.1, False), (0.2, True), (0.4, not d.unseen))
    ]
    for k in range(d.pick((0, 1, 1), (2,))):
        x = long * (1.08 + 0.95 * k)
        parts += [
            part(box(long * 0.78, wide, 0.008).moved(x, 0, r * 1.4), "dark"),
            part(
                box(long * 0.74, wide, wide * 0.55).moved(x, 0, r * 1.4 + wide * 0.27), BRIGHT[d.count(0, 5)]
            ),
        ]
        parts.append(part(bar((x - long * 0.6, 0, r * 1.4), (x, 0, r * 1.4), 0.004, 6), "dark"))
        axles += [(x - long * 0.25, r), (x + long * 0.25, r)]
    for x, size in axles:
        for s in (-1, 1):
            parts += [
                part(p.mesh.moved(x, s * wide * 0.48, size), "second" if p.role == "rubber" else "dark")
                for p in rolling(size, 0.012)
            ]
    return stand(parts)


def _wing(r: float, at: float, z: float, chord: float, half: float, sweep: float, role: Role) -> Part:
    panels = []
    for s in (-1, 1):
        outline = [
            (at, 0.0),
            (at + chord, 0.0),
            (at + chord + sweep * 0.8, half),
            (at + chord * 0.5 + sweep, half),
        ]
        panel = (
            prism(outline, r * 0.16) if s > 0 else prism([(a, -b) for a, b in reversed(outline)], r * 0.16)
        )
        panels.append(panel.moved(z=z))
    return part(merged(panels), role)


def _jet_engines(long: float, span_: float, r: float) -> list[Part]:
    """Two engines and a row of windows."""
    parts: list[Part] = []
    for s in (-1, 1):
        engine = tube(
            [(-long * 0.16, s * span_ * 0.2, -r * 0.6), (long * 0.04, s * span_ * 0.2, -r * 0.6)],
            r * 0.42,
            12,
        )
        parts.append(part(engine, "grey"))
    rows = [box(r * 0.3, 2.02 * r, r * 0.3).moved(q * long, 0, r * 0.25) for q in np.linspace(-0.28, 0.12, 8)]
    parts.append(part(merged(rows), "screen"))
    return parts


def _propeller_and_cockpit(d: Draw, long: float, span_: float, r: float, second: Role) -> list[Part]:
    """A propeller and a cockpit; some have a second wing above the first."""
    parts: list[Part] = []
    if d.chance(0.4):
        parts.append(_wing(r, -long * 0.2, r * 1.7, long * 0.22, span_ / 2, 0.0, second))
        parts += [
            part(
                bar(
                    (-long * 0.1, s * span_ * 0.33, -r * 0.2),
                    (-long * 0.1, s * span_ * 0.33, r * 1.75),
                    r * 0.1,
                    6,
                ),
                "wood",
            )
            for s in (-1, 1)
        ]
    blade = ellipsoid(r * 0.18, r * 0.5, r * 3.6, 10)
    parts += [
        part(
            merged([blade, blade.turned("x", 90)]).turned("x", d.any(0, 80)).moved(-long * 0.52),
            d.pick(("wood", "dark")),
        ),
        part(ellipsoid(r * 0.7, r * 0.5, r * 0.5, 12).moved(-long * 0.51), "metal"),
    ]
    parts.append(part(ellipsoid(r * 1.9, r * 1.1, r * 1.1, 14).moved(-long * 0.04, 0, r * 0.75), "screen"))
    return parts


def toy_airplane(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long = d.span(0.16, 0.22)
    r, span_ = long * d.any(0.08, 0.1), long * d.any(0.95, 1.15)
    x = np.array([-0.5, -0.48, -0.38, -0.1, 0.25, 0.48, 0.5]) * long
    radii = np.array([0.2, 0.55, 0.9, 1, 0.75, 0.35, 0.1]) * r
    path = np.column_stack([x, np.zeros(7), [0, 0, 0, 0, 0.01, 0.02, 0.021]])
    parts = [part(tube(path, radii.tolist(), 16))]

    second: Role = d.pick(("second", "white", "main"))
    sweep = long * (0.22 if d.unseen else 0.03)
    parts.append(_wing(r, -long * 0.2, -r * 0.25, long * 0.24, span_ / 2, sweep, second))
    parts.append(_wing(r, long * 0.36, r * 0.4, long * 0.13, span_ * 0.2, sweep * 0.4, second))
    fin = prism(
        [(long * 0.32, 0), (long * 0.49, 0), (long * 0.52, r * 2.0), (long * 0.44, r * 2.0)], r * 0.16
    ).turned("x", 90)
    parts += [part(fin.moved(0, r * 0.08, r * 0.5), second)]
    if d.unseen:
        parts += _jet_engines(long, span_, r)
    else:
        parts += _propeller_and_cockpit(d, long, span_, r, second)
    for at, y in ((-0.15, -0.9), (-0.15, 0.9), (-0.38 if d.unseen else 0.44, 0.0)):
        low = -r * 1.75
        parts.append(part(bar((at * long, y * r * 0.7, 0), (at * long, y * r, low), r * 0.1, 6), "metal"))
        parts += [part(p.mesh.moved(at * long, y * r, low), p.role) for p in rolling(r * 0.42, r * 0.3)]
    return stand(parts)
