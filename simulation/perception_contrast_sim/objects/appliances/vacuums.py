"""Vacuum cleaners: upright, canister and stick."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.furniture_parts import Draw, arc, pad, smooth, stick
from perception_contrast_sim.geometry.meshes import cylinder, merged, tube
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects.category import Category


def vacuum_cleaner(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    if unseen:
        return _stick_vacuum(d)
    if d.chance(0.5):
        return _canister_vacuum(d)
    wide, height = d.size((0.28, 0.34)), d.size((1.0, 1.15))
    head = [pad(wide, 0.28, 0.1, (0, -0.14, 0.01), 0.035)]
    wheels = [cylinder(0.05, 0.03, 16).turned("y", 90).moved(s * 0.12 - 0.015, 0.05, 0.05) for s in (-1, 1)]
    body = [cylinder(0.09, 0.34, 20, 0.075).moved(0, 0, 0.0), pad(0.16, 0.16, 0.12, (0, 0, 0.32), 0.05)]
    lean = merged(body).turned("x", -14).moved(0, 0.02, 0.1)
    bin_ = Part(
        cylinder(0.078, 0.2, 20).moved(0, -0.03, 0.08).turned("x", -14).moved(0, 0.02, 0.1),
        d.pick(("glass", "second", "grey")),
    )
    rod = stick((0, 0.11, 0.45), (0, 0.11 + (height - 0.45) * 0.25, height - 0.1), 0.016)
    top = height - 0.1
    loop = tube(arc((0, 0.11 + (height - 0.45) * 0.25, top + 0.05), 0.055, -90, 250, "yz", 13), 0.014, 8)
    hose = tube(
        [(0.09, 0.02, 0.12), (0.13, 0.06, 0.3), (0.12, 0.12, 0.5), (0.04, 0.14, 0.6), (0.0, 0.15, 0.5)],
        0.02,
        8,
    )
    return ObjectModel(
        (Part(merged([*head, lean])), Part(merged([*wheels, hose, loop]), "dark"), bin_, Part(rod, "metal"))
    )


def _canister_vacuum(d: Draw) -> ObjectModel:
    length = d.size((0.36, 0.45))
    body = pad(0.28, length, 0.2, (0.25, 0, 0.03), 0.09)
    wheels = [
        cylinder(0.08, 0.04, 20).turned("y", 90).moved(0.25 + s * 0.14 - 0.02, 0.08, 0.08) for s in (-1, 1)
    ]
    path = [
        (0.25, -length / 2 + 0.03, 0.15),
        (0.22, -length / 2 - 0.12, 0.25),
        (0.05, -0.35, 0.55),
        (-0.15, -0.25, 0.85),
        (-0.25, -0.05, 0.95),
    ]
    wand = tube([(-0.25, -0.05, 0.95), (-0.25, 0.0, 0.85), (-0.25, 0.28, 0.06)], 0.016, 8)
    nozzle = pad(0.28, 0.09, 0.05, (-0.25, 0.29, 0), 0.02)
    seam = Part(pad(0.285, length * 0.5, 0.05, (0.25, 0.06, 0.17), 0.02), "dark")
    return ObjectModel(
        (
            Part(body),
            seam,
            Part(merged([*wheels, tube(smooth(path), 0.02, 8), nozzle]), "dark"),
            Part(wand, "metal"),
        )
    )


def _stick_vacuum(d: Draw) -> ObjectModel:
    height = d.size((1.0, 1.15))
    tilt = 0.2
    head = pad(0.26, 0.11, 0.06, (0, -0.02, 0), 0.025)
    rod = stick((0, 0, 0.04), (0, tilt * 0.7, height * 0.72), 0.017)
    motor = cylinder(0.045, 0.22, 18).turned("x", -100).moved(0, tilt * 0.55, height * 0.84)
    bin_ = cylinder(0.05, 0.17, 18).turned("x", -14).moved(0, tilt * 0.6, height * 0.68)
    grip = tube(
        [(0, tilt + 0.12, height * 0.86), (0, tilt + 0.15, height * 0.98), (0, tilt + 0.04, height * 0.95)],
        0.014,
        8,
    )
    return ObjectModel(
        (
            Part(merged([head, motor])),
            Part(bin_, d.pick(("glass", "second"))),
            Part(rod, "metal"),
            Part(grip, "dark"),
        )
    )


CATEGORIES: tuple[Category, ...] = (
    Category(
        "vacuum cleaner",
        vacuum_cleaner,
        "floor",
        ("vacuum", "hoover"),
        ("carpet cleaner",),
        "appliance",
        ("plastic",),
    ),
)
