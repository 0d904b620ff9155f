"""What builders of small things share: random proportions, standing on the ground, outlines and bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from perception_contrast_sim.geometry.meshes import Floats, TriangleMesh, lathe, prism, tube
from perception_contrast_sim.geometry.object_model import ObjectModel, Part

T = TypeVar("T")
Role = str | tuple[float, float, float]


class Draw:
    """Random proportions; with ``unseen`` they come from ranges that are never drawn without it."""

    def __init__(self, rng: np.random.Generator, unseen: bool) -> None:
        self.rng, self.unseen = rng, unseen

    def span(self, low: float, high: float) -> float:
        """In [low, high]; unseen: beyond either end, by up to half the range."""
        width = high - low
        if not self.unseen:
            return float(self.rng.uniform(low, high))
        if self.rng.random() < 0.5 and 0.4 * width < 0.5 * low:
            return float(self.rng.uniform(low - 0.4 * width, low - 0.05 * width))
        return float(self.rng.uniform(high + 0.05 * width, high + 0.5 * width))

    def any(self, low: float, high: float) -> float:
        """In [low, high] either way: for what does not change the shape's character."""
        return float(self.rng.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, seen: Sequence[T], unseen: Sequence[T] = ()) -> T:
        """One of ``seen``; of ``unseen`` instead, where there are any and unseen shapes are wanted."""
        options = unseen if self.unseen and unseen else seen
        return options[int(self.rng.integers(len(options)))]

    def look(self, seen: Sequence[Role], unseen: Sequence[Role] = ()) -> Role:
        """As pick, for roles, of which some are names and some are colours."""
        return self.pick(seen, unseen)


def part(mesh: TriangleMesh, role: Role = "main", texture: str | None = None) -> Part:
    return Part(mesh, role, texture)


def stand(
    parts: Sequence[Part], color: str | None = None, top: tuple[float, float, float] | None = None
) -> ObjectModel:
    """Moves the parts together so that they stand on z = 0, centred on the z axis.

    top: (x half extent, y half extent, z) of a flat surface, in the parts' own coordinates.
    """
    low = np.min([p.mesh.bounds()[0] for p in parts], axis=0)
    high = np.max([p.mesh.bounds()[1] for p in parts], axis=0)
    x, y = -(low + high)[:2] / 2
    moved = tuple(Part(p.mesh.moved(x, y, -low[2]), p.role, p.texture) for p in parts)
    return ObjectModel(moved, color, ((top[0], top[1], float(top[2] - low[2])),) if top else ())


def outward(mesh: TriangleMesh) -> TriangleMesh:
    """The same closed mesh, turned inside out if it encloses a negative volume."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    if float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) >= 0:
        return mesh
    return TriangleMesh(mesh.vertices, np.ascontiguousarray(mesh.faces[:, ::-1]), mesh.uv)


def arc(radius: float, start: float, end: float, points: int = 9, plane: str = "xz") -> Floats:
    """Points of a circle about the origin from start to end degrees, in the named plane."""
    angles = np.radians(np.linspace(start, end, points))
    path = np.zeros((points, 3))
    path[:, "xyz".index(plane[0])] = radius * np.cos(angles)
    path[:, "xyz".index(plane[1])] = radius * np.sin(angles)
    return path


def smooth(points: Sequence[Sequence[float]], count: int = 16) -> Floats:
    """A Catmull-Rom curve of ``count`` points through the given ones."""
    p = np.array(points, float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    where = np.linspace(0, len(points) - 1 - 1e-9, count)
    i = where.astype(int)
    t = (where - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    curve: Floats = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return curve


def bar(
    a: Sequence[float], b: Sequence[float], radius: float | Sequence[float], segments: int = 10
) -> TriangleMesh:
    """A straight round bar between two points."""
    return tube([a, b], radius, segments)


def vessel(outer: Sequence[tuple[float, float]], wall: float, segments: int = 28) -> TriangleMesh:
    """An open pot: the (radius, height) outline of its outside from the foot up, and an inner wall."""
    foot, floor = outer[0][1], outer[0][1] + wall
    inner = [(max(q - wall, 1e-4), max(h, floor)) for q, h in reversed(outer)]
    return lathe([(0, foot), *outer, *inner, (0, floor)], segments)


def rectangle(x: float, y: float, radius: float, corner: int = 4) -> list[tuple[float, float]]:
    """A counter-clockwise rectangle of full side lengths with rounded corners."""
    outline = []
    for k, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        for a in np.radians(np.linspace(90 * k, 90 * k + 90, corner + 1)):
            centre = sx * (x / 2 - radius), sy * (y / 2 - radius)
            outline.append((float(centre[0] + radius * np.cos(a)), float(centre[1] + radius * np.sin(a))))
    return outline


def slab(x: float, y: float, z: float, radius: float | None = None) -> TriangleMesh:
    """A board with rounded corners, standing on z = 0."""
    return prism(rectangle(x, y, min(x, y) * 0.12 if radius is None else radius), z)


def band(
    profile: Sequence[tuple[float, float]], low: float, high: float, lift: float = 0.0006
) -> TriangleMesh:
    """A label around a turned body: a closed skin over its outside between two heights."""
    radii, heights = np.array(profile, float).T
    z = [low, *(float(h) for h in heights if low < h < high), high]
    r = [float(q) for q in np.interp(z, heights, radii)]
    outer = [(q + lift, h) for q, h in zip(r, z, strict=True)]
    inner = [(q - lift, h) for q, h in zip(r, z, strict=True)]
    return lathe([inner[0], *outer, *reversed(inner)], 28)
