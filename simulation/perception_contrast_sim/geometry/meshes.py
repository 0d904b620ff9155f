"""Triangle meshes with texture coordinates, built from a few parametric primitives.

Lengths in metres, z up, right-handed (REP 103). Every primitive is closed and wound outwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TriangleMesh:
    """A closed surface of triangles.

    Attributes:
        vertices: (n, 3) float64 metres.
        faces: (m, 3) int32 vertex numbers, counter-clockwise seen from outside.
        uv: (n, 2) float64 texture coordinates in repeats of the texture.
    """

    vertices: Floats
    faces: NDArray[np.int32]
    uv: Floats

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> TriangleMesh:
        return TriangleMesh(self.vertices + np.array([x, y, z]), self.faces, self.uv)

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> TriangleMesh:
        """Scaled about the origin; one factor scales all axes."""
        factors = np.array([x, x if y is None else y, x if z is None else z])
        faces = self.faces if np.prod(factors) > 0 else self.faces[:, ::-1]
        return TriangleMesh(self.vertices * factors, np.ascontiguousarray(faces), self.uv)

    def turned(self, axis: str, degrees: float) -> TriangleMesh:
        """Rotated about the x, y or z axis through the origin."""
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        rotation = np.eye(3)
        rotation[i, i], rotation[i, j], rotation[j, i], rotation[j, j] = c, -s, s, c
        return TriangleMesh(self.vertices @ rotation.T, self.faces, self.uv)

    def bounds(self) -> tuple[Floats, Floats]:
        return self.vertices.min(axis=0), self.vertices.max(axis=0)


def merged(meshes: Sequence[TriangleMesh]) -> TriangleMesh:
    """One mesh of many."""
    offsets = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    return TriangleMesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + o for m, o in zip(meshes, offsets, strict=True)]).astype(np.int32),
        np.concatenate([m.uv for m in meshes]),
    )


def box(x: float, y: float, z: float) -> TriangleMesh:
    """Full side lengths, centred on the origin; uv in metres so that textures keep their grain."""
    vertices: list[Floats] = []
    faces: list[list[int]] = []
    uv: list[tuple[float, float]] = []
    half = np.array([x, y, z]) / 2
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1.0, 1.0):
            start = len(vertices)
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corner = np.zeros(3)
                corner[axis], corner[u], corner[v] = sign * half[axis], a * half[u], b * half[v]
                vertices.append(corner)
                uv.append((corner[u], corner[v]))
            order = ((0, 1, 2), (0, 2, 3)) if sign > 0 else ((0, 2, 1), (0, 3, 2))
            faces += [[start + k for k in triangle] for triangle in order]
    return TriangleMesh(np.array(vertices), np.array(faces, np.int32), np.array(uv))


def lathe(profile: Sequence[tuple[float, float]], segments: int = 24) -> TriangleMesh:
    """Turns a profile of (radius, height) points about z.

    List the points so that the outside is on the right hand when walking along them: a solid
    goes from (0, bottom) out and up to (0, top); a vessel goes on, down its inner wall.
    """
    points = np.array(profile, float)
    angles = np.linspace(0, 2 * np.pi, segments + 1)
    ring = np.stack([np.cos(angles), np.sin(angles)], 1)
    vertices = np.concatenate([np.column_stack([r * ring, np.full(segments + 1, z)]) for r, z in points])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    girth = 2 * np.pi * max(points[:, 0].max(), 1e-6)
    uv = np.stack(np.meshgrid(angles / (2 * np.pi) * girth, length), -1).reshape(-1, 2)
    faces = []
    n = segments + 1
    for i in range(len(points) - 1):
        for j in range(segments):
            a, b, c, d = i * n + j, i * n + j + 1, (i + 1) * n + j + 1, (i + 1) * n + j
            if points[i, 0] > 1e-9:
                faces.append((a, b, c))
            if points[i + 1, 0] > 1e-9:
                faces.append((a, c, d))
    return TriangleMesh(vertices, np.array(faces, np.int32), uv)


def cylinder(radius: float, height: float, segments: int = 24, top: float | None = None) -> TriangleMesh:
    """Stands on z = 0; ``top`` is the upper radius of a cone. Caps have their own vertices: sharp edges."""
    upper = radius if top is None else top
    side = lathe([(radius, 0), (upper, height)], segments)
    caps = [lathe([(0, 0), (radius, 0)], segments)]
    if upper > 0:
        caps.append(lathe([(upper, height), (0, height)], segments))
    return merged([side, *caps])


def ellipsoid(x: float, y: float, z: float, segments: int = 20) -> TriangleMesh:
    """Full axis lengths, centred on the origin."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    ball = lathe(
        [(max(np.cos(a), 0.0) if abs(a) < np.pi / 2 - 1e-9 else 0.0, np.sin(a)) for a in angles], segments
    )
    return ball.scaled(x / 2, y / 2, z / 2)


