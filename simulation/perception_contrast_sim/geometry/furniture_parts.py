"""Pieces that furniture, appliances and fixtures share: random draws, blocks, legs, fronts and handles.

Lengths in metres, z up, fronts towards -y.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from perception_contrast_sim.geometry.meshes import (
    TriangleMesh,
    box,
    cylinder,
    ellipsoid,
    lathe,
    merged,
    prism,
    rounded_box,
    tube,
)
from perception_contrast_sim.geometry.object_model import Part

T = TypeVar("T")
Point = tuple[float, float, float]
Range = tuple[float, float]
RGB = tuple[float, float, float]
Role = str | RGB
ORIGIN: Point = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Draw:
    """Random choices whose ranges differ between the shapes of training and the unseen ones."""

    rng: np.random.Generator
    unseen: bool

    def size(self, seen: Range, unseen: Range | None = None) -> float:
        low, high = unseen if self.unseen and unseen is not None else seen
        return float(self.rng.uniform(low, high))

    def pick(self, seen: Sequence[T], unseen: Sequence[T] = ()) -> T:
        options = unseen if self.unseen and unseen else seen
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)


def block(x: float, y: float, z: float, at: Point = ORIGIN) -> TriangleMesh:
    """A box of full side lengths that stands on the point ``at``."""
    return box(x, y, z).moved(at[0], at[1], at[2] + z / 2)


def pad(
    x: float, y: float, z: float, at: Point = ORIGIN, radius: float = 0.04, steps: int = 2
) -> TriangleMesh:
    """A rounded box of full side lengths that stands on the point ``at``."""
    return rounded_box(x, y, z, radius, steps).moved(at[0], at[1], at[2] + z / 2)


def stick(a: Sequence[float], b: Sequence[float], radius: float, segments: int = 8) -> TriangleMesh:
    """A round bar from point to point."""
    return tube([a, b], radius, segments)


def strut(foot: Point, top: Point, thick: float, foot_thick: float | None = None) -> TriangleMesh:
    """A square bar with level ends, for legs and posts: the points must differ in height."""
    mesh = box(thick, thick, top[2] - foot[2])
    share = mesh.vertices[:, 2:] / (top[2] - foot[2]) + 0.5
    scale = share + (1 - share) * ((foot_thick or thick) / thick)
    vertices = np.array(foot) * (1 - share) + np.array(top) * share
    vertices[:, :2] += mesh.vertices[:, :2] * scale
    return TriangleMesh(vertices, mesh.faces, mesh.uv)


def disc(radius: float, thick: float, at: Point, segments: int = 20) -> TriangleMesh:
    """A round plate that faces the front: its back at ``at``, ``thick`` towards -y."""
    return cylinder(radius, thick, segments).turned("x", 90).moved(*at)


def arc(centre: Point, radius: float, start: float, stop: float, plane: str, count: int = 9) -> list[Point]:
    """Points of an arc, degrees from the first axis to the second, in the plane "xy", "xz" or "yz"."""
    first, second = "xyz".index(plane[0]), "xyz".index(plane[1])
    points = []
    for angle in np.radians(np.linspace(start, stop, count)):
        point = list(centre)
        point[first] += radius * float(np.cos(angle))
        point[second] += radius * float(np.sin(angle))
        points.append((point[0], point[1], point[2]))
    return points


def shell(profile: Sequence[tuple[float, float]], thick: float, segments: int = 24) -> TriangleMesh:
    """A hollow turned body open at the ends of its outer profile (listed bottom to top)."""
    inner = [(max(r - thick, 1e-4), z) for r, z in reversed(profile)]
    return lathe([*profile, *inner, profile[0]], segments)


def corners(half_x: float, half_y: float) -> list[tuple[float, float]]:
    return [(sx * half_x, sy * half_y) for sx in (-1, 1) for sy in (-1, 1)]


def legs(
    style: str, half_x: float, half_y: float, height: float, thick: float, splay: float = 0.0
) -> TriangleMesh:
    """Four legs: "square", "tapered", "round", "turned" or "hairpin"; feet stand ``splay`` further out."""
    meshes = []
    for x, y in corners(half_x, half_y):
        foot = (x + np.sign(x) * splay, y + np.sign(y) * splay, 0.0)
        meshes += _leg(style, foot, (x, y, height), thick)
    return merged(meshes)


def _leg(style: str, foot: Point, top: Point, thick: float) -> list[TriangleMesh]:
    if style == "square":
        return [strut(foot, top, thick)]
    if style == "tapered":
        return [strut(foot, top, thick, thick * 0.5)]
    if style == "round":
        return [tube([foot, top], [thick * 0.3, thick * 0.5], 8)]
    if style == "hairpin":
        inward = float(np.sign(top[0])) * 0.05
        heads = [(top[0] - side * inward, top[1], top[2]) for side in (-1, 1)]
        return [stick(foot, head, 0.006, 6) for head in heads]
    shares = (0, 0.08, 0.12, 0.2, 0.5, 0.6, 0.65, 0.7, 1)
    bulges = (0.3, 0.5, 0.3, 0.35, 0.55, 0.35, 0.6, 0.5, 0.5)
    path = [[f + (t - f) * share for f, t in zip(foot, top, strict=True)] for share in shares]
    return [tube(path, [thick * bulge for bulge in bulges], 8)]


def handle(style: str, x: float, y: float, z: float, length: float = 0.12) -> TriangleMesh:
    """A "knob", "bar" (level), "rail" (upright) or "cup" on a front whose surface is at y."""
    if style == "knob":
        return ellipsoid(0.03, 0.03, 0.03, 8).moved(x, y - 0.018, z)
    if style == "cup":
        return pad(length * 0.7, 0.03, 0.03, (x, y - 0.012, z - 0.015), 0.012)
    dx, dz = (length / 2, 0.0) if style == "bar" else (0.0, length / 2)
    path = [(x - dx, y, z - dz), (x - dx, y - 0.03, z - dz), (x + dx, y - 0.03, z + dz), (x + dx, y, z + dz)]
    return tube(path, 0.006, 6)


def fronts(
    width: float, height: float, rows: int, columns: int, at: Point, grip: str, framed: bool = False
) -> list[Part]:
    """A grid of drawer or door fronts on a surface at y = at[1]; ``at`` is the middle of the lower edge.

    grip: "knob", "bar" or "cup" in the middle (drawers), "door-knob" or "door-rail" beside the middle
    joint (doors), "" none. Joints are dark.
    """
    cell_x, cell_z, gap = width / columns, height / rows, 0.006
    panels, grips = [], []
    for row in range(rows):
        for column in range(columns):
            x = at[0] + (column + 0.5) * cell_x - width / 2
            z = at[2] + (row + 0.5) * cell_z
            panels.append(block(cell_x - gap, 0.02, cell_z - gap, (x, at[1] - 0.01, z - (cell_z - gap) / 2)))
            if framed:
                panels += frame(
                    cell_x - gap, cell_z - gap, min(0.06, cell_z / 5), 0.012, (x, at[1] - 0.026, z)
                )
            depth = at[1] - (0.032 if framed else 0.02)
            grips += _grip(grip, x, depth, z, cell_x, cell_z, column % 2 == 0 and columns > 1)
    parts = [Part(merged(panels)), Part(block(width, 0.004, height, at), "dark")]
    return parts + ([Part(merged(grips), "metal")] if grips else [])


def _grip(
    grip: str, x: float, y: float, z: float, cell_x: float, cell_z: float, right: bool
) -> list[TriangleMesh]:
    if not grip:
        return []
    if grip.startswith("door"):
        side = (1 if right else -1) * (cell_x / 2 - 0.04)
        style = grip.removeprefix("door-")
        return [handle(style, x + side, y, z, min(0.35, cell_z / 3))]
    if grip == "knob" and cell_x > 0.6:
        return [handle(grip, x + side * cell_x / 4, y, z) for side in (-1, 1)]
    return [handle(grip, x, y, z, min(0.16, cell_x / 2))]


def frame(width: float, height: float, rim: float, thick: float, at: Point) -> list[TriangleMesh]:
    """Four bars about an upright opening: outer size, centred on ``at``."""
    x, y, z = at
    bars: Iterable[tuple[float, float, float, float]] = (
        (width, rim, 0, height / 2 - rim / 2),
        (width, rim, 0, rim / 2 - height / 2),
        (rim, height - 2 * rim, rim / 2 - width / 2, 0),
        (rim, height - 2 * rim, width / 2 - rim / 2, 0),
    )
    return [box(bx, thick, bz).moved(x + dx, y, z + dz) for bx, bz, dx, dz in bars]


def sheet(outline: list[tuple[float, float]], y: float, thick: float) -> TriangleMesh:
    """An upright plate of an x, z outline (counter-clockwise seen from the front) from y towards -y."""
    return prism(outline, thick).turned("x", 90).moved(0, y)


def oval(
    width: float, height: float, start: float = 0, stop: float = 360, count: int = 33
) -> list[tuple[float, float]]:
    """Points of an ellipse, or of an arc of it in degrees, counter-clockwise; full axis lengths."""
    points = arc((0, 0, 0), 0.5, start, stop, "xz", count)
    return [(p[0] * width, p[2] * height) for p in (points[:-1] if stop - start == 360 else points)]


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


def smooth(path: list[tuple[float, float, float]], count: int = 15) -> list[list[float]]:
    """Points on a curve near a path (Bezier of all its points)."""
    curve = []
    for t in np.linspace(0, 1, count):
        points = np.array(path)
        while len(points) > 1:
            points = points[:-1] * (1 - t) + points[1:] * t
        curve.append(points[0].tolist())
    return curve


def grounded(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Moved to stand on z = 0, their bounding box centred on the z axis."""
    low, high = merged([part.mesh for part in parts]).bounds()
    x, y = -(low + high)[:2] / 2
    return tuple(Part(part.mesh.moved(x, y, -low[2]), part.role, part.texture) for part in parts)
