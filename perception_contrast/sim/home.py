"""Light, books, pictures, and what stands by the wash-basin."""

from __future__ import annotations

import numpy as np

from .forms import Draw, Role, bar, part, slab, smooth, stand, vessel
from .geometry import (
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
from .objects import ObjectModel, Part


def table_lamp(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    h = d.span(0.34, 0.46)
    if d.unseen and d.chance(0.5):
        elbow, head = (0.1, 0, h * 0.6), (-0.08, 0, h)
        hood = lathe(
            [
                (0.022, 0),
                (0.062, -0.085),
                (0.058, -0.085),
                (0.02, -0.006),
                (0, -0.004),
                (0, 0.004),
                (0.022, 0),
            ][::-1],
            24,
        )
        parts = [
            part(cylinder(0.08, 0.018, 28)),
            part(bar((0, 0, 0.01), elbow, 0.007), "metal"),
            part(bar(elbow, head, 0.007), "metal"),
        ]
        parts += [
            part(ellipsoid(0.024, 0.024, 0.024, 12).moved(*elbow), "dark"),
            part(hood.turned("y", 30).moved(*head)),
        ]
        return stand(
            [
                *parts,
                part(
                    ellipsoid(0.05, 0.05, 0.06, 14).turned("y", 30).moved(head[0] - 0.03, 0, head[2] - 0.06),
                    (1.0, 0.95, 0.75),
                ),
            ]
        )
    r = h * d.any(0.26, 0.34)
    narrow = d.pick((0.55, 0.75, 0.98), (0.3, 1.25))
    low, high = h * 0.58, h
    shade = lathe([(r, low), (r * narrow, high), (r * narrow - 0.003, high), (r - 0.003, low), (r, low)], 32)
    foot = r * d.any(0.5, 0.68)
    bodies = (
        [(0, 0), (foot, 0), (foot, 0.012), (0.012, 0.022), (0.009, h * 0.6), (0, h * 0.6)],
        [
            (0, 0),
            (foot * 0.75, 0),
            (foot, h * 0.16),
            (foot * 0.7, h * 0.36),
            (0.014, h * 0.5),
            (0.01, h * 0.62),
            (0, h * 0.62),
        ],
    )
    look: Role = d.pick(("second", "wood", "metal", "brass", "white"))
    parts = [part(lathe(d.pick(bodies), 26), look), part(shade, d.pick(("main", "main", "paper")))]
    parts.append(part(ellipsoid(0.05, 0.05, 0.07, 14).moved(z=h * 0.7), (1.0, 0.95, 0.75)))
    return stand(parts)


def candle(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("pillar", "stick"), ("jar", "arms"))
    parts: list[Part] = []
    tops: list[tuple[float, float, float]] = []
    if style in ("pillar", "jar"):
        r, h = d.any(0.025, 0.038), d.any(0.08, 0.14) if style == "pillar" else 0.06
        parts.append(part(cylinder(r, h, 24)))
        parts += (
            [part(cylinder(r * 1.5, 0.006, 24).moved(z=-0.006), "dark")]
            if style == "pillar"
            else [part(vessel([(r * 1.1, -0.004), (r * 1.12, h * 1.5)], 0.003), "glass")]
        )
        tops.append((0.0, 0.0, h))
    for x in (0.0,) if style == "stick" else (-0.075, 0.0, 0.075) if style == "arms" else ():
        base, long = 0.1 if style == "stick" else 0.16, d.any(0.12, 0.18)
        parts.append(part(cylinder(0.01, long, 14, 0.008).moved(x, 0, base)))
        parts.append(
            part(
                lathe([(0, 0), (0.008, 0), (0.02, 0.018), (0.02, 0.022), (0, 0.018)], 16).moved(
                    x, 0, base - 0.015
                ),
                "brass",
            )
        )
        if x:
            parts.append(
                part(
                    tube(
                        smooth([(0, 0, 0.07), (x * 0.6, 0, 0.06), (x, 0, 0.09), (x, 0, 0.15)], 10), 0.005, 8
                    ),
                    "brass",
                )
            )
        else:
            parts.append(
                part(
                    lathe(
                        [
                            (0, 0),
                            (0.045, 0),
                            (0.045, 0.006),
                            (0.012, 0.02),
                            (0.007, 0.05),
                            (0.007, base),
                            (0, base),
                        ],
                        20,
                    ),
                    "brass",
                )
            )
        tops.append((x, 0.0, base + long))
    for top in tops:
        parts.append(part(cylinder(0.0014, 0.012, 6).moved(*top), "dark"))
        flame = lathe([(0, 0), (0.005, 0.008), (0.0035, 0.018), (0, 0.028)], 10).moved(
            top[0], top[1], top[2] + 0.008
        )
        parts.append(part(flame, (1.0, 0.72, 0.2)))
    return stand(parts)


def book(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.13, 0.18), d.span(0.19, 0.25), d.any(0.018, 0.04)
    if d.unseen and d.chance(0.5):
        parts = [part(box(x * 2.04, y * 1.03, 0.003).moved(z=0.0015))]
        for side in (-1, 1):
            t = np.linspace(0, 1, 8)
            up = 0.004 + 0.02 * np.sin(np.pi * t**0.6) * (1 - t * 0.5)
            rings = [
                np.array(
                    [(side * a * x, s * y / 2, z) for s, z in ((-1, 0.003), (1, 0.003), (1, b), (-1, b))]
                )
                for a, b in zip(t, up, strict=True)
            ]
            page = loft(rings if side > 0 else rings[::-1])
            parts.append(part(page, "paper"))
            lines = [
                box(x * 0.7, 0.0028, 0.001)
                .turned("y", 5 * side)
                .moved(side * x * 0.52, y * (0.36 - 0.065 * k), 0.0215)
                for k in range(12)
            ]
            parts.append(part(merged(lines), "grey"))
        return stand(parts)
    covers = [box(x, y, 0.0025).moved(z=z) for z in (0.00125, h - 0.00125)]
    spine = tube([(-x / 2, -y / 2, h / 2), (-x / 2, y / 2, h / 2)], h / 2, 14)
    squeezed = TriangleMesh(
        (spine.vertices + np.array([x / 2, 0, 0])) * [0.3, 1, 1] - [x / 2, 0, 0], spine.faces, spine.uv
    )
    parts = [
        part(merged([*covers, squeezed])),
        part(box(x * 0.97, y * 0.965, h - 0.005).moved(-x * 0.005, 0, h / 2), "paper"),
    ]
    trim: Role = d.pick(("second", "white", "brass"))
    parts += [
        part(box(x * 0.62, y * 0.08, 0.001).moved(0, y * 0.26, h + 0.0002), trim),
        part(box(x * 0.45, y * 0.04, 0.001).moved(0, y * 0.16, h + 0.0002), trim),
    ]
    if d.chance(0.5):
        parts.append(
            part(box(x * 0.6, y * 0.32, 0.001).moved(0, -y * 0.16, h + 0.0002), d.pick(("second", "dark")))
        )
    parts.append(part(box(0.002, y * 0.5, h * 0.4).moved(-x / 2 - h * 0.15, 0, h / 2), trim))
    if d.chance(0.4):
        parts = [Part(p.mesh.turned("y", 90).moved(z=x).turned("z", -90), p.role) for p in parts]
        parts = [Part(p.mesh.turned("y", 90), p.role) for p in parts] if d.unseen else parts
    return stand(parts)


def stack_of_books(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    parts: list[Part] = []
    z = 0.0
    palette: list[Role] = [
        "main",
        "second",
        "dark",
        "white",
        (0.55, 0.15, 0.12),
        (0.15, 0.25, 0.45),
        (0.2, 0.4, 0.25),
        (0.75, 0.6, 0.35),
    ]
    for k in range(d.count(3, 5) if not d.unseen else d.pick((2, 7))):
        x, y, h, turn = d.any(0.13, 0.19), d.any(0.19, 0.26), d.any(0.015, 0.04), d.any(-14, 14)
        cover = [
            box(x, y, 0.003).moved(z=0.0015),
            box(x, y, 0.003).moved(z=h - 0.0015),
            box(0.004, y, h).moved(-x / 2, 0, h / 2),
        ]
        for mesh, role in (
            (merged(cover), palette[0 if k == 0 else d.count(0, 7)]),
            (box(x * 0.97, y * 0.965, h - 0.005).moved(0, 0, h / 2), "paper"),
        ):
            parts.append(part(mesh.turned("z", 90 + turn).moved(z=z), role))
        z += h
    return stand(parts, top=(0.05, 0.05, z))


def picture_frame(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, h = d.span(0.15, 0.2), d.span(0.19, 0.25)
    rim = d.any(0.014, 0.024)
    look: Role = d.pick(("wood", "main", "brass", "dark", "white"))
    if d.unseen:
        outer, inner = (
            [
                (float(s * x / 2 * np.cos(t)), float(s * h / 2 * np.sin(t)))
                for t in np.linspace(0, 2 * np.pi, 32, endpoint=False)
            ]
            for s in (1.0, 0.82)
        )
        frame = merged([prism(outer, 0.012), prism([(a * 1.05, b * 1.05) for a, b in inner], 0.016)])
        picture, sky = prism(inner, 0.017), prism([(a * 0.98, max(b, -0.01)) for a, b in inner], 0.0175)
    else:
        bars = [box(x, rim, 0.016).moved(0, s * (h - rim) / 2) for s in (-1, 1)] + [
            box(rim, h, 0.016).moved(s * (x - rim) / 2) for s in (-1, 1)
        ]
        frame, picture = merged([*bars, box(x * 0.98, h * 0.98, 0.006)]), box(x - 2 * rim, h - 2 * rim, 0.008)
        sky = box((x - 2 * rim) * 0.8, (h - 2 * rim) * 0.42, 0.009).moved(0, h * 0.16)
    hill = ellipsoid(x * 0.4, h * 0.25, 0.019 if d.unseen else 0.012, 16).moved(
        0, -h * 0.08, 0.017 if d.unseen else 0.0
    )
    parts = [
        part(frame, look),
        part(picture, d.pick(("white", "paper"))),
        part(sky, (0.45, 0.65, 0.85)),
        part(hill, d.look(((0.3, 0.5, 0.25), "second"))),
    ]
    strut = bar((0, 0, -0.004), (0, -h * 0.43, -0.09), 0.005)
    return stand([Part(p.mesh.turned("x", 76), p.role) for p in (*parts, part(strut, "dark"))])


def spray_bottle(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.034, 0.042), d.span(0.16, 0.2)
    waist = d.pick((0.85, 1.0), (0.6,))
    body = [
        (0, 0),
        (r, 0),
        (r, h * 0.3),
        (r * waist, h * 0.55),
        (r * 0.95, h * 0.7),
        (0.016, h * 0.88),
        (0.016, h),
        (0, h),
    ]
    trigger: Role = d.pick(("white", "second", "dark"))
    parts = [part(lathe(body, 26).scaled(1, 0.75, 1)), part(cylinder(0.018, 0.02, 20).moved(z=h), trigger)]
    head = prism(
        [
            (-0.058, 0.022),
            (-0.058, 0.008),
            (-0.02, 0.004),
            (-0.014, -0.008),
            (0.014, -0.008),
            (0.026, 0.006),
            (0.03, 0.026),
        ],
        0.024,
    )
    parts.append(part(head.turned("x", 90).moved(0, 0.012, h + 0.026), trigger))
    lever = tube(smooth([(-0.022, 0, h + 0.03), (-0.034, 0, h + 0.012), (-0.046, 0, h - 0.022)], 7), 0.006, 8)
    nozzle = cylinder(0.009, 0.014, 14).turned("y", -90).moved(-0.056, 0, h + 0.041)
    parts += [part(lever, d.pick(("second", trigger))), part(nozzle, d.pick(("second", "dark")))]
    parts.append(part(box(r * 1.1, 0.002, h * 0.28).moved(0, -r * 0.755, h * 0.2), "white"))
    return stand(parts)


def soap_dispenser(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.03, 0.038), d.span(0.1, 0.135)
    body = [(0, 0), (r, 0), (r, h * 0.85), (r * 0.5, h), (0, h)]
    if d.unseen:
        body = [(0, 0), (r * 0.9, 0), (r * 1.25, h * 0.3), (r * 0.9, h * 0.7), (r * 0.4, h), (0, h)]
    look: Role = d.pick(("metal", "white", "dark"))
    parts = [
        part(lathe(body, 26)),
        part(cylinder(r * 0.5, 0.014, 18).moved(z=h), look),
        part(cylinder(0.0045, 0.035, 12).moved(z=h + 0.01), look),
    ]
    spout = [(0.008, 0, h + 0.05), (-0.03, 0, h + 0.05), (-0.042, 0, h + 0.046), (-0.046, 0, h + 0.036)]
    parts += [
        part(tube(smooth(spout, 10), [0.008, 0.007, *([0.005] * 8)], 10), look),
        part(cylinder(0.011, 0.012, 16).moved(z=h + 0.043), look),
    ]
    if d.chance(0.5):
        parts.append(
            part(
                box(r * 1.0, 0.003, h * 0.35).moved(0, -r * 0.985 if not d.unseen else -r * 1.15, h * 0.4),
                "white",
            )
        )
    return stand(parts)


def toothbrush(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long, thick = d.span(0.165, 0.19), d.any(0.0045, 0.006) * (1.0 if not d.unseen else 1.8)
    path = smooth(
        [(0, 0, 0), (long * 0.3, 0, 0.003), (long * 0.6, 0, 0), (long * 0.8, 0, 0.004), (long, 0, 0.002)], 14
    )
    radii = np.interp(
        np.linspace(0, 1, 14), [0, 0.3, 0.6, 0.8, 1], np.array([0.8, 1.2, 0.9, 0.5, 0.6]) * thick
    )
    parts = [
        part(tube(path, radii.tolist(), 10).scaled(1, 1.3, 1)),
        part(slab(0.03, 0.012, 0.005, 0.005).moved(long - 0.008), "main"),
    ]
    tufts = [
        cylinder(0.0013, 0.011, 5).moved(long - 0.02 + 0.0036 * (k % 8), (k // 8 - 1) * 0.0034, 0.005)
        for k in range(24)
    ]
    parts += [part(merged(tufts[:16]), "white"), part(merged(tufts[16:]), "second")]
    parts.append(part(tube(path[2:6] + np.array([0, 0, thick * 0.35]), thick * 0.9, 8), "second"))
    return stand(parts)


def comb(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y = d.span(0.12, 0.17), d.any(0.03, 0.042)
    teeth = int(x * (190 if not d.unseen else 90))
    pitch = x * 0.96 / teeth
    spine = slab(x, y * 0.42, 0.005, y * 0.18).moved(0, y * 0.3)
    long = [
        box(pitch * 0.55, y * 0.72, 0.0036).moved(-x * 0.47 + (k + 0.3) * pitch, -y * 0.2, 0.0025)
        for k in range(teeth)
    ]
    parts = [part(spine), part(merged(long))]
    if d.unseen or d.chance(0.3):
        parts.append(part(bar((x * 0.48, y * 0.3, 0.0025), (x * 1.1, y * 0.3, 0.0025), [0.005, 0.003])))
    return stand(parts)
