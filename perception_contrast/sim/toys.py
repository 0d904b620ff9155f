"""Toys and games."""

from __future__ import annotations

import numpy as np

from .assets import WithMesh
from .forms import Draw, Role, bar, outward, part, rectangle, slab, stand
from .geometry import (
    TriangleMesh,
    box,
    cylinder,
    ellipsoid,
    lathe,
    loft,
    merged,
    prism,
    superellipsoid,
    torus,
    tube,
)
from .objects import Category, ObjectModel, Part

TOY = ("plastic", "wood")
BRIGHT: tuple[tuple[float, float, float], ...] = (
    (0.85, 0.15, 0.12), (0.95, 0.75, 0.1), (0.15, 0.4, 0.8),
    (0.2, 0.6, 0.25), (0.95, 0.5, 0.1), (0.55, 0.25, 0.65),
)  # fmt: skip


def _wheel(radius: float, width: float, hub: Role = "metal") -> list[Part]:
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


def toy_car(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long = d.span(0.09, 0.15)
    wide, wheel = long * d.any(0.42, 0.5), long * d.any(0.09, 0.11)
    style = d.pick(("saloon", "beetle", "saloon"), ("truck", "racer"))
    base, belt, roof = wheel * 0.7, long * 0.2, long * 0.34
    parts: list[Part] = []
    if style == "racer":
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
        wheel *= 1.15
    elif style == "truck":
        parts += [
            part(box(long, wide * 0.9, base * 0.5).moved(z=base), "dark"),
            part(slab(long * 0.3, wide, long * 0.32, 0.006).moved(-long * 0.34, 0, base)),
            part(slab(long * 0.66, wide, long * 0.2, 0.003).moved(long * 0.17, 0, base * 1.3), "second"),
        ]
        parts += [
            part(box(0.003, wide * 0.8, long * 0.12).moved(-long * 0.49, 0, base + long * 0.23), "screen"),
            part(
                ellipsoid(long * 0.6, wide * 0.9, long * 0.14, 12).moved(
                    long * 0.17, 0, base * 1.3 + long * 0.2
                ),
                (0.5, 0.36, 0.2),
            ),
        ]
    else:
        round_ = 0.35 if style == "saloon" else 0.45
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
        nose, tail = (-0.24, 0.38) if style == "saloon" else (-0.22, 0.42)
        cabin = [
            (long * nose, wide * 0.86, belt * 0.9, belt * 1.02, 0.0),
            (long * (nose + 0.13), wide * 0.86, belt * 0.9, roof, 0.2),
            (long * (tail - 0.18), wide * 0.86, belt * 0.9, roof, 0.2),
            (long * tail, wide * 0.86, belt * 0.9, belt * 1.02, 0),
        ]
        parts.append(part(_cross_sections(cabin, round_ * 0.4), "screen"))
        top = [
            (x * 0.86 + long * 0.01, w * 0.9, high - 0.003, high + 0.002, 0.0)
            for x, w, _, high, _ in cabin[1:3]
        ]
        parts.append(part(_cross_sections([(x, w * 0.86, low, high, 0) for x, w, low, high, _ in top])))
        parts += [
            part(
                ellipsoid(0.006, wide * 0.17, wide * 0.14, 10).moved(
                    -long * 0.495, s * wide * 0.28, belt * 0.72
                ),
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
    for x in (-0.3, 0.3):
        for s in (-1, 1):
            parts += [
                part(p.mesh.moved(x * long, s * wide * 0.5, wheel), p.role) for p in _wheel(wheel, wide * 0.2)
            ]
    return stand(parts)


def toy_train(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long = d.span(0.12, 0.16)
    wide, r = long * 0.36, long * 0.07
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
                for p in _wheel(size, 0.012)
            ]
    return stand(parts)


def building_blocks(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    size = d.span(0.03, 0.045)
    tower = d.pick(
        (
            ((0, 0), (1, 0), (0.5, 1)),
            ((0, 0), (1.1, 0), (2.2, 0), (0.5, 1), (1.6, 1), (1.05, 2)),
            ((0, 0), (0, 1), (0, 2)),
        ),
        (((0, 0), (2, 0), (0, 1), (2, 1)), ((0, 0), (0, 1), (0, 2), (0, 3), (0, 4))),
    )
    parts: list[Part] = []
    for k, (x, level) in enumerate(tower):
        block = (
            box(size, size, size)
            if k % 3 or not d.unseen
            else cylinder(size / 2, size, 20).moved(z=-size / 2)
        )
        parts.append(
            part(
                block.turned("z", d.any(-10, 10)).moved(
                    x * size, d.any(-0.1, 0.1) * size, size * (level + 0.5)
                ),
                BRIGHT[d.count(0, 5)],
            )
        )
    if len(tower) == 4:
        parts.append(
            part(box(size * 3.2, size, size * 0.5).moved(size, 0, size * 2.25), BRIGHT[d.count(0, 5)])
        )
        roof = (
            prism([(-size * 0.9, 0), (size * 0.9, 0), (0, size * 0.9)], size)
            .turned("x", 90)
            .moved(size, size / 2, size * 2.5)
        )
        parts.append(part(roof, BRIGHT[d.count(0, 5)]))
    elif d.chance(0.5):
        high = max(level for _, level in tower) + 1
        middle = next(x for x, level in tower if level == high - 1)
        roof = prism([(-size * 0.6, 0), (size * 0.6, 0), (0, size * 0.7)], size).turned("x", 90)
        parts.append(part(roof.moved(middle * size, size / 2, size * high), BRIGHT[d.count(0, 5)]))
    return stand(parts)


def toy_brick(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    pitch = d.span(0.014, 0.018)
    across, along = d.pick(((2, 4), (2, 3), (2, 2)), ((1, 4), (2, 6), (4, 4)))
    tall = pitch * 1.2 if not d.unseen else pitch * d.pick((0.45, 1.2))
    studs = [
        cylinder(pitch * 0.31, pitch * 0.22, 14).moved(
            (i - (along - 1) / 2) * pitch, (j - (across - 1) / 2) * pitch, tall
        )
        for i in range(along)
        for j in range(across)
    ]
    return stand([part(merged([box(along * pitch, across * pitch, tall).moved(z=tall / 2), *studs]))])


def rubber_duck(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    s = d.span(0.07, 0.095)
    body = ellipsoid(s, s * 0.8, s * 0.62, 24)
    v = body.vertices.copy()
    tail = np.clip((v[:, 0] / s - 0.2) / 0.3, 0, 1) ** 1.5
    v[:, 2] += tail * s * 0.36
    v[:, 0] += tail * s * 0.08
    v[:, 2] = np.maximum(v[:, 2], -s * 0.24)
    yellow = (0.98, 0.82, 0.1)
    head, beak = (-s * 0.26, 0.0, s * 0.46), (0.95, 0.42, 0.05)
    parts = [
        part(TriangleMesh(v, body.faces, body.uv), yellow),
        part(ellipsoid(s * 0.5, s * 0.48, s * 0.48, 20).moved(*head), yellow),
    ]
    for k in (-1, 1):
        parts.append(
            part(
                ellipsoid(s * 0.5, s * 0.12, s * 0.28, 14)
                .turned("y", -16)
                .moved(s * 0.06, k * s * 0.37, s * 0.04),
                yellow,
            )
        )
        parts.append(
            part(
                ellipsoid(s * 0.08, s * 0.05, s * 0.1, 10).moved(
                    head[0] - s * 0.18, k * s * 0.13, head[2] + s * 0.07
                ),
                "dark",
            )
        )
        parts.append(
            part(
                ellipsoid(s * 0.2, s * 0.24, s * 0.05, 12)
                .turned("y", k * 14)
                .moved(head[0] - s * 0.28, 0, head[2] - s * 0.05 + k * s * 0.014),
                beak,
            )
        )
    if d.unseen:
        parts.append(
            part(
                lathe([(0, 0), (0.2, 0), (0.2, 0.02), (0.13, 0.03), (0.12, 0.24), (0, 0.24)], 18)
                .scaled(s)
                .moved(head[0], 0, head[2] + s * 0.2),
                "dark",
            )
        )
    return stand([Part(p.mesh.turned("z", 60), p.role) for p in parts], "yellow")


def teddy_bear(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    s = d.span(0.2, 0.28)
    fur = d.pick(
        ((0.52, 0.33, 0.17), (0.72, 0.52, 0.3), (0.4, 0.24, 0.13)), ((0.92, 0.88, 0.8), (0.3, 0.2, 0.15))
    )
    name = "white" if fur[0] > 0.9 else "brown"
    pale = (0.86, 0.72, 0.52) if name == "brown" else (0.8, 0.65, 0.6)
    ball = ellipsoid(1, 1, 1, 14)

    def blob(x: float, y: float, z: float, a: float, b: float, c: float, role: Role) -> Part:
        return part(ball.scaled(a * s, b * s, c * s).moved(x * s, y * s, z * s), role)

    head = 0.74
    parts = [blob(0, 0, 0.32, 0.42, 0.36, 0.5, fur), blob(0, -0.13, 0.32, 0.28, 0.14, 0.36, pale)]
    parts += [
        blob(0, 0, head, 0.42, 0.38, 0.38, fur),
        blob(0, -0.17, head - 0.05, 0.18, 0.14, 0.14, pale),
        blob(0, -0.24, head - 0.02, 0.06, 0.04, 0.045, "dark"),
    ]
    sit = not d.unseen or d.chance(0.4)
    for k in (-1, 1):
        parts += [
            blob(k * 0.17, 0, head + 0.17, 0.15, 0.08, 0.15, fur),
            blob(k * 0.17, -0.025, head + 0.17, 0.09, 0.05, 0.09, pale),
            blob(k * 0.09, -0.17, head + 0.05, 0.04, 0.03, 0.04, "dark"),
        ]
        arm = ball.scaled(0.14 * s, 0.14 * s, 0.34 * s).turned("y", -k * d.any(25, 50)).turned("x", 20)
        parts.append(part(arm.moved(k * 0.25 * s, -0.06 * s, 0.42 * s), fur))
        if sit:
            parts += [
                part(
                    ball.scaled(0.18 * s, 0.38 * s, 0.18 * s)
                    .turned("z", k * 22)
                    .moved(k * 0.17 * s, -0.22 * s, 0.13 * s),
                    fur,
                ),
                blob(k * 0.235, -0.39, 0.14, 0.16, 0.1, 0.19, fur),
                blob(k * 0.24, -0.435, 0.14, 0.1, 0.03, 0.12, pale),
            ]
        else:
            parts += [
                blob(k * 0.12, 0, 0.06, 0.18, 0.18, 0.32, fur),
                blob(k * 0.12, -0.05, -0.06, 0.18, 0.26, 0.12, fur),
            ]
    if d.chance(0.5):
        parts += [
            part(
                superellipsoid(0.14 * s, 0.05 * s, 0.1 * s, 0.6, 0.6, 12).moved(
                    k * 0.075 * s, -0.17 * s, 0.56 * s
                ),
                "second",
            )
            for k in (-1, 1)
        ]
    return stand(parts, name)


def robot_toy(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    s = d.span(0.14, 0.2)
    look: Role = d.pick(("main", "main", "metal"))
    wheels = d.unseen
    round_head = d.unseen and d.chance(0.5)
    head = ellipsoid(0.3 * s, 0.26 * s, 0.28 * s, 18) if round_head else box(0.32 * s, 0.24 * s, 0.24 * s)
    parts = [
        part(slab(0.4 * s, 0.26 * s, 0.36 * s, 0.02 * s).moved(z=0.28 * s), look),
        part(head.moved(z=0.8 * s), look),
    ]
    parts += [
        part(cylinder(0.06 * s, 0.06 * s, 14).moved(z=0.63 * s), "dark"),
        part(box(0.26 * s, 0.02 * s, 0.18 * s).moved(0, -0.13 * s, 0.48 * s), "white"),
    ]
    for k, tint in enumerate(BRIGHT[:3]):
        parts.append(
            part(
                cylinder(0.022 * s, 0.02 * s, 12)
                .turned("x", 90)
                .moved((k - 1) * 0.08 * s, -0.13 * s, 0.51 * s),
                tint,
            )
        )
    parts += [
        part(box(0.16 * s, 0.02 * s, 0.025 * s).moved(0, -0.13 * s, 0.43 * s), "dark"),
        part(box(0.15 * s, 0.02 * s, 0.03 * s).moved(0, -0.12 * s, 0.74 * s), "dark"),
    ]
    for k in (-1, 1):
        parts += [
            part(
                cylinder(0.045 * s, 0.03 * s, 16).turned("x", 90).moved(k * 0.08 * s, -0.11 * s, 0.83 * s),
                (0.95, 0.9, 0.3),
            ),
            part(
                cylinder(0.02 * s, 0.035 * s, 10).turned("x", 90).moved(k * 0.08 * s, -0.11 * s, 0.83 * s),
                "dark",
            ),
        ]
        arm = bar((k * 0.22 * s, 0, 0.58 * s), (k * 0.3 * s, -0.06 * s, 0.36 * s), 0.045 * s)
        claws = [
            box(0.02 * s, 0.05 * s, 0.09 * s).moved(k * 0.3 * s + q * 0.035 * s, -0.07 * s, 0.3 * s)
            for q in (-1, 1)
        ]
        parts += [part(arm, "second"), part(merged(claws), "dark")]
        if wheels:
            parts += [
                part(p.mesh.turned("z", 90).moved(k * 0.22 * s, 0, 0.16 * s), p.role)
                for p in _wheel(0.16 * s, 0.1 * s)
            ]
        else:
            parts += [
                part(box(0.1 * s, 0.12 * s, 0.22 * s).moved(k * 0.1 * s, 0, 0.18 * s), "second"),
                part(slab(0.15 * s, 0.22 * s, 0.08 * s, 0.02 * s).moved(k * 0.11 * s, -0.03 * s), look),
            ]
    parts += [
        part(bar((0, 0, 0.9 * s), (0, 0, 1.02 * s), 0.012 * s, 6), "metal"),
        part(ellipsoid(0.05 * s, 0.05 * s, 0.05 * s, 10).moved(z=1.03 * s), (0.9, 0.15, 0.12)),
    ]
    return stand(parts)


def spinning_top(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r = d.span(0.028, 0.04)
    tall = 0.7 if not d.unseen else d.pick((0.35, 1.1))
    rows = [
        (0.0, 0.0),
        (0.12, 0.06),
        (0.75, 0.65),
        (1.0, 0.9),
        (0.95, 1.1),
        (0.5, 1.3),
        (0.12, 1.38),
        (0.09, 2.2),
        (0.16, 2.3),
        (0.0, 2.35),
    ]
    points = [(q * r, z * r * tall) for q, z in rows]
    parts = [
        part(lathe([points[0], *points[1:4], (0, points[3][1])], 26)),
        part(lathe([(0, points[3][1]), *points[3:6], (0, points[5][1])], 26), "second"),
    ]
    parts.append(part(lathe([(0, points[5][1]), *points[5:]], 18), d.pick(("wood", "main", "white"))))
    parts.append(part(torus(r * 0.99, r * 0.1, 28, 6).moved(z=points[3][1]), "white"))
    lean = d.any(20, 34)
    return stand([Part(p.mesh.turned("y", lean), p.role) for p in parts])


def dice(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    size = d.span(0.016, 0.026)
    spots = {
        1: ((0, 0),),
        2: ((-1, -1), (1, 1)),
        3: ((-1, -1), (0, 0), (1, 1)),
        4: ((-1, -1), (1, 1), (-1, 1), (1, -1)),
        5: ((-1, -1), (1, 1), (-1, 1), (1, -1), (0, 0)),
        6: ((-1, -1), (1, 1), (-1, 1), (1, -1), (-1, 0), (1, 0)),
    }
    turns = {1: ("x", 0), 6: ("x", 180), 2: ("x", 90), 5: ("x", -90), 3: ("y", 90), 4: ("y", -90)}
    look: Role = d.pick(("white", "main"))
    pip: Role = "dark" if look == "white" else "white"
    parts: list[Part] = []
    for k in range(d.pick((2, 2, 1), (3,))):
        pips = [
            ellipsoid(size * 0.19, size * 0.19, size * 0.03, 8)
            .moved(a * size * 0.26, b * size * 0.26, size / 2)
            .turned(axis, turn)
            for n, (axis, turn) in turns.items()
            for a, b in spots[n]
        ]
        axis, turn = d.pick(tuple(turns.values()))
        yaw = d.any(0, 90)
        for mesh, role in (
            (
                superellipsoid(size, size, size, 0.16, 0.16, 20) if not d.unseen else box(size, size, size),
                look,
            ),
            (merged(pips), pip),
        ):
            parts.append(
                part(
                    mesh.turned(axis, turn)
                    .turned("z", yaw)
                    .moved(k * size * 1.9, (k % 2) * size * 0.8, size / 2),
                    role,
                )
            )
    return stand(parts)


def chess_piece(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    h = d.span(0.05, 0.07)
    r = h * 0.27
    foot = [
        (0, 0),
        (r, 0),
        (r, h * 0.07),
        (r * 0.8, h * 0.13),
        (r * 0.85, h * 0.17),
        (r * 0.5, h * 0.25),
        (r * 0.36, h * 0.58),
        (r * 0.62, h * 0.64),
        (r * 0.3, h * 0.68),
    ]
    look: Role = d.pick(("dark", "white", "wood", "main"))
    if not d.unseen:
        parts = [
            part(lathe([*foot, (0, h * 0.7)], 24), look),
            part(ellipsoid(r * 1.05, r * 1.05, r * 1.05, 18).moved(z=h * 0.8), look),
        ]
        return stand(parts)
    tall = [*foot[:-1], (r * 0.45, h * 0.7), (r * 0.62, h * 0.98), (r * 0.3, h * 1.02), (0, h * 1.06)]
    top = [
        box(r * 0.2, r * 0.2, h * 0.2).moved(z=h * 1.14),
        box(r * 0.55, r * 0.2, h * 0.06).moved(z=h * 1.15),
    ]
    if d.chance(0.5):
        tall = [
            *foot[:-1],
            (r * 0.65, h * 0.68),
            (r * 0.68, h * 0.9),
            (r * 0.45, h * 0.9),
            (r * 0.45, h * 0.82),
            (0, h * 0.82),
        ]
        top = [
            box(r * 0.3, r * 0.3, h * 0.09).moved(r * 0.55, 0, h * 0.92).turned("z", 72 * k) for k in range(5)
        ]
    return stand([part(lathe(tall, 24), look), part(merged(top), look)])


def toy_airplane(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long = d.span(0.16, 0.22)
    r, span_ = long * d.any(0.08, 0.1), long * d.any(0.95, 1.15)
    x = np.array([-0.5, -0.48, -0.38, -0.1, 0.25, 0.48, 0.5]) * long
    radii = np.array([0.2, 0.55, 0.9, 1, 0.75, 0.35, 0.1]) * r
    path = np.column_stack([x, np.zeros(7), [0, 0, 0, 0, 0.01, 0.02, 0.021]])
    parts = [part(tube(path, radii.tolist(), 16))]

    def wing(at: float, z: float, chord: float, half: float, sweep: float, role: Role) -> Part:
        panels = []
        for s in (-1, 1):
            outline = [
                (at, 0.0),
                (at + chord, 0.0),
                (at + chord + sweep * 0.8, half),
                (at + chord * 0.5 + sweep, half),
            ]
            panel = (
                prism(outline, r * 0.16)
                if s > 0
                else prism([(a, -b) for a, b in reversed(outline)], r * 0.16)
            )
            panels.append(panel.moved(z=z))
        return part(merged(panels), role)

    second: Role = d.pick(("second", "white", "main"))
    sweep = long * (0.22 if d.unseen else 0.03)
    parts.append(wing(-long * 0.2, -r * 0.25, long * 0.24, span_ / 2, sweep, second))
    parts.append(wing(long * 0.36, r * 0.4, long * 0.13, span_ * 0.2, sweep * 0.4, second))
    fin = prism(
        [(long * 0.32, 0), (long * 0.49, 0), (long * 0.52, r * 2.0), (long * 0.44, r * 2.0)], r * 0.16
    ).turned("x", 90)
    parts += [part(fin.moved(0, r * 0.08, r * 0.5), second)]
    if d.unseen:
        for s in (-1, 1):
            engine = tube(
                [(-long * 0.16, s * span_ * 0.2, -r * 0.6), (long * 0.04, s * span_ * 0.2, -r * 0.6)],
                r * 0.42,
                12,
            )
            parts.append(part(engine, "grey"))
        rows = [
            box(r * 0.3, 2.02 * r, r * 0.3).moved(q * long, 0, r * 0.25) for q in np.linspace(-0.28, 0.12, 8)
        ]
        parts.append(part(merged(rows), "screen"))
    else:
        if d.chance(0.4):
            parts.append(wing(-long * 0.2, r * 1.7, long * 0.22, span_ / 2, 0.0, second))
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
        parts.append(
            part(ellipsoid(r * 1.9, r * 1.1, r * 1.1, 14).moved(-long * 0.04, 0, r * 0.75), "screen")
        )
    for at, y in ((-0.15, -0.9), (-0.15, 0.9), (-0.38 if d.unseen else 0.44, 0.0)):
        low = -r * 1.75
        parts.append(part(bar((at * long, y * r * 0.7, 0), (at * long, y * r, low), r * 0.1, 6), "metal"))
        parts += [part(p.mesh.moved(at * long, y * r, low), p.role) for p in _wheel(r * 0.42, r * 0.3)]
    return stand(parts)


def domino(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    wide = d.span(0.022, 0.027)
    grid = {1: (4,), 2: (0, 8), 3: (0, 4, 8), 4: (0, 2, 6, 8), 5: (0, 2, 4, 6, 8), 6: (0, 2, 3, 5, 6, 8)}
    look: Role = d.pick(("white", "dark", "main"))
    pip: Role = "dark" if look == "white" else "white"
    parts: list[Part] = []
    for k in range(d.count(1, 3) if not d.unseen else 5):
        tile = [part(slab(wide, wide * 2, wide * 0.3, wide * 0.08), look)]
        top = wide * 0.3
        tile.append(part(box(wide * 0.8, wide * 0.05, 0.0008).moved(z=top), pip))
        spots = [
            cylinder(wide * 0.075, 0.0005, 10).moved(
                (i % 3 - 1) * wide * 0.27, half + (i // 3 - 1) * wide * 0.27, top
            )
            for half in (-wide / 2, wide / 2)
            for i in grid[d.count(1, 6)]
        ]
        tile.append(part(merged(spots), pip))
        at = (k * wide * 1.3, d.any(-0.3, 0.3) * wide, d.any(-30, 30))
        if d.unseen:
            tile, at = [Part(p.mesh.turned("x", 90), p.role) for p in tile], (0.0, k * wide * 0.9, 0.0)
        parts += [Part(p.mesh.turned("z", at[2]).moved(at[0], at[1]), p.role) for p in tile]
    return stand(parts)


def football(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    """White with dark pentagons about the corners of an icosahedron, and seams along its edges."""
    d = Draw(rng, unseen)
    r = d.span(0.105, 0.115)
    golden = (1 + 5**0.5) / 2
    corners = [(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    points = np.array([np.roll(c, k) for c in corners for k in range(3)], float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    pentagons, seams = [], []
    for p in points:
        distance = np.linalg.norm(points - p, axis=1)
        near = points[np.argsort(distance)[1:6]]
        rim = p + (near - p) * 0.33
        side = np.cross(p, near[0])
        turn = np.arctan2(
            (near @ side) / np.linalg.norm(side), near @ np.cross(side, p) / np.linalg.norm(side)
        )
        ring = rim[np.argsort(turn)]
        ring /= np.linalg.norm(ring, axis=1, keepdims=True)
        levels = [ring * r * 0.97]
        for share in (0.0, 0.3, 0.6, 0.95):
            bulge = ring * (1 - share) + p * share
            levels.append(bulge * r * 1.006 / np.linalg.norm(bulge, axis=1, keepdims=True))
        pentagons.append(outward(loft(levels)))
        for q in near:
            if tuple(p) < tuple(q):
                line = np.array([p + (q - p) * t for t in (0.33, 0.5, 0.67)])
                line *= r * 0.999 / np.linalg.norm(line, axis=1, keepdims=True)
                seams.append(tube(line, r * 0.012, 5))
    patch: Role = "dark" if not d.unseen else "main"
    parts = [
        part(ellipsoid(2 * r, 2 * r, 2 * r, 26), "white"),
        part(merged(pentagons), patch),
        part(merged(seams), "grey"),
    ]
    a, b = d.any(0, 360), d.any(0, 360)
    return stand([Part(p.mesh.turned("x", a).turned("z", b), p.role) for p in parts], "white")


CATEGORIES: tuple[Category, ...] = (
    Category(
        "toy car", toy_car, "table", ("model car", "small car"), ("miniature automobile",), "vehicle toy", TOY
    ),
    Category(
        "toy train",
        toy_train,
        "table",
        ("toy locomotive",),
        ("model railway engine",),
        "vehicle toy",
        TOY,
        True,
    ),
    Category(
        "toy airplane",
        toy_airplane,
        "table",
        ("toy plane", "model airplane"),
        ("model aircraft",),
        "vehicle toy",
        TOY,
    ),
    Category(
        "building blocks",
        building_blocks,
        "table",
        ("toy blocks", "wooden blocks"),
        ("stacking cubes",),
        "toy",
        ("wood", "plastic"),
    ),
    Category(
        "toy brick",
        toy_brick,
        "table",
        ("lego brick", "plastic brick"),
        ("construction brick",),
        "toy",
        ("plastic",),
    ),
    Category("rubber duck", rubber_duck, "table", ("bath duck",), ("rubber ducky",), "toy", (), True),
    Category("teddy bear", teddy_bear, "table", ("teddy", "plush bear"), ("stuffed bear",), "toy"),
    Category(
        "toy robot", robot_toy, "table", ("robot", "robot toy"), ("tin robot",), "toy", ("plastic", "metal")
    ),
    Category("spinning top", spinning_top, "table", ("top toy", "wooden top"), ("whirligig",), "toy", TOY),
    Category("dice", dice, "table", ("pair of dice", "die"), ("game cubes",), "game", ("plastic",)),
    Category(
        "chess piece",
        chess_piece,
        "table",
        ("chess pawn", "pawn"),
        ("chessman",),
        "game",
        ("wood", "plastic"),
    ),
    Category(
        "domino", WithMesh(domino, "domino"), "table", ("domino tile", "dominoes"), ("dominos",), "game"
    ),
    Category(
        "soccer ball",
        football,
        "floor",
        ("football", "soccerball"),
        ("association football",),
        "sports equipment",
    ),
)
