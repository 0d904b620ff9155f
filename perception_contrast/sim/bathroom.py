"""Sinks, toilets and bathtubs, built to measure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .geometry import TriangleMesh, cylinder, lathe, loft, merged, prism, tube
from .objects import Category, ObjectModel, Part
from .shapes import Draw, block, corners, fronts, grounded, pad, stick

Floats = NDArray[np.float64]


def _ring(width: float, depth: float, z: float, y: float = 0.0, square: float = 1.0) -> Floats:
    """A level oval; square below 1 makes it boxier (a superellipse with exponent 2 / square)."""
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    c, s = np.cos(t), np.sin(t)
    x = width / 2 * np.sign(c) * np.abs(c) ** square
    along = depth / 2 * np.sign(s) * np.abs(s) ** square
    return np.column_stack([x, along + y, np.full_like(x, z)])


def _tap(y: float, z: float, height: float, reach: float) -> TriangleMesh:
    """A spout towards -y with a lever, standing at (0, y, z)."""
    spout = [
        (0, y, z),
        (0, y, z + height * 0.7),
        (0, y - reach * 0.35, z + height),
        (0, y - reach, z + height * 0.92),
        (0, y - reach, z + height * 0.75),
    ]
    lever = tube([(0, y, z + height * 0.6), (0.05, y, z + height * 0.75)], 0.008, 6)
    return merged([tube(spout, 0.014, 8), lever, cylinder(0.028, 0.02, 16).moved(0, y, z)])


def _basin(width: float, depth: float, tall: float, z: float, square: float) -> TriangleMesh:
    rings = [
        _ring(width * 0.7, depth * 0.7, z, 0, square),
        _ring(width * 0.97, depth * 0.97, z + tall * 0.7, 0, square),
        _ring(width, depth, z + tall, 0, square),
        _ring(width - 0.05, depth - 0.05, z + tall, 0, square),
        _ring(width * 0.8, depth * 0.78, z + tall * 0.35, 0, square),
        _ring(width * 0.4, depth * 0.4, z + tall * 0.22, 0, square),
    ]
    return loft(rings)


def sink(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("vanity", "vanity", "pedestal"), ("trough", "console"))
    width, depth, height = d.size((0.45, 0.6), (0.65, 0.9)), d.size((0.38, 0.46)), d.size((0.78, 0.86))
    square = d.pick((1.0, 0.35))
    drain = cylinder(0.022, 0.006, 14).moved(0, 0, height - 0.108)
    if style == "pedestal":
        column = lathe(
            [(0, 0), (0.12, 0), (0.1, 0.05), (0.075, 0.3), (0.09, height - 0.12), (0, height - 0.12)], 20
        )
        parts = [Part(merged([_basin(width, depth, 0.15, height - 0.15, square), column.moved(0, 0.04)]))]
    else:
        case_w, case_d, low = width + d.size((0.04, 0.3)), depth + 0.06, height - 0.14
        parts = [
            Part(_basin(width, depth, 0.15, height - 0.15, 0.35 if style == "trough" else square), "white")
        ]
        if style == "console":
            posts = [
                stick((x, y, 0), (x, y, low), 0.016) for x, y in corners(case_w / 2 - 0.03, case_d / 2 - 0.03)
            ]
            parts.append(Part(merged(posts), d.pick(("metal", "dark", "brass"))))
            parts.append(
                Part(
                    merged(
                        [
                            block(case_w, case_d, 0.03, (0, 0, low - 0.03)),
                            block(case_w - 0.05, case_d - 0.05, 0.02, (0, 0, 0.2)),
                        ]
                    )
                )
            )
        else:
            parts.append(Part(block(case_w, case_d, low - 0.1, (0, 0, 0.1))))
            parts.append(Part(block(case_w - 0.06, case_d - 0.08, 0.1, (0, 0.02, 0)), "dark"))
            parts += fronts(case_w - 0.02, low - 0.13, 1, d.pick((1, 2)), (0, -case_d / 2, 0.11), "door-knob")
    parts.append(
        Part(
            merged([_tap(depth / 2 - 0.035, height - 0.02, d.size((0.14, 0.24)), depth * 0.36), drain]),
            d.pick(("metal", "metal", "dark", "brass")),
        )
    )
    return ObjectModel(tuple(parts), color="white" if style == "pedestal" else None)


def _seat(width: float, length: float, height: float, square: float) -> TriangleMesh:
    """A flat oval hoop on top of the bowl."""
    outer, inner = (
        _ring(width * 1.02, length * 1.02, 0, 0, square),
        _ring(width * 0.66, length * 0.64, 0, -0.02, square),
    )
    pieces = []
    for k in range(len(outer)):
        n = (k + 1) % len(outer)
        pieces.append(prism([(p[0], p[1]) for p in (inner[k], outer[k], outer[n], inner[n])], 0.028))
    return merged(pieces).moved(0, 0, height - 0.028)


def toilet(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, length, height = d.size((0.35, 0.4)), d.size((0.45, 0.52)), d.size((0.38, 0.43))
    square = 1.0 if not unseen else 0.5
    bowl = loft(
        [
            _ring(width * 0.62, length * 0.75, 0, 0.06, square),
            _ring(width * 0.55, length * 0.7, height * 0.3, 0.06, square),
            _ring(width * 0.9, length * 0.95, height * 0.8, 0, square),
            _ring(width, length, height - 0.03, 0, square),
            _ring(width * 0.72, length * 0.68, height - 0.03, -0.02, square),
            _ring(width * 0.4, length * 0.35, height * 0.6, 0, square),
        ]
    )  # fmt: skip
    back = length / 2
    white = "white"
    parts = [Part(bowl), Part(_seat(width, length, height, square), white)]
    water = loft([_ring(width * 0.5, length * 0.45, height * z, -0.005, square) for z in (0.68, 0.7)])
    parts.append(Part(water, (0.72, 0.82, 0.86)))
    lid = loft([_ring(width, length * 0.95, z, 0, square) for z in (0, 0.02)])
    if d.chance(0.6):
        parts.append(Part(lid.turned("x", 82).moved(0, back - 0.02, height + length * 0.47), white))
    else:
        parts.append(Part(lid.moved(0, 0, height), white))
    tank_w, tank_h = width * d.size((0.95, 1.15)), d.size((0.3, 0.38), (0.42, 0.5))
    rear = back + 0.1
    parts.append(
        Part(
            merged(
                [
                    pad(tank_w, 0.18, tank_h, (0, rear, height - 0.02), 0.025),
                    block(width * 0.5, 0.2, height, (0, back, 0)),
                ]
            )
        )
    )
    parts.append(Part(pad(tank_w + 0.02, 0.2, 0.035, (0, rear, height + tank_h - 0.02), 0.012)))
    button = cylinder(0.025, 0.01, 16).moved(0, rear, height + tank_h + 0.012)
    if d.chance(0.5):
        button = stick(
            (-tank_w * 0.35, rear - 0.11, height + tank_h - 0.07),
            (-tank_w * 0.12, rear - 0.11, height + tank_h - 0.08),
            0.008,
        )
    parts.append(Part(button, "metal"))
    return ObjectModel(tuple(Part(p.mesh.moved(0, -0.1), p.role) for p in parts), color="white")


def bathtub(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    length, width, height = d.size((1.45, 1.75)), d.size((0.68, 0.8)), d.size((0.5, 0.6))
    low = 0.0 if not unseen else 0.12
    square = 0.3 if not unseen else 0.85
    if unseen:
        base, middle = (0.62, 0.62), (0.86, 0.84)
    else:
        base, middle = (0.99, 0.98), (0.995, 0.99)
    rings = [
        _ring(length * base[0], width * base[1], low, 0, square),
        _ring(length * middle[0], width * middle[1], low + (height - low) * 0.4, 0, square),
        _ring(length, width, height - 0.03, 0, square),
        _ring(length + 0.03, width + 0.03, height, 0, square),
        _ring(length - 0.13, width - 0.13, height, 0, square),
        _ring(length - 0.2, width - 0.2, low + 0.25, 0, square),
        _ring(length * 0.65, width * 0.55, low + 0.1, 0, square),
    ]
    parts = [Part(loft(rings))]
    if unseen:
        feet = [
            tube(
                [(x * 0.8, y * 0.8, 0.25), (x, y, 0.12), (x * 1.02, y * 1.02, 0.025)], [0.03, 0.03, 0.025], 8
            )
            for x, y in corners(length * 0.3, width * 0.28)
        ]
        parts.append(Part(merged(feet), d.pick(("brass", "metal", "dark"))))
    if d.chance(0.4):
        parts.append(Part(_water(length, width, low + (height - low) * 0.62, square), (0.6, 0.8, 0.85)))
    tap = _tap(0, height - 0.01, 0.16, 0.14).turned("z", 90).moved(-length / 2 + 0.035)
    parts.append(Part(tap, d.pick(("metal", "brass"))))
    return ObjectModel(grounded(parts), color="white")


def _water(length: float, width: float, z: float, square: float) -> TriangleMesh:
    return loft(
        [
            _ring(length - 0.19, width - 0.19, z - 0.01, 0, square),
            _ring(length - 0.18, width - 0.18, z, 0, square),
        ]
    )


CATEGORIES: tuple[Category, ...] = (
    Category(
        "sink",
        sink,
        "floor",
        ("washbasin", "bathroom sink", "wash basin"),
        ("lavatory basin",),
        "fixture",
        ("wood", "plastic"),
    ),
    Category("toilet", toilet, "floor", ("toilet bowl", "WC", "lavatory"), ("water closet",), "fixture"),
    Category("bathtub", bathtub, "floor", ("bath", "tub"), ("bathing tub",), "fixture"),
)
