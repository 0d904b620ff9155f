"""Machines for the house and the workshop, built to measure."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.furniture_parts import Draw, block, disc, grounded, pad, smooth, stick
from perception_contrast_sim.geometry.meshes import (
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
from perception_contrast_sim.objects.category import Category


def iron(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    length, width, height = d.size((0.23, 0.28)), d.size((0.1, 0.125)), d.size((0.12, 0.15))

    def sole(scale: float, thick: float, z: float) -> TriangleMesh:
        t = np.linspace(0, 1, 9)
        right = [(width / 2 * float(np.sqrt(1 - s**1.7)) * scale, (s - 0.45) * length * scale) for s in t]
        outline = [(x, y) for x, y in right] + [(-x, y) for x, y in reversed(right[:-1])]
        return prism(outline, thick).turned("z", 180).moved(0, 0, z)

    middle = height * 0.45
    parts = [
        Part(sole(1, 0.012, 0), "metal"),
        Part(merged([sole(0.97, 0.03, 0.012), sole(0.85, 0.02, 0.042)])),
    ]
    y0, y1 = 0.4 * length, -0.25 * length
    grip = smooth(
        [
            (0, y0, 0.05),
            (0, y0 + 0.01, height * 1.25),
            (0, 0, height * 1.05),
            (0, y1, height),
            (0, y1 - 0.02, middle),
        ],
        13,
    )
    parts.append(Part(tube(grip, 0.015 if not unseen else 0.022, 8), d.pick(("main", "dark", "second"))))
    parts.append(Part(cylinder(0.024, 0.015, 16).moved(0, -0.08 * length, 0.058), "white"))
    if d.chance(0.7):
        parts.append(
            Part(
                tube(
                    smooth(
                        [
                            (0, y0, height * 0.7),
                            (0.03, y0 + 0.1, 0.12),
                            (0.1, y0 + 0.08, 0.0),
                            (0.14, y0, 0.004),
                        ]
                    ),
                    0.004,
                    6,
                ),
                "dark",
            )
        )
    if unseen:
        parts.append(Part(pad(width * 0.95, 0.06, height * 0.75, (0, y0, 0.03), 0.025), "second"))
    return ObjectModel(grounded(parts))


def sewing_machine(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    length, height = d.size((0.36, 0.42), (0.44, 0.5)), d.size((0.27, 0.31))
    rim = 0.02 if not unseen else 0.045
    x = length / 2
    parts = [
        Part(pad(length, 0.17, 0.055, (0, 0, 0), 0.015)),
        Part(pad(0.11, 0.12, height, (x - 0.06, 0, 0), rim)),
    ]
    parts.append(Part(pad(length, 0.1, 0.09, (0, 0, height - 0.09), rim)))
    parts.append(Part(pad(0.085, 0.1, height * 0.45, (-x + 0.045, 0, height * 0.55), rim)))
    needle = [
        stick((-x + 0.045, -0.01, 0.058), (-x + 0.045, -0.01, height * 0.6), 0.004, 6),
        block(0.03, 0.04, 0.006, (-x + 0.045, -0.02, 0.062)),
    ]
    parts.append(Part(merged([*needle, block(0.1, 0.1, 0.003, (-x + 0.07, 0, 0.054))]), "metal"))
    wheel = cylinder(0.05, 0.025, 20).turned("y", 90).moved(x - 0.002, 0, height - 0.06)
    parts.append(Part(merged([wheel]), d.pick(("metal", "dark", "second"))))
    spools = [
        merged(
            [
                cylinder(0.016, 0.04, 14).moved(0.02 * length, 0, height),
                stick((0.02 * length, 0, height), (0.02 * length, 0, height + 0.06), 0.003, 6),
            ]
        )
    ]
    parts.append(Part(merged(spools), "second"))
    parts.append(Part(disc(0.024, 0.015, (x - 0.06, -0.058, height * 0.5)), "second"))
    parts.append(Part(disc(0.018, 0.015, (x - 0.06, -0.058, height * 0.25)), "second"))
    parts.append(Part(disc(0.012, 0.015, (-x + 0.045, -0.05, height * 0.75)), "metal"))
    return ObjectModel(tuple(parts), color=d.pick(("white", "black", "turquoise", "pink")))


def hair_dryer(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, length = d.size((0.035, 0.045)), d.size((0.17, 0.22))
    barrel = lathe(
        [
            (0, 0),
            (r * 0.8, 0.0),
            (r, 0.02),
            (r, length * 0.4),
            (r * 0.72, length),
            (r * 0.62, length),
            (r * 0.62, length - 0.02),
            (0, length - 0.02),
        ],
        20,
    )
    if unseen:
        barrel = lathe(
            [(0, 0), (r, 0), (r * 1.15, 0.01), (r * 1.15, 0.075), (r * 0.8, 0.08), (r * 0.8, 0.1), (0, 0.1)],
            24,
        )
        length = 0.1
    grip = pad(0.034, 0.036, 0.14, (0, 0, -0.15), 0.014).turned("y", d.size((-20, 0)))
    body = barrel.turned("y", 90).moved(-length * 0.4)
    vents = merged([torus(r * k, 0.006, 16, 6) for k in (0.35, 0.6)]).turned("y", 90).moved(-length * 0.4)
    upright = [Part(merged([body, grip])), Part(vents, "dark")]
    nozzle = merged([pad(0.03, r * 0.5, r * 2.0, (0, 0, -r), 0.008)]).moved(length * 0.6 + 0.005)
    cord = tube(
        smooth(
            [
                (0, 0, -0.12),
                (-0.02, 0.0, -0.2),
                (-0.12, 0.05, -0.2),
                (-0.18, 0.0, -0.06),
                (-0.24, 0.05, -0.12),
            ]
        ),
        0.004,
        6,
    )
    upright += [Part(nozzle, "dark"), Part(cord, "dark")]
    return _lying(upright)


def power_drill(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    length = d.size((0.13, 0.16), (0.18, 0.22))
    body = merged(
        [
            cylinder(0.032, length, 18).turned("y", 90).moved(-length * 0.55, 0, 0.18),
            pad(0.045, 0.035, 0.13, (-0.03, 0, 0), 0.015).turned("y", 10).moved(0, 0, 0.05),
        ]
    )
    front = length * 0.45
    chuck = merged(
        [
            cylinder(0.022, 0.03, 16, 0.02).turned("y", 90).moved(front, 0, 0.18),
            cylinder(0.02, 0.025, 16, 0.008).turned("y", 90).moved(front + 0.03, 0, 0.18),
        ]
    )
    parts = [Part(body), Part(chuck, "dark")]
    parts.append(
        Part(stick((front + 0.05, 0, 0.18), (front + d.size((0.1, 0.13)), 0, 0.18), 0.003, 6), "metal")
    )
    if unseen:
        cord = tube(
            [(-0.035, 0, 0.06), (-0.045, 0, 0.02), (-0.1, 0.03, 0.005), (-0.18, -0.02, 0.005)], 0.005, 6
        )
        parts.append(Part(cord, "dark"))
        parts.append(
            Part(
                merged(
                    [
                        stick((0.03, 0, 0.17), (0.03, 0, 0.05), 0.014),
                        block(0.03, 0.03, 0.01, (-0.03, 0, 0.05)),
                    ]
                ),
                "dark",
            )
        )
    else:
        parts.append(Part(pad(0.1, 0.06, 0.055, (-0.025, 0, 0), 0.012), "dark"))
    parts.append(Part(block(0.016, 0.016, 0.03, (0.008, 0, 0.13)), "dark"))
    parts.append(Part(block(length * 0.5, 0.002, 0.02, (-length * 0.15, -0.032, 0.17)), "second"))
    return _lying(parts) if d.chance(0.4) else ObjectModel(grounded(parts))


def _lying(parts: list[Part]) -> ObjectModel:
    """On its side, the grip towards the front."""
    return ObjectModel(grounded([Part(p.mesh.turned("x", -90), p.role) for p in parts]))


def fan(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r = d.size((0.14, 0.19))
    z = r + d.size((0.1, 0.16)) if not unseen else r + d.size((0.22, 0.3))
    count = d.pick((3, 4), (5,))
    blades = []
    for k in range(count):
        blade = (
            ellipsoid(r * 0.62, r * 0.9, 0.012, 12)
            .turned("y", 20)
            .moved(0, r * 0.5)
            .turned("z", 360 / count * k)
        )
        blades.append(blade)
    rotor = merged([*blades, cylinder(0.035, 0.04, 16).moved(0, 0, -0.01)]).turned("x", 90).moved(0, -0.06, z)
    wires = [
        torus(r * s, 0.004, 28, 4).moved(0, 0, h)
        for s, h in ((1.04, 0.02), (1.0, 0.07), (0.6, 0.085), (1.0, -0.03))
    ]
    for a in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        c, s = float(np.cos(a)), float(np.sin(a))
        path = [
            (0.03 * c, 0.03 * s, 0.09),
            (r * 0.6 * c, r * 0.6 * s, 0.085),
            (r * c, r * s, 0.07),
            (r * 1.04 * c, r * 1.04 * s, 0.02),
            (r * c, r * s, -0.03),
        ]
        wires.append(tube(path, 0.0018, 4))
    cage = merged([*wires, cylinder(0.04, 0.008, 16).moved(0, 0, 0.086)]).turned("x", 90).moved(0, -0.045, z)
    motor = ellipsoid(0.11, 0.15, 0.11, 14).moved(0, 0.05, z)
    stand = [cylinder(r * 0.75, 0.03, 28, r * 0.65), stick((0, 0.03, 0.02), (0, 0.04, z), 0.018)]
    role = d.pick(("metal", "dark", "white"))
    return ObjectModel(
        (
            Part(rotor),
            Part(cage, role),
            Part(merged([motor, *stand])),
            Part(disc(0.012, 0.01, (0, -r * 0.66, 0.018)), "grey"),
        )
    )


CATEGORIES: tuple[Category, ...] = (
    Category("iron", iron, "table", ("clothes iron", "steam iron"), ("flatiron",), "appliance", ("plastic",)),
    Category(
        "fan", fan, "table", ("electric fan", "desk fan"), ("ventilator",), "appliance", ("plastic", "metal")
    ),
    Category(
        "power drill",
        power_drill,
        "table",
        ("cordless drill", "electric drill"),
        ("drilling machine",),
        "tool",
        ("plastic",),
    ),
    Category(
        "sewing machine",
        sewing_machine,
        "table",
        ("stitching machine",),
        ("tailor's machine",),
        "appliance",
        held_out=True,
    ),
    Category(
        "hair dryer",
        hair_dryer,
        "table",
        ("hairdryer", "blow dryer"),
        ("hand-held dryer",),
        "appliance",
        held_out=True,
    ),
)
