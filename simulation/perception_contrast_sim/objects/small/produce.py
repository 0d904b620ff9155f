"""Fruit and vegetables, in their natural colours."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    TriangleMesh,
    cylinder,
    ellipsoid,
    lathe,
    loft,
    merged,
    prism,
    torus,
    tube,
)
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.geometry.small_parts import Draw, bar, part, smooth, stand

RED, GREEN, YELLOW, ORANGE = (0.75, 0.07, 0.06), (0.42, 0.62, 0.14), (0.95, 0.78, 0.1), (0.95, 0.48, 0.05)


BROWN = (0.32, 0.2, 0.09)


Tint = tuple[float, float, float]


def shade(d: Draw, tint: Tint, by: float = 0.06) -> Tint:
    """The natural colour, a little lighter or darker from fruit to fruit."""
    r, g, b = np.clip(np.array(tint) * d.any(1 - 2 * by, 1 + by) + d.rng.uniform(-by / 3, by / 3, 3), 0, 1)
    return float(r), float(g), float(b)


def bumpy(mesh: TriangleMesh, d: Draw, amount: float) -> TriangleMesh:
    """Swells and dents of long wave, so that no two fruits are alike."""
    v = mesh.vertices
    low, high = mesh.bounds()
    unit = (v - (low + high) / 2) / (high - low).max()
    swell = np.ones(len(v))
    for _ in range(3):
        swell += amount / 2 * np.sin(unit @ d.rng.normal(0, 4, 3) + d.any(0, 6))
    return TriangleMesh(v * swell[:, None], mesh.faces, mesh.uv)


def frond(length: float, width: float) -> TriangleMesh:
    """A thin leaf from the origin along x, its middle bent upwards."""
    x = np.array([0.0, 0.25, 0.55, 0.8, 1.0]) * length
    half = np.array([0.05, 0.8, 1.0, 0.6, 0.03]) * width / 2
    rise = np.array([0.0, 0.16, 0.26, 0.24, 0.15]) * length
    rings = []
    for a, w, z in zip(x, half, rise, strict=True):
        rings.append(np.array([[a, -w, z], [a, w, z], [a, w * 0.9, z + 0.0012], [a, -w * 0.9, z + 0.0012]]))
    return loft(rings)


def _crown(count: int, radius: float, length: float, lean: float, width: float) -> TriangleMesh:
    """Leaves around z, leaning outwards by ``lean`` degrees from upright."""
    leaves = []
    for k in range(count):
        blade = frond(length, width).turned("y", -(90 - lean)).moved(radius)
        leaves.append(blade.turned("z", 360 * k / count))
    return merged(leaves)


def apple(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    name = d.pick(("red", "green", "red"))
    r, tall = d.span(0.036, 0.043), d.any(0.84, 0.96) if not d.unseen else d.pick((0.7, 1.12))
    skin = [
        (0, 0.1),
        (0.22, 0.02),
        (0.5, 0.0),
        (0.72, 0.2),
        (0.93, 0.6),
        (1.0, 1.05),
        (0.92, 1.45),
        (0.68, 1.75),
    ]
    skin += [(0.4, 1.85), (0.18, 1.78), (0.06, 1.6), (0, 1.55)]
    mesh = lathe([(q * r, z * r * tall) for q, z in skin], 24)
    parts = [part(bumpy(mesh, d, 0.04), shade(d, RED if name == "red" else GREEN))]
    top = 1.56 * r * tall
    parts.append(
        part(
            tube(smooth([(0, 0, top), (0.002, 0, top + 0.012), (0.008, 0, top + 0.026)], 5), 0.0017, 6), BROWN
        )
    )
    if d.chance(0.5):
        parts.append(part(frond(0.03, 0.014).turned("z", d.any(0, 360)).moved(0.003, 0, top + 0.012), "leaf"))
    return stand(parts, name)


def banana(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    bend, r, thick = d.span(75, 105), d.any(0.085, 0.105), d.any(0.016, 0.02)
    share = np.array([0, 0.04, 0.1, 0.25, 0.5, 0.75, 0.9, 0.96, 1.0])
    radii = np.array([0.3, 0.32, 0.7, 0.95, 1.0, 0.95, 0.6, 0.3, 0.26]) * thick
    angles = np.radians(-90 - bend / 2 + bend * share)
    path = np.stack([r * np.cos(angles), r * np.sin(angles), np.zeros(len(share))], 1)
    skin = shade(d, YELLOW if not d.unseen else d.pick((YELLOW, (0.72, 0.75, 0.12))))
    fruit = [part(tube(path, radii.tolist(), 7), skin)]
    fruit += [
        part(tube(path[:2], [thick * 0.34, thick * 0.36], 7), BROWN),
        part(ellipsoid(0.01, 0.01, 0.01, 8).moved(*path[-1]), BROWN),
    ]
    if not d.unseen and d.chance(0.6):
        return stand(fruit, "yellow")
    bunch: list[Part] = []
    for k in range(d.count(3, 4)):
        bunch += [Part(p.mesh.moved(*-path[0]).turned("x", 24 * k).turned("z", 7 * k), p.role) for p in fruit]
    return stand(bunch, "yellow")


def _ball_fruit(d: Draw, size: float, tall: float, tint: Tint, name: str, nub: float = 0.0) -> ObjectModel:
    """A round fruit with a star or scar on top; ``nub`` draws its ends out as a lemon's."""
    mesh = ellipsoid(1, 1, 1, 22)
    v = mesh.vertices.copy()
    v[:, 2] += np.sign(v[:, 2]) * nub * np.clip(1 - np.hypot(v[:, 0], v[:, 1]) / 0.22, 0, 1)
    mesh = bumpy(TriangleMesh(v, mesh.faces, mesh.uv).scaled(size, size, size * tall), d, 0.03)
    top = float(mesh.bounds()[1][2])
    parts = [part(mesh, shade(d, tint)), part(cylinder(0.003, 0.003, 8).moved(z=top - 0.0015), GREEN)]
    if d.chance(0.35):
        parts.append(part(frond(0.04, 0.018).turned("z", d.any(0, 360)).moved(z=top), "leaf"))
    if nub:
        parts = [Part(p.mesh.turned("y", 78), p.role) for p in parts]
    return stand(parts, name)