def tube(
    path: Sequence[Sequence[float]] | Floats, radius: float | Sequence[float], segments: int = 10
) -> TriangleMesh:
    """A round bar swept along 3D points, ends closed; radius may differ from point to point."""
    points = np.array(path, float)
    radii = np.broadcast_to(np.asarray(radius, float), (len(points),))
    tangents = np.gradient(points, axis=0)
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-12)
    normal = np.cross(tangents[0], [0.0, 0.0, 1.0])
    if np.linalg.norm(normal) < 1e-6:
        normal = np.array([1.0, 0.0, 0.0])
    angles = np.linspace(0, 2 * np.pi, segments + 1)
    rings = []
    for point, tangent, r in zip(points, tangents, radii, strict=True):
        normal = normal - tangent * (normal @ tangent)
        normal /= max(float(np.linalg.norm(normal)), 1e-12)
        side = np.cross(tangent, normal)
        rings.append(point + r * (np.cos(angles)[:, None] * normal + np.sin(angles)[:, None] * side))
    n = segments + 1
    vertices = np.concatenate([*rings, points[:1], points[-1:]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    uv = np.stack(np.meshgrid(angles * float(radii.max()), length), -1).reshape(-1, 2)
    uv = np.concatenate([uv, [[0, 0]], [[0, length[-1]]]])
    faces = []
    for i in range(len(points) - 1):
        for j in range(segments):
            a, b, c, d = i * n + j, i * n + j + 1, (i + 1) * n + j + 1, (i + 1) * n + j
            faces += [(a, b, c), (a, c, d)]
    first, last = len(vertices) - 2, len(vertices) - 1
    end = (len(points) - 1) * n
    for j in range(segments):
        faces += [(first, j + 1, j), (last, end + j, end + j + 1)]
    return TriangleMesh(vertices, np.array(faces, np.int32), uv)


def prism(outline: Sequence[tuple[float, float]], height: float) -> TriangleMesh:
    """A convex or star-shaped (about its centroid) counter-clockwise outline in x, y raised from z = 0."""
    points = np.array(outline, float)
    n = len(points)
    centre = points.mean(axis=0)
    side_vertices: list[tuple[float, float, float]] = []
    side_faces: list[tuple[int, int, int]] = []
    side_uv: list[tuple[float, float]] = []
    along = 0.0
    for i in range(n):
        a, b = points[i], points[(i + 1) % n]
        step = float(np.linalg.norm(b - a))
        start = len(side_vertices)
        side_vertices += [(*a, 0), (*b, 0), (*b, height), (*a, height)]
        side_uv += [(along, 0), (along + step, 0), (along + step, height), (along, height)]
        side_faces += [(start, start + 1, start + 2), (start, start + 2, start + 3)]
        along += step
    parts = [
        TriangleMesh(np.array(side_vertices, float), np.array(side_faces, np.int32), np.array(side_uv, float))
    ]
    for z, order in ((0.0, (0, 2, 1)), (height, (0, 1, 2))):
        vertices = np.column_stack([np.vstack([centre, points]), np.full(n + 1, z)])
        triangles = [(0, 1 + i, 1 + (i + 1) % n) for i in range(n)]
        faces = np.array([[t[k] for k in order] for t in triangles], np.int32)
        parts.append(TriangleMesh(vertices, faces, vertices[:, :2].copy()))
    return merged(parts)


def loft(rings: Sequence[Floats]) -> TriangleMesh:
    """A skin over closed rings of equally many 3D points, each counter-clockwise seen from the last
    ring's side; both ends are closed with a fan about their centre, so they should be star-shaped."""
    stack = np.array(rings, float)
    count, n = stack.shape[:2]
    closed = np.concatenate([stack, stack[:, :1]], axis=1)
    around = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=1), axis=2).mean(axis=0))])
    centres = stack.mean(axis=1)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(centres, axis=0), axis=1))])
    uv = np.stack(np.meshgrid(around, along), -1).reshape(-1, 2)
    i, j = (index.ravel() for index in np.meshgrid(np.arange(count - 1), np.arange(n), indexing="ij"))
    a, b, c, d = i * (n + 1) + j, i * (n + 1) + j + 1, (i + 1) * (n + 1) + j + 1, (i + 1) * (n + 1) + j
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    parts = [TriangleMesh(closed.reshape(-1, 3), faces, uv)]
    for ring, flip in ((stack[0], True), (stack[-1], False)):
        vertices = np.vstack([ring.mean(axis=0), ring])
        fan = np.array([(0, 1 + k, 1 + (k + 1) % n) for k in range(n)], np.int32)
        parts.append(
            TriangleMesh(
                vertices, np.ascontiguousarray(fan[:, ::-1]) if flip else fan, vertices[:, :2].copy()
            )
        )
    return merged(parts)


