"""The categories of appliances: large ones, kitchen and household machines, electronics."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.furniture_parts import (
    Draw,
    block,
    disc,
    handle,
    knobs,
    legs,
    pad,
    stick,
    white_goods,
)
from perception_contrast_sim.geometry.meshes import box, cylinder, ellipsoid, merged, torus
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects.appliances import (
    electronics,
    household_machines,
    kitchen_machines,
    vacuums,
)
from perception_contrast_sim.objects.category import Category

GLASS_DOOR = (0.06, 0.06, 0.07)


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
            pad(0.018, 0.15, height - 0.08, (x, 0, 0.08), 0.009, 1)
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
            pad(0.045, 0.12, height, (x, 0, low), 0.02, 1) for x in np.linspace(-width / 2, width / 2, count)
        ]
        body = merged([*fins, stick((-width / 2, 0, low + 0.05), (width / 2, 0, low + 0.05), 0.02)])
    else:
        ribs = [
            pad(0.03, 0.02, height - 0.08, (x, -0.05, low + 0.04), 0.01, 1)
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


CATEGORIES: tuple[Category, ...] = (
    *electronics.CATEGORIES,
    *household_machines.CATEGORIES,
    *kitchen_machines.CATEGORIES,
    *vacuums.CATEGORIES,
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
        "radiator", radiator, "floor", ("heater", "room heater"), ("central heating panel",), "appliance"
    ),
)
