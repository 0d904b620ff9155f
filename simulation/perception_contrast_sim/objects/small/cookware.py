"""Cutlery, and what one cooks with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    Floats,
    TriangleMesh,
    cylinder,
    ellipsoid,
    lathe,
    merged,
    prism,
    torus,
    tube,
)
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.geometry.small_parts import Draw, arc, bar, part, slab, smooth, stand, vessel


def bent(points: Sequence[tuple[float, float, float]]) -> Floats:
    """The polyline with each inner corner cut, so that a bar bends rather than pinches."""
    p = np.array(points, float)
    out = [p[0]]
    for a, b, c in zip(p[:-2], p[1:-1], p[2:], strict=True):
        out += [b + (a - b) * 0.25, b + (a + c - 2 * b) * 0.06, b + (c - b) * 0.25]
    return np.array([*out, p[-1]])


def _handle(length: float, d: Draw, role: str) -> Part:
    """The flat grip of cutlery, along -x from the origin, wider at its end."""
    w = d.any(0.005, 0.008)
    outline = [(-length, -w), (0, -0.0028), (0, 0.0028), (-length, w), (-length - w * 0.7, 0)]
    return part(prism(outline, 0.0032), role)


def _cutlery(d: Draw) -> tuple[float, str]:
    return d.span(0.1, 0.13), "metal" if not d.unseen else d.pick(("second", "dark", "wood", "brass"))


def fork(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    length, grip = _cutlery(d)
    w, tines, long = d.any(0.011, 0.014), d.pick((4, 4, 3), (2, 3)), d.any(0.038, 0.048)
    neck = prism([(0, -0.003), (0.022, -w), (0.03, -w), (0.03, w), (0.022, w), (0, 0.003)], 0.0028)
    parts = [_handle(length, d, grip), part(neck, "metal")]
    for y in np.linspace(-w + 0.0017, w - 0.0017, tines):
        tine = prism(
            [(0, -0.0017), (long * 0.8, -0.0015), (long, 0), (long * 0.8, 0.0015), (0, 0.0017)], 0.0028
        )
        parts.append(part(tine.moved(0.03, float(y)), "metal"))
    return stand(parts)


def knife(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    w, blade = d.span(0.022, 0.034), d.span(0.12, 0.17)
    edge = [(0, 0), (blade * 0.7, 0), (blade * 0.92, w * 0.35), (blade, w * 0.85), (blade * 0.9, w), (0, w)]
    if d.unseen:
        edge = [(0, 0), (blade * 0.75, 0), (blade, w * 0.5), (blade * 0.8, w), (0, w)]
    steel = prism(edge, 0.003).moved(0, -w, 0.005)
    grip = slab(d.any(0.1, 0.125), w * 0.75, 0.015, w * 0.2)
    parts = [
        part(steel, "metal"),
        part(grip.moved(-0.054, -w * 0.45), d.pick(("dark", "wood", "dark", "main"))),
    ]
    for x in (-0.025, -0.055, -0.085):
        parts.append(part(cylinder(0.003, 0.016, 10).moved(x, -w * 0.45), "metal"))
    return stand(parts)


def spoon(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    length, grip = _cutlery(d)
    w, long = d.any(0.018, 0.022), d.any(0.05, 0.06) if not d.unseen else d.pick((0.036, 0.07))
    dish = vessel([(0.1, 0), (0.6, 0.06), (0.9, 0.2), (1.0, 0.36)], 0.06, 24).scaled(long / 2, w, 0.02)
    return stand([_handle(length, d, grip), part(dish.moved(long / 2 - 0.004, 0, -0.004), "metal")])


def wooden_spoon(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    length, w = d.span(0.2, 0.27), d.any(0.024, 0.031)
    dish = vessel([(0.3, 0), (0.75, 0.1), (0.95, 0.25), (1.0, 0.4)], 0.1, 24).scaled(w * 1.35, w, 0.032)
    if d.unseen:
        dish = slab(0.08, 0.055, 0.007, 0.012).moved(0.008)
    grip = bar((-length, 0, 0.009), (-w, 0, 0.008), [0.0065, 0.005])
    return stand([part(dish, "wood"), part(grip, "wood")])


def kettle(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.075, 0.09), d.span(0.16, 0.2)
    foot = cylinder(r * 1.05, 0.022, 28)
    body = [(0, 0.022), (r, 0.022), (r * 0.95, h * 0.4), (r * 0.72, h), (0, h)]
    lid = [(0, h), (r * 0.66, h), (r * 0.5, h + 0.012), (0.012, h + 0.014), (0.012, h + 0.03), (0, h + 0.032)]
    spout = tube([(-r * 0.66, 0, h * 0.8), (-r * 1.12, 0, h * 0.97)], [0.022, 0.011], 10)
    parts = [part(lathe(body, 28)), part(lathe(lid, 24), "dark"), part(spout)]
    if d.unseen:
        hoop = arc(r * 0.8, 5, 175, 14) * [1, 1, 1.25] + [0, 0, h * 0.92]
        return stand([*parts, part(tube(hoop, 0.009), "dark")])
    ear = [(r * 0.6, 0, h * 1.0), (r * 1.5, 0, h * 1.0), (r * 1.6, 0, h * 0.5), (r * 0.95, 0, h * 0.24)]
    parts += [part(foot, "dark"), part(tube(bent(ear), 0.011, 10), "dark")]
    if d.chance(0.5):
        parts.append(
            part(slab(0.012, 0.004, h * 0.5, 0.002).turned("z", 90).moved(-r * 0.9, 0, h * 0.2), "glass")
        )
    return stand(parts)


def pot(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.085, 0.12), d.span(0.09, 0.14)
    body = vessel([(r * 0.97, 0), (r, 0.008), (r, h), (r * 1.03, h + 0.003)], 0.004, 32)
    look = d.pick(("main", "main", "metal"))
    parts = [part(body, look)]
    for side in (-1, 1):
        loop = arc(0.028, -90, 90, 8, "xy") * [1.1, 1, 1] + [r - 0.004, 0, h * 0.85]
        parts.append(
            part(
                tube(loop, 0.0055, 8).scaled(side, 1, 1),
                d.pick(("dark", "metal")) if look == "metal" else look,
            )
        )
    if d.unseen and d.chance(0.5):
        return stand([*parts, part(lathe([(r * 0.96, h * 0.7), (0, h * 0.7)], 24), (0.75, 0.3, 0.1))])
    dome = d.any(0.012, 0.03) if not d.unseen else 0.05
    lid = lathe(
        [(0, h), (r * 1.03, h), (r * 1.03, h + 0.006), (r * 0.6, h + dome), (0, h + dome + 0.004)], 32
    )
    parts += [part(lid, d.pick(("glass", "metal")) if look == "metal" else look)]
    parts.append(
        part(
            lathe([(0, 0), (0.008, 0), (0.008, 0.014), (0.02, 0.02), (0.017, 0.028), (0, 0.03)], 14).moved(
                z=h + dome
            ),
            "dark",
        )
    )
    return stand(parts)


def frying_pan(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.1, 0.135), d.span(0.035, 0.05)
    look = d.pick(("dark", "dark", "main"), ("metal", "main"))
    parts = [part(vessel([(r * 0.78, 0), (r * 0.85, 0.006), (r, h)], 0.004, 32), look)]
    if look == "main":
        parts.append(part(lathe([(r * 0.76, 0.005), (0, 0.005)], 28), "dark"))
    long = d.any(0.15, 0.19)
    grip = tube(
        smooth([(r * 0.94, 0, h * 0.75), (r + 0.04, 0, h * 0.95), (r + long, 0, h * 1.35)], 8), 0.011, 10
    )
    parts.append(part(grip.scaled(1, 1.2, 1), d.pick(("dark", "wood")) if look != "metal" else "metal"))
    if d.chance(0.25):
        egg = lathe([(r * 0.4, 0.006), (r * 0.32, 0.009), (0, 0.01)], 20)
        parts += [
            part(egg, "white"),
            part(ellipsoid(r * 0.34, r * 0.34, 0.024, 16).moved(z=0.01), (0.98, 0.7, 0.08)),
        ]
    return stand(parts)


def cutting_board(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.28, 0.36), d.span(0.18, 0.24), d.any(0.012, 0.02)
    board = slab(x, y, h, 0.02) if not d.unseen else cylinder(y * 0.62, h, 36)
    half = x / 2 if not d.unseen else y * 0.62
    parts = [part(board)]
    if d.chance(0.6) or d.unseen:
        parts.append(part(slab(0.1, 0.05, h, 0.02).moved(half + 0.035)))
        parts.append(part(cylinder(0.01, h + 0.0008, 14).moved(half + 0.062), "dark"))
    return stand(parts, top=(x * 0.35, y * 0.35, h))


def colander(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.105, 0.125), d.span(0.085, 0.11)
    turn = np.radians(np.linspace(25, 90, 7))
    outline = [
        (float(r * np.sin(a)), float(h * (1 - np.cos(a)) + 0.012 - h * (1 - np.cos(turn[0])))) for a in turn
    ]
    parts = [part(vessel(outline, 0.003, 32)), part(torus(r, 0.008, 32, 8).moved(z=outline[-1][1]))]
    parts.append(
        part(lathe([(r * 0.42, 0), (r * 0.45, 0), (r * 0.45, 0.016), (r * 0.42, 0.016), (r * 0.42, 0)], 28))
    )
    dots: list[TriangleMesh] = []
    for level in np.radians((38, 51, 64, 77)):
        for a in np.linspace(0, 2 * np.pi, int(10 + 14 * np.sin(level)), endpoint=False):
            dot = cylinder(0.0055, 0.0065, 7).moved(z=-0.0045).turned("y", 180 - float(np.degrees(level)))
            z = h * (1 - np.cos(level)) + 0.012 - h * (1 - np.cos(turn[0]))
            dots.append(dot.moved(r * float(np.sin(level)), 0, float(z)).turned("z", float(np.degrees(a))))
    parts.append(part(merged(dots), "dark"))
    for side in (-1, 1):
        loop = arc(0.035, -90, 90, 8, "xy") + np.array([r, 0, outline[-1][1]])
        parts.append(part(tube(loop, 0.005, 8).scaled(side, 1, 1)))
    return stand(parts)
