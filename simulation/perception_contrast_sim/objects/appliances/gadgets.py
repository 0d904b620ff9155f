"""Electronics and other small things of a desk, a shelf and a bathroom."""

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
    superellipsoid,
    torus,
    tube,
)
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.geometry.small_parts import (
    Draw,
    Role,
    arc,
    bar,
    part,
    rectangle,
    slab,
    smooth,
    stand,
)
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.fixtures.decoration import (
    book,
    candle,
    comb,
    picture_frame,
    soap_dispenser,
    spray_bottle,
    stack_of_books,
    table_lamp,
    toothbrush,
)

PLASTICS = ("plastic", "metal")


def _keys(columns: int, rows: int, x: float, y: float, height: float, space: bool = True) -> TriangleMesh:
    """Key caps on a field of x by y metres about the origin; the front row has a long key."""
    pitch_x, pitch_y = x / columns, y / rows
    caps = []
    for row in range(rows):
        at = -y / 2 + (row + 0.5) * pitch_y
        for column in range(columns):
            middle = columns * 0.3 < column + 0.5 < columns * 0.7
            if row or not (space and middle):
                caps.append(
                    box(pitch_x * 0.82, pitch_y * 0.82, height).moved(-x / 2 + (column + 0.5) * pitch_x, at)
                )
        if row == 0 and space:
            caps.append(box(x * 0.38, pitch_y * 0.82, height).moved(0, at))
    return merged(caps)


