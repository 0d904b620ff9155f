"""Random household images with exact masks: rooms, arrangements, colours, lights and cameras by seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast_sim.objects.assets import TEXTURES, UNSEEN_TEXTURES, prepare, texture
from perception_contrast_sim.objects.catalogue import UNSEEN_PAIRS, catalogue
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.materials import COLOURS, RGB, grain, named_colour
from perception_contrast_sim.objects.props import SceneObject, draw_colour, draw_prop
from perception_contrast_sim.render.camera_view import View, look_at
from perception_contrast_sim.render.mujoco_scene import MujocoScene
from perception_contrast_sim.render.scene_builder import STRUCTURE
from perception_contrast_sim.render.scene_layout import Placement, Room
from perception_contrast_sim.rooms.furnishing import PropPlacer, furnish


@dataclass(frozen=True)
class LabelledScene:
    """One image and what is in it.

    Attributes:
        rgb: (H, W, 3) uint8.
        instances: (H, W) int32, as ``RenderedView.instances``.
        objects: What is visible, by its value in ``instances``.
        depth: (H, W) float32 metres, where the settings ask for it.
    """

    rgb: NDArray[np.uint8]
    instances: NDArray[np.int32]
    objects: dict[int, SceneObject]
    depth: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class SceneSettings:
    """Which scenes are drawn.

    Attributes:
        height: Of the images, pixels.
        width: Of the images, pixels.
        unseen: Use shapes, textures and colour pairs that are kept back from training.
        held_out: Use categories that are kept back from training.
        views: Images of one room.
        props: Things that one room may hold.
        offline: Never touch a network; assets must be in the cache.
        depth: Whether images come with their depth.
    """

    height: int = 378
    width: int = 504
    unseen: bool = False
    held_out: bool = False
    views: int = 6
    props: int = 40
    offline: bool = False
    depth: bool = False


def surface_images(rng: np.random.Generator, unseen: bool, offline: bool) -> dict[str, NDArray[np.uint8]]:
    """Textures of floor, walls and ceiling, "surface:<name>"; photographs or procedural ones, by chance."""
    kinds = {
        "floor": (("wood", "tile", "felt", "stone"), ("planks", "tile", "checks", "stone", "fabric")),
        "wall": (("plaster", "brick"), ("plaster", "plaster", "plaster", "plaster", "stripes", "checks")),
        "ceiling": ((), ("plaster",)),
    }
    images: dict[str, NDArray[np.uint8]] = {}
    for surface, (photographs, procedural) in kinds.items():
        names = [
            n for kind in photographs for n in TEXTURES.get(kind, ()) if (n in UNSEEN_TEXTURES) == unseen
        ]
        if names and rng.random() < 0.6:
            images[f"surface:{surface}"] = texture(str(rng.choice(names)), offline=offline)
        elif rng.random() < 0.7:
            images[f"surface:{surface}"] = grain(rng, str(rng.choice(procedural)))
    return images


class SceneSampler:
    """Draws images for ever; the same seed and settings give the same images."""

    def __init__(self, seed: int, settings: SceneSettings) -> None:
        prepare(offline=settings.offline)
        self.settings = settings
        self._rng = np.random.default_rng(seed)
        self._pool = [c for c in catalogue() if settings.held_out or not c.held_out]

    def __iter__(self) -> Iterator[LabelledScene]:
        while True:
            scene = self._scene()
            try:
                for _ in range(self.settings.views):
                    image = self._image(scene)
                    if image is not None:
                        yield image
            finally:
                scene.close()

    def _categories(self) -> list[Category]:
        """Categories of one scene: mostly small things, enough furniture to put them on."""
        rng, total = self._rng, self.settings.props
        by_place = {
            place: [c for c in self._pool if c.place == place]
            for place in ("table", "floor", "wall", "ceiling")
        }
        drawn: list[Category] = []
        for place, share in (("table", 0.55), ("floor", 0.3), ("wall", 0.12), ("ceiling", 0.03)):
            for _ in range(max(1, round(total * share)) if by_place[place] else 0):
                drawn.append(by_place[place][int(rng.integers(len(by_place[place])))])
        if self.settings.held_out:
            kept = [c for c in self._pool if c.held_out]
            for index in rng.choice(len(drawn), 4, replace=False):
                drawn[int(index)] = kept[int(rng.integers(len(kept)))]
        # Several of one kind in one room, so that colours and sizes tell them apart.
        for index in rng.choice(len(drawn), total // 5, replace=False):
            drawn[int(index)] = drawn[int(rng.integers(len(drawn)))]
        supports = [
            c for c in self._pool if c.name in ("dining table", "desk", "coffee table", "kitchen counter")
        ]
        drawn += [supports[int(rng.integers(len(supports)))] for _ in range(2)]
        return drawn

    def _scene(self) -> MujocoScene:
        rng, settings = self._rng, self.settings
        room = Room(float(rng.uniform(1.7, 3.2)), float(rng.uniform(1.7, 3.2)), float(rng.uniform(2.4, 3.0)))
        props = [draw_prop(rng, c, settings.unseen and rng.random() < 0.5) for c in self._categories()]
        images = surface_images(rng, settings.unseen, settings.offline)
        for prop in props:
            for part in prop.model.parts:
                if part.texture:
                    images[part.texture] = texture(part.texture, offline=settings.offline)
        return MujocoScene(room, props, size=(settings.height, settings.width), rng=rng, textures=images)

    def _image(self, scene: MujocoScene) -> LabelledScene | None:
        rng = self._rng
        placer = furnish(rng, scene.room, scene.props)
        scene.place(placer.placed)
        colours = self._paint(scene, placer.placed)
        scene.light(rng)
        # A camera on a robot looks where things are: bare views are mostly drawn again.
        least = 5 if rng.random() < 0.75 else 2
        for _ in range(4):
            view = draw_view(rng, placer)
            if view is None:
                return None
            labels = scene.render(view, rgb=False, instances=True).instances
            assert labels is not None
            objects = visible_objects(scene, placer.placed, colours, labels)
            if sum(o.category not in STRUCTURE for o in objects.values()) >= least:
                seen = scene.render(view, depth=self.settings.depth)
                return LabelledScene(add_camera_effects(rng, seen.rgb), labels, objects, seen.depth)
        return None

    def _paint(self, scene: MujocoScene, placed: list[Placement]) -> dict[int, str]:
        rng, unseen = self._rng, self.settings.unseen
        colours: dict[int, str] = {}
        forbidden = frozenset[tuple[str, str]]() if unseen else UNSEEN_PAIRS
        for item in placed:
            prop = scene.props[item.prop]
            kept = [c for c, name in sorted(UNSEEN_PAIRS) if name == prop.category.name]
            only = kept if unseen and kept and rng.random() < 0.4 else ()
            colours[item.prop] = draw_colour(rng, prop, forbidden, only)
            second = str(rng.choice([c for c in COLOURS if c != colours[item.prop]]))
            scene.colour_prop(rng, item.prop, colours[item.prop], second)
        paint_room(rng, scene)
        return colours


def paint_room(rng: np.random.Generator, scene: MujocoScene) -> None:
    """Floor, walls and ceiling in colours that rooms have."""
    scene.paint_structure({name: _surface_colour(rng, name) for name in STRUCTURE})


def _surface_colour(rng: np.random.Generator, surface: str) -> RGB:
    muted = ("white", "beige", "grey") if surface != "floor" else ("beige", "brown", "grey", "white")
    vivid = surface == "wall" and rng.random() < 0.35
    r, g, b = named_colour(rng, str(rng.choice(COLOURS if vivid else muted)))
    return (r, g, b)


def draw_view(rng: np.random.Generator, placer: PropPlacer, tries: int = 30) -> View | None:
    """A robot's or a person's view: near a table top, near the floor, or across the room."""
    room, placed, props = placer.room, placer.placed, placer.props
    small = [p for p in placed if props[p.prop].category.place == "table"]
    large = [p for p in placed if props[p.prop].category.place != "table"]
    close = bool(small) and rng.random() < 0.62
    pool = small if close else (large or small)
    if not pool:
        return None
    for _ in range(tries):
        target = pool[int(rng.integers(len(pool)))]
        aim = np.array(target.position) + rng.normal(0, 0.12 if close else 0.4, 3)
        distance = rng.uniform(0.35, 1.5) if close else rng.uniform(1.2, 4.5)
        elevation = np.radians(rng.uniform(12, 62) if close else rng.uniform(2, 35))
        azimuth = rng.uniform(-np.pi, np.pi)
        offset = distance * np.array(
            [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        )
        eye = aim + offset
        inside = (
            abs(eye[0]) < room.x - 0.1 and abs(eye[1]) < room.y - 0.1 and 0.15 < eye[2] < room.height - 0.15
        )
        if inside and not _blocked(eye, placer):
            return look_at(eye, aim, float(rng.uniform(40, 68)), float(rng.normal(0, 0.05)))
    return None


def _blocked(eye: NDArray[np.float64], placer: PropPlacer) -> bool:
    for item in placer.placed:
        prop = placer.props[item.prop]
        low, high = item.position[2] + prop.low[2], item.position[2] + prop.high[2]
        level = low - 0.1 < eye[2] < high + 0.1
        if level and np.hypot(eye[0] - item.position[0], eye[1] - item.position[1]) < prop.radius + 0.12:
            return True
    return False


def visible_objects(
    scene: MujocoScene,
    placed: list[Placement],
    colours: dict[int, str],
    instances: NDArray[np.int32],
    least: int = 30,
) -> dict[int, SceneObject]:
    """Things with at least ``least`` pixels, with the words that are true of them."""
    values, counts = np.unique(instances, return_counts=True)
    seen = {int(v) for v, n in zip(values, counts, strict=True) if v >= 0 and n >= least}
    found = {
        number: SceneObject(number, STRUCTURE[number]) for number in sorted(seen) if number < len(STRUCTURE)
    }
    for item in placed:
        number = len(STRUCTURE) + item.prop
        if number not in seen:
            continue
        prop = scene.props[item.prop]
        on = len(STRUCTURE) + item.on if item.on >= 0 else -1
        found[number] = SceneObject(
            number, prop.category.name, colours.get(item.prop, ""), prop.material, prop.size, on
        )
    return found


def add_camera_effects(rng: np.random.Generator, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image (H, W, 3) uint8 RGB with a camera's exposure, contrast, white balance, blur and noise."""
    image = rgb.astype(np.float32) / 255.0
    mean = max(float(image.mean()), 0.05)
    image *= np.clip(rng.uniform(0.3, 0.55) / mean, 0.6, 2.2)
    image = np.clip(image, 0, 1) ** rng.uniform(0.75, 1.2)
    image *= rng.uniform(0.94, 1.06, 3).astype(np.float32)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.2)))
    noise = rng.normal(0, rng.uniform(0.002, 0.02), image.shape[:2]).astype(np.float32)
    image += noise[..., None]
    return np.asarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
