"""What hangs on walls: pictures, mirrors, clocks, switches, boards."""

from __future__ import annotations

import numpy as np

from .geometry import box, merged, torus
from .objects import Category, ObjectModel, Part
from .shapes import RGB, Draw, Role, block, disc, frame, oval, pad, sheet, stick


def _art(d: Draw, width: float, height: float, y: float) -> list[Part]:
    """A picture: a ground and blobs, bands or a landscape, each slightly before the other."""

    def tone() -> RGB:
        return (d.size((0.1, 0.95)), d.size((0.1, 0.9)), d.size((0.1, 0.9)))

    parts = [Part(box(width, 0.004, height).moved(0, y - 0.002), d.pick((tone(), (0.93, 0.9, 0.83))))]
    kind = d.pick(("blobs", "bands", "landscape"), ("blobs", "tiles"))
    for k in range(d.pick((4, 6, 8))):
        at = y - 0.004 - 0.001 * k
        w, h = d.size((0.15, 0.45)) * width, d.size((0.15, 0.45)) * height
        x, z = d.size((-0.5, 0.5)) * (width - w), d.size((-0.5, 0.5)) * (height - h)
        if kind == "landscape":
            h = height * (0.85 - 0.1 * k)
            mesh = box(width, 0.002, h).moved(0, at, (h - height) / 2)
        elif kind == "blobs":
            mesh = sheet(oval(w, h, count=15), at, 0.002).moved(x, 0, z)
        else:
            mesh = box(width if kind == "bands" else w, 0.002, h * 0.5).moved(
                0 if kind == "bands" else x, at, z
            )
        parts.append(Part(mesh, tone()))
    return parts


