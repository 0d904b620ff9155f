"""Images with names to ask for, many at once or few, and their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import RgbImage, Size
from perception_contrast.core.vocabulary import MAX_QUERIES
from perception_contrast.images.resize import resize_labels
from perception_contrast.segmentation.place_level import absent_names
from perception_contrast.segmentation.regions.region import Region
from perception_contrast_training.household.labelled import Labelled, LabelledFolder, household
from perception_contrast_training.household.training_sets import TrainingSets
from perception_contrast_training.photographs.base import (
    LEAST_SHARE,
    LabelledPhoto,
    SetFacts,
    TruthTable,
    readable_photos,
)
from perception_contrast_training.photographs.naming import Naming, Truth, load_naming

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
        near: Whether it is absent by a degree alone, as a thing in another colour.
    """

    text: str
    truth: NDArray[np.int8]
    exact: bool
    near: bool = False

    @property
    def present(self) -> bool:
        """Whether enough of it is there to be asked for."""
        return float((self.truth == Truth.TRUE).mean()) >= LEAST_SHARE

    @property
    def absent(self) -> bool:
        """Whether it is simply not there: it should not be reported."""
        return not self.near and not (self.truth == Truth.TRUE).any()

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
        near = question.kind == "absent colour"
        found[question.text] = Asked(question.text, truth, exact=True, near=near)
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


def labelled_images(
    folder: LabelledFolder, pairs: Sequence[tuple[Path, Path]], seed: int, absent: int
) -> Iterator[AskedImage]:
    """Images of a folder with a class list: its own names, and among many names those of other lists.

    Args:
        folder: Whose labels are exact.
        pairs: Some of the folder's.
        seed: Of the names that are asked for.
        absent: Names asked for that are not there, of each image.

    Raises:
        PerceptionError: A label image does not fit its image.
    """
    rng, others = np.random.default_rng(seed), _OtherNames(folder.names, load_naming())
    for rgb, labels in folder.images(pairs):
        own = _asked_of_labels(labels, folder.names, absent, rng)
        if own:
            count = absent - sum(not one.present for one in own)
            many = (*own, *others.absent_from(labels, count, rng))[:MAX_QUERIES]
            yield AskedImage(rgb, (many, vocabularies(own, rng)[-1]), "images")


def _asked_of_labels(
    labels: NDArray[np.int64], names: Sequence[str], absent: int, rng: np.random.Generator
) -> list[Asked]:
    """The names of a class list that are there, and some that are not; little things are left out."""
    nothing = np.zeros(labels.shape, np.int8)
    counts = np.bincount(labels[(labels >= 0) & (labels < len(names))], minlength=len(names))
    found, missing = [], []
    for name in dict.fromkeys(name for name in names if name):
        numbers = [number for number, other in enumerate(names) if other == name]
        share = counts[numbers].sum() / labels.size
        if share >= LEAST_SHARE:
            found.append(Asked(name, np.isin(labels, numbers).astype(np.int8), exact=True))
        elif share == 0:
            missing.append(Asked(name, nothing, exact=True))
    return [*found, *(missing[int(i)] for i in rng.permutation(len(missing))[:absent])]


class _OtherNames:
    """Names that a class list lacks, and what its labels say of them.

    Names of everyday things come first, where what is labelled denies them; then what no robot meets.
    """

    def __init__(self, own: Sequence[str], naming: Naming) -> None:
        """own: the class list."""
        self._own = {number: naming.canonical(name) for number, name in enumerate(own) if name}
        facts = SetFacts("folder", "", frozenset(self._own.values()), rest_is_other=False)
        self._table = TruthTable(naming, facts)
        labels, said = set(self._own.values()), {name.casefold() for name in own}
        self._everyday = [
            name
            for name in naming.names
            if name not in said and not any(self._table.of_region(one, name) == Truth.TRUE for one in labels)
        ]
        self._never_met = [name for name in absent_names() if name.casefold() not in said]

    def absent_from(self, labels: NDArray[np.int64], count: int, rng: np.random.Generator) -> Iterator[Asked]:
        """At most ``count`` names that are not in an image with these labels (H, W), as far as is known."""
        shown = {number: share for number, share in _shares(labels).items() if number in self._own}
        made = 0
        for index in rng.permutation(len(self._everyday)):
            if made >= count:
                return
            name = self._everyday[int(index)]
            denied = [n for n in shown if self._table.of_region(self._own[n], name) == Truth.FALSE]
            if sum(shown[number] for number in denied) >= LEAST_KNOWN:
                truth = np.where(np.isin(labels, denied), Truth.FALSE, Truth.UNKNOWN).astype(np.int8)
                made += 1
                yield Asked(name, truth, exact=False)
        nothing = np.zeros(labels.shape, np.int8)
        for index in rng.permutation(len(self._never_met))[: max(count - made, 0)]:
            yield Asked(self._never_met[int(index)], nothing, exact=False)


def _shares(labels: NDArray[np.int64]) -> dict[int, float]:
    """The share of the pixels that has each number."""
    numbers, counts = np.unique(labels, return_counts=True)
    return dict(zip(numbers.tolist(), (counts / labels.size).tolist(), strict=True))


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
