"""Toys and games."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    TriangleMesh,
    box,
    cylinder,
    ellipsoid,
    lathe,
    merged,
    prism,
    superellipsoid,
)
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.geometry.small_parts import Draw, Role, bar, part, slab, stand
from perception_contrast_sim.objects.assets import WithMesh
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.small.games import chess_piece, dice, domino, football, spinning_top
from perception_contrast_sim.objects.small.toy_vehicles import (
    BRIGHT,
    rolling,
    toy_airplane,
    toy_car,
    toy_train,
)

TOY = ("plastic", "wood")


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
                for p in rolling(0.16 * s, 0.1 * s)
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
