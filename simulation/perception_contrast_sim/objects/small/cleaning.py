"""What one cleans and gardens with."""

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
    slab,
    smooth,
    stand,
    vessel,
)


def broom(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long, wide = d.span(1.1, 1.35), d.any(0.26, 0.34)
    shaft = bar((0, 0, 0.15), (0, 0, long), 0.0125)
    if d.unseen:
        straw = lathe(
            [(0, 0), (wide * 0.42, 0), (wide * 0.36, 0.06), (0.045, 0.3), (0.016, 0.36), (0, 0.36)], 20
        ).scaled(1, 0.4, 1)
        ties = [
            torus(0.05 + 0.045 * k, 0.008, 20, 6).scaled(1, 0.42, 1).moved(z=0.3 - 0.065 * k)
            for k in range(3)
        ]
        parts = [
            part(straw, (0.8, 0.66, 0.35)),
            part(merged(ties), (0.6, 0.15, 0.1)),
            part(shaft.moved(z=0.08), "wood"),
        ]
    else:
        head = box(wide, 0.055, 0.035).moved(z=0.11)
        stem = cylinder(0.022, 0.06, 16, 0.015).moved(z=0.12)
        rings = [
            np.array([(a * w, b * t, z) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
            for w, t, z in ((wide * 0.56, 0.04, 0), (wide * 0.49, 0.026, 0.1))
        ]
        tufts = [
            bar((a * wide * 1.1, b * 0.034, 0), (a * wide, b * 0.026, 0.095), 0.005, 5)
            for a in np.linspace(-0.49, 0.49, 24)
            for b in (-1, 1)
        ]
        straw_look = d.look(((0.82, 0.7, 0.4), (0.3, 0.3, 0.32), "second"))
        parts = [
            part(merged([head, stem])),
            part(loft(rings), straw_look),
            part(merged(tufts), straw_look),
            part(shaft, d.pick(("wood", "metal", "main"))),
        ]
    return stand(parts)


def bucket(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.125, 0.155), d.span(0.23, 0.29)
    foot = d.any(0.72, 0.82) if not d.unseen else d.pick((0.97, 0.55))
    mesh = vessel([(r * foot, 0), (r, h)], 0.004, 32)
    rim = torus(r, 0.012, 32, 8).moved(z=h)
    up = d.chance(0.4)
    hoop = (
        arc(r * 1.03, 0, 180, 17)
        if up
        else arc(r * 1.03, 0, -180, 17, "xy")
        + np.column_stack([np.zeros(17), np.zeros(17), -0.06 * np.sin(np.linspace(0, np.pi, 17))])
    )
    parts = [
        part(mesh),
        part(rim, d.pick(("main", "metal"))),
        part(tube(hoop + np.array([0, 0, h * 0.96]), 0.004, 8), "metal"),
    ]
    if up:
        parts.append(
            part(
                bar((-0.05, 0, h * 0.96 + r * 1.02), (0.05, 0, h * 0.96 + r * 1.02), 0.011),
                d.pick(("wood", "dark", "white")),
            )
        )
    return stand(parts)


def watering_can(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.085, 0.11), d.span(0.16, 0.2)
    shoulder = 0.8 if not d.unseen else 0.55
    body = [(0, 0), (r, 0), (r * 0.97, h * 0.75), (r * shoulder, h), (r * shoulder * 0.93, h), (0, h * 0.9)]
    spout = [(-r * 0.9, 0, h * 0.18), (-r * 1.5, 0, h * 0.5), (-r * 2.5, 0, h * 1.12)]
    parts = [part(lathe(body, 28)), part(tube(spout, [0.024, 0.018, 0.012], 12))]
    rose = (
        lathe([(0.012, 0), (0.036, 0.04), (0.036, 0.046), (0, 0.052)], 22)
        .turned("y", -50)
        .moved(-r * 2.45, 0, h * 1.1)
    )
    parts.append(part(rose, d.pick(("brass", "main", "metal"))))
    back = [(r * 0.75, 0, h * 0.98), (r * 1.4, 0, h * 1.0), (r * 1.5, 0, h * 0.6), (r * 0.95, 0, h * 0.25)]
    hoop = [(-r * 0.65, 0, h * 0.95), (-r * 0.4, 0, h * 1.35), (r * 0.4, 0, h * 1.38), (r * 0.7, 0, h * 0.95)]
    parts.append(part(tube(smooth(hoop if d.unseen else back, 14), 0.009, 10)))
    if d.chance(0.5):
        parts.append(part(tube(smooth(hoop, 12), 0.007, 10)))
    half = lathe(
        [(0, h * 0.93), (r * shoulder * 0.99, h * 0.96), (r * shoulder * 0.99, h), (0, h * 1.02)], 24
    )
    v = half.vertices.copy()
    v[:, 0] = np.minimum(v[:, 0], 0.0)
    parts.append(part(TriangleMesh(v, half.faces, half.uv)))
    return stand(parts)


def trash_can(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.12, 0.16), d.span(0.32, 0.5)
    style = d.pick(("open", "pedal"), ("swing", "mesh"))
    if style == "mesh":
        rings = [
            torus(r * (0.75 + 0.25 * t), 0.007, 28, 5).moved(z=h * t + 0.004) for t in np.linspace(0, 1, 6)
        ]
        bars = [bar((r * 0.75, 0, 0), (r, 0, h), 0.003, 5).turned("z", 11.25 * k) for k in range(32)]
        return stand(
            [part(merged([*rings, *bars, cylinder(r * 0.75, 0.006, 28)]), d.pick(("metal", "dark")))]
        )
    if style == "open":
        parts = [part(vessel([(r * 0.8, 0), (r, h)], 0.005, 30)), part(torus(r, 0.012, 30, 8).moved(z=h))]
        crumpled = [
            ellipsoid(0.09, 0.08, 0.07, 7).moved(r * 0.4).turned("z", 120 * k).moved(z=h * 0.85)
            for k in range(3)
        ]
        return stand([*parts, part(merged(crumpled), "paper")] if d.chance(0.5) else parts)
    if style == "swing":
        ring = np.array(rectangle(r * 2, r * 1.6, 0.04))
        rings2 = [np.column_stack([ring * s, np.full(20, z)]) for s, z in ((0.8, 0), (1, h * 0.78))]
        lid = [
            np.column_stack([ring * (a, b), np.full(20, z)])
            for a, b, z in ((1.03, 1.03, h * 0.78), (1.03, 1.03, h * 0.84), (0.9, 0.3, h * 1.05))
        ]
        flap = box(r * 1.3, 0.006, h * 0.2).turned("x", 25).moved(0, -r * 0.56, h * 0.95)
        return stand(
            [part(loft(rings2)), part(loft(lid), d.pick(("dark", "second", "white"))), part(flap, "grey")]
        )
    lid2 = lathe([(0, 0), (r * 1.02, 0), (r * 1.02, 0.025), (r * 0.8, 0.05), (0, 0.062)], 30).moved(z=h)
    parts = [
        part(cylinder(r, h, 30), d.pick(("main", "metal"))),
        part(lid2, d.pick(("dark", "metal", "main"))),
    ]
    parts += [
        part(cylinder(r * 1.02, 0.03, 30), "dark"),
        part(slab(0.07, 0.06, 0.012).moved(0, -r - 0.012, 0.008), "dark"),
    ]
    return stand(parts)
