"""Kitchen and household appliances, built to measure; ``CATEGORIES`` includes the electronics."""

from __future__ import annotations

import numpy as np

from . import electronics
from .geometry import TriangleMesh, box, cylinder, ellipsoid, lathe, merged, prism, torus, tube
from .objects import Category, ObjectModel, Part
from .shapes import Draw, arc, block, disc, handle, legs, pad, shell, stick

GLASS_DOOR = (0.06, 0.06, 0.07)


def white_goods(d: Draw) -> str | None:
    """The natural colours of large appliances; now and then any other."""
    options: tuple[str | None, ...] = ("white", "white", "grey", "black", None)
    return d.pick(options)


def knobs(d: Draw, count: int, width: float, y: float, z: float, radius: float = 0.02) -> Part:
    """A row of turning knobs on a front."""
    places = np.linspace(-width / 2, width / 2, count)
    return Part(
        merged([disc(radius, 0.025, (x, y, z), 14) for x in places]), d.pick(("dark", "metal", "white"))
    )


def _seam(width: float, depth: float, z: float, y: float = 0.0) -> Part:
    """A dark joint around a body."""
    return Part(block(width + 0.002, depth + 0.002, 0.012, (0, y, z - 0.006)), "dark")


def refrigerator(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("top", "bottom", "single"), ("french", "pair"))
    width = d.size((0.54, 0.7), (0.82, 0.95))
    depth, height = d.size((0.55, 0.68)), d.size((1.4, 1.85), (1.75, 1.95))
    if style == "single":
        height = d.size((0.84, 1.4))
    front = -depth / 2
    parts = [
        Part(block(width, depth, height - 0.04, (0, 0, 0.04))),
        Part(block(width - 0.06, depth - 0.06, 0.05), "dark"),
    ]
    split = {"top": 0.7, "bottom": 0.35, "single": 1.0, "french": 0.38, "pair": 1.0}[style] * height
    doors: list[tuple[float, float, float, float]] = []
    sides = (-width / 4, width / 4) if style in ("french", "pair") else (0.0,)
    lower_sides = sides if style == "pair" else (0.0,)
    doors += [(x, 0.05, split - 0.055, width / len(lower_sides)) for x in lower_sides]
    if split < height:
        doors += [(x, split + 0.005, height - split - 0.005, width / len(sides)) for x in sides]
    grips = []
    for x, z, tall, wide in doors:
        parts.append(Part(pad(wide - 0.006, 0.05, tall, (x, front - 0.03, z), 0.015)))
        if style == "french" and z < split:
            grips.append(handle("bar", x, front - 0.055, z + tall - 0.06, wide * 0.7))
        else:
            side = -np.sign(x) if x else 1.0
            near = z + tall - 0.3 if z < split and split < height else z + min(0.3, tall / 2)
            grips.append(
                handle("rail", x + side * (wide / 2 - 0.05), front - 0.055, near, min(0.4, tall * 0.6))
            )
    parts += [
        Part(merged(grips), d.pick(("metal", "dark"))),
        Part(block(width - 0.02, 0.02, height - 0.06, (0, front, 0.05)), "dark"),
    ]
    if unseen or (style != "single" and d.chance(0.15)):
        parts.append(
            Part(
                block(
                    0.18,
                    0.01,
                    0.28,
                    (
                        sides[0],
                        front - 0.054,
                        max(split + 0.1, height * 0.55) if style != "pair" else height * 0.55,
                    ),
                ),
                "dark",
            )
        )
    return ObjectModel(tuple(parts), color=white_goods(d), tops=((width * 0.44, depth * 0.42, height),))


