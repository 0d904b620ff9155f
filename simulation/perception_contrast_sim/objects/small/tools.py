"""Tools, things to write with, and what one cleans and gardens with."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.meshes import box, cylinder, lathe, loft, merged, prism, torus, tube
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.geometry.small_parts import (
    Draw,
    Role,
    band,
    bar,
    part,
    rectangle,
    slab,
    smooth,
    stand,
    vessel,
)
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.small.cleaning import broom, bucket, trash_can, watering_can

GRIPS: tuple[Role, ...] = ("main", "main", "dark", "wood")


def hammer(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long, r = d.span(0.26, 0.33), d.any(0.013, 0.016)
    shaft = tube([(0, 0, 0), (0, 0, long * 0.35), (0, 0, long)], [r, r * 1.1, r * 0.75], 12)
    parts = [part(shaft.scaled(1.2, 1, 1), d.pick(("wood", "wood", "main")))]
    if d.chance(0.4):
        parts.append(
            part(tube([(0, 0, -0.002), (0, 0, long * 0.38)], r * 1.25, 12).scaled(1.2, 1, 1), "dark")
        )
    if d.unseen:
        head = box(0.11, 0.055, 0.06).moved(z=long)
        return stand(
            [Part(p.mesh.turned("x", 90), p.role) for p in (*parts, part(head, d.pick(("dark", "main"))))]
        )
    parts.append(part(box(0.035, 0.028, 0.03).moved(z=long), "metal"))
    parts.append(
        part(
            lathe([(0, 0), (0.009, 0), (0.009, 0.018), (0.015, 0.022), (0.015, 0.036), (0, 0.037)], 18)
            .turned("y", 90)
            .moved(0.016, 0, long),
            "metal",
        )
    )
    for side in (-1, 1):
        claw = smooth(
            [
                (-0.015, side * 0.004, long + 0.003),
                (-0.045, side * 0.008, long + 0.002),
                (-0.078, side * 0.013, long - 0.026),
            ],
            8,
        )
        parts.append(part(tube(claw, np.linspace(0.011, 0.003, 8).tolist(), 8), "metal"))
    return stand([Part(p.mesh.turned("x", 90), p.role) for p in parts])


def screwdriver(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    grip, blade, r = d.any(0.085, 0.11), d.span(0.09, 0.14), d.any(0.012, 0.016)
    profile = [
        (0, 0),
        (r * 0.8, 0.002),
        (r, 0.012),
        (r, grip * 0.65),
        (r * 0.65, grip * 0.85),
        (r * 0.75, grip),
        (0, grip),
    ]
    handle = lathe(profile, 6 if not d.unseen else 24)
    parts = [part(handle), part(bar((0, 0, grip), (0, 0, grip + blade), 0.0035), "metal")]
    parts.append(part(band(profile[1:-1], grip * 0.15, grip * 0.3), d.pick(("dark", "second"))))
    tip = loft(
        [
            np.array([(x, y, z) for x, y in ((-w, -t), (w, -t), (w, t), (-w, t))])
            for w, t, z in ((0.003, 0.003, 0), (0.005, 0.002, 0.012), (0.004, 0.0006, 0.02))
        ]
    )
    parts.append(part(tip.moved(z=grip + blade - 0.004), "metal"))
    return stand([Part(p.mesh.turned("y", 90), p.role) for p in parts])


def wrench(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long, w, h = d.span(0.16, 0.24), d.any(0.016, 0.021), 0.007
    parts = [part(slab(long, w, h * 0.8, w * 0.2).moved(z=h * 0.1), "metal")]
    for side, ring in ((-1, d.unseen), (1, not d.unseen or d.chance(0.5))):
        at = side * (long / 2 + w * 0.5)
        if ring:
            inner, outer = w * 0.55, w * 0.95
            eye = lathe([(inner, 0), (outer, 0), (outer, h), (inner, h), (inner, 0)], 20)
            parts.append(part(eye.moved(at), "metal"))
        else:
            jaw = [
                prism(
                    [
                        (0, 0.0),
                        (w * 1.15, w * 0.28),
                        (w * 1.0, w * 0.85),
                        (-w * 0.1, w * 1.05),
                        (-w * 0.75, w * 0.5),
                        (-w * 0.75, 0),
                    ],
                    h,
                )
            ]
            jaw.append(jaw[0].scaled(1, -1, 1))
            parts.append(part(merged(jaw).turned("z", 15).scaled(side, 1, 1).moved(at), "metal"))
    if d.chance(0.35):
        parts.append(
            part(slab(long * 0.6, w * 1.15, h * 1.1, w * 0.3).moved(z=-h * 0.05), d.pick(("main", "dark")))
        )
    return stand(parts)


def scissors(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    blade, angle = d.span(0.085, 0.12), d.any(6, 15) if not d.unseen else d.any(20, 32)
    parts: list[Part] = []
    for side in (-1, 1):
        steel = prism(
            [(-0.012, -0.006), (0.0, -0.008), (blade, 0.0), (blade * 0.9, 0.0035), (-0.012, 0.006)], 0.0022
        )
        steel = steel.scaled(1, side, 1).moved(z=0.004 + side * 0.0012)
        shank = tube(
            smooth([(-0.008, 0, 0.005), (-0.03, -side * 0.006, 0.005), (-0.045, -side * 0.012, 0.005)], 5),
            0.005,
            8,
        )
        loop = torus(0.02, 0.009, 20, 8).scaled(1.4, 0.9, 0.9).moved(-0.068, -side * 0.021, 0.005)
        for mesh, role in ((steel, "metal"), (shank, "main"), (loop, "main")):
            parts.append(part(mesh.turned("z", -side * angle), role))
    return stand([*parts, part(cylinder(0.004, 0.009, 12), "metal")])


def _pen(d: Draw, wood: bool, look: Role) -> list[Part]:
    """A pen or pencil standing on its end, point up."""
    long, r = d.span(0.13, 0.17), 0.004 if wood else 0.0052
    if wood:
        parts = [
            part(cylinder(r, long, 6), look),
            part(cylinder(r * 1.02, 0.008, 10).moved(z=-0.008), "metal"),
        ]
        parts += [
            part(cylinder(r, 0.008, 10).moved(z=-0.016), (0.9, 0.5, 0.5)),
            part(cylinder(r, 0.018, 10, 0.0012).moved(z=long), (0.85, 0.68, 0.45)),
        ]
        return [*parts, part(cylinder(0.0013, 0.004, 8, 0.0).moved(z=long + 0.018), "dark")]
    body = lathe([(0, 0), (r * 0.9, 0), (r, 0.006), (r, long * 0.85), (r * 0.4, long), (0, long)], 14)
    cap = lathe([(0, -0.001), (r * 1.15, -0.001), (r * 1.15, long * 0.36), (r, long * 0.36)], 14)
    clip = box(0.0022, 0.002, long * 0.28).moved(0, -r * 1.35, long * 0.15)
    parts = [part(body, d.pick(("white", look))), part(cap, look), part(clip, "metal")]
    return [*parts, part(cylinder(r * 0.3, 0.006, 8, 0.0005).moved(z=long), "metal")]


def pen(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    return stand(
        [Part(p.mesh.turned("y", 90), p.role) for p in _pen(d, False, d.pick(("main", "main", "dark")))]
    )


def pencil(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    return stand([Part(p.mesh.turned("y", 90), p.role) for p in _pen(d, True, "main")])


def cup_of_pencils(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.034, 0.042), d.any(0.085, 0.105)
    cup = vessel([(r, 0), (r, h)], 0.003, 4 if d.unseen and d.chance(0.5) else 26)
    parts = [part(cup)]
    tints: tuple[Role, ...] = (
        (0.9, 0.7, 0.1),
        (0.8, 0.15, 0.1),
        (0.15, 0.35, 0.75),
        (0.2, 0.55, 0.25),
        "dark",
        "second",
    )
    for k in range(d.count(4, 7)):
        lean, turn = d.any(6, 13), 360 * k / 6 + d.any(-20, 20)
        for p in _pen(d, k % 3 != 2, d.pick(tints)):
            parts.append(part(p.mesh.turned("y", lean).moved(r * 0.35, 0, 0.016).turned("z", turn), p.role))
    return stand(parts)


def toolbox(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.34, 0.44), d.span(0.17, 0.21), d.any(0.13, 0.17)
    if d.unseen and d.chance(0.5):
        sides = [box(x, 0.012, h * 0.6).moved(0, s * y / 2, h * 0.3) for s in (-1, 1)] + [
            box(x, y, 0.012).moved(z=0.006)
        ]
        gable = prism(
            [
                (-y / 2, 0),
                (y / 2, 0),
                (y / 2, h * 0.6),
                (y * 0.1, h * 1.35),
                (-y * 0.1, h * 1.35),
                (-y / 2, h * 0.6),
            ],
            0.014,
        )
        ends = [gable.turned("x", 90).turned("z", 90).moved(s * x / 2) for s in (-1, 1)]
        rod = bar((-x / 2, 0, h * 1.2), (x / 2, 0, h * 1.2), 0.012)
        stored = bar((-x * 0.3, 0.02, h * 0.4), (x * 0.35, 0.03, h * 0.75), 0.011)
        return stand([part(merged([*sides, *ends])), part(rod, "wood"), part(stored, "dark")])
    rings = [
        np.column_stack([np.array(rectangle(x * a, y * b, 0.012)), np.full(20, z)])
        for a, b, z in ((1.02, 1.03, h * 0.62), (1.02, 1.03, h * 0.8), (0.9, 0.6, h))
    ]
    parts = [part(slab(x, y, h * 0.62, 0.012)), part(loft(rings), d.pick(("dark", "second", "main")))]
    for side in (-1, 1):
        parts.append(
            part(box(0.035, 0.01, 0.04).moved(side * x * 0.3, -y * 0.52, h * 0.62), d.pick(("metal", "dark")))
        )
    grip = [
        (-x * 0.2, 0, h * 0.98),
        (-x * 0.17, 0, h + 0.03),
        (x * 0.17, 0, h + 0.03),
        (x * 0.2, 0, h * 0.98),
    ]
    return stand([*parts, part(tube(grip, 0.009, 10), "dark")])


CATEGORIES: tuple[Category, ...] = (
    Category("hammer", hammer, "table", ("claw hammer",), ("mallet",), "tool", (), True),
    Category(
        "screwdriver",
        screwdriver,
        "table",
        ("screw driver", "flathead screwdriver"),
        ("turnscrew",),
        "tool",
        ("plastic",),
    ),
    Category("wrench", wrench, "table", ("spanner", "open-end wrench"), ("combination spanner",), "tool", ()),
    Category(
        "scissors",
        scissors,
        "table",
        ("pair of scissors", "paper scissors"),
        ("shears",),
        "tool",
        ("plastic",),
    ),
    Category(
        "pen", pen, "table", ("ballpoint pen", "biro"), ("writing pen",), "stationery", ("plastic", "metal")
    ),
    Category(
        "pencil",
        pencil,
        "table",
        ("lead pencil", "wooden pencil"),
        ("drawing pencil",),
        "stationery",
        ("wood",),
    ),
    Category(
        "pencil cup",
        cup_of_pencils,
        "table",
        ("pen holder", "cup of pencils"),
        ("desk tidy",),
        "stationery",
        ("plastic", "ceramic", "metal"),
    ),
    Category(
        "toolbox",
        toolbox,
        "floor",
        ("tool box", "tool case"),
        ("tool chest",),
        "container",
        ("plastic", "metal"),
    ),
    Category(
        "broom",
        broom,
        "floor",
        ("sweeping broom", "floor broom"),
        ("besom",),
        "cleaning tool",
        ("plastic", "wood"),
    ),
    Category(
        "bucket",
        bucket,
        "floor",
        ("pail", "water bucket"),
        ("cleaning bucket",),
        "container",
        ("plastic", "metal"),
    ),
    Category(
        "watering can",
        watering_can,
        "floor",
        ("garden can",),
        ("sprinkling can",),
        "garden tool",
        ("plastic", "metal"),
        True,
    ),
    Category(
        "trash can",
        trash_can,
        "floor",
        ("waste bin", "garbage can", "rubbish bin"),
        ("wastebasket", "dustbin"),
        "container",
        ("plastic", "metal"),
    ),
)
