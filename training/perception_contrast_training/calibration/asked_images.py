"""Images with names to ask for, many at once or few, and their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import RgbImage, Size
from perception_contrast.images.resize import resize_labels
from perception_contrast.segmentation.regions.region import Region
from perception_contrast_training.household.labelled import Labelled, household
from perception_contrast_training.household.training_sets import TrainingSets
from perception_contrast_training.photographs.base import (
    LEAST_SHARE,
    LabelledPhoto,
    TruthTable,
    readable_photos,
)
from perception_contrast_training.photographs.naming import Naming, Truth

MANY = 150  # names asked for at once, of a robot that has a large vocabulary
FEW = 24  # most names of a small vocabulary, which are mostly about
OWN_SET = 0.6  # share of the absent names that are the photograph's own set's
LEAST_OVERLAP = 0.5  # IoU from which benchmarks say that a thing was found
LEAST_KNOWN = 0.5  # share of a region of which something has to be known, or it says nothing


@dataclass(frozen=True)
class Asked:
    """One name asked of an image.

    Attributes:
        text: What is asked for.
        truth: (H, W) int8 ``Truth`` of each pixel.
        exact: Whether a region has to have the outline of what it shows, as in scenes with exact masks;
            else it has to lie on it.
    """

    text: str
    truth: NDArray[np.int8]
    exact: bool

    @property
    def present(self) -> bool:
        """Whether enough of it is there to be asked for."""
        return float((self.truth == Truth.TRUE).mean()) >= LEAST_SHARE

    def judged(self, region: Region, map_size: Size) -> bool | None:
        """Whether a region shows what was asked for; None where too little is known of it."""
        truth = resize_labels(self.truth, map_size)
        x0, y0, x1, y1 = region.box
        if self.exact:
            return overlaps(region, truth == Truth.TRUE)
        own = truth[y0:y1, x0:x1][region.mask]
        known = own != Truth.UNKNOWN
        if known.mean() < LEAST_KNOWN:
            return None
        return bool((own[known] == Truth.TRUE).mean() >= 0.5)


@dataclass(frozen=True)
class AskedImage:
    """rgb: (H, W, 3) uint8. vocabularies: each asked for at once. source: group of the report."""

    rgb: RgbImage
    vocabularies: tuple[tuple[Asked, ...], ...]
    source: str


def overlaps(region: Region, truth: NDArray[np.bool_]) -> bool:
    """Whether a region overlaps what it touches of the truth (H, W) by an IoU of at least LEAST_OVERLAP.

    The truth is of all things of a name; a region need not be more than one of them.
    """
    x0, y0, x1, y1 = region.box
    common = np.count_nonzero(truth[y0:y1, x0:x1] & region.mask)
    if not common:
        return False
    _, parts = cv2.connectedComponents(truth.view(np.uint8), connectivity=8)
    touched = np.unique(parts[y0:y1, x0:x1][region.mask])
    whole = np.count_nonzero(np.isin(parts, touched[touched > 0]))
    return bool(common >= LEAST_OVERLAP * (whole + np.count_nonzero(region.mask) - common))


def rooms(
    seed: int, scenes: int, absent: int, *, offline: bool, views: int, unseen: bool
) -> Iterator[AskedImage]:
    """Rendered rooms; arguments as ``household`` takes them."""
    rng = np.random.default_rng(seed)
    for image in household(seed, scenes, absent, offline, views, unseen=unseen):
        yield AskedImage(image.rgb, vocabularies(_asked_of_room(image), rng), "rooms")


def _asked_of_room(image: Labelled) -> list[Asked]:
    """Each text once, as a vocabulary holds it."""
    nothing = np.zeros(image.rgb.shape[:2], np.int8)
    found: dict[str, Asked] = {}
    for question in image.questions:
        truth = nothing if question.truth is None else question.truth.astype(np.int8)
        found[question.text] = Asked(question.text, truth, exact=True)
    return list(found.values())


def photographs(sets: TrainingSets, seed: int, most: int = 0) -> Iterator[AskedImage]:
    """The calibration part of sets of photographs; those that cannot be read are told and left out.

    Args:
        sets: The sets.
        seed: Of the names that are asked for.
        most: Photographs of each set, 0 for all.
    """
    rng = np.random.default_rng(seed)
    for path, source in sets.sets.items():
        table = TruthTable(sets.naming, source.facts)
        for photo in readable_photos(source, sets.keys(path, "calibration")[: most or None]):
            asked = _asked_of_photo(photo, table, sets.naming, rng)
            if asked:
                yield AskedImage(photo.image, vocabularies(asked, rng), "photographs")


def photograph_count(sets: TrainingSets, most: int = 0) -> int:
    """How many ``photographs`` gives at most."""
    return sum(len(sets.keys(path, "calibration")[: most or None]) for path in sets.sets)


def _asked_of_photo(
    photo: LabelledPhoto, table: TruthTable, naming: Naming, rng: np.random.Generator
) -> list[Asked]:
    """What is there, and names that are not: of the set, and others of which something is known."""
    own = sorted(name for name in photo.facts.names if naming.knows(name))
    others = sorted(set(naming.names) - photo.facts.names)
    names = [own[int(i)] for i in rng.permutation(len(own))[: round(OWN_SET * MANY)]]
    names += [others[int(i)] for i in rng.permutation(len(others))[: MANY - len(names)]]
    shown = {region.name for region in photo.regions if naming.knows(region.name)}
    names = sorted({*names, *shown})
    truths = table.of_regions(photo.regions, names)
    asked = []
    for column, name in enumerate(names):
        truth = truths[:, column][photo.numbers]
        if (truth != Truth.UNKNOWN).mean() >= LEAST_KNOWN:
            asked.append(Asked(name, truth, exact=False))
    return asked


def vocabularies(asked: Sequence[Asked], rng: np.random.Generator) -> tuple[tuple[Asked, ...], ...]:
    """All that is asked at once, and a small vocabulary of which half is there.

    Who gives a robot a few names mostly has these things about; of a few hundred names hardly any is seen in
    one image. Probabilities learn this from the number of names (``Calibration``'s ``log_names``).
    """
    present = [one for one in asked if one.present]
    absent = [one for one in asked if not one.present]
    size = int(np.exp(rng.uniform(0, np.log(FEW))))
    there = [present[int(i)] for i in rng.permutation(len(present))[: (size + int(rng.integers(2))) // 2]]
    missing = [absent[int(i)] for i in rng.permutation(len(absent))[: max(size - len(there), 0)]]
    few = (*there, *missing)
    return (tuple(asked), few) if few else (tuple(asked),)
