"""The simulated household as a data set: rooms by seed with exact labels, and a camera that moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from perception_contrast_sim.objects.catalogue import catalogue
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_sim.render.scene_builder import STRUCTURE
from perception_contrast_sim.rooms.household import Household
from perception_contrast_sim.rooms.scenes import LabelledScene, SceneSampler, SceneSettings
from perception_contrast_training.evaluation.readers.household_options import HouseholdOptions
from perception_contrast_training.evaluation.readers.types import (
    IGNORED,
    LabelledImage,
    Mask,
    Thing,
    ThingsImage,
)
from perception_contrast_training.household.questions import LEAST_SHARE
from perception_contrast_training.household.words import SURFACES, Words


class HouseholdScenes:
    """Images of furnished rooms, each with all its things; the same options give the same images."""

    def __init__(self, options: HouseholdOptions) -> None:
        self._options = options
        self._words = Words(held_out=True, unseen=True)
        kept = [c.name for c in catalogue() if options.held_out or not c.held_out]
        self.names = (*kept, *SURFACES)

    def __len__(self) -> int:
        return self._options.scenes

    def __iter__(self) -> Iterator[ThingsImage]:
        for number, image in self.images():
            things = _things(image.instances, image.objects, self._words.kinds, LEAST_SHARE)
            there = {thing.category for thing in image.objects.values()}
            absent = tuple(
                name
                for name in (*self.names, *self._words.elsewhere)
                if not any(self._words.may_mean(name, category) for category in there)
            )
            yield ThingsImage(f"scene {number}", image.rgb, things, absent)

    def labelled(self) -> LabelledScenes:
        """The same images with one class a pixel."""
        return LabelledScenes(self)

    def images(self) -> Iterator[tuple[int, LabelledScene]]:
        """Numbers and rendered images."""
        options = self._options
        settings = SceneSettings(unseen=not options.seen, held_out=options.held_out, offline=options.offline)
        yield from zip(range(options.scenes), SceneSampler(options.seed, settings), strict=False)


class LabelledScenes:
    """A set of labelled images: every pixel is of the category of its thing."""

    def __init__(self, scenes: HouseholdScenes) -> None:
        self._scenes, self.names = scenes, scenes.names
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self._scenes)

    def __iter__(self) -> Iterator[LabelledImage]:
        for number, image in self._scenes.images():
            labels = np.full(image.instances.shape, IGNORED, np.int64)
            for instance, thing in image.objects.items():
                labels[image.instances == instance] = self._numbers.get(thing.category, IGNORED)
            yield LabelledImage(f"scene {number}", image.rgb, labels)


class HouseholdCamera:
    """The walk of a robot's camera around one room, ``rate`` frames a second, with exact identities.

    names: of all categories in the room, without floor, walls and ceiling.
    """

    def __init__(self, options: HouseholdOptions, frames: int, rate: float = 5.0) -> None:
        self._house = Household(options.seed, unseen=not options.seen, offline=options.offline)
        self._frames, self._rate = frames, rate
        self._objects = {n: o for n, o in self._house.objects.items() if o.category not in STRUCTURE}
        self.names = tuple(sorted({thing.category for thing in self._objects.values()}))
        # Each thing by its own category alone, so that it is counted once.
        self._kinds = {name: {name} for name in self.names}

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[ThingsImage]:
        for number in range(self._frames):
            image = self._house.render(number / self._rate, labels=True)
            assert image.instances is not None
            things = _things(image.instances, self._objects, self._kinds, LEAST_SHARE)
            yield ThingsImage(f"frame {number}", image.rgb, things)

    @property
    def period(self) -> float:
        """Seconds from a frame to the next."""
        return 1.0 / self._rate

    def close(self) -> None:
        """Frees the renderer."""
        self._house.close()


def _things(
    instances: NDArray[np.int32],
    objects: Mapping[int, SceneObject],
    kinds: Mapping[str, set[str]],
    least: float,
) -> tuple[Thing, ...]:
    """Everything that is seen; below the ``least`` share of the image it counts neither way."""
    things = []
    for number, thing in objects.items():
        mask: Mask = instances == number
        share = float(mask.mean())
        if share > 0:
            names = _names(thing.category, kinds)
            things.append(Thing(names, mask, str(number), ignored=share < least))
    return tuple(things)


def _names(category: str, kinds: Mapping[str, set[str]]) -> tuple[str, ...]:
    """The category itself, then every other name that is true of it: an office chair is a chair."""
    others = (name for name, categories in kinds.items() if category in categories and name != category)
    return (category, *others)
