"""Categories of everyday things: vases, plants, globes; music and sport, gadgets, tools, clothing."""

from __future__ import annotations

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    TriangleMesh,
    cylinder,
    ellipsoid,
    lathe,
    loft,
    merged,
    torus,
    tube,
)
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.geometry.small_parts import Draw, Role, arc, bar, part, smooth, stand, vessel
from perception_contrast_sim.objects.appliances import gadgets
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.small import clothing_and_textiles, tools
from perception_contrast_sim.objects.small.leisure import ball, basketball, guitar, trophy


def vase(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.05, 0.075), d.span(0.2, 0.28)
    seen = (
        [(0.5, 0), (1, 0.35), (0.95, 0.5), (0.42, 0.82), (0.6, 1)],
        [(0.6, 0), (0.55, 0.2), (0.9, 0.75), (0.55, 0.93), (0.65, 1)],
    )
    unseen_forms = ([(0.9, 0), (0.9, 0.5), (0.32, 0.56), (0.32, 1)], [(0.5, 0), (0.3, 0.12), (0.95, 1.0)])
    points = d.pick(seen, unseen_forms)
    curve = (
        smooth([(q * r, 0, z * h) for q, z in points], 14)
        if not d.unseen
        else np.array([(q * r, 0, z * h) for q, z in points])
    )
    outline = [(float(q), float(z)) for q, _, z in curve]
    parts = [part(vessel(outline, 0.004, 30))]
    if d.chance(0.35):
        parts.append(
            part(
                torus(float(np.interp(h * 0.35, curve[:, 2], curve[:, 0])), 0.006, 30, 6).moved(z=h * 0.35),
                "second",
            )
        )
    if d.chance(0.55):
        blooms, stems, leaves = [], [], []
        for k in range(d.count(3, 6)):
            tip = np.array([0.07 * np.cos(2.4 * k), 0.07 * np.sin(2.4 * k), h + d.any(0.09, 0.17)])
            stems.append(
                tube(smooth([(0, 0, h * 0.5), (tip[0] * 0.3, tip[1] * 0.3, h), tip.tolist()], 6), 0.0025, 5)
            )
            petals = [
                ellipsoid(0.034, 0.02, 0.009, 8).moved(0.019).turned("y", -18).turned("z", 60 * j)
                for j in range(6)
            ]
            blooms.append(merged(petals).moved(*tip))
            leaves.append(
                ellipsoid(0.05, 0.018, 0.005, 8)
                .turned("y", -40)
                .moved(0.02)
                .turned("z", 137 * k)
                .moved(tip[0] * 0.4, tip[1] * 0.4, h + 0.03)
            )
            parts.append(part(ellipsoid(0.016, 0.016, 0.012, 8).moved(*tip), (0.95, 0.8, 0.2)))
        bloom: Role = d.pick(((0.9, 0.25, 0.35), (0.95, 0.95, 0.9), (0.75, 0.4, 0.8), (0.98, 0.75, 0.15)))
        parts += [part(merged(blooms), bloom), part(merged([*stems, *leaves]), "leaf")]
    return stand(parts)


def _frond(length: float, width: float, rise: float, droop: float) -> TriangleMesh:
    """A long leaf from the origin along x that rises and bends over."""
    t = np.linspace(0, 1, 7)
    x, z = length * t * (0.45 + 0.55 * t), rise * np.sin(t * np.pi * 0.6) - droop * t**3
    half = width / 2 * np.sin(np.pi * np.clip(t * 0.93 + 0.07, 0, 1)) ** 0.7 + 0.001
    rings = [
        np.array([(a, -w, b), (a, 0, b - w * 0.3), (a, w, b), (a, 0, b + 0.002)])
        for a, b, w in zip(x, z, half, strict=True)
    ]
    return loft(rings)


