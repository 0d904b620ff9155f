"""Prizes, music and sport."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    box,
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
from perception_contrast_sim.geometry.small_parts import Draw, Role, outward, part, slab, smooth, stand


def trophy(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.05, 0.065), d.span(0.2, 0.26)
    gold: Role = d.pick(("brass", "brass", "metal"))
    parts = [
        part(
            box(r * 1.5, r * 1.5, h * 0.18).moved(z=h * 0.09)
            if not d.unseen
            else cylinder(r * 0.85, h * 0.2, 24),
            d.pick(("dark", "wood")),
        ),
        part(
            box(r * 0.9, 0.002, h * 0.08).moved(0, -r * 0.75 if not d.unseen else -r * 0.85, h * 0.09), gold
        ),
    ]
    z = h * 0.18
    if d.unseen and d.chance(0.5):
        star = [
            (float(q * np.cos(a)), float(q * np.sin(a)))
            for a, q in zip(np.radians(np.arange(90, 450, 36)), [r, r * 0.42] * 5, strict=True)
        ]
        parts += [
            part(lathe([(0, z), (r * 0.5, z), (0.012, z + 0.02), (0.008, h * 0.65), (0, h * 0.65)], 20), gold)
        ]
        return stand(
            [*parts, part(prism(star, 0.018).turned("x", 90).moved(0, 0.009, h * 0.65 + r * 0.7), gold)]
        )
    stem = [
        (0, z),
        (r * 0.6, z),
        (r * 0.5, z + 0.01),
        (0.01, z + 0.025),
        (0.009, z + h * 0.15),
        (0.018, z + h * 0.17),
        (0.012, z + h * 0.2),
    ]
    bowl = [
        (r * 0.55, z + h * 0.27),
        (r * 0.85, z + h * 0.45),
        (r * 0.9, z + h * 0.7),
        (r, h * 1.0),
        (r * 0.93, h),
        (r * 0.8, h * 0.85),
        (0, h * 0.6),
    ]
    parts.append(part(lathe([*stem, *bowl], 28), gold))
    for side in (-1, 1):
        ear = [
            (r * 0.88, 0, h * 0.92),
            (r * 1.5, 0, h * 0.95),
            (r * 1.45, 0, h * 0.66),
            (r * 0.75, 0, h * 0.52),
        ]
        parts.append(part(tube(smooth(ear, 12), 0.005, 8).scaled(side, 1, 1), gold))
    return stand(parts)


def _pickups(long: float, top: float) -> list[Part]:
    """Of an electric guitar, with its scratch plate."""
    parts: list[Part] = []
    parts += [part(box(0.08, 0.02, 0.012).moved(0, long * q, top + 0.003), "dark") for q in (0.35, 0.55)]
    parts.append(part(slab(long * 0.22, long * 0.4, 0.002, 0.03).moved(long * 0.2, long * 0.4, top), "white"))
    return parts


def _sound_hole(long: float, top: float) -> list[Part]:
    parts: list[Part] = []
    parts += [
        part(cylinder(long * 0.1, 0.001, 28).moved(0, long * 0.62, top), "dark"),
        part(torus(long * 0.108, 0.006, 28, 6).moved(0, long * 0.62, top), "wood"),
    ]
    return parts


def _neck_fittings(long: float, neck: float, depth: float, electric: bool) -> list[Part]:
    """Frets, head, pegs and strings."""
    frets = [
        box(0.052, 0.002, 0.0025).moved(0, long + neck * (0.98 - 0.08 * k), depth + 0.0095) for k in range(12)
    ]
    head = prism([(-0.026, 0), (0.026, 0), (0.038, 0.15), (-0.038, 0.15)], 0.016).moved(
        0, long + neck, depth - 0.014
    )
    pegs = [
        cylinder(0.007, 0.03, 10)
        .turned("y", 90 * s)
        .moved(s * 0.032, long + neck + 0.03 + 0.045 * k, depth - 0.006)
        for s in (-1, 1)
        for k in range(3)
    ]
    strings = [
        box(0.0012, long * 0.76 + neck, 0.001).moved(
            (k - 2.5) * 0.0078, long * 0.24 + (long * 0.76 + neck) / 2, depth + 0.013
        )
        for k in range(6)
    ]
    parts = [
        part(merged(frets), "metal"),
        part(head, "wood" if not electric else "main"),
        part(merged(pegs), "metal"),
        part(merged(strings), "metal"),
    ]
    return parts


def guitar(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long = d.span(0.46, 0.5)
    t = np.linspace(0, 1, 15)
    half = (
        np.interp(
            t,
            [0, 0.05, 0.2, 0.35, 0.52, 0.7, 0.82, 0.93, 1],
            [0.3, 0.62, 0.98, 0.93, 0.66, 0.74, 0.76, 0.55, 0.15],
        )
        * long
        * 0.4
    )
    electric = d.unseen
    if electric:
        half = (
            np.interp(t, [0, 0.1, 0.3, 0.5, 0.7, 0.85, 1], [0.35, 0.9, 1, 0.7, 0.75, 0.9, 0.75]) * long * 0.36
        )
    depth = 0.045 if electric else d.any(0.085, 0.11)
    outline = [(float(w), float(z * long)) for z, w in zip(t, half, strict=True)] + [
        (float(-w), float(z * long)) for z, w in zip(t[::-1], half[::-1], strict=True)
    ]
    shape = np.array(outline)
    body = loft([np.column_stack([shape, np.full(len(shape), z)]) for z in (0, depth)])
    face = loft(
        [
            np.column_stack([shape * 0.97 + np.array([0, long * 0.015]), np.full(len(shape), z)])
            for z in (depth, depth + 0.002)
        ]
    )
    top = depth + 0.002
    tan: Role = (0.82, 0.58, 0.3)
    parts = [
        part(body, "main" if electric else d.look(((0.4, 0.2, 0.09), "main", "wood"))),
        part(face, "main" if electric else d.pick((tan, tan, "main"))),
    ]
    neck = 0.36
    parts += _pickups(long, top) if electric else _sound_hole(long, top)
    parts.append(part(box(long * 0.36, 0.022, 0.01).moved(0, long * 0.24, top + 0.004), "dark"))
    parts.append(
        part(
            box(0.052, long * 0.28 + neck, 0.02).moved(
                0, long * 0.72 + (long * 0.28 + neck) / 2, depth - 0.001
            ),
            (0.25, 0.15, 0.08),
        )
    )
    parts += _neck_fittings(long, neck, depth, electric)
    return stand([Part(p.mesh.turned("x", 76), p.role) for p in parts])


def ball(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    size = d.span(0.1, 0.22)
    parts = [part(ellipsoid(size, size, size, 24))]
    style = d.pick(("plain", "belt", "plain"), ("beach", "dots"))
    if style == "belt":
        t = np.radians(np.linspace(-14, 14, 5))
        belt = lathe(
            [
                (float(size * 0.49 * np.cos(t[0])), float(size / 2 * np.sin(t[0]))),
                *((float(size * 0.503 * np.cos(a)), float(size / 2 * np.sin(a))) for a in t),
                (float(size * 0.49 * np.cos(t[-1])), float(size / 2 * np.sin(t[-1]))),
            ],
            28,
        )
        parts.append(part(belt.turned("x", d.any(0, 60)), "second"))
    elif style == "beach":
        for k, role in enumerate(("white", "second", "white")):
            a = np.radians(np.linspace(-88, 88, 12))
            side = [
                (np.cos(t) * np.cos(s), np.cos(t) * np.sin(s), np.sin(t))
                for s in (-0.5, 0.5)
                for t in (a if s < 0 else a[::-1])
            ]
            gore = np.array(side) * size / 2
            mid = np.array([(np.cos(t), 0, np.sin(t)) for t in a]) * size / 2 * 1.006
            left, right = gore[:12] * 1.004, gore[12:][::-1] * 1.004
            rings = [np.array([left[j], mid[j], right[j], mid[j] * 0.96]) for j in range(12)]
            parts.append(part(outward(loft(rings)).turned("z", 120 * k), role))
    elif style == "dots":
        dots = [
            ellipsoid(0.008, size * 0.25, size * 0.25, 12).moved(size * 0.492).turned("y", u).turned("z", v)
            for u, v in (
                (0, 0),
                (0, 90),
                (0, 180),
                (0, 270),
                (-45, 45),
                (-45, 225),
                (45, 135),
                (45, 315),
                (-90, 0),
            )
        ]
        parts.append(part(merged(dots), "second"))
    return stand(parts)


def basketball(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    size = d.span(0.22, 0.25)
    seam = torus(size * 0.499, size * 0.02, 36, 6)
    side = torus(size * 0.4, size * 0.02, 30, 6)
    lines = [seam, seam.turned("x", 90), seam.turned("y", 90)]
    lines = lines[:2] + [side.turned("y", 90).moved(s * size * 0.3) for s in (-1, 1)]
    orange, name = d.pick(
        (((0.85, 0.4, 0.1), "orange"),), (((0.55, 0.25, 0.1), "brown"), ((0.85, 0.4, 0.1), "orange"))
    )
    parts = [part(ellipsoid(size, size, size, 26), orange), part(merged(lines), "dark")]
    turn = d.any(0, 90)
    return stand([Part(p.mesh.turned("x", turn).turned("y", turn / 2), p.role) for p in parts], name)
