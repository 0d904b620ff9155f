"""Rendered images of one household thing each, with captions: a table of images and texts, made once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.cache import atomic_write
from perception_contrast.images.files import save_image
from perception_contrast_sim.objects.assets import prepare, texture
from perception_contrast_sim.objects.catalogue import catalogue
from perception_contrast_sim.objects.category import Category
from perception_contrast_sim.objects.materials import COLOURS
from perception_contrast_sim.objects.props import draw_colour, draw_prop
from perception_contrast_sim.render.camera_view import View, look_at
from perception_contrast_sim.render.mujoco_scene import MujocoScene
from perception_contrast_sim.render.scene_layout import Placement, Room
from perception_contrast_sim.rooms.scenes import add_camera_effects, paint_room, surface_images
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.household.scene_shards import require_same_scenes
from perception_contrast_training.household.words import Concept, phrase

ROOM = Room(1.5, 1.5, 2.6)


@dataclass(frozen=True)
class CloseUps:
    """things: how many categories. looks: rooms, in each of which every thing has another shape.
    views: images of each thing in a room. size: pixels of a side. phrases: captions of an image."""

    things: int = 24
    looks: int = 8
    views: int = 10
    size: int = 48
    phrases: int = 4
    offline: bool = False


@dataclass(frozen=True)
class CloseUp:
    """rgb (size, size, 3) uint8; what is seen, with its colour where it has one that is named."""

    rgb: NDArray[np.uint8]
    concept: Concept


def things(count: int) -> tuple[Category, ...]:
    """``count`` small things of the household, spread evenly over its catalogue."""
    small = [one for one in catalogue() if one.place == "table" and not one.held_out]
    return tuple(small[int(index)] for index in np.linspace(0, len(small) - 1, min(count, len(small))))


def close_ups(settings: CloseUps, seed: int) -> Iterator[CloseUp]:
    """looks * things * views images; the same seed and settings give the same ones."""
    prepare(offline=settings.offline)
    rng = np.random.default_rng(seed)
    for _ in range(settings.looks):
        props = [draw_prop(rng, category, unseen=False) for category in things(settings.things)]
        images = surface_images(rng, False, settings.offline)
        names = {part.texture for prop in props for part in prop.model.parts if part.texture}
        images |= {name: texture(name, offline=settings.offline) for name in sorted(names)}
        scene = MujocoScene(ROOM, props, size=(settings.size, settings.size), rng=rng, textures=images)
        scene.cast_no_shadows()
        try:
            for _ in range(settings.views):
                for number in range(len(props)):
                    yield _close_up(rng, scene, number)
        finally:
            scene.close()


def _close_up(rng: np.random.Generator, scene: MujocoScene, number: int) -> CloseUp:
    prop = scene.props[number]
    scene.place([Placement(number, (0.0, 0.0, 0.0), float(rng.uniform(-np.pi, np.pi)))])
    colour = draw_colour(rng, prop, frozenset())
    scene.colour_prop(rng, number, colour, str(rng.choice([one for one in COLOURS if one != colour])))
    paint_room(rng, scene)
    scene.light(rng)
    reach = max(prop.radius, prop.height / 2)
    view = _view(rng, reach, prop.height / 2)
    return CloseUp(add_camera_effects(rng, scene.render(view).rgb), Concept(prop.category.name, colour))


def _view(rng: np.random.Generator, reach: float, middle: float) -> View:
    """From outside and above, so near that the thing fills most of the image. Metres."""
    opening = float(rng.uniform(40, 55))
    distance = reach / np.tan(np.radians(opening) / 2) * float(rng.uniform(1.15, 1.6))
    elevation, azimuth = np.radians(rng.uniform(12, 55)), rng.uniform(-np.pi, np.pi)
    towards = np.array(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    )
    aim = np.array([0.0, 0.0, middle]) + rng.normal(0, 0.08 * reach, 3)
    return look_at(aim + distance * towards, aim, opening, float(rng.normal(0, 0.05)))


def plain_caption(concept: Concept) -> str:
    return " ".join(word for word in ("a", concept.color, concept.name) if word)


def write_table(folder: Path, settings: CloseUps, seed: int, *, plain: bool = False) -> Path:
    """Images and ``captions.jsonl`` (path, caption, class) in ``folder``; a whole one is left as it is.

    plain: one caption, "a red mug", in place of several phrases. Raises PerceptionError for a folder that
    holds other images.
    """
    table = folder / "captions.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    about = {"seed": seed, "plain": plain, **{k: v for k, v in vars(settings).items() if k != "offline"}}
    require_same_scenes(folder, about)
    if table.is_file():
        return table
    chance, rows = np.random.default_rng([seed, 1]), []
    count = settings.looks * settings.views * len(things(settings.things))
    for number, one in enumerate(tracked(close_ups(settings, seed), f"rendering {folder.name}", count)):
        name = f"{number:06d}.png"
        save_image(folder / name, one.rgb)
        said = [plain_caption(one.concept)] if plain else _phrases(one.concept, chance, settings.phrases)
        rows.append({"path": name, "caption": "\n".join(said), "class": one.concept.name})
    atomic_write(table, "".join(json.dumps(row) + "\n" for row in rows).encode())
    return table


def _phrases(concept: Concept, rng: np.random.Generator, count: int) -> list[str]:
    """Mostly with the colour, as people name what they see; a phrase a line."""
    return [
        phrase(concept if rng.random() < 0.8 else Concept(concept.name), rng).replace("\n", " ")
        for _ in range(count)
    ]