def _fern(d: Draw, h: float) -> list[TriangleMesh]:
    foliage: list[TriangleMesh] = []
    for k in range(16):
        foliage.append(
            _frond(d.any(0.14, 0.26), 0.035, d.any(0.12, 0.24), d.any(0.02, 0.14))
            .turned("z", 137.5 * k)
            .moved(z=h * 0.88)
        )
    return foliage


def _spears(d: Draw, h: float) -> list[TriangleMesh]:
    foliage: list[TriangleMesh] = []
    for k in range(9):
        blade = _frond(d.any(0.2, 0.36), 0.045, 0.05, 0.0).turned("y", -d.any(55, 78)).turned("z", 137.5 * k)
        foliage.append(blade.moved(0.02 * float(np.cos(k)), 0.02 * float(np.sin(k)), h * 0.86))
    return foliage


def _bush(d: Draw, h: float) -> list[TriangleMesh]:
    foliage: list[TriangleMesh] = []
    for k in range(34):
        a, up = np.radians(137.5 * k), d.any(0.05, 0.26)
        q = 0.1 * np.sqrt(1 - ((up - 0.14) / 0.16) ** 2)
        leaf = (
            ellipsoid(0.08, 0.05, 0.006, 7).turned("y", -d.any(5, 60)).turned("z", 137.5 * k + d.any(-30, 30))
        )
        foliage.append(leaf.moved(float(q * np.cos(a)), float(q * np.sin(a)), h + up))
    foliage += [
        bar((0, 0, h * 0.85), (0.05 * float(np.cos(k)), 0.05 * float(np.sin(k)), h + 0.17), 0.003, 5)
        for k in range(5)
    ]
    return foliage


def _cactus(r: float, h: float, tall: float) -> list[TriangleMesh]:
    rib = [(r * 0.42 * (1 + 0.12 * (-1) ** k), 2 * np.pi * k / 24) for k in range(24)]
    rings = [
        np.array([(q * s * np.cos(a), q * s * np.sin(a), h * 0.85 + z * tall) for q, a in rib])
        for s, z in ((0.9, 0), (1, 0.3), (1, 0.75), (0.75, 0.93), (0.2, 1.0))
    ]
    arm = smooth([(0, 0, h + tall * 0.3), (r * 0.75, 0, h + tall * 0.32), (r * 0.85, 0, h + tall * 0.65)], 8)
    return [
        loft(rings),
        tube(arm, [*([r * 0.2] * 7), r * 0.08], 10),
        tube(arm * [-1, 1, 1] + np.array([0, 0, tall * 0.15]), [*([r * 0.17] * 7), r * 0.07], 10),
    ]


