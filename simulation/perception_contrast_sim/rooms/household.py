"""The robot's home: one furnished room and a camera that moves through it on a smooth path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from perception_contrast.core.camera_model import CameraModel
from perception_contrast_sim.objects import assets
from perception_contrast_sim.objects.catalogue import UNSEEN_PAIRS, category
from perception_contrast_sim.objects.materials import COLOURS, named_colour
from perception_contrast_sim.objects.props import Prop, SceneObject, draw_colour, draw_prop
from perception_contrast_sim.render.camera_view import View, look_at
from perception_contrast_sim.render.mujoco_scene import MujocoScene
from perception_contrast_sim.render.scene_builder import STRUCTURE
from perception_contrast_sim.render.scene_layout import Room
from perception_contrast_sim.rooms.furnishing import PropPlacer
from perception_contrast_sim.rooms.scenes import surface_images

FLOOR = (
    "sofa",
    "armchair",
    "chair",
    "chair",
    "office chair",
    "bookshelf",
    "floor lamp",
    "trash can",
    "rug",
    "backpack",
)
WALL = ("window", "painting", "door", "wall clock")
TABLE = (
    "mug", "bowl", "bottle", "book", "banana", "apple", "teapot", "plate", "laptop", "cereal box", "vase",
    "toy car", "alarm clock", "cup", "orange", "potted plant",
)  # fmt: skip
FOV_Y = 55.0
ORBIT_SECONDS = 40.0


@dataclass(frozen=True)
class HouseholdView:
    """What the robot's camera saw at one time. What was not asked for is None.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32 metres along the optical axis, NaN for none.
        instances: (H, W) int32, keys of ``Household.objects``, -1 for nothing.
        view: The camera in the map frame.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32] | None
    instances: NDArray[np.int32] | None
    view: View

    @property
    def pose(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position (3,) in metres and quaternion (x, y, z, w) of the optical frame in the map."""
        return self.view.position, Rotation.from_matrix(self.view.rotation).as_quat()


@dataclass(frozen=True)
class TrueBox:
    """Where a thing is, in the map frame.

    Attributes:
        center: (3,) metres.
        size: (3,) metres along the box's own axes.
        yaw: Radians by which it is turned about z.
    """

    center: NDArray[np.float64]
    size: NDArray[np.float64]
    yaw: float


def auto_exposure(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightened or darkened by one gain towards a middle grey, as a camera's automatic exposure does."""
    gain = float(np.clip(105.0 / max(float(rgb[::8, ::8].mean()), 1.0), 0.7, 2.5))
    table = np.clip(np.arange(256) * gain, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(rgb, table), np.uint8)


class Household:
    """A furnished living room. Map frame: origin at the middle of the floor, z up (REP 103).

    Args:
        seed: The same seed gives the same room and path.
        height: Of its images, pixels.
        width: Of its images, pixels.
        unseen: Use shapes and textures that training never used.
        offline: Never touch a network; assets must be in the cache.

    Attributes:
        objects: What is in the room, by its value in the instance image.

    Raises:
        PerceptionError: There is no off-screen renderer on this machine.
    """

    def __init__(
        self, seed: int, height: int = 480, width: int = 640, unseen: bool = False, offline: bool = False
    ) -> None:
        assets.prepare(offline=offline)
        self._rng = np.random.default_rng(seed)
        rng = self._rng
        room = Room(float(rng.uniform(2.3, 2.8)), float(rng.uniform(2.3, 2.8)), 2.6)
        table = draw_prop(rng, category(str(rng.choice(["dining table", "coffee table", "desk"]))), unseen)
        names = (*TABLE, *FLOOR, *WALL)
        props = [table, *(draw_prop(rng, category(name), unseen) for name in names)]
        images = surface_images(rng, unseen, offline)
        for prop in props:
            for part in prop.model.parts:
                if part.texture:
                    images[part.texture] = assets.texture(part.texture, offline=offline)
        # No antialiasing by the renderer: the camera shares two cores with the encoders.
        self._scene = MujocoScene(room, props, size=(height, width), rng=rng, textures=images, samples=0)
        self._placer = self._furnish(room, tuple(props))
        self._scene.place(self._placer.placed)
        self.objects = self._paint(unseen)
        self._scene.light(rng)
        # Shadow maps take five times as long as the image.
        self._scene.cast_no_shadows()
        self._table = self._placer.placed[0]
        self._phase = float(rng.uniform(0, 2 * np.pi))

    @property
    def room(self) -> Room:
        """The size of the room."""
        return self._scene.room

    @property
    def camera(self) -> CameraModel:
        """Intrinsics of the colour and depth images."""
        return self._scene.camera_model(FOV_Y)

    def _furnish(self, room: Room, props: tuple[Prop, ...]) -> PropPlacer:
        placer = PropPlacer(self._rng, room, props)
        for _ in range(20):
            if placer.place_on_floor(0, near=(0.0, 0.0)):
                break
        else:
            placer.place_on_floor(0)
        small = list(range(1, 1 + len(TABLE)))
        on_floor = range(1 + len(TABLE), 1 + len(TABLE) + len(FLOOR))
        for index in on_floor:
            placer.place_on_floor(index)
        for index in range(1 + len(TABLE) + len(FLOOR), len(props)):
            placer.place_on_wall(index)
        order = [small[int(i)] for i in self._rng.permutation(len(small))]
        placer.place_on_top(order, placer.placed[0], tight=0.95)
        return placer

    def _paint(self, unseen: bool) -> dict[int, SceneObject]:
        rng, scene = self._rng, self._scene
        forbidden = frozenset[tuple[str, str]]() if unseen else UNSEEN_PAIRS
        objects = {number: SceneObject(number, name) for number, name in enumerate(STRUCTURE)}
        for item in self._placer.placed:
            prop = scene.props[item.prop]
            colour = draw_colour(rng, prop, forbidden)
            scene.colour_prop(rng, item.prop, colour, str(rng.choice([c for c in COLOURS if c != colour])))
            number = len(STRUCTURE) + item.prop
            on = len(STRUCTURE) + item.on if item.on >= 0 else -1
            objects[number] = SceneObject(number, prop.category.name, colour, prop.material, prop.size, on)
        walls = str(rng.choice(["white", "beige", "grey", "green", "blue"]))
        pale = tuple(0.55 + 0.45 * v for v in named_colour(rng, walls))
        ceiling, floor = (
            named_colour(rng, "white"),
            named_colour(rng, str(rng.choice(["brown", "beige", "grey"]))),
        )
        scene.paint_structure({"wall": (pale[0], pale[1], pale[2]), "ceiling": ceiling, "floor": floor})
        return objects

    def remove(self, numbers: Iterable[int]) -> tuple[int, ...]:
        """Takes things out of the room, with what stands on them.

        Args:
            numbers: Keys of ``objects``, no part of the structure.

        Returns:
            All that left, keys that ``objects`` no longer has.
        """
        gone = self._placer.take_away(number - len(STRUCTURE) for number in numbers)
        self._scene.place(self._placer.placed)
        left = tuple(len(STRUCTURE) + index for index in gone)
        for number in left:
            del self.objects[number]
        return left

    def move(self, numbers: Iterable[int], least: float = 0.3) -> tuple[int, ...]:
        """Places things elsewhere: on the same table, on the floor, or on a wall, as they were.

        Args:
            numbers: Keys of ``objects``.
            least: Metres from the old place to the new one.

        Returns:
            Those that moved. The others stayed: something stands on them, or there was no room.
        """
        moved = tuple(number for number in numbers if self._placer.move(number - len(STRUCTURE), least))
        self._scene.place(self._placer.placed)
        return moved

    def boxes(self) -> dict[int, TrueBox]:
        """Where each thing truly is, by its value in the instance image; without floor, walls and ceiling."""
        found = {}
        for item in self._placer.placed:
            prop = self._scene.props[item.prop]
            low, high = np.array(prop.low), np.array(prop.high)
            middle = (low + high) / 2
            cosine, sine = np.cos(item.yaw), np.sin(item.yaw)
            turned = np.array([cosine * middle[0] - sine * middle[1], sine * middle[0] + cosine * middle[1]])
            center = np.array(item.position) + np.array([*turned, middle[2]])
            found[len(STRUCTURE) + item.prop] = TrueBox(center, high - low, item.yaw)
        return found

    def pose(self, t: float) -> View:
        """The camera's optical frame in the map at t seconds: an orbit of the table, nearer and farther."""
        angle = self._phase + 2 * np.pi * t / ORBIT_SECONDS
        centre = np.array([self._table.position[0], self._table.position[1], 0.0])
        room = self.room
        reach = 1.35 + 0.25 * np.sin(2 * np.pi * t / 23.0)
        height = 1.35 + 0.15 * np.sin(2 * np.pi * t / 17.0)
        eye = centre + np.array([reach * np.cos(angle), reach * np.sin(angle), height])
        eye[:2] = np.clip(eye[:2], (-room.x + 0.15, -room.y + 0.15), (room.x - 0.15, room.y - 0.15))
        glance = 0.25 * np.sin(2 * np.pi * t / 11.0)
        aim = centre + np.array([-glance * np.sin(angle), glance * np.cos(angle), 0.65])
        return look_at(eye, aim, FOV_Y)

    def render(self, t: float, *, depth: bool = False, labels: bool = False) -> HouseholdView:
        """What the camera sees at t seconds; depth and labels only when asked for."""
        view = self.pose(t)
        image = self._scene.render(view, depth=depth, instances=labels)
        return HouseholdView(auto_exposure(image.rgb), image.depth, image.instances, view)

    def close(self) -> None:
        """Frees the renderer; call it in the thread that rendered."""
        self._scene.close()