def laptop(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y = d.span(0.3, 0.37), d.any(0.21, 0.25)
    tilt = d.any(8, 28) if not d.unseen else d.pick((-5, 50))
    look: Role = d.pick(("metal", "grey", "dark", "main"))
    base, lid = slab(x, y, 0.015, 0.012), slab(x, y, 0.007, 0.012)
    panel = [part(lid, look), part(box(x * 0.93, y * 0.9, 0.002).moved(z=0.007), "dark")]
    panel.append(
        part(
            box(x * 0.9, y * 0.84, 0.003).moved(z=0.0075),
            d.look(("screen", (0.15, 0.35, 0.65), (0.9, 0.92, 0.95))),
        )
    )
    panel = [
        Part(p.mesh.moved(0, y / 2).turned("x", 90 - tilt).moved(0, y / 2, 0.014), p.role) for p in panel
    ]
    keys = _keys(13, 5, x * 0.86, y * 0.44, 0.003).moved(0, y * 0.17, 0.016)
    pad = box(x * 0.32, y * 0.28, 0.001).moved(0, -y * 0.28, 0.0152)
    return stand(
        [part(base, look), part(keys, "dark" if look != "dark" else "grey"), part(pad, "grey"), *panel]
    )


def computer_mouse(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.056, 0.066), d.span(0.095, 0.115), d.any(0.032, 0.04)
    shell = superellipsoid(x, y, h * 2, 0.7 if not d.unseen else 0.35, 0.8, 20)
    v = shell.vertices.copy()
    v[:, 2] = np.maximum(v[:, 2], -0.004) * (1 - 0.25 * np.clip(-v[:, 1] / y * 2, 0, 1) ** 2)
    look: Role = d.pick(("dark", "white", "main"))
    contrast: Role = "grey" if look == "dark" else "dark"
    seam = tube([(0, -y * 0.49, h * 0.3), (0, -y * 0.35, h * 0.68), (0, -y * 0.05, h * 0.985)], 0.0012, 6)
    wheel = cylinder(0.009, 0.007, 16).turned("y", 90).moved(-0.0035, -y * 0.26, h * 0.74)
    parts = [part(TriangleMesh(v, shell.faces, shell.uv), look), part(seam, contrast), part(wheel, contrast)]
    if d.chance(0.5):
        cable = [(0, -y * 0.48, 0.004), (0.01, -y * 0.8, 0.002), (-0.02, -y * 1.15, 0.002)]
        parts.append(part(tube(smooth(cable, 8), 0.002, 6), "dark"))
    return stand(parts)


def keyboard(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y = d.span(0.36, 0.44), d.any(0.125, 0.15)
    look: Role = d.pick(("dark", "white", "main", "grey"))
    keys: Role = (
        d.pick(("grey", "white"))
        if look == "dark"
        else d.pick(("dark", "white" if look != "white" else "grey"))
    )
    parts = [part(slab(x, y, 0.016, 0.008), look)]
    share = 0.74 if not d.unseen else 0.96
    parts.append(
        part(_keys(14, 5, x * share, y * 0.78, 0.008).moved(-x * (0.97 - share) / 2, -y * 0.04, 0.018), keys)
    )
    if not d.unseen:
        parts.append(
            part(_keys(4, 5, x * 0.19, y * 0.78, 0.008, False).moved(x * 0.385, -y * 0.04, 0.018), keys)
        )
    return stand(parts)


def phone(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y = d.span(0.068, 0.077), d.span(0.14, 0.16)
    if d.unseen and d.chance(0.5):
        keys = _keys(3, 4, x * 0.55, y * 0.38, 0.004, False).moved(0, -y * 0.22, 0.014)
        parts = [part(slab(x * 0.75, y, 0.014, 0.014)), part(keys, "white")]
        return stand([*parts, part(box(x * 0.58, y * 0.32, 0.002).moved(0, y * 0.24, 0.0142), "screen")])
    parts = [part(slab(x, y, 0.008, 0.01), d.pick(("main", "dark", "metal")))]
    if d.chance(0.35):
        parts.append(part(slab(x * 0.42, x * 0.42, 0.002, 0.008).moved(-x * 0.22, y * 0.35, 0.008), "grey"))
        for a, b in ((-0.32, 0.39), (-0.12, 0.39), (-0.32, 0.3)):
            parts.append(part(cylinder(0.0055, 0.0035, 14).moved(a * x, b * y, 0.008), "dark"))
        return stand(parts)
    parts.append(part(slab(x * 0.95, y * 0.97, 0.0008, 0.008).moved(z=0.008), "dark"))
    parts.append(
        part(
            box(x * 0.9, y * 0.9, 0.001).moved(z=0.0087),
            d.look(("screen", (0.2, 0.4, 0.75), (0.85, 0.9, 0.95))),
        )
    )
    icons = [
        slab(0.01, 0.01, 0.0004, 0.002).moved((k % 4 - 1.5) * x * 0.21, (k // 4 - 2) * y * 0.15, 0.0092)
        for k in range(20)
    ]
    if d.chance(0.6):
        half = [merged(icons[k::2]) for k in (0, 1)]
        parts += [part(half[0], "second"), part(half[1], (0.3, 0.75, 0.4))]
    return stand(parts)


def remote_control(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, y, h = d.span(0.042, 0.052), d.span(0.16, 0.2), 0.02
    look: Role = d.pick(("dark", "dark", "grey", "white"))
    keys: Role = "grey" if look == "dark" else "dark"
    body = (
        slab(x, y, h, 0.01)
        if not d.unseen
        else superellipsoid(x * 1.15, y, h * 2, 0.6, 0.25).moved(z=h * 0.1)
    )
    top = h if not d.unseen else h * 1.08
    parts = [
        part(body, look),
        part(cylinder(0.006, 0.003, 14).moved(-x * 0.3, y * 0.43, top), (0.85, 0.1, 0.1)),
    ]
    caps = [
        box(0.008, 0.006, 0.004).moved((k % 3 - 1) * x * 0.28, y * 0.32 - (k // 3) * 0.0115, top)
        for k in range(12)
    ]
    ring = torus(x * 0.27, 0.006, 20, 6).moved(0, -y * 0.13, top + 0.001)
    parts += [
        part(merged(caps), keys),
        part(ring, keys),
        part(cylinder(0.006, 0.004, 14).moved(0, -y * 0.13, top), keys),
    ]
    for k, tint in enumerate(((0.85, 0.1, 0.1), (0.1, 0.65, 0.2), (0.95, 0.8, 0.1), (0.1, 0.3, 0.8))):
        parts.append(part(box(0.006, 0.006, 0.004).moved((k - 1.5) * x * 0.21, -y * 0.3, top), tint))
    return stand(parts)


def headphones(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, size = d.span(0.07, 0.082), d.any(0.03, 0.038) if not d.unseen else d.pick((0.022, 0.045))
    band = tube(arc(r, -5, 185, 18) * [1, 1, 1.15], 0.007, 8).scaled(1, 1.6, 1)
    look: Role = d.pick(("dark", "main", "white"))
    parts = [
        part(band, look),
        part(tube(arc(r - 0.008, 40, 140, 12) * [1, 1, 1.15], 0.007, 8).scaled(1, 2, 1), "dark"),
    ]
    for side in (-1, 1):
        shell = lathe([(0, 0), (size, 0), (size, 0.012), (size * 0.7, 0.022), (0, 0.024)], 22).turned(
            "y", 90 * side
        )
        cushion = torus(size * 0.75, size * 0.55, 22, 8).turned("y", 90)
        parts += [
            part(shell.scaled(1, 1, 1.2).moved(side * r, 0, -size * 0.9), d.pick(("main", "main", look)))
        ]
        parts.append(part(cushion.scaled(1, 1, 1.2).moved(side * (r - size * 0.15), 0, -size * 0.9), "dark"))
    return stand([Part(p.mesh.turned("x", -14), p.role) for p in parts])


def camera(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    x, h, y = d.span(0.11, 0.14), d.span(0.07, 0.085), 0.045
    look: Role = d.pick(("dark", "dark", "metal", "main"))
    parts = [part(slab(x, y, h, 0.01), look)]
    r, long = d.any(0.027, 0.034), d.any(0.035, 0.06) if not d.unseen else d.pick((0.015, 0.11))
    barrel = lathe(
        [
            (0, 0),
            (r, 0),
            (r, long * 0.4),
            (r * 1.08, long * 0.42),
            (r * 1.08, long),
            (r * 0.9, long),
            (r * 0.8, long * 0.85),
            (0, long * 0.85),
        ],
        26,
    )
    parts.append(part(barrel.turned("x", 90).moved(0, -y / 2, h * 0.46), "dark"))
    glass = ellipsoid(r * 1.5, r * 1.5, 0.01, 18).turned("x", 90).moved(0, -y / 2 - long * 0.86, h * 0.46)
    parts.append(part(glass, (0.12, 0.1, 0.3)))
    parts.append(
        part(torus(r * 1.06, 0.003, 24, 6).turned("x", 90).moved(0, -y / 2 - long * 0.6, h * 0.46), "metal")
    )
    if d.chance(0.7):
        hump = loft(
            [
                np.column_stack([np.array(rectangle(w, y, 0.008)), np.full(20, z)])
                for w, z in ((x * 0.5, h), (x * 0.34, h + 0.02))
            ]
        )
        parts.append(part(hump, look))
    parts += [
        part(cylinder(0.008, 0.008, 16).moved(-x * 0.36, 0, h), "metal"),
        part(cylinder(0.01, 0.006, 18).moved(x * 0.36, 0, h), "dark"),
    ]
    parts.append(part(box(0.018, 0.002, 0.012).moved(x * 0.36, -y / 2, h * 0.85), "white"))
    return stand(parts)


def _digital_clock(r: float, y: float) -> ObjectModel:
    x, h = r * 2.4, r * 1.5
    parts = [
        part(slab(x, y, h, 0.01)),
        part(box(x * 0.88, 0.003, h * 0.7).moved(0, -y / 2, h / 2), "dark"),
    ]
    segments = [
        ((0, 1), 1),
        ((0, 0.5), 1),
        ((0, 0), 1),
        ((-0.5, 0.75), 0),
        ((0.5, 0.25), 0),
        ((0.5, 0.75), 0),
    ]
    for k in range(4):
        left = (k - 1.5) * x * 0.19 + (0.006 if k > 1 else -0.006)
        for (a, b), flat in segments[k % 2 :]:
            size = (x * 0.09, 0.004, 0.004) if flat else (0.004, 0.004, h * 0.2)
            parts.append(
                part(box(*size).moved(left + a * x * 0.1, -y / 2, h * (0.28 + 0.44 * b)), (0.95, 0.15, 0.1))
            )
    return stand(parts)


def alarm_clock(rng: np.random.Generator, unseen: bool) -> ObjectModel:
    d = Draw(rng, unseen)
    r, y = d.span(0.045, 0.058), d.any(0.035, 0.05)
    if d.unseen:
        return _digital_clock(r, y)
    case = lathe(
        [
            (0, 0),
            (r, 0),
            (r * 1.04, y * 0.3),
            (r * 1.04, y),
            (r * 0.92, y),
            (r * 0.92, y * 0.85),
            (0, y * 0.85),
        ],
        28,
    )
    parts = [
        part(case.turned("x", 90).moved(0, y / 2)),
        part(cylinder(r * 0.91, 0.002, 28).turned("x", 90).moved(0, -y * 0.36), "white"),
    ]
    front = -y * 0.36 - 0.003
    for k in range(12):
        mark = box(0.003, 0.002, 0.009).moved(0, front, r * 0.76).turned("y", 30 * k)
        parts.append(part(mark, "dark"))
    for turn, length in ((d.any(0, 360), 0.5), (d.any(0, 360), 0.75)):
        parts.append(
            part(
                box(0.004, 0.002, r * length).moved(0, front - 0.001, r * length / 2).turned("y", turn),
                "dark",
            )
        )
    bells = d.chance(0.75)
    for side in (-1, 1):
        leg = bar((side * r * 0.55, 0, -r * 0.8), (side * r * 0.8, 0, -r * 1.18), 0.005)
        parts.append(part(leg, "metal"))
        if bells:
            bell = lathe(
                [(0.019, 0), (0.017, 0.008), (0.01, 0.015), (0, 0.017), (0, 0.013), (0.017, 0)][:4], 20
            )
            parts.append(part(bell.moved(z=r * 1.08).turned("y", side * 32), "brass"))
    if bells:
        parts.append(part(tube(arc(r * 0.34, 0, 180, 9) + np.array([0, 0, r * 1.18]), 0.0028, 6), "metal"))
    return stand(parts)


CATEGORIES: tuple[Category, ...] = (
    Category(
        "laptop",
        laptop,
        "table",
        ("laptop computer", "notebook computer"),
        ("portable computer",),
        "electronics",
        PLASTICS,
    ),
    Category(
        "computer mouse",
        computer_mouse,
        "table",
        ("mouse", "wireless mouse"),
        ("pointing device",),
        "electronics",
        ("plastic",),
    ),
    Category(
        "keyboard", keyboard, "table", ("computer keyboard",), ("typing keyboard",), "electronics", PLASTICS
    ),
    Category(
        "phone",
        phone,
        "table",
        ("mobile phone", "smartphone", "cell phone"),
        ("telephone handset",),
        "electronics",
        PLASTICS,
    ),
    Category(
        "remote control",
        remote_control,
        "table",
        ("TV remote", "remote"),
        ("television controller",),
        "electronics",
    ),
    Category(
        "headphones",
        headphones,
        "table",
        ("headset", "over-ear headphones"),
        ("earphones",),
        "electronics",
        PLASTICS,
        True,
    ),
    Category(
        "camera",
        camera,
        "table",
        ("photo camera", "digital camera"),
        ("photographic camera",),
        "electronics",
        PLASTICS,
    ),
    Category(
        "alarm clock",
        alarm_clock,
        "table",
        ("bedside clock", "desk clock"),
        ("wake-up clock",),
        "electronics",
        PLASTICS,
    ),
    Category(
        "table lamp",
        table_lamp,
        "table",
        ("desk lamp", "bedside lamp"),
        ("reading lamp",),
        "lamp",
        ("fabric", "metal"),
    ),
    Category("candle", candle, "table", ("wax candle", "burning candle"), ("taper",), "decoration"),
    Category(
        "book", book, "table", ("hardcover book", "novel"), ("textbook",), "stationery", ("paper", "leather")
    ),
    Category(
        "stack of books",
        stack_of_books,
        "table",
        ("pile of books", "books"),
        ("heap of books",),
        "stationery",
        ("paper",),
    ),
    Category(
        "picture frame",
        picture_frame,
        "table",
        ("photo frame", "framed photo"),
        ("photograph in a frame",),
        "decoration",
        ("wood", "metal"),
    ),
    Category(
        "spray bottle",
        spray_bottle,
        "table",
        ("cleaning spray", "spray can bottle"),
        ("atomizer",),
        "container",
        ("plastic",),
    ),
    Category(
        "soap dispenser",
        soap_dispenser,
        "table",
        ("liquid soap", "soap bottle"),
        ("soap pump",),
        "container",
        ("plastic", "ceramic"),
    ),
    Category(
        "toothbrush",
        toothbrush,
        "table",
        ("tooth brush",),
        ("dental brush",),
        "hygiene article",
        ("plastic",),
    ),
    Category(
        "comb",
        comb,
        "table",
        ("hair comb", "pocket comb"),
        ("grooming comb",),
        "hygiene article",
        ("plastic", "wood"),
    ),
)