def potted_plant(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, h = d.span(0.06, 0.09), d.any(0.09, 0.14)
    pot = vessel([(r * 0.7, 0), (r * 0.95, h * 0.8), (r * 1.06, h * 0.8), (r * 1.06, h)], 0.005, 28)
    parts = [
        part(pot, d.look(((0.7, 0.36, 0.2), "main", "main", "white"))),
        part(lathe([(r * 0.95, h * 0.88), (0, h * 0.9)], 24), (0.2, 0.13, 0.08)),
    ]
    green: Role = d.look(("leaf", (0.22, 0.55, 0.2), (0.35, 0.55, 0.25)))
    style = d.pick(("fern", "spears", "bush"), ("cactus", "tree"))
    if style == "fern":
        foliage = _fern(d, h)
    elif style == "spears":
        foliage = _spears(d, h)
    elif style == "bush":
        foliage = _bush(d, h)
    elif style == "cactus":
        tall = d.any(0.14, 0.24)
        foliage = _cactus(r, h, tall)
        parts.append(part(ellipsoid(0.03, 0.03, 0.02, 10).moved(z=h * 0.86 + tall), (0.9, 0.3, 0.5)))
    else:
        parts.append(
            part(
                tube(smooth([(0, 0, h * 0.85), (0.012, 0, h + 0.1), (-0.006, 0, h + 0.24)], 8), 0.008, 8),
                (0.35, 0.24, 0.14),
            )
        )
        foliage = [
            ellipsoid(0.17, 0.17, 0.14, 12).moved(
                0.045 * float(np.cos(2.1 * k)), 0.045 * float(np.sin(2.1 * k)), h + 0.24 + 0.035 * k
            )
            for k in range(4)
        ]
    return stand([*parts, part(merged(foliage), green)])


def globe(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r = d.span(0.1, 0.13)
    sea, land = (0.18, 0.42, 0.72), d.pick(((0.35, 0.6, 0.25), (0.75, 0.65, 0.35)))
    if d.unseen and d.chance(0.5):
        sea, land = (0.82, 0.72, 0.5), (0.6, 0.4, 0.2)
    earth: list[TriangleMesh] = []
    patches = (
        (60, -100, 0.9, 0.8),
        (45, -95, 0.6, 0.5),
        (-10, -60, 0.45, 0.7),
        (-30, -65, 0.25, 0.5),
        (10, 20, 0.6, 0.5),
        (-12, 25, 0.35, 0.6),
        (55, 60, 1.3, 0.7),
        (35, 95, 0.7, 0.6),
        (50, 15, 0.5, 0.35),
        (-25, 135, 0.5, 0.35),
        (75, -40, 0.4, 0.25),
    )
    for latitude, longitude, wide, tall in patches:
        patch = ellipsoid(0.1 * r, wide * r * 0.9, tall * r * 0.9, 12)
        v = patch.vertices.copy() + np.array([r, 0, 0])
        v *= (1.012 * r / np.linalg.norm(v, axis=1))[:, None] * np.where(v[:, :1] > r, 1.0, 0.985)
        earth.append(TriangleMesh(v, patch.faces, patch.uv).turned("y", -latitude).turned("z", longitude))
    ball = [
        part(ellipsoid(2 * r, 2 * r, 2 * r, 26), sea),
        part(merged(earth).turned("z", d.any(0, 360)), land),
    ]
    ball.append(
        part(
            merged([cylinder(0.01, 0.02, 12).moved(z=r), cylinder(0.01, 0.02, 12).moved(z=-r - 0.02)]),
            "brass",
        )
    )
    ball = [Part(p.mesh.turned("y", 23), p.role) for p in ball]
    look: Role = d.pick(("brass", "metal", "wood"))
    ring = tube(arc(r * 1.11, -113, 67, 18), 0.007, 8)
    foot = lathe(
        [(0, 0), (r * 0.62, 0), (r * 0.6, 0.014), (0.014, 0.03), (0.012, r * 0.32), (0, r * 0.32)], 24
    ).moved(z=-r * 1.42)
    return stand([*ball, part(ring, look), part(foot, d.pick((look, "wood", "dark")))])


CATEGORIES: tuple[Category, ...] = (
    *gadgets.CATEGORIES,
    *tools.CATEGORIES,
    *clothing_and_textiles.CATEGORIES,
    Category(
        "vase",
        vase,
        "table",
        ("flower vase", "vase of flowers"),
        ("urn",),
        "decoration",
        ("ceramic", "glass"),
    ),
    Category(
        "potted plant",
        potted_plant,
        "table",
        ("houseplant", "plant", "pot plant"),
        ("indoor plant",),
        "decoration",
        ("ceramic", "plastic"),
    ),
    Category(
        "globe",
        globe,
        "table",
        ("world globe", "earth globe"),
        ("terrestrial globe",),
        "decoration",
        (),
        True,
    ),
    Category("trophy", trophy, "table", ("award cup", "winner's cup"), ("championship cup",), "decoration"),
    Category(
        "guitar",
        guitar,
        "floor",
        ("acoustic guitar",),
        ("six-string",),
        "musical instrument",
        ("wood",),
        True,
    ),
    Category(
        "ball",
        ball,
        "floor",
        ("rubber ball", "play ball"),
        ("bouncy ball",),
        "sports equipment",
        ("rubber", "plastic"),
    ),
    Category("basketball", basketball, "floor", ("basket ball",), ("NBA ball",), "sports equipment"),
)
