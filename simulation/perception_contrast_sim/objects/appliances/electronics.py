"""Screens, loudspeakers, a printer, lamps and game controllers, built to measure."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.furniture_parts import (
    RGB,
    Draw,
    arc,
    block,
    disc,
    grounded,
    pad,
    shell,
    stick,
)
from perception_contrast_sim.geometry.meshes import box, cylinder, ellipsoid, lathe, merged, torus, tube
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects.category import Category


def shown(d: Draw, width: float, height: float, y: float, z: float, scene: bool) -> list[Part]:
    """What a screen facing -y at y shows: nothing, a landscape, or windows of a desktop."""
    parts = [Part(block(width, 0.004, height, (0, y, z - height / 2)), "screen")]
    if not d.chance(0.6):
        return parts
    if scene:
        horizon = d.size((0.3, 0.6)) * height
        sky: RGB = d.pick(((0.45, 0.65, 0.9), (0.9, 0.6, 0.4), (0.2, 0.25, 0.5)))
        land: RGB = d.pick(((0.2, 0.45, 0.15), (0.75, 0.65, 0.4), (0.15, 0.3, 0.5), (0.5, 0.5, 0.52)))
        low = z - height / 2
        parts.append(Part(block(width, 0.002, height - horizon, (0, y - 0.003, low + horizon)), sky))
        parts.append(Part(block(width, 0.002, horizon, (0, y - 0.003, low)), land))
        x = d.size((-0.3, 0.3)) * width
        sun = disc(height * 0.08, 0.002, (x, y - 0.004, low + (horizon + height) / 2), 16)
        return [*parts, Part(sun, (1.0, 0.9, 0.6))]
    tones: tuple[RGB, ...] = ((0.92, 0.93, 0.95), (0.15, 0.17, 0.22), (0.2, 0.4, 0.75))
    parts.append(
        Part(
            block(width, 0.002, height, (0, y - 0.002, z - height / 2)),
            d.pick(((0.15, 0.3, 0.5), (0.3, 0.2, 0.4))),
        )
    )
    for k in range(2):
        w, h = d.size((0.35, 0.6)) * width, d.size((0.4, 0.7)) * height
        at = ((k - 0.5) * 0.35 * width, y - 0.004 - 0.002 * k, z + d.size((-0.1, 0.1)) * height - h / 2)
        parts.append(Part(block(w, 0.002, h, at), d.pick(tones)))
        parts.append(Part(block(w, 0.002, 0.02, (at[0], at[1] - 0.001, at[2] + h - 0.02)), "grey"))
    return parts


def television(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width = d.size((0.75, 1.3), (1.4, 1.7))
    height = width * 0.575
    rim = d.size((0.012, 0.03))
    thick = d.size((0.04, 0.07))
    back = box(width * 0.6, 0.03, height * 0.5).moved(0, -0.015)
    body = box(width, thick, height).moved(0, -0.03 - thick / 2)
    front = -0.03 - thick
    parts = [Part(merged([back, body]), "dark")]
    parts += shown(d, width - 2 * rim, height - 2 * rim - 0.015, front - 0.001, 0.008, True)
    parts.append(Part(block(0.08, 0.004, 0.008, (0, front - 0.002, rim / 2 - height / 2)), "grey"))
    if unseen:
        bar = pad(width * 0.7, 0.08, 0.07, (0, -0.08, -height / 2 - 0.1), 0.03)
        parts.append(Part(bar, "dark"))
    return ObjectModel(tuple(parts), color="black")


def computer_monitor(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width = d.size((0.48, 0.62), (0.74, 0.86))
    height = width * (d.pick((0.57, 0.63)) if not unseen else 0.43)
    low = d.size((0.09, 0.16))
    rim = d.size((0.008, 0.02))
    role = d.pick(("dark", "dark", "white", "grey"))
    parts = [Part(pad(width, 0.035, height, (0, 0, low), 0.01), role)]
    parts += shown(d, width - 2 * rim, height - 2 * rim - 0.01, -0.018, low + height / 2 + 0.005, False)
    neck = [
        block(0.06, 0.025, low + height * 0.4, (0, 0.045, 0.01)),
        block(0.1, 0.04, 0.1, (0, 0.03, low + height * 0.3)),
    ]
    if unseen or d.chance(0.3):
        neck.append(block(width * 0.4, 0.18, 0.012, (0, 0.0, 0)))
    else:
        neck.append(cylinder(0.11, 0.012, 28).scaled(1, 0.85, 1).moved(0, 0.02, 0))
    parts.append(Part(merged(neck), d.pick((role, "metal"))))
    return ObjectModel(tuple(parts))


def speaker(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    if unseen and d.chance(0.5):
        r, length = d.size((0.04, 0.055)), d.size((0.18, 0.24))
        body = cylinder(r, length, 24).turned("y", 90).moved(-length / 2, 0, r)
        ends = [
            cylinder(r * 0.85, 0.008, 20).turned("y", s * 90).moved(s * length / 2, 0, r) for s in (-1, 1)
        ]
        return ObjectModel((Part(body), Part(merged(ends), "dark")))
    width, height, depth = d.size((0.15, 0.21)), d.size((0.24, 0.36), (0.4, 0.55)), d.size((0.16, 0.24))
    front = -depth / 2
    parts = [
        Part(block(width, depth, height)),
        Part(block(width - 0.01, 0.004, height - 0.01, (0, front, 0.005)), d.pick(("dark", "main"))),
    ]
    big = width * 0.4
    cones = [(big, height * 0.32), (big * 0.5, height * 0.78)]
    if unseen:
        cones = [(big, height * 0.2), (big, height * 0.52), (big * 0.5, height * 0.84)]
    for r, z in cones:
        cone = lathe(
            [
                (r * 0.9, 0),
                (r, 0),
                (r, 0.012),
                (r * 0.88, 0.014),
                (r * 0.35, 0.004),
                (0, 0.012),
                (0, 0.0),
                (r * 0.9, 0),
            ],
            24,
        )
        parts.append(Part(cone.turned("x", 90).moved(0, front - 0.002, z), (0.1, 0.1, 0.11)))
        parts.append(Part(torus(r, 0.012, 24, 6).turned("x", 90).moved(0, front - 0.008, z), "metal"))
        parts.append(
            Part(
                ellipsoid(r * 0.6, r * 0.6, r * 0.3, 12).turned("x", 90).moved(0, front - 0.006, z),
                d.pick(("dark", "grey")),
            )
        )
    return ObjectModel(tuple(parts))


def printer(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, height = d.size((0.38, 0.46)), d.size((0.3, 0.38)), d.size((0.15, 0.21), (0.28, 0.36))
    front = -depth / 2
    parts = [
        Part(pad(width, depth, height, (0, 0, 0), 0.02)),
        Part(pad(width * 0.96, depth * 0.9, 0.03, (0, 0, height - 0.008), 0.012), "grey"),
    ]
    parts.append(Part(block(width * 0.7, 0.02, 0.05, (0, front + 0.004, 0.04)), "dark"))
    parts.append(Part(block(width * 0.62, 0.16, 0.008, (0, front - 0.07, 0.045)), "dark"))
    paper = [block(0.21, 0.2, 0.003, (0, front - 0.05, 0.055))]
    if d.chance(0.6):
        parts.append(
            Part(
                block(width * 0.65, 0.012, 0.16, (0, 0, 0))
                .turned("x", -18)
                .moved(0, depth / 2 - 0.03, height),
                "dark",
            )
        )
        paper.append(block(0.21, 0.006, 0.22, (0, 0, 0)).turned("x", -18).moved(0, depth / 2 - 0.04, height))
    parts.append(Part(merged(paper), "paper"))
    parts.append(Part(block(0.09, 0.006, 0.04, (-width * 0.3, front - 0.002, height - 0.06)), "screen"))
    buttons = [disc(0.008, 0.006, (-width * 0.13 + k * 0.025, front, height - 0.04), 10) for k in range(3)]
    parts.append(Part(merged(buttons), d.pick(("grey", "white"))))
    return ObjectModel(tuple(parts), color=d.pick(("white", "black", "grey")))


def floor_lamp(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("straight", "tripod"), ("arc", "cup"))
    height, metal = d.size((1.35, 1.65)), d.pick(("metal", "dark", "brass", "wood"))
    low, high, tall = d.size((0.16, 0.24)), d.size((0.11, 0.16)), d.size((0.2, 0.3))
    shade = shell([(low, 0), (high, tall)], 0.004)
    bulb = ellipsoid(0.07, 0.07, 0.1, 12).moved(0, 0, tall * 0.45)
    if style == "arc":
        reach = d.size((0.35, 0.5))
        bow = arc((0, 0, height - reach), reach, 180, 20, "xz", 13)
        stem = tube([(-reach, 0, 0.02), *bow], 0.012, 8)
        tip = bow[-1]
        dome = shell([(0.17, 0), (0.15, 0.07), (0.07, 0.14), (0.012, 0.16)], 0.004).moved(
            tip[0], 0, tip[2] - 0.16
        )
        base = cylinder(0.16, 0.03, 28).moved(-reach)
        return ObjectModel(
            (
                Part(dome),
                Part(merged([stem, base]), metal),
                Part(bulb.moved(tip[0], 0, tip[2] - 0.2), "white"),
            )
        )
    if style == "cup":
        bowl = shell([(0.02, 0), (0.12, 0.05), (0.18, 0.13)], 0.005).moved(0, 0, height)
        stem = merged([cylinder(0.14, 0.025, 28), stick((0, 0, 0.02), (0, 0, height + 0.02), 0.013)])
        return ObjectModel((Part(bowl), Part(stem, metal)))
    if style == "tripod":
        feet = []
        for k in range(3):
            a = 2 * np.pi * k / 3 + 0.5
            feet.append(
                tube(
                    [(0.27 * np.cos(a), 0.27 * np.sin(a), 0.0), (0.02 * np.cos(a), 0.02 * np.sin(a), height)],
                    [0.014, 0.018],
                    8,
                )
            )
        stem = merged([*feet, cylinder(0.035, 0.06, 16).moved(0, 0, height - 0.04)])
    else:
        stem = merged([cylinder(0.14, 0.025, 28), stick((0, 0, 0.02), (0, 0, height + 0.08), 0.012)])
    return ObjectModel(
        (Part(shade.moved(0, 0, height)), Part(stem, metal), Part(bulb.moved(0, 0, height), "white"))
    )


def game_controller(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width = d.size((0.14, 0.16))
    body = [pad(width * 0.8, 0.075, 0.035, (0, 0.01, 0.008), 0.016)]
    if unseen:
        body = [pad(width * 1.2, 0.08, 0.025, (0, 0, 0), 0.012)]
    else:
        for s in (-1, 1):
            grip = tube(
                [
                    (s * width * 0.36, 0.02, 0.028),
                    (s * width * 0.43, -0.02, 0.024),
                    (s * width * 0.45, -0.065, 0.016),
                ],
                [0.024, 0.021, 0.013],
                10,
            )
            body.append(grip)
    top = 0.042 if not unseen else 0.025
    sticks = []
    for s in (-1, 1):
        at = (s * width * 0.17, -0.012, top - 0.004)
        sticks += [
            cylinder(0.006, 0.012, 10).moved(*at),
            cylinder(0.011, 0.005, 14).moved(at[0], at[1], at[2] + 0.011),
        ]
    x = width * (0.33 if not unseen else 0.45)
    sticks += [
        block(0.026, 0.008, 0.005, (-x, 0.022, top - 0.003)),
        block(0.008, 0.026, 0.005, (-x, 0.022, top - 0.003)),
    ]
    parts = [Part(merged(body)), Part(merged(sticks), "dark")]
    tones: tuple[RGB, ...] = ((0.8, 0.2, 0.2), (0.2, 0.6, 0.3), (0.2, 0.4, 0.8), (0.85, 0.75, 0.2))
    for k, tone in enumerate(tones):
        a = np.pi / 2 * k
        key = cylinder(0.0055, 0.006, 10).moved(x + 0.012 * np.cos(a), 0.022 + 0.012 * np.sin(a), top - 0.003)
        parts.append(Part(key, tone))
    if unseen:
        parts.append(Part(block(width * 0.62, 0.06, 0.002, (0, 0, 0.0245)), "screen"))
    return ObjectModel(grounded(parts))


CATEGORIES: tuple[Category, ...] = (
    Category(
        "television",
        television,
        "wall",
        ("TV", "TV set", "flat screen TV"),
        ("telly", "television set"),
        "electronics",
    ),
    Category(
        "computer monitor",
        computer_monitor,
        "table",
        ("monitor", "computer screen", "display"),
        ("PC screen",),
        "electronics",
    ),
    Category(
        "speaker",
        speaker,
        "table",
        ("loudspeaker", "audio speaker"),
        ("hi-fi box",),
        "electronics",
        ("wood", "plastic", "fabric"),
    ),
    Category(
        "printer", printer, "table", ("inkjet printer", "laser printer"), ("document printer",), "electronics"
    ),
    Category(
        "floor lamp",
        floor_lamp,
        "floor",
        ("standing lamp", "standard lamp"),
        ("torchiere", "lamp on a stand"),
        "lamp",
        ("fabric", "metal", "paper"),
    ),
    Category(
        "game controller",
        game_controller,
        "table",
        ("gamepad", "joypad"),
        ("video game pad",),
        "electronics",
        ("plastic",),
    ),
)
