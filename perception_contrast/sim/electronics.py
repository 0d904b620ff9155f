"""Screens, lamps, loudspeakers and other electric things, built to measure."""

from __future__ import annotations

import numpy as np

from .geometry import box, cylinder, ellipsoid, lathe, merged, torus, tube
from .objects import Category, ObjectModel, Part
from .shapes import Draw, arc, block, disc, pad, shell, stick

RGB = tuple[float, float, float]


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


def kitchen_scale(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    if unseen:
        body = (
            lathe([(0, 0), (0.09, 0), (0.075, 0.1), (0.06, 0.16), (0, 0.16)], 4)
            .turned("z", 45)
            .scaled(1.1, 0.8, 1)
        )
        dial = disc(0.05, 0.012, (0, -0.046, 0.075))
        hand = [Part(block(0.004, 0.004, 0.04, (0, -0.06, 0.072)), (0.8, 0.1, 0.1))]
        bowl = shell([(0.03, 0.17), (0.09, 0.19), (0.12, 0.23)], 0.004)
        pan = merged([bowl, cylinder(0.03, 0.012).moved(0, 0, 0.159)])
        return ObjectModel((Part(body), Part(dial, "white"), *hand, Part(pan, "metal")))
    width, depth = d.size((0.17, 0.2)), d.size((0.2, 0.24))
    parts = [Part(pad(width, depth, 0.028, (0, 0, 0), 0.01))]
    r = width * 0.42
    plate = cylinder(r, 0.012, 32).moved(0, depth / 2 - r - 0.01, 0.028)
    parts.append(Part(plate, d.pick(("metal", "glass", "white", "dark"))))
    panel = block(0.07, 0.024, 0.003, (0, -depth / 2 + 0.026, 0.027))
    parts.append(Part(panel, (0.55, 0.62, 0.52)))
    keys = [cylinder(0.007, 0.003, 10).moved(s * 0.055, -depth / 2 + 0.026, 0.0275) for s in (-1, 1)]
    return ObjectModel((*parts, Part(merged(keys), "grey")))


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
    return _lying(parts) if d.chance(0.4) else ObjectModel(_grounded(parts))


def _lying(parts: list[Part]) -> ObjectModel:
    """On its side."""
    return ObjectModel(_grounded([Part(p.mesh.turned("x", 90).moved(0, 0.12), p.role) for p in parts]))


def _grounded(parts: list[Part]) -> tuple[Part, ...]:
    low = min(float(p.mesh.vertices[:, 2].min()) for p in parts)
    return tuple(Part(p.mesh.moved(z=-low), p.role) for p in parts)


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
    return ObjectModel(_grounded(parts))


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
        "fan", fan, "table", ("electric fan", "desk fan"), ("ventilator",), "appliance", ("plastic", "metal")
    ),
    Category(
        "kitchen scale",
        kitchen_scale,
        "table",
        ("food scale", "weighing scale"),
        ("kitchen balance",),
        "appliance",
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
        "game controller",
        game_controller,
        "table",
        ("gamepad", "joypad"),
        ("video game pad",),
        "electronics",
        ("plastic",),
    ),
)