def orange(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    return _ball_fruit(d, d.span(0.07, 0.084), d.any(0.93, 1.0) if not d.unseen else 0.8, ORANGE, "orange")


def lemon(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    tint, name = d.pick(((YELLOW, "yellow"),), ((YELLOW, "yellow"), ((0.85, 0.85, 0.25), "yellow")))
    return _ball_fruit(d, d.span(0.052, 0.062), d.any(1.2, 1.35), tint, name, d.any(0.06, 0.12))


def pear(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, tall = d.span(0.033, 0.039), d.any(0.95, 1.1) if not d.unseen else d.pick((0.8, 1.35))
    skin = [
        (0, 0.06),
        (0.4, 0),
        (0.8, 0.25),
        (1, 0.8),
        (0.9, 1.3),
        (0.62, 1.85),
        (0.47, 2.3),
        (0.36, 2.6),
        (0.15, 2.75),
        (0, 2.72),
    ]
    mesh = lathe([(q * r, z * r * tall) for q, z in skin], 22)
    top = 2.7 * r * tall
    tint, name = d.pick(((GREEN, "green"), ((0.75, 0.72, 0.2), "yellow")))
    stem = tube(smooth([(0, 0, top), (0.002, 0, top + 0.014), (0.009, 0, top + 0.026)], 5), 0.0018, 6)
    parts = [part(bumpy(mesh, d, 0.04), shade(d, tint)), part(stem, BROWN)]
    if d.chance(0.4):
        parts.append(part(frond(0.032, 0.015).moved(0.003, 0, top + 0.01), "leaf"))
    return stand(parts, name)


def carrot(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    length, r = d.span(0.14, 0.19), d.any(0.014, 0.019)
    x = np.array([0, 0.03, 0.15, 0.45, 0.8, 0.97, 1.0]) * length
    radii = np.array([0.5, 0.85, 1.0, 0.8, 0.45, 0.16, 0.05]) * r * (1.3 if d.unseen else 1)
    bend = d.any(-0.012, 0.012) * (x / length) ** 2
    root = tube(np.stack([x, bend, np.zeros(7)], 1), radii.tolist(), 12)
    greens = []
    for _ in range(7):
        tip = (-d.any(0.06, 0.12), d.any(-0.035, 0.035), d.any(-0.004, 0.035))
        greens.append(
            tube(
                smooth([(0, 0, 0), (tip[0] * 0.5, tip[1] * 0.3, tip[2] * 0.6), tip], 5),
                [0.002, 0.0025, 0.004, 0.006, 0.003],
                6,
            )
        )
    parts = [part(root, shade(d, ORANGE))]
    rings = [
        torus(float(np.interp(a * length, x, radii)), 0.0014, 14, 5).turned("y", 90).moved(a * length)
        for a in (0.2, 0.33, 0.52, 0.7)
    ]
    parts += [part(merged(rings), (0.8, 0.36, 0.04)), part(merged(greens), (0.2, 0.5, 0.12))]
    return stand(parts, "orange")


def tomato(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    size = d.span(0.06, 0.078)
    tall = d.any(0.78, 0.88) if not d.unseen else d.pick((0.62, 1.25))
    mesh = ellipsoid(1, 1, 1, 24)
    v = mesh.vertices.copy()
    v[:, 2] -= 0.13 * np.exp(-((np.hypot(v[:, 0], v[:, 1]) / 0.15) ** 2)) * (v[:, 2] > 0)
    angle, lobes = np.arctan2(v[:, 1], v[:, 0]), d.count(4, 6)
    v[:, :2] *= (1 + 0.03 * np.cos(lobes * angle))[:, None]
    top = float(v[:, 2].max() - 0.1) * size * tall
    star = _crown(5, 0.001, size * 0.32, 75, size * 0.1).moved(z=top)
    stem = bar((0, 0, top - 0.002), (0.003, 0, top + 0.014), 0.002, 6)
    return stand(
        [
            part(
                TriangleMesh(v, mesh.faces, mesh.uv).scaled(size, size, size * tall),
                shade(d, (0.82, 0.1, 0.05)),
            ),
            part(star, "leaf"),
            part(stem, "leaf"),
        ],
        "red",
    )


def pineapple(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.05, 0.062), d.span(0.13, 0.17)
    parts = [part(ellipsoid(2 * r, 2 * r, h, 20), (0.62, 0.4, 0.08))]
    scales = []
    for row, t in enumerate(np.linspace(-1.15, 1.15, 9)):
        n = max(int(14 * np.cos(t) + 2), 5)
        for k in range(n):
            scale = ellipsoid(0.012, 2.1 * np.pi * r * float(np.cos(t)) / n * 0.72, h / 10.5, 5)
            scale = scale.turned(
                "y", -float(np.degrees(np.arctan2(h / 2 * np.sin(t), 2 * r * np.cos(t)))) * 0.8
            )
            region_crop = scale.moved(r * float(np.cos(t)), 0, h / 2 * float(np.sin(t)))
            scales.append(region_crop.turned("z", 360 * (k + row % 2 / 2) / n))
    parts.append(part(merged(scales), shade(d, (0.82, 0.56, 0.12))))
    for count, lean, long in ((9, 58, 0.5), (8, 36, 0.7), (6, 14, 0.8)):
        parts.append(part(_crown(count, r * 0.12, h * long, lean, 0.022).moved(z=h * 0.46), "leaf"))
    return stand(parts, "yellow")


def watermelon(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, long = d.span(0.1, 0.135), d.any(1.05, 1.3)
    stripes = d.count(8, 10)
    dark, light = shade(d, (0.1, 0.28, 0.08)), shade(d, (0.42, 0.6, 0.22))
    if d.unseen or d.chance(0.3):
        t = np.radians(np.linspace(180, 360, 18))
        wide = r * (0.5 if d.unseen else 2.0)
        layers: list[Part] = []
        for s, tint, w in (
            (1.0, dark, 1.0),
            (0.955, (0.85, 0.92, 0.7), 1.02),
            (0.9, (0.88, 0.16, 0.16), 1.04),
        ):
            rim = [(float(r * s * np.cos(a)), float(r * s * np.sin(a) + 0.05 * r * (w - 1))) for a in t]
            layers.append(part(prism(rim, wide * w * 0.5).turned("x", 90).moved(0, wide * w * 0.25), tint))
        seeds = [
            ellipsoid(0.006, wide * 0.56, 0.01, 6).moved(
                float(q * r * np.cos(a)), 0, float(q * r * np.sin(a))
            )
            for q, n in ((0.4, 4), (0.7, 7))
            for a in np.radians(np.linspace(200, 340, n))
        ]
        return stand([*layers, part(merged(seeds), (0.08, 0.05, 0.04))], "red")
    parts = [part(ellipsoid(2 * r * long, 2 * r, 2 * r, 26), light)]
    for k in range(stripes):
        line = [
            (r * long * np.sin(t), r * np.cos(t), 0.008 * np.sin(9 * t + k))
            for t in np.linspace(-1.5, 1.5, 13)
        ]
        thick = [0.014 * max(float(np.cos(t)), 0.12) for t in np.linspace(-1.5, 1.5, 13)]
        stripe = tube([(x, y * 0.955, z * 0.6) for x, y, z in line], thick, 8)
        parts.append(part(stripe.turned("x", 360 * k / stripes), dark))
    parts.append(part(bar((r * long * 0.98, 0, 0), (r * long * 1.08, 0.006, 0.01), 0.004, 6), BROWN))
    return stand(parts, "green")


def eggplant(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long, r = d.span(0.15, 0.2), d.any(0.03, 0.038) if not d.unseen else d.pick((0.022, 0.048))
    share = np.array([0, 0.03, 0.1, 0.25, 0.45, 0.7, 0.9, 0.98, 1.0])
    radii = np.array([0.05, 0.35, 0.75, 1.0, 0.95, 0.68, 0.5, 0.4, 0.2]) * r
    x, y = share * long, 0.03 * (share - 0.5) ** 2 * d.any(0.5, 2.5)
    path = np.stack([x, y, np.zeros(9)], 1)
    parts = [part(tube(path, radii.tolist(), 18), shade(d, (0.2, 0.06, 0.22)))]
    cap = _crown(6, r * 0.15, r * 1.3, 118, r * 0.55).turned("y", 90).moved(long * 1.02, float(y[-1]))
    stem = tube(
        smooth([path[-2], path[-1] + [0.012, 0, 0], path[-1] + [0.032, 0.006, 0.006]], 6),
        [0.016, 0.012, 0.007, 0.005, 0.005, 0.006],
        8,
    )
    return stand([*parts, part(cap, "leaf"), part(stem, "leaf")], "purple")


def cucumber(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long, r = d.span(0.17, 0.24), d.any(0.019, 0.024)
    share = np.linspace(0, 1, 13)
    radii = r * np.clip(1 - np.abs(2 * share - 1) ** 8, 0.12, 1) ** 0.5
    path = np.stack([share * long, d.any(-0.06, 0.06) * (share - 0.5) ** 2, np.zeros(13)], 1)
    stop = 13 if not d.unseen else 9
    skin = shade(d, (0.14, 0.36, 0.1))
    parts = [part(tube(path[:stop], radii[:stop].tolist(), 16), skin)]
    ridge = [
        tube(path[1 : min(stop, 12)] + 0.98 * r * np.array([0, np.cos(a), np.sin(a)]), 0.0012, 5)
        for a in np.radians((20, 65, 110, 155, 250))
    ]
    parts.append(part(merged(ridge), (0.38, 0.56, 0.2)))
    if d.unseen:
        for k in range(3):
            place = path[8] + [0.018 + 0.022 * k, d.any(-0.004, 0.004), 0]
            disc = cylinder(r, 0.006, 20).turned("y", 90 + 14 * k)
            core = cylinder(r * 0.88, 0.0066, 20).moved(z=-0.0003).turned("y", 90 + 14 * k)
            parts += [part(disc.moved(*place), skin), part(core.moved(*place), (0.8, 0.9, 0.6))]
    return stand(parts, "green")
