"""Things to drink from, eat from and cook with."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    TriangleMesh,
    cylinder,
    ellipsoid,
    lathe,
    loft,
    torus,
    tube,
)
from perception_contrast_sim.geometry.object_model import ObjectModel
from perception_contrast_sim.geometry.small_parts import (
    Draw,
    arc,
    band,
    bar,
    part,
    rectangle,
    smooth,
    stand,
    vessel,
)
from perception_contrast_sim.objects.assets import WithMesh
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.small.cookware import (
    bent,
    colander,
    cutting_board,
    fork,
    frying_pan,
    kettle,
    knife,
    pot,
    spoon,
    wooden_spoon,
)

CERAMICS = ("ceramic", "plastic", "metal")


def _ear(
    radius: float, low: float, high: float, reach: float, thick: float, square: bool = False
) -> TriangleMesh:
    """A handle on the +x side of a turned body, from height ``low`` to ``high``."""
    x = radius - thick / 4
    if square:
        points = [(x, 0, high), (x + reach, 0, high), (x + reach, 0, low), (x, 0, low)]
        return tube(bent(points), thick / 2, 8)
    middle = (low + high) / 2
    points = [
        (x, 0, high),
        (x + reach * 0.75, 0, high),
        (x + reach, 0, middle),
        (x + reach * 0.6, 0, low),
        (x, 0, low),
    ]
    return tube(smooth(points, 14), thick / 2, 8)


def mug(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.037, 0.045), d.span(0.082, 0.105)
    flare, foot = d.pick((1.0, 1.0, 1.08), (0.86, 1.2)), d.any(0.8, 1.0)
    outline = [(r * foot, 0), (r, h * 0.12), (r, h * 0.5), (r * flare, h)]
    parts = [part(vessel(outline, 0.004))]
    parts.append(part(_ear(r, h * 0.2, h * 0.82, d.any(0.024, 0.034), d.any(0.009, 0.013), d.unseen)))
    if d.chance(0.3):
        parts.append(part(band(outline, h * 0.35, h * d.any(0.5, 0.7)), "second"))
    if d.chance(0.5):
        parts.append(part(lathe([(0, h * 0.8), (r * 0.93, h * 0.8)][::-1], 24), (0.22, 0.12, 0.07)))
    return stand(parts)


def cup(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.04, 0.048), d.span(0.055, 0.068)
    saucer = [(r * 0.7, 0), (r * 1.0, 0.004), (r * 1.75, 0.016)]
    side = [(r * 0.5, 0.008), (r * 0.78, h * 0.35), (r * 0.95, h * 0.7), (r, h)]
    if d.unseen:
        side = [(r * 0.55, 0.008), (r * 0.56, 0.016), (r * 0.95, h * 0.45), (r * 0.98, h)]
    parts = [part(vessel(saucer, 0.0035)), part(vessel(side, 0.003).moved(z=0.002))]
    parts.append(part(_ear(r * 0.82, h * 0.4, h * 0.88, 0.022, 0.007)))
    parts.append(
        part(lathe([(r * 0.9, h * 0.82), (0, h * 0.82)], 24), d.pick([(0.22, 0.12, 0.07), (0.6, 0.33, 0.1)]))
    )
    if d.chance(0.4):
        parts.append(part(torus(r * 1.0, 0.004).moved(z=h + 0.002), "second"))
    return stand(parts)


def drinking_glass(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.031, 0.038), d.span(0.095, 0.145)
    taper = d.pick((0.75, 0.85, 1.0), (1.12, 0.6))
    outline = [(r * taper, 0), (r * taper, 0.01), (r, h)]
    parts = [part(vessel(outline, 0.0025), "glass")]
    if d.chance(0.6):
        level = h * d.any(0.35, 0.8)
        at = r * (taper + (1 - taper) * level / h) - 0.003
        drink = lathe([(0, 0.01), (r * taper - 0.003, 0.01), (at, level), (0, level)], 24)
        parts.append(part(drink, d.pick([(0.95, 0.6, 0.1), (0.55, 0.78, 0.85), (0.3, 0.12, 0.05)])))
        if d.chance(0.4):
            parts.append(part(bar((0, 0, 0.01), (r * 1.1, 0, h * 1.25), 0.0028), "second"))
    return stand(parts)


def wine_glass(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h, stem = d.span(0.034, 0.043), d.span(0.17, 0.21), d.any(0.4, 0.5)
    base = h * stem
    bowl = [(0.005, base), (r * 0.75, base + (h - base) * 0.18), (r, base + (h - base) * 0.45), (r * 0.74, h)]
    if d.unseen:
        bowl = d.pick([[(0.005, base), (r * 1.6, h)], [(0.005, base), (r * 0.6, base + 0.02), (r * 0.62, h)]])
    foot = [(0, 0), (r * 0.95, 0), (r * 0.95, 0.003), (0.006, 0.008), (0.0038, 0.02), (0.0038, base)]
    inner = [(max(q - 0.0018, 0.001), z + (0.003 if q < 0.01 else 0)) for q, z in reversed(bowl)]
    parts = [part(lathe([*foot, *bowl, *inner, (0, base + 0.003)], 28), "glass")]
    if d.chance(0.5):
        outline = np.array(bowl)
        level = base + (h - base) * 0.45
        top = float(np.interp(level, outline[:, 1], outline[:, 0])) - 0.003
        inside = [(max(q - 0.003, 0.001), z + 0.003) for q, z in bowl if z + 0.003 < level]
        red = d.pick([(0.35, 0.02, 0.08), (0.85, 0.75, 0.35)])
        parts.append(part(lathe([(0, base + 0.003), *inside, (top, level), (0, level)], 24), red))
    return stand(parts)


def plate(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.1, 0.135), d.any(0.018, 0.026)
    outline = [(r * 0.6, 0), (r * 0.68, h * 0.35), (r * 0.97, h * 0.9), (r, h)]
    mesh = vessel(outline, 0.004, 36)
    if d.unseen and d.chance(0.5):
        ring = np.array(rectangle(2 * r, 2 * r * d.any(0.6, 1), r * 0.25))
        scales = ((0.7, 0), (1.0, h), (0.97, h), (0.66, 0.005))
        return stand([part(loft([np.column_stack([ring * s, np.full(len(ring), z)]) for s, z in scales]))])
    parts = [part(mesh)]
    if d.chance(0.5):
        width = d.any(0.006, 0.014)
        rim = lathe([(r * 0.995, h * 1.0), (r * 0.995 - width, h * 1.0 - width * 0.25)], 36)
        parts.append(part(rim.moved(z=0.001), "second"))
    return stand(parts)


def bowl(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.065, 0.095), d.span(0.05, 0.07)
    outline = [(r * 0.42, 0), (r * 0.42, 0.006), (r * 0.75, h * 0.3), (r * 0.93, h * 0.65), (r, h)]
    if d.unseen:
        outline = d.pick(
            [[(r * 0.8, 0), (r * 0.9, h * 0.3), (r, h)], [(r * 0.3, 0), (r * 0.35, 0.02), (r * 1.1, h)]]
        )
    parts = [part(vessel(outline, 0.004, 32))]
    if d.chance(0.35):
        parts.append(part(band(outline, h * 0.8, h * 0.95), "second"))
    if d.chance(0.35):
        level, top = (
            h * 0.7,
            float(np.interp(h * 0.7, [z for _, z in outline], [q for q, _ in outline])) - 0.004,
        )
        food = d.pick([(0.85, 0.4, 0.12), (0.95, 0.9, 0.75), (0.35, 0.5, 0.15)])
        parts.append(part(lathe([(top, level), (top * 0.5, level + 0.004), (0, level + 0.005)], 28), food))
    return stand(parts)


def _spout(start: float, end: float, low: float, high: float, thick: float) -> TriangleMesh:
    """A bent spout on the -x side."""
    points = [(-start, 0, low), (-start - (end - start) * 0.5, 0, low + (high - low) * 0.35), (-end, 0, high)]
    return tube(smooth(points, 8), np.linspace(thick, thick * 0.55, 8).tolist(), 10)


def teapot(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.065, 0.082), d.span(0.1, 0.12)
    belly = [(r * 0.6, 0), (r * 0.92, h * 0.2), (r, h * 0.45), (r * 0.85, h * 0.75), (r * 0.5, h)]
    if d.unseen:
        belly = [(r * 0.95, 0), (r * 0.95, h * 0.15), (r * 0.75, h * 0.7), (r * 0.5, h)]
    lid = [(r * 0.55, h), (r * 0.45, h * 1.08), (0.01, h * 1.14), (0.01, h * 1.16)]
    knob = ellipsoid(0.026, 0.026, 0.024, 14).moved(z=h * 1.2)
    parts = [part(lathe([(0, 0), *belly, (0, h)], 28)), part(lathe([(0, h), *lid, (0, h * 1.16)], 24))]
    parts += [
        part(knob, d.pick(("main", "second", "wood"))),
        part(_spout(r * 0.8, r * 1.75, h * 0.35, h * 0.95, 0.016)),
    ]
    if d.unseen and d.chance(0.5):
        hoop = arc(r * 0.8, 0, 180, 14) * [1, 1, 1.5] + [0, 0, h * 0.85]
        parts.append(part(tube(hoop, 0.006), "second"))
    else:
        parts.append(part(_ear(r * 0.8, h * 0.25, h * 0.85, r * 0.7, 0.014)))
    return stand(parts)


def bottle(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    wine = d.chance(0.5)
    r, h = (d.span(0.035, 0.04), d.span(0.28, 0.32)) if wine else (d.span(0.03, 0.037), d.span(0.19, 0.25))
    neck, shoulder = (0.014, 0.62) if wine else (0.013, 0.72)
    if d.unseen:
        neck, shoulder = neck * 0.9, d.pick((0.4, 0.5))
    outline = [
        (r * 0.95, 0),
        (r, 0.006),
        (r, h * shoulder),
        (r * 0.8, h * (shoulder + 0.08)),
        (neck, h * 0.82 + 0.02),
        (neck, h),
    ]
    look = d.look(((0.06, 0.16, 0.08), (0.3, 0.15, 0.05), "main")) if wine else "main"
    parts = [part(lathe([(0, 0), *outline, (0, h)], 28), look)]
    parts.append(
        part(band(outline, h * d.any(0.12, 0.2), h * (shoulder - 0.12)), d.look(("paper", "second", "white")))
    )
    if wine:
        parts.append(
            part(cylinder(neck + 0.002, h * 0.12, 20).moved(z=h * 0.89), d.pick(("second", "dark", "brass")))
        )
    else:
        parts.append(
            part(cylinder(neck + 0.003, 0.02, 20).moved(z=h - 0.014), d.pick(("white", "second", "dark")))
        )
    return stand(parts)


def jar(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.034, 0.046), d.span(0.085, 0.13)
    outline = [(r * 0.95, 0), (r, 0.006), (r, h * 0.8), (r * 0.82, h * 0.9), (r * 0.82, h)]
    if d.unseen:
        outline = [(r * 0.7, 0), (r * 1.1, h * 0.4), (r * 1.0, h * 0.8), (r * 0.8, h)]
    filled = d.look([(0.6, 0.1, 0.08), (0.85, 0.6, 0.15), (0.45, 0.28, 0.12), (0.35, 0.45, 0.12), "glass"])
    parts = [part(lathe([(0, 0), *outline, (0, h)], 26), filled)]
    if d.chance(0.7):
        parts.append(part(band(outline, h * 0.2, h * 0.65), d.look(("paper", "second", "white"))))
    parts.append(
        part(
            cylinder(r * 0.88, 0.016, 26).moved(z=h * 0.97),
            "main" if not d.unseen else d.pick(("wood", "main")),
        )
    )
    return stand(parts)


def pitcher(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.05, 0.064), d.span(0.19, 0.23)
    outline = [(r * 0.75, 0), (r, h * 0.25), (r * 0.92, h * 0.5), (r * 0.66, h * 0.78), (r * 0.8, h)]
    if d.unseen:
        outline = d.pick(
            [
                [(r * 1.0, 0), (r * 0.8, h)],
                [(r * 0.6, 0), (r * 1.2, h * 0.3), (r * 0.5, h * 0.7), (r * 0.7, h)],
            ]
        )
    mesh = vessel(outline, 0.004, 32)
    v = mesh.vertices.copy()
    lip = np.clip((v[:, 2] / h - 0.82) / 0.18, 0, 1) * np.clip(-v[:, 0] / r - 0.35, 0, 1)
    v[:, 0] -= lip * r * 0.9
    parts = [part(TriangleMesh(v, mesh.faces, mesh.uv), d.pick(("main", "main", "glass")))]
    parts.append(
        part(_ear(r * 0.72, h * 0.3, h * 0.92, r * 0.8, 0.014, d.unseen and d.chance(0.5)), parts[0].role)
    )
    return stand(parts)


def tray(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.36, 0.46), d.span(0.26, 0.32), d.any(0.025, 0.045)
    corner = 0.03 if not d.unseen else y * 0.49
    ring = np.array(rectangle(x, y, corner, 6))
    levels = ((0.93, 0.0), (1.0, h), (0.97, h), (0.9, 0.006))
    parts = [part(loft([np.column_stack([ring * s, np.full(len(ring), z)]) for s, z in levels]))]
    for side in (-1, 1):
        loop = arc(0.045, 0, 180, 9, "yz") * [1, 1, 0.6] + [x * 0.485, 0, h]
        parts.append(part(tube(loop, 0.006, 8).scaled(side, 1, 1), d.pick(("metal", "main"))))
    return stand(parts, top=(x * 0.4, y * 0.4, 0.006))


def salt_shaker(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.019, 0.024), d.span(0.065, 0.085)
    body = [(0, 0), (r, 0), (r * 0.72, h), (0, h)]
    if d.unseen:
        body = [(0, 0), (r, 0), (r * 0.55, h * 0.45), (r * 0.8, h), (0, h)]
    cap = [(0, h), (r * 0.78, h), (r * 0.78, h + 0.008), (r * 0.55, h + 0.017), (0, h + 0.02)]
    look = d.pick(("glass", "white", "main", "main"))
    parts = [
        part(lathe(body, d.pick((8, 24))), look),
        part(lathe(cap, 20), "metal" if look != "main" else "second"),
    ]
    holes = [(0.0, 0.0), *((r * 0.35 * np.cos(a), r * 0.35 * np.sin(a)) for a in np.arange(6) * np.pi / 3)]
    parts += [
        part(cylinder(0.0016, 0.002, 6).moved(float(x), float(y), h + 0.0175), "dark") for x, y in holes
    ]
    return stand(parts)


def thermos(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.034, 0.042), d.span(0.19, 0.25)
    outline = [(r * 0.94, 0), (r, 0.006), (r, h), (r * 0.85, h + 0.014)]
    parts = [
        part(lathe([(0, 0), *outline, (0, h + 0.014)], 28)),
        part(band(outline, 0.002, h * 0.1), "metal"),
    ]
    parts.append(part(band(outline, h * 0.93, h), "metal"))
    cap = [
        (0, h + 0.012),
        (r * 0.85, h + 0.012),
        (r * d.pick((0.85, 0.7), (0.5,)), h + 0.065),
        (0, h + 0.068),
    ]
    parts.append(part(lathe(cap, 26), d.pick(("metal", "dark", "main"))))
    if d.unseen or d.chance(0.25):
        parts.append(part(_ear(r, h * 0.3, h * 0.85, 0.032, 0.012, True), "dark"))
    return stand(parts)


CATEGORIES: tuple[Category, ...] = (
    Category(
        "mug", WithMesh(mug, "mug"), "table", ("coffee mug", "tea mug"), ("beaker",), "tableware", CERAMICS
    ),
    Category(
        "cup",
        cup,
        "table",
        ("teacup", "cup and saucer", "coffee cup"),
        ("espresso cup",),
        "tableware",
        CERAMICS,
    ),
    Category(
        "drinking glass",
        drinking_glass,
        "table",
        ("tumbler", "water glass", "glass"),
        ("highball glass",),
        "tableware",
    ),
    Category("wine glass", wine_glass, "table", ("stemmed glass", "wineglass"), ("goblet",), "tableware"),
    Category(
        "plate", plate, "table", ("dish", "dinner plate"), ("platter",), "tableware", (*CERAMICS, "wood")
    ),
    Category(
        "bowl", bowl, "table", ("soup bowl", "cereal bowl"), ("salad bowl",), "tableware", (*CERAMICS, "wood")
    ),
    Category("fork", fork, "table", ("table fork", "dinner fork"), ("salad fork",), "cutlery"),
    Category("knife", knife, "table", ("kitchen knife", "chef's knife"), ("carving knife",), "cutlery"),
    Category("spoon", spoon, "table", ("tablespoon", "soup spoon"), ("teaspoon",), "cutlery"),
    Category("teapot", teapot, "table", ("tea pot",), ("tea server",), "tableware", CERAMICS),
    Category(
        "kettle",
        kettle,
        "table",
        ("water kettle", "electric kettle"),
        ("water boiler",),
        "cookware",
        ("metal", "plastic"),
    ),
    Category(
        "pot",
        pot,
        "table",
        ("cooking pot", "saucepan", "stockpot"),
        ("casserole",),
        "cookware",
        ("metal", "ceramic"),
    ),
    Category("frying pan", frying_pan, "table", ("pan", "skillet"), ("frypan",), "cookware", ("metal",)),
    Category(
        "bottle",
        WithMesh(bottle, "bottle"),
        "table",
        ("water bottle", "wine bottle"),
        ("drink bottle",),
        "container",
        ("plastic", "glass"),
    ),
    Category(
        "jar", jar, "table", ("jam jar", "glass jar"), ("preserving jar",), "container", ("metal", "plastic")
    ),
    Category("pitcher", pitcher, "table", ("jug", "water jug"), ("ewer",), "tableware", CERAMICS),
    Category(
        "tray",
        WithMesh(tray, "tray"),
        "table",
        ("serving tray",),
        ("salver",),
        "tableware",
        ("wood", "plastic", "metal"),
    ),
    Category(
        "cutting board",
        cutting_board,
        "table",
        ("chopping board",),
        ("butcher's board",),
        "cookware",
        ("wood", "plastic"),
    ),
    Category(
        "salt shaker",
        salt_shaker,
        "table",
        ("pepper shaker", "salt and pepper shaker"),
        ("saltcellar",),
        "tableware",
        ("ceramic", "metal"),
    ),
    Category(
        "wooden spoon",
        wooden_spoon,
        "table",
        ("cooking spoon", "stirring spoon"),
        ("mixing spoon",),
        "cookware",
    ),
    Category(
        "colander",
        colander,
        "table",
        ("strainer",),
        ("sieve",),
        "cookware",
        ("metal", "plastic"),
        held_out=True,
    ),
    Category(
        "thermos",
        thermos,
        "table",
        ("thermos flask", "vacuum flask"),
        ("insulated bottle",),
        "container",
        ("metal", "plastic"),
    ),
)
