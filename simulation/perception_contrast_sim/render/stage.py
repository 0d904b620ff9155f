"""A compiled MuJoCo room: props can be moved, recoloured and relit between images without a rebuild."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import CameraModel
from perception_contrast_sim.geometry.meshes import TriangleMesh, box, merged
from perception_contrast_sim.objects.props import Prop, look_groups
from perception_contrast_sim.render.materials import MATERIALS, RGB, ROLES, Finish, grain, named_colour
from perception_contrast_sim.rooms.arrange import Placed, Room

STRUCTURE = ("floor", "wall", "ceiling")


def mujoco_module() -> Any:
    """MuJoCo with an off-screen renderer; raises PerceptionError with the remedy where it is absent."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    # Mesa's LLVM and Triton's, which torch loads late, crash the process unless Triton's comes first.
    if find_spec("triton") is not None:
        import_module("triton")
    try:
        import mujoco
    except (ImportError, AttributeError, RuntimeError) as error:
        raise PerceptionError(
            f"the simulator cannot start ({error}); install mujoco and the system library libegl1"
        ) from error
    return mujoco


@dataclass(frozen=True)
class Rendering:
    """One image. rgb (H, W, 3) uint8; depth (H, W) float32 metres, NaN none; instances (H, W) int32:
    0 floor, 1 wall, 2 ceiling, 3 + i for prop i, -1 nothing. Parts that were not asked for are None."""

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32] | None
    instances: NDArray[np.int32] | None


@dataclass(frozen=True)
class View:
    """position (3,) metres; rotation (3, 3): columns are the optical axes x right, y down, z forward."""

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]
    fov_y: float