def painting(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, height = d.size((0.3, 0.9)), d.size((0.3, 0.75))
    rim = d.size((0.02, 0.05), (0.06, 0.1))
    role: Role = d.pick(("main", "wood", "dark", "brass", "white"))
    inner = (width - 2 * rim, height - 2 * rim)
    parts = [
        Part(merged(frame(width, height, rim, 0.035, (0, -0.018, 0))), role),
        Part(box(inner[0], 0.01, inner[1]).moved(0, -0.005), "paper"),
    ]
    if d.chance(0.4):
        inner = (inner[0] * 0.75, inner[1] * 0.75)
    return ObjectModel((*parts, *_art(d, *inner, -0.01)))


def mirror(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    style = d.pick(("rectangle", "round"), ("oval", "arched"))
    width, height = d.size((0.4, 0.7)), d.size((0.55, 1.0))
    if style == "round":
        width = height = d.size((0.45, 0.75))
    if style == "rectangle":
        outline = [
            (-width / 2, -height / 2),
            (width / 2, -height / 2),
            (width / 2, height / 2),
            (-width / 2, height / 2),
        ]
    elif style == "arched":
        bow = [(x, z + (height - width) / 2) for x, z in oval(width, width, 0, 180, 17)]
        outline = [(-width / 2, -height / 2), (width / 2, -height / 2), *bow]
    else:
        outline = oval(width, height)
    share = 1 - d.size((0.03, 0.08))
    inner = [(x * share, z * (1 - (1 - share) * width / height)) for x, z in outline]
    role: Role = d.pick(("main", "brass", "metal", "wood", "dark"))
    silver: RGB = d.pick(((0.7, 0.76, 0.79), (0.6, 0.66, 0.7), (0.78, 0.82, 0.84)))
    parts = [Part(sheet(outline, 0, 0.02), role), Part(sheet(inner, -0.02, 0.002), silver)]
    glints = []
    for shift, thick in ((-0.08, 0.05), (0.04, 0.02)):
        glint = box(thick * width * 2, 0.001, min(width, height) * 0.55).turned("y", 40)
        glints.append(glint.moved(shift * width, -0.0228, height * 0.05))
    return ObjectModel((*parts, Part(merged(glints), (0.88, 0.92, 0.94))))


def wall_clock(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, square = d.size((0.12, 0.19)), unseen and d.chance(0.6)
    if square:
        case, dial = (
            pad(2 * r, 0.04, 2 * r, (0, -0.02, -r), 0.015),
            box(1.8 * r, 0.004, 1.8 * r).moved(0, -0.042),
        )
    else:
        case = merged([disc(r, 0.03, (0, 0, 0), 32), torus(r, 0.03, 32, 8).turned("x", 90).moved(0, -0.03)])
        dial = disc(r * 0.96, 0.004, (0, -0.03, 0), 32)
    face = d.pick(("white", "paper")) if not unseen or square else d.pick(("dark", "wood"))
    ink: Role = "white" if face in ("dark", "wood") else "dark"
    y = -0.046 if square else -0.036
    marks = []
    for k in range(12):
        long = 0.14 if k % 3 == 0 else 0.08
        marks.append(box(0.05 * r, 0.003, long * r).moved(0, y, r * 0.8).turned("y", 30 * k))
    minute, hour = d.size((0, 360)), d.size((0, 360))
    hands = [block(0.05 * r, 0.003, 0.72 * r, (0, y - 0.003, -0.08 * r)).turned("y", minute)]
    hands += [
        block(0.08 * r, 0.003, 0.5 * r, (0, y - 0.006, -0.06 * r)).turned("y", hour),
        disc(0.07 * r, 0.01, (0, y, 0), 12),
    ]
    return ObjectModel((Part(case), Part(dial, face), Part(merged(marks + hands), ink)))


def light_switch(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    count, side = d.pick((1, 2), (3, 4)), d.size((0.08, 0.09))
    plate = pad(side * count, 0.01, side, (0, -0.005, -side / 2), 0.004)
    keys, joints = [], []
    for k in range(count):
        x = (k + 0.5 - count / 2) * side
        keys.append(box(side * 0.62, 0.008, side * 0.68).turned("x", d.pick((-5, 5))).moved(x, -0.012))
        joints.append(box(side * 0.68, 0.003, side * 0.74).moved(x, -0.0095))
    colors: tuple[str | None, ...] = ("white", "white", "black", "grey")
    return ObjectModel((Part(plate), Part(merged(joints), "dark"), Part(merged(keys))), color=d.pick(colors))


def power_outlet(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    count, side = d.pick((1, 2), (3,)), d.size((0.08, 0.09))
    plate = pad(side * count, 0.012, side, (0, -0.006, -side / 2), 0.004)
    wells, holes = [], []
    for k in range(count):
        x = (k + 0.5 - count / 2) * side
        wells.append(disc(side * 0.26, 0.002, (x, -0.012, 0), 24))
        holes += [disc(side * 0.04, 0.002, (x + s * side * 0.12, -0.0138, 0), 10) for s in (-1, 1)]
    rims = [
        torus(side * 0.26, 0.005, 24, 5).turned("x", 90).moved((k + 0.5 - count / 2) * side, -0.013)
        for k in range(count)
    ]
    return ObjectModel(
        (Part(merged([plate, *rims])), Part(merged(wells), "grey"), Part(merged(holes), (0.03, 0.03, 0.03))),
        color=d.pick(("white", "white", "black")),
    )


def whiteboard(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, height = d.size((0.9, 1.6), (0.5, 0.75)), d.size((0.7, 1.0))
    parts = [
        Part(box(width, 0.015, height).moved(0, -0.008), "white"),
        Part(merged(frame(width, height, 0.025, 0.025, (0, -0.013, 0))), d.pick(("metal", "grey", "wood"))),
    ]
    inks: tuple[RGB, ...] = ((0.1, 0.2, 0.7), (0.75, 0.1, 0.1), (0.05, 0.05, 0.05), (0.1, 0.5, 0.2))
    for _ in range(d.pick((2, 3))):
        path = [(d.size((-0.42, 0.42)) * width, -0.0165, d.size((-0.4, 0.4)) * height)]
        lines = []
        for _ in range(d.pick((4, 7, 10))):
            x, _y, z = path[-1]
            new = (
                float(np.clip(x + d.size((-0.2, 0.2)), -0.45 * width, 0.45 * width)),
                -0.0165,
                float(np.clip(z + d.size((-0.12, 0.12)), -0.43 * height, 0.43 * height)),
            )
            lines.append(stick(path[-1], new, 0.004, 5))
            path.append(new)
        parts.append(Part(merged(lines), d.pick(inks)))
    tray = [block(width * 0.5, 0.06, 0.012, (0, -0.04, -height / 2 - 0.005))]
    pens = [
        stick((x, -0.045, -height / 2 + 0.016), (x + 0.12, -0.045, -height / 2 + 0.016), 0.009)
        for x in (-0.15, 0.03)
    ]
    parts += [Part(merged(tray), "grey"), Part(merged(pens), d.pick(inks))]
    return ObjectModel(tuple(parts), color="white")


def air_conditioner(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    width, height, depth = d.size((0.75, 0.95)), d.size((0.26, 0.31), (0.36, 0.42)), d.size((0.18, 0.23))
    body = pad(width, depth, height, (0, -depth / 2, -height / 2), 0.05 if not unseen else 0.02)
    slot = box(width * 0.86, 0.02, height * 0.16).moved(0, -depth + 0.004, -height * 0.3)
    vanes = [
        box(width * 0.84, 0.03, 0.006).turned("x", 30).moved(0, -depth - 0.002, -height * z)
        for z in (0.26, 0.34)
    ]
    parts = [Part(body), Part(slot, "dark"), Part(merged(vanes))]
    parts.append(Part(box(0.06, 0.006, 0.02).moved(width * 0.33, -depth, 0.02), "screen"))
    if unseen:
        grille = [
            box(width * 0.8, 0.008, 0.008).moved(0, -depth, height * z) for z in np.linspace(0.05, 0.4, 8)
        ]
        parts.append(Part(merged(grille), "grey"))
    return ObjectModel(tuple(parts), color="white")


CATEGORIES: tuple[Category, ...] = (
    Category(
        "painting",
        painting,
        "wall",
        ("picture on the wall", "artwork", "wall art"),
        ("canvas in a frame",),
        "decoration",
    ),
    Category("mirror", mirror, "wall", ("wall mirror", "looking glass"), ("hanging mirror",), "decoration"),
    Category(
        "wall clock",
        wall_clock,
        "wall",
        ("clock", "clock on the wall"),
        ("analogue clock",),
        "decoration",
        ("plastic", "wood", "metal"),
    ),
    Category("light switch", light_switch, "wall", ("switch", "wall switch"), ("lamp switch",), "fixture"),
    Category(
        "power outlet",
        power_outlet,
        "wall",
        ("socket", "wall socket", "electric outlet"),
        ("plug socket",),
        "fixture",
    ),
    Category(
        "whiteboard", whiteboard, "wall", ("marker board", "dry-erase board"), ("writing board",), "fixture"
    ),
    Category(
        "air conditioner",
        air_conditioner,
        "wall",
        ("air conditioning unit", "AC unit"),
        ("wall-mounted cooler",),
        "appliance",
    ),
)
