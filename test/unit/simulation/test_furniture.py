"""Large household things: closed, upright, sane in size, with usable tops, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from perception_contrast_sim.geometry.object_model import ObjectModel
from perception_contrast_sim.objects.appliances import appliance_categories
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.fixtures import fixture_categories
from perception_contrast_sim.objects.furniture import furniture_categories

CATEGORIES = (
    *furniture_categories.CATEGORIES,
    *appliance_categories.CATEGORIES,
    *fixture_categories.CATEGORIES,
)
CASES = [(c, unseen) for c in CATEGORIES for unseen in (False, True)]
SEEDS = range(4)


def _named(case: object) -> str:
    return case.name if isinstance(case, Category) else ("unseen" if case else "seen")


def _bounds(model: ObjectModel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    bounds = [part.mesh.bounds() for part in model.parts]
    return np.min([b[0] for b in bounds], axis=0), np.max([b[1] for b in bounds], axis=0)


def _triangles(model: ObjectModel) -> NDArray[np.float64]:
    return np.concatenate([part.mesh.vertices[part.mesh.faces] for part in model.parts])


def _heights_at(triangles: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    """Heights at which the upright line through x, y meets the triangles."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    ok = np.abs(area) > 1e-12
    a, b, c, area = a[ok], b[ok], c[ok], area[ok]
    v = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (y - a[:, 1])) / area
    w = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (x - a[:, 0]) * (b[:, 1] - a[:, 1])) / area
    hit = (v >= -1e-9) & (w >= -1e-9) & (v + w <= 1 + 1e-9)
    return (a[:, 2] + v * (b[:, 2] - a[:, 2]) + w * (c[:, 2] - a[:, 2]))[hit]


def _piece_volumes(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Signed volumes of the connected pieces of a mesh, vertices at one place taken as one."""
    _, weld = np.unique(np.round(vertices, 7), axis=0, return_inverse=True)
    f = weld.reshape(-1)[faces]
    links = np.concatenate([f[:, :2], f[:, 1:]])
    count = int(f.max()) + 1
    graph = coo_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), (count, count))
    piece = connected_components(graph, directed=False)[1][f[:, 0]]
    # About a point of the piece itself: a small error of closure far from the origin must not count.
    centred = vertices - vertices.mean(axis=0)
    corner = centred[faces]
    signed = np.einsum("ij,ij->i", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) / 6
    return np.bincount(piece, signed)[np.unique(piece)]


def _open_area(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> float:
    """Length of the summed area vectors over the whole area: zero for closed surfaces (Gauss)."""
    corner = vertices[faces]
    areas = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) / 2
    return float(np.linalg.norm(areas.sum(axis=0)) / np.linalg.norm(areas, axis=1).sum())


@pytest.mark.parametrize(("category", "unseen"), CASES, ids=_named)
def test_every_part_is_a_closed_body_wound_outwards(category: Category, unseen: bool) -> None:
    for seed in SEEDS:
        for part in category.build(np.random.default_rng(seed), unseen).parts:
            mesh = part.mesh
            assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.uv).all()
            assert len(mesh.uv) == len(mesh.vertices) and mesh.faces.max() < len(mesh.vertices)
            assert _open_area(mesh.vertices, mesh.faces) < 1e-6
            assert _piece_volumes(mesh.vertices, mesh.faces).min() > 0


@pytest.mark.parametrize(("category", "unseen"), CASES, ids=_named)
def test_things_stand_where_they_belong_in_a_sane_size(category: Category, unseen: bool) -> None:
    for seed in SEEDS:
        model = category.build(np.random.default_rng(seed), unseen)
        low, high = _bounds(model)
        if category.place in ("floor", "table"):
            assert abs(low[2]) < 0.008
        if category.place == "wall":
            assert -0.01 < high[1] < 0.01 and abs(low[2] + high[2]) < 0.2 * (high[2] - low[2]) + 0.09
        if category.place == "ceiling":
            assert abs(high[2]) < 0.05
        assert 0.05 < (high - low).max() < (1.0 if category.place == "table" else 3.2)
        assert (np.abs(low[0] + high[0])) < 0.35 * (high[0] - low[0])
        assert sum(len(part.mesh.faces) for part in model.parts) < 3000


@pytest.mark.parametrize(("category", "unseen"), CASES, ids=_named)
def test_tops_are_free_surfaces(category: Category, unseen: bool) -> None:
    for seed in SEEDS:
        model = category.build(np.random.default_rng(seed), unseen)
        triangles = _triangles(model)
        for half_x, half_y, z in model.tops:
            for x, y in (
                (0.003, 0.002),
                (half_x, half_y),
                (-half_x, half_y),
                (half_x, -half_y),
                (-half_x, -half_y),
            ):
                heights = _heights_at(triangles, x * 0.98, y * 0.98)
                assert (np.abs(heights - z) < 0.006).any(), f"no surface under the top at {z:.3f}"
                assert not ((heights > z + 0.006) & (heights < z + 0.1)).any(), f"no room above {z:.3f}"


@pytest.mark.parametrize("category", CATEGORIES, ids=_named)
def test_seeds_decide_the_shape(category: Category) -> None:
    def outline(seed: int, unseen: bool) -> list[float]:
        model = category.build(np.random.default_rng(seed), unseen)
        return [float(np.abs(part.mesh.vertices).sum()) for part in model.parts]

    assert outline(1, False) == outline(1, False)
    assert outline(1, False) != outline(2, False)
    assert outline(1, False) != outline(1, True)


def test_no_name_stands_for_two_categories() -> None:
    names = [n for c in CATEGORIES for n in (c.name, *c.synonyms, *c.unseen_synonyms)]
    assert len(names) == len(set(names))
    trained = [n for c in CATEGORIES if not c.held_out for n in (c.name, *c.synonyms)]
    hidden = [c.name for c in CATEGORIES if c.held_out]
    assert not [(n, h) for n in trained for h in hidden if h in n]
