"""Things to eat and drink, in their natural colours."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    TriangleMesh,
    box,
    cylinder,
    ellipsoid,
    lathe,
    loft,
    merged,
    prism,
    torus,
    tube,
)
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.geometry.small_parts import Draw, Role, arc, band, part, slab, stand
from perception_contrast_sim.objects.assets import WithMesh
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.small.produce import (
    apple,
    banana,
    bumpy,
    carrot,
    cucumber,
    eggplant,
    frond,
    lemon,
    orange,
    pear,
    pineapple,
    shade,
    tomato,
    watermelon,
)


def _round_loaf(d: Draw, crust: Role) -> ObjectModel:
    r = d.any(0.07, 0.1)
    long = d.pick((1.0, 1.7))
    loaf = lathe(
        [(0, 0), (r, 0), (r * 1.05, r * 0.25), (r * 0.8, r * 0.65), (r * 0.4, r * 0.82), (0, r * 0.86)],
        26,
    )
    cuts = [
        box(0.006, r * 1.1, 0.01).moved(x * r * long, 0, r * (0.84 - 0.25 * x * x)) for x in (-0.4, 0, 0.4)
    ]
    return stand(
        [part(bumpy(loaf.scaled(long, 1, 1), d, 0.03), crust), part(merged(cuts), (0.9, 0.75, 0.5))],
        "brown",
    )


def bread(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    crust = shade(d, (0.68, 0.4, 0.16))
    if d.unseen:
        return _round_loaf(d, crust)
    x, y, h = d.any(0.2, 0.26), d.any(0.095, 0.115), d.any(0.045, 0.06)
    dome = [
        (float(y * 0.56 * np.cos(t)), float(h + y * 0.46 * np.sin(t)))
        for t in np.radians(np.linspace(-12, 192, 15))
    ]
    side = [
        (-y * 0.43, 0.004),
        (-y * 0.4, 0.0),
        (y * 0.4, 0.0),
        (y * 0.43, 0.004),
        (y * 0.49, h * 0.75),
        *dome,
        (-y * 0.49, h * 0.75),
    ]
    outline = np.array(side)
    slices: list[Part] = []
    cut = d.chance(0.5)
    ring = np.column_stack([np.zeros(len(outline)), outline])
    centre = ring.mean(axis=0)
    ends = (
        (-0.51, 0.6),
        (-0.5, 0.84),
        (-0.46, 0.96),
        (-0.4, 1.0),
        (0.4, 1.0),
        (0.46, 0.96),
        (0.5, 0.84),
        (0.51, 0.6),
    )
    rings = [centre + (ring - centre) * s + np.array([a * x, 0, 0]) for a, s in ends]
    slices.append(part(loft(rings[: 5 if cut else 8]), crust))
    scores = [
        tube(
            [
                (a * x - 0.015, -y * 0.2, h + y * 0.43),
                (a * x, 0, h + y * 0.46),
                (a * x + 0.015, y * 0.2, h + y * 0.43),
            ],
            0.004,
            6,
        )
        for a in (-0.3, -0.1, 0.1, 0.3)
    ]
    slices.append(part(merged(scores), (0.9, 0.72, 0.45)))
    if cut:
        crumb = centre + (ring - centre) * 0.93
        slab_ends = [crumb + np.array([x * a, 0, 0]) for a in (0.39, 0.403)]
        slices.append(part(loft(slab_ends), (0.93, 0.82, 0.6)))
    return stand(slices, "brown")


def egg(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r = d.span(0.02, 0.0235)
    a = np.linspace(-np.pi / 2, np.pi / 2, 15)
    skin = [
        (float(r * np.cos(t) * (1 - 0.14 * np.sin(t))) if abs(t) < 1.57 else 0.0, float(r * 1.32 * np.sin(t)))
        for t in a
    ]
    tint, name = d.pick((((0.93, 0.9, 0.84), "white"), ((0.78, 0.55, 0.38), "brown")))
    shell = lathe(skin, 22)
    if d.unseen and d.chance(0.6):
        holder = lathe(
            [
                (0, 0),
                (0.02, 0),
                (0.009, 0.012),
                (0.009, 0.02),
                (0.023, 0.034),
                (0.023, 0.042),
                (0.02, 0.042),
                (0, 0.026),
            ],
            22,
        )
        return stand([part(shell.moved(z=0.03 + r), shade(d, tint)), part(holder, "second")], name)
    return stand([part(shell.turned("y", 90 if d.chance(0.7) else 0), shade(d, tint))], name)


def cheese(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h, wide = (
        d.span(0.1, 0.14),
        d.any(0.045, 0.065),
        np.radians(d.any(35, 55) if not d.unseen else d.pick((80, 300))),
    )
    rim = [
        (float(r * np.cos(t)), float(r * np.sin(t)))
        for t in np.linspace(-wide / 2, wide / 2, 12 if wide < 3 else 30)
    ]
    body = prism([(0.0, 0.0), *rim], h)
    skin = loft(
        [
            np.array(
                [(x * s, y * s, z) for x, y in [rim[0], *rim[1:]] for s in (1.004,)]
                + [(x * 0.97, y * 0.97, z) for x, y in reversed(rim)]
            )
            for z in (-0.001, h + 0.001)
        ]
    )
    parts = [part(body, shade(d, (0.95, 0.75, 0.25)))]
    if wide < 3:
        parts.append(part(skin, (0.8, 0.5, 0.1)))
    holes = []
    for _ in range(14):
        s, at, z, size = d.pick((-1, 1)), d.any(0.25, 0.92) * r, d.any(0.12, 0.88) * h, d.any(0.007, 0.016)
        hole = ellipsoid(size, 0.0012, size, 10).moved(at, 0, z)
        holes.append(hole.turned("z", float(np.degrees(s * wide / 2))))
        x, y = d.any(0.3, 0.9) * r, d.any(-wide / 2.4, wide / 2.4)
        holes.append(ellipsoid(size, size, 0.0012, 10).moved(x * float(np.cos(y)), x * float(np.sin(y)), h))
    return stand([*parts, part(merged(holes), (0.78, 0.55, 0.14))], "yellow")


def cake(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.085, 0.12), d.any(0.06, 0.09)
    look: Role = d.pick(((0.95, 0.75, 0.8), (0.96, 0.93, 0.86), (0.3, 0.17, 0.09)))
    trim: Role = d.pick(((0.3, 0.16, 0.08), (0.97, 0.95, 0.92), (0.85, 0.3, 0.4)))
    parts = [part(cylinder(r * 1.25, 0.006, 32), "white"), part(cylinder(r, h, 32).moved(z=0.006), look)]
    tops = [(r, h + 0.006)]
    if d.unseen:
        parts.append(part(cylinder(r * 0.65, h * 0.8, 28).moved(z=h + 0.006), look))
        tops.append((r * 0.65, h * 1.8 + 0.006))
    beads: list[TriangleMesh] = []
    for q, z in tops:
        n = int(q * 2 * np.pi / 0.03)
        for k in range(n):
            beads.append(ellipsoid(0.022, 0.022, 0.02, 8).moved(q * 0.93, 0, z).turned("z", 360 * k / n))
    parts.append(part(merged(beads), trim))
    q, z = tops[-1]
    fruit = [
        ellipsoid(0.02, 0.02, 0.022, 10).moved(q * 0.55, 0, z + 0.008).turned("z", 60 * k) for k in range(6)
    ]
    if d.chance(0.6):
        parts.append(part(merged(fruit), (0.8, 0.05, 0.08)))
    if d.chance(0.5):
        sticks = [cylinder(0.003, 0.05, 8).moved(q * 0.3, 0, z).turned("z", 72 * k) for k in range(5)]
        fire = [
            ellipsoid(0.006, 0.006, 0.014, 8).moved(q * 0.3, 0, z + 0.056).turned("z", 72 * k)
            for k in range(5)
        ]
        parts += [part(merged(sticks), "second"), part(merged(fire), (1.0, 0.75, 0.2))]
    return stand(parts)


def milk_carton(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    w, h = d.span(0.065, 0.078), d.span(0.15, 0.19)
    roof = w * (0.55 if not d.unseen else 0.9)
    square = np.array([(-w, -w), (w, -w), (w, w), (-w, w)]) / 2
    ridge = square * [1, 0.06]
    rings = [np.column_stack([square, np.full(4, z)]) for z in (0, h)] + [
        np.column_stack([ridge, np.full(4, h + z)]) for z in (roof, roof + 0.018)
    ]
    parts = [part(loft(rings), "white")]
    parts.append(part(box(w + 0.001, w + 0.001, h * 0.3).moved(z=h * d.pick((0.16, 0.83)))))
    parts.append(part(box(w * 0.62, w + 0.002, h * 0.2).moved(z=h * 0.55), "second"))
    parts.append(part(box(w * 0.98, 0.0022, 0.012).moved(z=h + roof + 0.011)))
    if d.chance(0.6):
        tilt = float(np.degrees(np.arctan2(roof, w / 2)))
        parts.append(
            part(
                cylinder(0.014, 0.014, 18).turned("x", tilt).moved(0, -w * 0.27, h + roof * 0.45),
                d.pick(("main", "second")),
            )
        )
    return stand(parts, "white")


def cereal_box(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.17, 0.2), d.span(0.05, 0.065), d.span(0.25, 0.3)
    front = -y / 2
    parts = [
        part(box(x, y, h).moved(z=h / 2)),
        part(box(x * 0.86, 0.002, h * 0.16).moved(0, front, h * 0.82), "white"),
    ]
    parts.append(part(box(x * 0.7, 0.003, h * 0.08).moved(0, front, h * 0.82), "second"))
    parts.append(
        part(
            lathe([(0, 0), (1, 0), (0.8, 0.35), (0.4, 0.5), (0, 0.5)], 24)
            .scaled(x * 0.34, 0.004, x * 0.5)
            .turned("x", 180)
            .moved(0, front, h * 0.42),
            "second",
        )
    )
    flakes = [
        ellipsoid(0.02, 0.006, 0.016, 8).moved(d.any(-0.28, 0.28) * x, front, h * d.any(0.4, 0.53))
        for _ in range(16)
    ]
    parts.append(part(merged(flakes), (0.85, 0.6, 0.2)))
    parts.append(part(box(0.002, y * 0.7, h * 0.5).moved(x / 2, 0, h * 0.4), "white"))
    return stand(parts)


def can(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    slim = d.chance(0.6)
    r, h = (
        (d.span(0.031, 0.034), d.span(0.115, 0.125)) if slim else (d.span(0.036, 0.043), d.span(0.085, 0.11))
    )
    if d.unseen:
        r, h = d.pick(((0.026, 0.155), (0.05, 0.06)))
    neck = 0.8 if slim else 0.99
    outline = [(r * neck, 0), (r, 0.008), (r, h - 0.012), (r * neck, h)]
    parts = [
        part(
            lathe(
                [
                    (0, 0.003),
                    (r * neck - 0.003, 0.003),
                    *outline,
                    (r * neck - 0.003, h - 0.004),
                    (0, h - 0.004),
                ],
                28,
            ),
            "metal",
        )
    ]
    parts.append(part(band(outline, 0.01 if slim else 0.007, h - 0.012)))
    low = h * d.any(0.25, 0.4)
    parts.append(part(band(outline, low, low + h * d.any(0.2, 0.35), 0.0012), d.pick(("second", "white"))))
    if slim:
        parts.append(part(slab(0.024, 0.015, 0.001, 0.007).moved(0.004, 0, h - 0.003), "metal"))
    else:
        parts += [part(torus(r * q, 0.0015, 24, 6).moved(z=h - 0.004), "metal") for q in (0.5, 0.75)]
    return stand(parts)


def pizza(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r = d.span(0.13, 0.16)
    wide = 360.0 if not d.unseen else d.pick((300.0, 60.0))
    turn = np.radians(np.linspace(0, wide, 37))
    rim = [(float(r * np.cos(t)), float(r * np.sin(t))) for t in turn]

    def disc(scale: float, height: float) -> TriangleMesh:
        if wide == 360:
            return cylinder(r * scale, height, 36)
        return prism([(0.0, 0.0), *((x * scale, y * scale) for x, y in rim)], height)

    parts = [
        part(disc(1.0, 0.009), (0.85, 0.62, 0.32)),
        part(disc(0.9, 0.0105), (0.78, 0.22, 0.07)),
        part(disc(0.84, 0.012), (0.96, 0.8, 0.38)),
    ]
    crust = arc(r * 0.95, 0, wide, 37, "xy") + np.array([0, 0, 0.01])
    parts.append(part(tube(crust, 0.011, 8), (0.76, 0.5, 0.22)))
    slices, herbs, cuts = [], [], []
    for k in range(int(26 * wide / 360)):
        q, a = r * 0.76 * float(np.sqrt(d.any(0.05 if wide > 90 else 0.35, 1))), wide * d.any(0.22, 0.78)
        a = a if wide < 90 else d.any(wide * 0.06, wide * 0.94)
        slices.append(
            cylinder(0.0155, 0.0145, 14).moved(q).turned("z", a)
            if k % 3 == 0
            else cylinder(0.008, 0.0135, 8).moved(q).turned("z", a)
        )
        herbs.append(
            frond(0.024, 0.014).moved(r * 0.74 * d.any(0.3, 1), 0, 0.012).turned("z", d.any(10, wide - 10))
        )
    for k in range(int(wide / 60)):
        cuts.append(box(r * 0.9, 0.0022, 0.0126).moved(r * 0.45, 0, 0.0064).turned("z", 60 * k))
    topping: Role = d.pick(((0.7, 0.1, 0.06), (0.75, 0.14, 0.08)), ((0.55, 0.4, 0.3), (0.1, 0.1, 0.1)))
    parts += [
        part(merged(slices), topping),
        part(merged(herbs[: 7 if d.chance(0.7) else 3]), "leaf"),
        part(merged(cuts), (0.6, 0.32, 0.12)),
    ]
    return stand(parts, "yellow")


CATEGORIES: tuple[Category, ...] = (
    Category("apple", apple, "table", ("eating apple", "ripe apple"), ("orchard apple",), "fruit"),
    Category("banana", banana, "table", ("bananas", "bunch of bananas"), ("plantain",), "fruit"),
    Category("orange", orange, "table", ("orange fruit", "mandarin", "tangerine"), ("clementine",), "fruit"),
    Category(
        "lemon", WithMesh(lemon, "lemon"), "table", ("citron", "lemon fruit"), ("citrus lemon",), "fruit"
    ),
    Category("pear", pear, "table", ("pear fruit", "ripe pear"), ("conference pear",), "fruit"),
    Category("carrot", carrot, "table", ("carrots", "carrot root"), ("orange root vegetable",), "vegetable"),
    Category("tomato", tomato, "table", ("ripe tomato", "tomatoes"), ("beefsteak tomato",), "vegetable"),
    Category(
        "bread",
        WithMesh(bread, "bread"),
        "table",
        ("loaf of bread", "loaf", "bread loaf"),
        ("sandwich loaf",),
        "food",
    ),
    Category("egg", egg, "table", ("hen's egg", "chicken egg"), ("boiled egg",), "food"),
    Category("cheese", cheese, "table", ("cheese wedge", "piece of cheese"), ("Swiss cheese",), "food"),
    Category("cake", cake, "table", ("birthday cake", "layer cake"), ("gateau",), "food"),
    Category("pineapple", pineapple, "table", ("ananas",), ("tropical pineapple",), "fruit", held_out=True),
    Category("watermelon", watermelon, "table", ("melon", "water melon"), ("striped melon",), "fruit"),
    Category(
        "milk carton",
        WithMesh(milk_carton, "milk"),
        "table",
        ("carton of milk", "milk box"),
        ("gable-top carton",),
        "food",
    ),
    Category(
        "cereal box",
        WithMesh(cereal_box, "cereal"),
        "table",
        ("box of cereal", "cornflakes box"),
        ("breakfast cereal",),
        "food",
    ),
    Category(
        "can",
        WithMesh(can, "can"),
        "table",
        ("soda can", "food can", "tin can"),
        ("tin",),
        "container",
        ("metal",),
    ),
    Category("eggplant", eggplant, "table", ("aubergine", "purple eggplant"), ("brinjal",), "vegetable"),
    Category("cucumber", cucumber, "table", ("green cucumber", "salad cucumber"), ("gherkin",), "vegetable"),
    Category("pizza", pizza, "table", ("pepperoni pizza", "whole pizza"), ("margherita",), "food"),
)
