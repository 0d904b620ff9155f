"""MujocoScene: renders a furnished room with MuJoCo, with metric depth and exact instance masks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.errors import PerceptionError
from perception_contrast_sim.objects.materials import RGB, ROLES, named_colour
from perception_contrast_sim.objects.props import Prop
from perception_contrast_sim.render.camera_view import View
from perception_contrast_sim.render.scene_builder import (
    LAMPS,
    OUT_OF_SIGHT,
    STRUCTURE,
    SceneBuilder,
    part_finish,
)
from perception_contrast_sim.render.scene_layout import Placement, Room


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
class RenderedView:
    """One rendered image. What was not asked for is None.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32 metres along the optical axis, NaN for none.
        instances: (H, W) int32; 0 floor, 1 wall, 2 ceiling, 3 + i for prop i, -1 for nothing.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32] | None
    instances: NDArray[np.int32] | None


class MujocoScene:
    """A compiled room with its props.

    Props can be moved, recoloured and relit between images without a rebuild. Images are rendered off
    screen, in an OpenGL context that belongs to the thread of the first ``render``.

    Args:
        room: The room.
        props: Things that may stand in it; ``place`` puts them there.
        size: (height, width) of its images.
        rng: Draws the procedural textures.
        textures: By name, (H, W, 3) uint8 RGB, for parts and surfaces that ask for them.
        samples: Samples per pixel for antialiasing; 0 for none.

    Raises:
        PerceptionError: There is no off-screen renderer on this machine.
    """

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
        self._mujoco = mujoco_module()
        self.room, self.props, self.size = room, tuple(props), size
        builder = SceneBuilder(
            self._mujoco, room, self.props, size=size, rng=rng, images=dict(textures or {}), samples=samples
        )
        self._prop_materials = builder.prop_materials
        self._model = builder.spec.compile()
        self._data = self._mujoco.MjData(self._model)
        self._body_instance = self._instance_of_bodies()
        self._renderer: Any = None

    def _instance_of_bodies(self) -> NDArray[np.int32]:
        table = np.full(self._model.nbody, -1, np.int32)
        for number, name in enumerate(STRUCTURE):
            table[self._model.body(name).id] = number
        for index in range(len(self.props)):
            table[self._model.body(f"prop{index}").id] = len(STRUCTURE) + index
        return table

    def place(self, placed: Sequence[Placement]) -> None:
        """Puts the props at their placements; all others are out of sight."""
        for index in range(len(self.props)):
            self._model.body(f"prop{index}").pos[:] = OUT_OF_SIGHT
        for item in placed:
            body = self._model.body(f"prop{item.prop}")
            body.pos[:] = item.position
            body.quat[:] = (np.cos(item.yaw / 2), 0.0, 0.0, np.sin(item.yaw / 2))

    def colour_prop(self, rng: np.random.Generator, index: int, name: str, second: str) -> None:
        """Paints the main parts with a colour of that name ("" keeps image and natural looks)."""
        main = named_colour(rng, name) if name and self.props[index].colorable else (0.6, 0.6, 0.6)
        other = named_colour(rng, second)
        for material, role in self._prop_materials[index]:
            finish = part_finish(self.props[index], "main" if role == "textured" else role)
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
        """Paints floor, wall and ceiling, by name."""
        for name, rgb in colours.items():
            self._model.material(name).rgba[:] = (*rgb, 1.0)

    def light(self, rng: np.random.Generator) -> None:
        """Lamps at random places, strengths and colour temperatures."""
        model, room = self._model, self.room
        warm = rng.uniform(-0.12, 0.12)
        tint = np.array([1 + warm, 1.0, 1 - warm])
        count = int(rng.integers(1, 5))
        for index in range(LAMPS):
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
        """Intrinsics of images with this vertical field of view in degrees."""
        height, width = self.size
        focal = 0.5 * height / np.tan(np.radians(fov_y) / 2)
        return CameraModel(height, width, focal, focal, (width - 1) / 2, (height - 1) / 2)

    def render(
        self, view: View, *, rgb: bool = True, depth: bool = False, instances: bool = False
    ) -> RenderedView:
        """Renders one view of the scene.

        Args:
            view: The camera.
            rgb: Whether to render the image; else ``rgb`` of the result is empty (0, 0, 3).
            depth: Whether to render depth.
            instances: Whether to render the instance image.
        """
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
        return RenderedView(image, metres, labels)

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
        """Frees the renderer; call it in the thread that rendered."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