def look_at(
    position: Sequence[float] | NDArray[np.float64],
    target: Sequence[float] | NDArray[np.float64],
    fov_y: float,
    roll: float = 0.0,
) -> View:
    """A camera (REP 103 optical frame) that looks from position to target; roll in radians."""
    eye = np.asarray(position, float)
    forward = np.asarray(target, float) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < 1e-9:  # straight up or down: the image's right is the room's x
        right = np.array([1.0, 0.0, 0.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return View(eye, np.column_stack([c * right + s * down, -s * right + c * down, forward]), fov_y)


class Stage:
    """Compiles a room and its props; ``render`` needs an OpenGL context of this thread."""

    def __init__(
        self,
        room: Room,
        props: Sequence[Prop],
        *,
        size: tuple[int, int],
        rng: np.random.Generator,
        textures: dict[str, NDArray[np.uint8]] | None = None,
        samples: int = 4,
    ) -> None:
        """textures: images by name for parts and surfaces that ask for them. samples: antialiasing."""
        self._mujoco = mujoco_module()
        self.room, self.props, self.size = room, tuple(props), size
        self._spec = self._mujoco.MjSpec()
        visual = self._spec.visual
        visual.global_.offheight, visual.global_.offwidth = size
        visual.quality.offsamples, visual.quality.shadowsize = samples, 2048
        visual.map.znear, visual.map.zfar = 0.01, 30.0
        self._spec.stat.extent = 1.0
        self._textures: set[str] = set()
        self._images = dict(textures or {})
        self._main: list[list[tuple[str, str | tuple[float, float, float]]]] = []
        self._grains = {kind: grain(rng, kind) for kind in _surface_grains()}
        self._build_structure()
        for index, prop in enumerate(self.props):
            self._build_prop(index, prop)
        for index in range(4):
            light = self._spec.worldbody.add_light(name=f"light{index}", pos=[0, 0, room.height - 0.1])
            light.castshadow = index < 2
        self._spec.worldbody.add_camera(name="camera", pos=[0, 0, 1])
        self._model = self._spec.compile()
        self._data = self._mujoco.MjData(self._model)
        self._body_instance = self._instance_of_bodies()
        self._renderer: Any = None

    def _texture(self, name: str, image: NDArray[np.uint8]) -> str:
        if name not in self._textures:
            height, width = image.shape[:2]
            kind = self._mujoco.mjtTexture.mjTEXTURE_2D
            texture = self._spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3)
            texture.data = np.ascontiguousarray(image[::-1]).tobytes()
            self._textures.add(name)
        return name

    def _material(self, name: str, finish: Finish, texture: str | None, repeat: float = 1.0) -> str:
        material = self._spec.add_material(name=name)
        material.specular, material.shininess = finish.specular, finish.shininess
        material.reflectance = 0.0
        if texture:
            material.textures[self._mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture
            material.texrepeat = [repeat, repeat]
        return name

    def _geom(self, body: Any, name: str, mesh: TriangleMesh, material: str) -> None:
        asset = self._spec.add_mesh(name=name)
        asset.uservert, asset.userface = mesh.vertices.ravel(), mesh.faces.ravel()
        asset.usertexcoord = mesh.uv.ravel()
        asset.inertia = self._mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        kind = self._mujoco.mjtGeom.mjGEOM_MESH
        body.add_geom(type=kind, meshname=name, material=material, contype=0, conaffinity=0)

    def _build_structure(self) -> None:
        x, y, h = self.room.x, self.room.y, self.room.height
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
            self._geom(self._spec.worldbody.add_body(name=name), name, meshes[name], name)

    def _build_prop(self, index: int, prop: Prop) -> None:
        body = self._spec.worldbody.add_body(name=f"prop{index}", pos=[0, 0, -50])
        looks: list[tuple[str, str | tuple[float, float, float]]] = []
        for number, parts in enumerate(look_groups(prop)):
            name, role = f"prop{index}_{number}", parts[0].role
            finish = self._finish(prop, role)
            texture, repeat = None, 1.0
            if parts[0].texture:
                texture = self._texture(parts[0].texture, self._images[parts[0].texture])
            elif finish.grain:
                texture, repeat = self._texture(f"grain:{finish.grain}", self._grains[finish.grain]), 1.6
            self._material(name, finish, texture, repeat)
            self._geom(body, name, merged([part.mesh for part in parts]), name)
            looks.append((name, "textured" if parts[0].texture else role))
        self._main.append(looks)

    def _finish(self, prop: Prop, role: str | tuple[float, float, float]) -> Finish:
        if role in ("main", "second"):
            return MATERIALS.get(prop.material, MATERIALS["plastic"])
        return ROLES[role][2] if isinstance(role, str) else MATERIALS["rubber"]

    def _instance_of_bodies(self) -> NDArray[np.int32]:
        table = np.full(self._model.nbody, -1, np.int32)
        for number, name in enumerate(STRUCTURE):
            table[self._model.body(name).id] = number
        for index in range(len(self.props)):
            table[self._model.body(f"prop{index}").id] = len(STRUCTURE) + index
        return table

    def place(self, placed: Sequence[Placed]) -> None:
        """Stands the props where told; all others are out of sight."""
        for index in range(len(self.props)):
            self._model.body(f"prop{index}").pos[:] = (0.0, 0.0, -50.0)
        for item in placed:
            body = self._model.body(f"prop{item.prop}")
            body.pos[:] = item.position
            body.quat[:] = (np.cos(item.yaw / 2), 0.0, 0.0, np.sin(item.yaw / 2))

    def colour_prop(self, rng: np.random.Generator, index: int, name: str, second: str) -> None:
        """Paints the main parts with a colour of that name ("" keeps image and natural looks)."""
        main = named_colour(rng, name) if name and self.props[index].colorable else (0.6, 0.6, 0.6)
        other = named_colour(rng, second)
        for material, role in self._main[index]:
            finish = self._finish(self.props[index], "main" if role == "textured" else role)
            rgb = self._role_colour(rng, role, main, other)
            # Tints differ a little from part to part and from image to image.
            tint = np.clip(np.asarray(rgb) * rng.uniform(0.93, 1.07), 0, 1)
            alpha = 1.0 if role == "textured" else finish.alpha
            self._model.material(material).rgba[:] = (*tint, alpha)

    @staticmethod
    def _role_colour(
        rng: np.random.Generator, role: str | tuple[float, float, float], main: RGB, second: RGB
    ) -> RGB:
        if role == "textured":
            return (1.0, 1.0, 1.0)
        if role == "main":
            return main
        if role == "second":
            return second
        if isinstance(role, tuple):
            return role
        low, high, _ = ROLES[role]
        mix = rng.uniform()
        return (
            low[0] + mix * (high[0] - low[0]),
            low[1] + mix * (high[1] - low[1]),
            low[2] + mix * (high[2] - low[2]),
        )

    def paint_structure(self, colours: dict[str, RGB]) -> None:
        for name, rgb in colours.items():
            self._model.material(name).rgba[:] = (*rgb, 1.0)

    def light(self, rng: np.random.Generator) -> None:
        """Lamps at random places, strengths and colour temperatures."""
        model, room = self._model, self.room
        warm = rng.uniform(-0.12, 0.12)
        tint = np.array([1 + warm, 1.0, 1 - warm])
        count = int(rng.integers(1, 5))
        for index in range(4):
            strength = rng.uniform(0.35, 0.75) / np.sqrt(count) if index < count else 0.0
            model.light_active[index] = index < count
            model.light_diffuse[index] = np.clip(strength * tint * rng.uniform(0.95, 1.05, 3), 0, 1)
            model.light_specular[index] = strength * 0.5
            model.light_pos[index] = (
                rng.uniform(-room.x, room.x) * 0.8,
                rng.uniform(-room.y, room.y) * 0.8,
                rng.uniform(room.height * 0.75, room.height - 0.05),
            )
            aim = np.array([rng.uniform(-1, 1), rng.uniform(-1, 1), -2.5])
            model.light_dir[index] = aim / np.linalg.norm(aim)
            model.light_cutoff[index] = 90.0
            model.light_exponent[index] = rng.uniform(0, 3)
        headlight = model.vis.headlight
        headlight.ambient[:] = np.clip(rng.uniform(0.25, 0.5) * tint, 0, 1)
        headlight.diffuse[:] = np.clip(rng.uniform(0.05, 0.35) * tint, 0, 1)
        headlight.specular[:] = rng.uniform(0.0, 0.15)

    def cast_no_shadows(self) -> None:
        """From the next image on."""
        self._model.light_castshadow[:] = 0

    def camera_model(self, fov_y: float) -> CameraModel:
        height, width = self.size
        focal = 0.5 * height / np.tan(np.radians(fov_y) / 2)
        return CameraModel(height, width, focal, focal, (width - 1) / 2, (height - 1) / 2)

    def render(
        self, view: View, *, rgb: bool = True, depth: bool = False, instances: bool = False
    ) -> Rendering:
        """Renders what is asked for; rgb is empty (0, 0, 3) when not."""
        if self._renderer is None:
            self._renderer = self._mujoco.Renderer(self._model, *self.size)
        self._aim(view)
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_comPos(self._model, self._data)
        self._mujoco.mj_camlight(self._model, self._data)
        renderer = self._renderer
        image = np.zeros((0, 0, 3), np.uint8)
        if rgb:
            renderer.update_scene(self._data, "camera")
            image = renderer.render().copy()
        metres = self._depth() if depth else None
        labels = self._instances() if instances else None
        return Rendering(image, metres, labels)

    def _aim(self, view: View) -> None:
        camera = self._model.camera("camera")
        camera.pos[:] = view.position
        camera.fovy[0] = view.fov_y
        # MuJoCo cameras look along -z with y up.
        axes = view.rotation * np.array([1.0, -1.0, -1.0])
        quaternion = np.zeros(4)
        self._mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(axes).ravel())
        camera.quat[:] = quaternion

    def _depth(self) -> NDArray[np.float32]:
        self._renderer.enable_depth_rendering()
        self._renderer.update_scene(self._data, "camera")
        metres = self._renderer.render().astype(np.float32)
        self._renderer.disable_depth_rendering()
        metres[metres > 25.0] = np.nan
        return np.asarray(metres)

    def _instances(self) -> NDArray[np.int32]:
        self._renderer.enable_segmentation_rendering()
        self._renderer.update_scene(self._data, "camera")
        segments = self._renderer.render()
        self._renderer.disable_segmentation_rendering()
        geoms = segments[..., 0]
        known = (segments[..., 1] == int(self._mujoco.mjtObj.mjOBJ_GEOM)) & (geoms >= 0)
        bodies = self._model.geom_bodyid[np.where(known, geoms, 0)]
        return np.where(known, self._body_instance[bodies], -1).astype(np.int32)

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def _surface_grains() -> tuple[str, ...]:
    kinds = {finish.grain for finish in MATERIALS.values()} | {role[2].grain for role in ROLES.values()}
    return tuple(sorted(kind for kind in kinds if kind))