def oven(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, height = d.size((0.5, 0.62), (0.75, 0.92)), d.size((0.56, 0.64)), d.size((0.84, 0.92))
    front, doors = -depth / 2, 2 if unseen and d.chance(0.5) else 1
    parts = [
        Part(block(width, depth, height - 0.02, (0, 0, 0))),
        Part(
            block(width + 0.01, depth + 0.02, 0.02, (0, 0, height - 0.02)), d.pick(("dark", "metal", "white"))
        ),
    ]
    tall = (height - 0.32) / doors
    for k in range(doors):
        z = 0.16 + k * tall
        parts.append(Part(block(width - 0.02, 0.03, tall - 0.015, (0, front - 0.01, z))))
        parts.append(
            Part(block(width * 0.72, 0.008, tall * 0.55, (0, front - 0.027, z + tall * 0.14)), GLASS_DOOR)
        )
        parts.append(Part(handle("bar", 0, front - 0.022, z + tall - 0.07, width * 0.75), "metal"))
    parts.append(Part(block(width - 0.02, 0.03, 0.12, (0, front - 0.01, 0.025))))
    parts.append(
        Part(
            block(width - 0.005, 0.012, 0.1, (0, front - 0.004, height - 0.13)),
            d.pick(("dark", "main", "metal")),
        )
    )
    parts.append(knobs(d, d.pick((4, 5, 6)), width * 0.75, front - 0.01, height - 0.08))
    rings = []
    gas = d.chance(0.5)
    for sx in (-1, 1) if not unseen else (-1, 0, 1):
        for sy in (-1, 1):
            at = (sx * width * (0.25 if not unseen else 0.32), sy * depth * 0.24, height)
            r = 0.085 if (sx + sy) else 0.065
            if gas:
                bars = [
                    box(2 * r, 0.012, 0.012).turned("z", a).moved(at[0], at[1], height + 0.022)
                    for a in (0, 90)
                ]
                rings += [
                    *bars,
                    torus(r, 0.012, 16, 6).moved(at[0], at[1], height + 0.022),
                    cylinder(0.03, 0.014, 12).moved(*at),
                ]
            else:
                rings.append(cylinder(r, 0.006, 24).moved(*at))
    parts.append(Part(merged(rings), (0.05, 0.05, 0.05) if gas else (0.2, 0.19, 0.19)))
    if d.chance(0.4):
        parts.append(Part(block(width, 0.05, 0.14, (0, depth / 2 - 0.025, height))))
        parts.append(Part(block(0.14, 0.01, 0.06, (0, depth / 2 - 0.052, height + 0.05)), "screen"))
    return ObjectModel(tuple(parts), color=white_goods(d))


def dishwasher(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, height = d.pick((0.45, 0.6)), d.size((0.54, 0.62)), d.size((0.8, 0.88))
    front = -depth / 2
    parts = [
        Part(block(width, depth, height - 0.08, (0, 0, 0.08))),
        Part(block(width - 0.04, depth - 0.08, 0.08, (0, 0.03, 0)), "dark"),
    ]
    panel = (width - 0.01, 0.02, 0.11)
    parts.append(Part(block(*panel, (0, front - 0.006, height - 0.12)), d.pick(("main", "dark", "metal"))))
    buttons = [
        disc(0.008, 0.008, (x, front - 0.014, height - 0.065), 10) for x in np.linspace(0, width * 0.35, 5)
    ]
    parts += [
        Part(merged(buttons), "grey"),
        Part(block(0.09, 0.008, 0.035, (-width * 0.25, front - 0.016, height - 0.085)), "screen"),
    ]
    if not unseen:
        parts.append(Part(block(width - 0.01, 0.03, height - 0.23, (0, front - 0.008, 0.1))))
        parts.append(Part(handle("bar", 0, front - 0.022, height - 0.17, width * 0.7), "metal"))
        return ObjectModel(tuple(parts), color=white_goods(d), tops=((width * 0.45, depth * 0.44, height),))
    # Opened: the door lies in front, a wire basket stands on it.
    parts.append(Part(block(width - 0.03, 0.01, height - 0.25, (0, front - 0.001, 0.12)), (0.3, 0.3, 0.31)))
    parts.append(Part(block(width - 0.01, height - 0.25, 0.03, (0, front - (height - 0.25) / 2, 0.1))))
    wires = [
        stick((x, front - 0.4, 0.18), (x, front, 0.18), 0.004, 6) for x in np.linspace(-0.42, 0.42, 9) * width
    ]
    wires += [
        stick((-width * 0.42, front - y, 0.18 + z), (width * 0.42, front - y, 0.18 + z), 0.004, 6)
        for y in (0.05, 0.2, 0.4)
        for z in (0, 0.1)
    ]
    wires += [
        stick((x, front - 0.4, 0.18), (x, front - 0.4, 0.29), 0.004, 6)
        for x in np.linspace(-0.42, 0.42, 9) * width
    ]
    return ObjectModel(
        (*parts, Part(merged(wires), "metal")),
        color=white_goods(d),
        tops=((width * 0.45, depth * 0.44, height),),
    )


def washing_machine(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, height = d.size((0.58, 0.64)), d.size((0.5, 0.62)), d.size((0.82, 0.9), (0.95, 1.05))
    front = -depth / 2
    parts = [
        Part(pad(width, depth, height - 0.02, (0, 0, 0.02), 0.015)),
        Part(legs("square", width / 2 - 0.06, depth / 2 - 0.06, 0.03, 0.05), "dark"),
    ]
    if unseen and d.chance(0.4):
        lid = block(width * 0.8, depth * 0.66, 0.015, (0, -0.05, height - 0.003))
        parts += [
            Part(lid, "glass" if d.chance(0.4) else "grey"),
            Part(block(width, 0.1, 0.12, (0, depth / 2 - 0.05, height - 0.01))),
        ]
        parts.append(knobs(d, 3, width * 0.6, depth / 2 - 0.1, height + 0.06))
        return ObjectModel(tuple(parts), color=white_goods(d))
    r, z = width * d.size((0.27, 0.33)), height * 0.45
    parts.append(
        Part(
            torus(r, 0.06, 28, 8).scaled(1, 1, 0.8).turned("x", 90).moved(0, front - 0.01, z),
            d.pick(("metal", "dark", "white", "grey")),
        )
    )
    dome = ellipsoid(2 * r - 0.04, 2 * r - 0.04, 0.1, 20).turned("x", 90).moved(0, front - 0.004, z)
    parts += [
        Part(dome, (0.12, 0.14, 0.17)),
        Part(block(0.03, 0.03, 0.09, (r, front - 0.035, z - 0.045)), "grey"),
    ]
    panel_z = height - 0.13
    parts.append(
        Part(block(width - 0.01, 0.012, 0.11, (0, front - 0.002, panel_z)), d.pick(("main", "dark", "grey")))
    )
    parts.append(Part(block(width * 0.3, 0.012, 0.08, (-width * 0.32, front - 0.008, panel_z + 0.015))))
    parts.append(
        Part(block(width * 0.2, 0.01, 0.04, (width * 0.28, front - 0.006, panel_z + 0.035)), "screen")
    )
    parts.append(
        Part(disc(0.035, 0.03, (width * 0.03, front - 0.006, panel_z + 0.055)), d.pick(("metal", "white")))
    )
    return ObjectModel(tuple(parts), color=white_goods(d), tops=((width * 0.44, depth * 0.44, height),))


def microwave(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, height = d.size((0.44, 0.52)), d.size((0.32, 0.4)), d.size((0.25, 0.3), (0.32, 0.36))
    front = -depth / 2
    parts = [
        Part(pad(width, depth, height - 0.012, (0, 0, 0.012), 0.01)),
        Part(legs("square", width / 2 - 0.04, depth / 2 - 0.04, 0.02, 0.03), "dark"),
    ]
    split = width * (0.28 if not unseen else 0.0)
    door = width - split - 0.02
    x = -split / 2
    z = 0.03 if not unseen else 0.09
    parts.append(Part(block(door, 0.02, height - z - 0.02, (x, front - 0.01, z))))
    parts.append(
        Part(
            block(
                door * 0.78, 0.006, (height - z) * 0.62, (x - 0.01, front - 0.022, z + (height - z) * 0.15)
            ),
            GLASS_DOOR,
        )
    )
    parts.append(
        Part(
            handle("rail", x + door / 2 - 0.025, front - 0.02, height * 0.5 + z / 2, height * 0.6),
            d.pick(("metal", "dark")),
        )
    )
    if unseen:
        parts.append(knobs(d, 2, width * 0.5, front, 0.05, 0.022))
        return ObjectModel(tuple(parts), color=white_goods(d), tops=((width * 0.4, depth * 0.38, height),))
    px = width / 2 - split / 2 - 0.005
    parts.append(
        Part(block(split - 0.01, 0.012, height - 0.05, (px, front - 0.004, 0.03)), d.pick(("dark", "main")))
    )
    parts.append(Part(block(split * 0.7, 0.006, 0.035, (px, front - 0.012, height - 0.08)), (0.1, 0.3, 0.25)))
    if d.chance(0.5):
        keys = [
            block(0.02, 0.006, 0.014, (px + (c - 1) * 0.03, front - 0.012, height - 0.12 - 0.025 * r))
            for r in range(4)
            for c in range(3)
        ]
        parts.append(Part(merged(keys), "grey"))
    else:
        parts.append(
            Part(merged([disc(0.025, 0.022, (px, front - 0.008, zz), 16) for zz in (0.07, 0.14)]), "metal")
        )
    return ObjectModel(tuple(parts), color=white_goods(d), tops=((width * 0.4, depth * 0.38, height),))


def toaster(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    long_slot = unseen and d.chance(0.5)
    width, depth = (
        (d.size((0.34, 0.4)), 0.12) if long_slot else (d.size((0.24, 0.3)), d.size((0.15, 0.19), (0.26, 0.3)))
    )
    height = d.size((0.17, 0.2))
    parts = [
        Part(pad(width, depth, height - 0.02, (0, 0, 0.02), d.size((0.02, 0.05), (0.055, 0.07)))),
        Part(block(width - 0.02, depth - 0.01, 0.03), "dark"),
    ]
    count = 1 if long_slot else (2 if depth < 0.2 else 4)
    places = np.linspace(-depth * 0.3, depth * 0.3, count) if count > 1 else np.array([0.0])
    parts.append(
        Part(merged([block(width * 0.68, 0.026, 0.006, (0, y, height - 0.002)) for y in places]), GLASS_DOOR)
    )
    if d.chance(0.4):
        bread = [pad(width * 0.5, 0.016, 0.06, (0, y, height - 0.025), 0.006) for y in places[:2]]
        parts.append(Part(merged(bread), (0.78, 0.55, 0.3)))
    end = width / 2
    parts.append(Part(block(0.008, 0.014, height * 0.6, (end, 0, height * 0.25)), "dark"))
    parts.append(Part(pad(0.035, 0.05, 0.02, (end + 0.015, 0, height * 0.62), 0.008), "dark"))
    parts.append(
        Part(cylinder(0.016, 0.015, 14).turned("y", 90).moved(end, depth * 0.28, height * 0.35), "metal")
    )
    colors: tuple[str | None, ...] = (None, None, "grey", "white", "black")
    return ObjectModel(tuple(parts), color=d.pick(colors))


def coffee_machine(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, height = d.size((0.17, 0.22), (0.26, 0.32)), d.size((0.22, 0.28)), d.size((0.3, 0.37))
    front, back = -depth / 2, depth * 0.32
    parts = [
        Part(pad(width, depth, 0.05, (0, 0, 0), 0.012)),
        Part(pad(width, depth - back, height - 0.03, (0, back / 2, 0.03), 0.012)),
    ]
    parts.append(Part(pad(width, depth * 0.95, height * 0.32, (0, 0, height * 0.7), 0.015)))
    y, z = front + depth * 0.28, height * 0.7
    if unseen:
        parts.append(
            Part(
                merged(
                    [
                        cylinder(0.033, 0.04, 16).moved(0, y, z - 0.035),
                        tube([(0, y, z - 0.02), (0, y - 0.15, z - 0.03)], 0.012, 8),
                    ]
                ),
                "metal",
            )
        )
        parts.append(Part(block(width * 0.8, depth * 0.42, 0.012, (0, y, 0.048)), "metal"))
        parts.append(
            Part(
                tube(
                    [
                        (width * 0.4, y, z),
                        (width * 0.42, y - 0.03, z - 0.06),
                        (width * 0.42, y - 0.05, z - 0.14),
                    ],
                    0.005,
                    6,
                ),
                "metal",
            )
        )
        parts.append(Part(disc(0.03, 0.01, (-width * 0.25, front + 0.005, height * 0.87)), "white"))
        parts.append(knobs(d, 2, width * 0.4, front + 0.006, height * 0.87, 0.014))
        cup = shell([(0.02, 0.06), (0.032, 0.11)], 0.003, 16)
        parts.append(
            Part(merged([cup, cylinder(0.02, 0.004, 16).moved(0, 0, 0.06)]).moved(0, y, 0.0), "white")
        )
    else:
        r = min(width * 0.42, depth * 0.27)
        body = [
            (0.0, 0.052),
            (r * 0.8, 0.052),
            (r, 0.08),
            (r * 0.95, 0.12),
            (r * 0.6, z - 0.04),
            (0.0, z - 0.04),
        ]
        parts.append(Part(lathe(body, 20).moved(0, y, 0), "glass"))
        coffee = lathe([(0, 0.055), (r * 0.78, 0.055), (r * 0.95, 0.08), (r * 0.9, 0.11), (0, 0.112)], 20)
        parts += [
            Part(coffee.moved(0, y, 0), (0.12, 0.06, 0.03)),
            Part(cylinder(r * 0.65, 0.02, 20).moved(0, y, z - 0.04), "dark"),
        ]
        grip = [
            (0, y - r * 0.7, z - 0.05),
            (0, y - r - 0.04, z - 0.06),
            (0, y - r - 0.035, 0.1),
            (0, y - r * 0.95, 0.09),
        ]
        parts.append(Part(tube(grip, 0.009, 8), "dark"))
        parts.append(Part(block(0.04, 0.01, 0.02, (width * 0.25, front + 0.006, 0.015)), (0.7, 0.1, 0.1)))
        parts.append(
            Part(block(width * 0.5, 0.006, height * 0.12, (0, front + 0.006, height * 0.8)), "screen")
        )
    return ObjectModel(tuple(parts), color=d.pick(("black", "white", "grey", "red")))


def blender(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    base, jar, r = d.size((0.12, 0.16)), d.size((0.17, 0.22), (0.25, 0.3)), d.size((0.055, 0.068))
    foot = r * d.size((1.2, 1.45))
    if unseen and d.chance(0.5):
        body = pad(foot * 2, foot * 2, base, (0, 0, 0), 0.03)
    else:
        body = lathe([(0, 0), (foot, 0), (foot * 0.95, base * 0.3), (r * 0.85, base), (0, base)], 24)
    parts = [Part(body), Part(disc(0.022, foot * 0.5, (0, -foot * 0.55, base * 0.4), 14), "metal")]
    top = base + jar
    profile = [(0, base), (r * 0.7, base), (r * 0.75, base + 0.02), (r * 1.1, top), (0, top)]
    parts += [
        Part(lathe(profile, 20), "glass"),
        Part(cylinder(r * 0.8, 0.025, 20).moved(0, 0, base - 0.005), "dark"),
    ]
    parts.append(
        Part(
            merged(
                [
                    cylinder(r * 1.12, 0.025, 20).moved(0, 0, top),
                    cylinder(r * 0.4, 0.02, 16).moved(0, 0, top + 0.02),
                ]
            ),
            d.pick(("dark", "main")),
        )
    )
    grip = [
        (r, 0, top - 0.02),
        (r + 0.05, 0, top - 0.02),
        (r + 0.045, 0, base + 0.05),
        (r * 0.8, 0, base + 0.03),
    ]
    parts.append(Part(tube(grip, 0.009, 8), d.pick(("dark", "glass"))))
    if d.chance(0.4):
        fill = lathe(
            [(0, base + 0.01), (r * 0.68, base + 0.01), (r * 0.9, base + jar * 0.6), (0, base + jar * 0.6)],
            20,
        )
        parts.append(Part(fill, d.pick(((0.85, 0.3, 0.4), (0.5, 0.7, 0.2), (0.9, 0.6, 0.2)))))
    return ObjectModel(tuple(parts))


def rice_cooker(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, height = d.size((0.11, 0.14)), d.size((0.17, 0.21))
    parts: list[Part] = []
    if unseen:
        parts.append(Part(pad(2 * r, 2.3 * r, height, (0, 0, 0), 0.07)))
        parts.append(Part(block(0.1, 0.02, 0.06, (0, -r * 1.12, height * 0.5)).turned("x", 8), "screen"))
    else:
        profile = [(0, 0), (r * 0.85, 0), (r, 0.03), (r, height), (0, height)]
        lid = [(0, height), (r * 0.97, height), (r * 0.7, height + 0.035), (0.0, height + 0.05)]
        parts += [Part(lathe(profile, 28)), Part(lathe(lid, 28), d.pick(("glass", "main", "metal")))]
        parts.append(Part(ellipsoid(0.04, 0.04, 0.03, 10).moved(0, 0, height + 0.06), "dark"))
        parts.append(
            Part(
                merged([pad(0.05, 0.05, 0.02, (s * (r + 0.015), 0, height * 0.75), 0.008) for s in (-1, 1)]),
                "dark",
            )
        )
        parts.append(Part(block(0.07, 0.02, 0.09, (0, -r, 0.03)), "dark"))
        parts.append(Part(block(0.02, 0.02, 0.015, (0, -r - 0.01, 0.05)), (0.8, 0.1, 0.1)))
    if unseen:
        parts.append(
            Part(
                tube(arc((0, 0, height - 0.02), r * 1.02, 0, 180, "xz", 9), 0.01, 6)
                .scaled(1, 1, 0.5)
                .moved(0, 0, height * 0.5),
                "grey",
            )
        )
    colors: tuple[str | None, ...] = ("white", "white", None)
    return ObjectModel(tuple(parts), color=d.pick(colors))


def radiator(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("panel", "column"), ("rungs", "oil"))
    width, height = d.size((0.6, 1.2)), d.size((0.5, 0.65))
    if style == "rungs":
        width, height = d.size((0.45, 0.6)), d.size((1.1, 1.5))
        rails = [stick((s * width / 2, 0, 0.06), (s * width / 2, 0, height), 0.018) for s in (-1, 1)]
        rungs = [
            stick((-width / 2, -0.01, z), (width / 2, -0.01, z), 0.012, 6)
            for z in np.linspace(0.12, height - 0.04, 16)
        ]
        feet = [block(0.05, 0.2, 0.08, (s * width / 2, 0, 0)) for s in (-1, 1)]
        return ObjectModel((Part(merged(rails + rungs + feet)),), color=white_goods(d))
    if style == "oil":
        width = d.size((0.32, 0.45))
        fins = [
            pad(0.018, 0.15, height - 0.08, (x, 0, 0.08), 0.009)
            for x in np.linspace(-width / 2, width / 2, 9)
        ]
        feet = [block(0.06, 0.24, 0.03, (s * width * 0.4, 0, 0.03)) for s in (-1, 1)]
        wheels = [
            cylinder(0.028, 0.03, 12).turned("y", 90).moved(s * width * 0.4 - 0.015, y, 0.028)
            for s in (-1, 1)
            for y in (-0.1, 0.1)
        ]
        unit = [pad(0.08, 0.16, height * 0.8, (width / 2 + 0.05, 0, 0.1), 0.015)]
        dial = Part(
            cylinder(0.025, 0.02, 14).turned("y", 90).moved(width / 2 + 0.09, 0, height * 0.7), "dark"
        )
        return ObjectModel(
            (Part(merged(fins + unit)), Part(merged(feet + wheels), "dark"), dial), color="white"
        )
    low = d.size((0.08, 0.14))
    if style == "column":
        count = int(width / 0.055)
        fins = [
            pad(0.045, 0.12, height, (x, 0, low), 0.02) for x in np.linspace(-width / 2, width / 2, count)
        ]
        body = merged([*fins, stick((-width / 2, 0, low + 0.05), (width / 2, 0, low + 0.05), 0.02)])
    else:
        ribs = [
            pad(0.03, 0.02, height - 0.08, (x, -0.05, low + 0.04), 0.01)
            for x in np.arange(-width / 2 + 0.04, width / 2 - 0.03, 0.05)
        ]
        body = merged([block(width, 0.09, height, (0, 0, low)), *ribs])
    foot = merged([block(0.03, 0.1, low + 0.02, (s * width * 0.4, 0, 0)) for s in (-1, 1)])
    valve = merged(
        [
            cylinder(0.022, 0.06, 12).turned("y", 90).moved(width / 2 + 0.02, -0.02, low + height - 0.08),
            stick((width / 2 + 0.03, 0, 0), (width / 2 + 0.03, 0, low + height - 0.08), 0.009),
        ]
    )
    return ObjectModel(
        (Part(body), Part(foot, "grey"), Part(valve, "metal")),
        color=d.pick(("white", "white", "grey", "black")),
    )


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
            Part(merged([*wheels, tube(_smooth(path), 0.02, 8), nozzle]), "dark"),
            Part(wand, "metal"),
        )
    )


def _smooth(path: list[tuple[float, float, float]], count: int = 15) -> list[list[float]]:
    """Points on a curve near a path (Bezier of all its points)."""
    curve = []
    for t in np.linspace(0, 1, count):
        points = np.array(path)
        while len(points) > 1:
            points = points[:-1] * (1 - t) + points[1:] * t
        curve.append(points[0].tolist())
    return curve


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
    grip = _smooth(
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
                    _smooth(
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
    return ObjectModel(tuple(parts))


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
    grip = pad(0.032, 0.036, 0.12, (0, 0, -0.13), 0.014).turned("y", d.size((-20, 0)))
    body = barrel.turned("y", 90).moved(-length * 0.4)
    vents = merged([torus(r * k, 0.006, 16, 6) for k in (0.35, 0.6)]).turned("y", 90).moved(-length * 0.4)
    upright = [Part(merged([body, grip])), Part(vents, "dark")]
    nozzle = merged([pad(0.03, r * 0.5, r * 2.0, (0, 0, -r), 0.008)]).moved(length * 0.6 + 0.005)
    cord = tube(
        _smooth(
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
    # Lies on its side.
    lying = [
        Part(p.mesh.turned("x", 90).moved(0.03, -0.05, r * (1.15 if unseen else 1.0)), p.role)
        for p in upright
    ]
    low = min(float(p.mesh.vertices[:, 2].min()) for p in lying)
    return ObjectModel(tuple(Part(p.mesh.moved(z=-low), p.role) for p in lying))


CATEGORIES: tuple[Category, ...] = (
    *electronics.CATEGORIES,
    Category(
        "refrigerator",
        refrigerator,
        "floor",
        ("fridge", "freezer", "fridge freezer"),
        ("icebox", "cooling cabinet"),
        "appliance",
    ),
    Category("oven", oven, "floor", ("stove", "cooker", "kitchen range"), ("cooking stove",), "appliance"),
    Category(
        "dishwasher",
        dishwasher,
        "floor",
        ("dish washer", "dishwashing machine"),
        ("machine for dishes",),
        "appliance",
    ),
    Category(
        "washing machine",
        washing_machine,
        "floor",
        ("clothes washer", "laundry machine"),
        ("front-loading washer", "laundry washer"),
        "appliance",
    ),
    Category(
        "microwave", microwave, "table", ("microwave oven", "microwave cooker"), ("microwaver",), "appliance"
    ),
    Category("toaster", toaster, "table", ("bread toaster", "pop-up toaster"), ("toast maker",), "appliance"),
    Category(
        "coffee machine",
        coffee_machine,
        "table",
        ("coffee maker", "coffeemaker"),
        ("coffee brewer",),
        "appliance",
    ),
    Category(
        "blender", blender, "table", ("smoothie maker", "kitchen blender"), ("liquidizer",), "appliance"
    ),
    Category(
        "rice cooker",
        rice_cooker,
        "table",
        ("electric cooker pot", "rice steamer"),
        ("rice maker",),
        "appliance",
    ),
    Category(
        "radiator", radiator, "floor", ("heater", "room heater"), ("central heating panel",), "appliance"
    ),
    Category(
        "vacuum cleaner",
        vacuum_cleaner,
        "floor",
        ("vacuum", "hoover"),
        ("carpet cleaner",),
        "appliance",
        ("plastic",),
    ),
    Category("iron", iron, "table", ("clothes iron", "steam iron"), ("flatiron",), "appliance", ("plastic",)),
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
