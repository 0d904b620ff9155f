"""Small kitchen appliances, built to measure."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.furniture_parts import (
    Draw,
    arc,
    block,
    disc,
    handle,
    knobs,
    legs,
    pad,
    shell,
    white_goods,
)
from perception_contrast_sim.geometry.meshes import cylinder, ellipsoid, lathe, merged, tube
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects.category import Category

GLASS_DOOR = (0.06, 0.06, 0.07)


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


def _espresso_parts(d: Draw, width: float, depth: float, height: float) -> list[Part]:
    """Portafilter, grid, steam wand, gauge, knobs and a cup."""
    front = -depth / 2
    y, z = front + depth * 0.28, height * 0.7
    parts: list[Part] = []
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
    parts.append(Part(merged([cup, cylinder(0.02, 0.004, 16).moved(0, 0, 0.06)]).moved(0, y, 0.0), "white"))
    return parts


def _filter_coffee_parts(width: float, depth: float, height: float) -> list[Part]:
    """A glass jug with coffee, its grip, a switch and a display."""
    front = -depth / 2
    y, z = front + depth * 0.28, height * 0.7
    parts: list[Part] = []
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
    parts.append(Part(block(width * 0.5, 0.006, height * 0.12, (0, front + 0.006, height * 0.8)), "screen"))
    return parts


def coffee_machine(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, depth, height = d.size((0.17, 0.22), (0.26, 0.32)), d.size((0.22, 0.28)), d.size((0.3, 0.37))
    back = depth * 0.32
    parts = [
        Part(pad(width, depth, 0.05, (0, 0, 0), 0.012)),
        Part(pad(width, depth - back, height - 0.03, (0, back / 2, 0.03), 0.012)),
    ]
    parts.append(Part(pad(width, depth * 0.95, height * 0.32, (0, 0, height * 0.7), 0.015)))
    if unseen:
        parts += _espresso_parts(d, width, depth, height)
    else:
        parts += _filter_coffee_parts(width, depth, height)
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
        parts.append(Part(pad(2 * r, 2.3 * r, height * 0.75, (0, 0, 0), 0.04)))
        parts.append(
            Part(pad(2 * r, 2.3 * r, height * 0.35, (0, 0, height * 0.68), 0.04), d.pick(("main", "dark")))
        )
        parts.append(Part(block(0.1, 0.02, 0.06, (0, -r * 1.12, height * 0.35)), "screen"))
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


CATEGORIES: tuple[Category, ...] = (
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
        "kitchen scale",
        kitchen_scale,
        "table",
        ("food scale", "weighing scale"),
        ("kitchen balance",),
        "appliance",
    ),
)