def superellipsoid(
    x: float, y: float, z: float, side: float = 0.3, edge: float = 0.3, segments: int = 20
) -> TriangleMesh:
    """Between a box (exponents near 0) and an ellipsoid (1); full axis lengths, centred on the origin.

    side: exponent of the outline seen from above; edge: exponent of the profile (Barr, 1981).
    """

    def power(value: Floats, exponent: float) -> Floats:
        return np.sign(value) * np.abs(value) ** exponent

    around = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    rings = []
    for angle in np.linspace(-np.pi / 2 * 0.98, np.pi / 2 * 0.98, segments // 2 + 1):
        r, h = power(np.cos(angle), edge), power(np.sin(angle), edge)
        outline = [r * power(np.cos(around), side), r * power(np.sin(around), side), np.full(segments, h)]
        rings.append(np.stack(outline, 1))
    return loft(rings).scaled(x / 2, y / 2, z / 2)


def torus(radius: float, thickness: float, segments: int = 24, around: int = 10) -> TriangleMesh:
    """A ring in the x, y plane about the origin; radius to the middle of a bar of the given diameter."""
    angles = np.linspace(-np.pi, np.pi, around + 1)
    return lathe([(radius + thickness / 2 * np.cos(a), thickness / 2 * np.sin(a)) for a in angles], segments)


def rounded_box(x: float, y: float, z: float, radius: float, steps: int = 2) -> TriangleMesh:
    """A cushion: full side lengths, centred on the origin, edges rounded by ``radius`` (<= half a side)."""
    core = np.array([x, y, z]) / 2
    r = np.minimum(radius, core)
    quarter = np.linspace(0, np.pi / 2, steps + 1)
    heights = np.concatenate([quarter - np.pi / 2, quarter])
    turns = np.concatenate([quarter + k * np.pi / 2 for k in range(4)] + [np.array([2 * np.pi])])
    side_x = np.array([s for s in (1, -1, -1, 1) for _ in quarter] + [1])
    side_y = np.array([s for s in (1, 1, -1, -1) for _ in quarter] + [1])
    side_z = np.repeat([-1, 1], steps + 1)[:, None]
    flat, rise = np.cos(heights)[:, None], np.sin(heights)[:, None]
    px = side_x * (core[0] - r[0]) + r[0] * flat * np.cos(turns)
    py = side_y * (core[1] - r[1]) + r[1] * flat * np.sin(turns)
    pz = side_z * (core[2] - r[2]) + r[2] * rise + np.zeros_like(px)
    wall = np.stack([px, py, pz], -1)
    rows, n = len(heights), len(turns)
    around = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(wall[steps, :, :2], axis=0), axis=1))])
    uv = np.stack([np.broadcast_to(around, (rows, n)), pz], -1).reshape(-1, 2)
    faces = []
    for i in range(rows - 1):
        for j in range(n - 1):
            a, b, c, d = i * n + j, i * n + j + 1, (i + 1) * n + j + 1, (i + 1) * n + j
            faces += [(a, b, c), (a, c, d)]
    parts = [TriangleMesh(wall.reshape(-1, 3), np.array(faces, np.int32), uv)]
    for row, up in ((0, False), (rows - 1, True)):
        ring = wall[row, :-1]
        points = np.vstack([ring.mean(axis=0), ring])
        m = len(ring)
        fan = [(0, 1 + j, 1 + (j + 1) % m) if up else (0, 1 + (j + 1) % m, 1 + j) for j in range(m)]
        parts.append(TriangleMesh(points, np.array(fan, np.int32), points[:, :2].copy()))
    return merged(parts)
