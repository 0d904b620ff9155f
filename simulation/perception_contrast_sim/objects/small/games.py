"""Games, tops and a football."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    box,
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
from perception_contrast_sim.geometry.small_parts import Draw, Role, outward, part, slab, stand


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
    crops = {
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
            for a, b in crops[n]
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
        crops = [
            cylinder(wide * 0.075, 0.0005, 10).moved(
                (i % 3 - 1) * wide * 0.27, half + (i // 3 - 1) * wide * 0.27, top
            )
            for half in (-wide / 2, wide / 2)
            for i in grid[d.count(1, 6)]
        ]
        tile.append(part(merged(crops), pip))
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
