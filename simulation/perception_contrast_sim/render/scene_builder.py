"""SceneBuilder: a room and its props as a MuJoCo specification with meshes, materials and lamps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_contrast_sim.geometry.meshes import TriangleMesh, box, merged
from perception_contrast_sim.objects.materials import MATERIALS, ROLES, Finish, grain
from perception_contrast_sim.objects.props import Prop, look_groups
from perception_contrast_sim.render.scene_layout import Room

# Instances 0, 1 and 2 of every scene; props follow.
STRUCTURE = ("floor", "wall", "ceiling")
LAMPS = 4
OUT_OF_SIGHT = (0.0, 0.0, -50.0)


class PartMaterial(NamedTuple):
    """A material of one prop and the role that decides its colour ("textured": of its image)."""

    name: str
    role: str | tuple[float, float, float]


class SceneBuilder:
    """Builds the specification of a scene.

    Args:
        mujoco: The MuJoCo module.
        room: The room.
        props: Things that may stand in it. They are out of sight at first.
        size: (height, width) of its images.
        rng: Draws the procedural textures.
        images: Textures by name, (H, W, 3) uint8 RGB, for parts and surfaces that ask for them.
        samples: Samples per pixel for antialiasing.

    Attributes:
        spec: The specification, a ``mujoco.MjSpec``.
        prop_materials: Of each prop.
    """

    def __init__(
        self,
        mujoco: Any,
        room: Room,
        props: Sequence[Prop],
        *,
        size: tuple[int, int],
        rng: np.random.Generator,
        images: Mapping[str, NDArray[np.uint8]],
        samples: int,
    ) -> None:
        self._mujoco, self._room, self._images = mujoco, room, images
        self.spec = mujoco.MjSpec()
        visual = self.spec.visual
        visual.global_.offheight, visual.global_.offwidth = size
        visual.quality.offsamples, visual.quality.shadowsize = samples, 2048
        visual.map.znear, visual.map.zfar = 0.01, 30.0
        self.spec.stat.extent = 1.0
        self._textures: set[str] = set()
        self.prop_materials: list[tuple[PartMaterial, ...]] = []
        self._grains = {kind: grain(rng, kind) for kind in _surface_grains()}
        self._build_structure()
        for index, prop in enumerate(props):
            self.prop_materials.append(self._build_prop(index, prop))
        for index in range(LAMPS):
            light = self.spec.worldbody.add_light(name=f"light{index}", pos=[0, 0, room.height - 0.1])
            light.castshadow = index < 2
        self.spec.worldbody.add_camera(name="camera", pos=[0, 0, 1])

    def _texture(self, name: str, image: NDArray[np.uint8]) -> str:
        if name not in self._textures:
            height, width = image.shape[:2]
            kind = self._mujoco.mjtTexture.mjTEXTURE_2D
            texture = self.spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3)
            texture.data = np.ascontiguousarray(image[::-1]).tobytes()
            self._textures.add(name)
        return name

    def _material(self, name: str, finish: Finish, texture: str | None, repeat: float = 1.0) -> str:
        material = self.spec.add_material(name=name)
        material.specular, material.shininess = finish.specular, finish.shininess
        material.reflectance = 0.0
        if texture:
            material.textures[self._mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture
            material.texrepeat = [repeat, repeat]
        return name

    def _geom(self, body: Any, name: str, mesh: TriangleMesh, material: str) -> None:
        asset = self.spec.add_mesh(name=name)
        asset.uservert, asset.userface = mesh.vertices.ravel(), mesh.faces.ravel()
        asset.usertexcoord = mesh.uv.ravel()
        asset.inertia = self._mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        kind = self._mujoco.mjtGeom.mjGEOM_MESH
        body.add_geom(type=kind, meshname=name, material=material, contype=0, conaffinity=0)

    def _build_structure(self) -> None:
        x, y, h = self._room.x, self._room.y, self._room.height
        walls = [box(2 * x, 0.1, h).moved(0, sign * (y + 0.05), h / 2) for sign in (-1, 1)] + [
            box(0.1, 2 * y, h).moved(sign * (x + 0.05), 0, h / 2) for sign in (-1, 1)
        ]
        meshes = {
            "floor": box(2 * x, 2 * y, 0.1).moved(z=-0.05),
            "wall": merged(walls),
            "ceiling": box(2 * x, 2 * y, 0.1).moved(z=h + 0.05),
        }
        for name in STRUCTURE:
            image = self._images.get(f"surface:{name}")
            texture = self._texture(f"surface:{name}", image) if image is not None else None
            self._material(name, Finish(0.15, 0.2), texture, 0.6)
            self._geom(self.spec.worldbody.add_body(name=name), name, meshes[name], name)

    def _build_prop(self, index: int, prop: Prop) -> tuple[PartMaterial, ...]:
        body = self.spec.worldbody.add_body(name=f"prop{index}", pos=list(OUT_OF_SIGHT))
        materials: list[PartMaterial] = []
        for number, parts in enumerate(look_groups(prop)):
            name, role = f"prop{index}_{number}", parts[0].role
            finish = part_finish(prop, role)
            texture, repeat = None, 1.0
            if parts[0].texture:
                texture = self._texture(parts[0].texture, self._images[parts[0].texture])
            elif finish.grain:
                texture, repeat = self._texture(f"grain:{finish.grain}", self._grains[finish.grain]), 1.6
            self._material(name, finish, texture, repeat)
            self._geom(body, name, merged([part.mesh for part in parts]), name)
            materials.append(PartMaterial(name, "textured" if parts[0].texture else role))
        return tuple(materials)


def part_finish(prop: Prop, role: str | tuple[float, float, float]) -> Finish:
    """How the surface of a prop's parts of one role reflects light."""
    if role in ("main", "second"):
        return MATERIALS.get(prop.material, MATERIALS["plastic"])
    return ROLES[role][2] if isinstance(role, str) else MATERIALS["rubber"]


def _surface_grains() -> tuple[str, ...]:
    kinds = {finish.grain for finish in MATERIALS.values()} | {role[2].grain for role in ROLES.values()}
    return tuple(sorted(kind for kind in kinds if kind))
