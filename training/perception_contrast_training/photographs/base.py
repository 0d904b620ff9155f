"""What a set of labelled photographs gives, whichever its layout."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.errors import FrameError
from perception_contrast.images.orientation import orientation_note
from perception_contrast_training.photographs.naming import Naming, Truth

logger = logging.getLogger(__name__)

MAX_REGIONS = 254  # of a photograph; smaller ones are left out, so that a region's number fits a byte
LEAST_SHARE = 2e-3  # of the image's pixels; what is smaller is too small to be asked for


@dataclass(frozen=True)
class SetFacts:
    """What holds for a whole set.

    Attributes:
        name: Of the set, such as ``nyuv2``.
        licence: Terms of images and labels, for people to read.
        names: Canonical names of all classes that the set labels wherever they are seen.
        dense: Whether a label claims all its pixels. Where it does not, as in COCO, whose table includes the
            plates on it, other things may lie within a region.
        rest_is_other: Whether what is unlabelled is none of ``names``.
    """

    name: str
    licence: str
    names: frozenset[str]
    dense: bool = True
    rest_is_other: bool = True

    def stored(self) -> dict[str, Any]:
        """For JSON; ``of_stored`` reads it."""
        return asdict(self) | {"names": sorted(self.names)}

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> SetFacts:
        """What ``stored`` gave."""
        return cls(**{**stored, "names": frozenset(stored["names"])})


@dataclass(frozen=True)
class PhotoRegion:
    """A labelled region. name: canonical. thing: one thing, not all that has the name in the image."""

    name: str
    thing: bool = False


@dataclass(frozen=True)
class LabelledPhoto:
    """A photograph with its regions.

    Attributes:
        key: Unique in its set.
        image: (H, W, 3) uint8 RGB.
        numbers: (H, W) uint8; 0 is unlabelled, else 1 + index into ``regions``.
        regions: What the numbers are.
        facts: Of its set.
        file: Of the image, for what an error about sizes says of it; None where it has none of its own.

    Raises FrameError where the numbers are of another size than the image.
    """

    key: str
    image: RgbImage
    numbers: NDArray[np.uint8]
    regions: tuple[PhotoRegion, ...]
    facts: SetFacts
    file: Path | None = None

    def __post_init__(self) -> None:
        require_size(self.numbers, self.image, self.facts, self.key, self.file)


def require_size(
    labels: NDArray[Any], image: RgbImage, facts: SetFacts, key: str, file: Path | None = None
) -> None:
    """What every reader asks of labels.

    Args:
        labels: (H, W).
        image: (H, W, 3).
        facts: Of the set.
        key: Of the photograph.
        file: Of the image, whose orientation may be the reason.

    Raises:
        FrameError: They are of different sizes ("size_mismatch").
    """
    if labels.shape != image.shape[:2]:
        note = orientation_note(file) if file is not None else ""
        raise FrameError(
            "size_mismatch",
            f"photograph '{key}' of '{facts.name}' is {_size(image)}, its labels are {_size(labels)}; "
            f"labels must have their image's size: fetch or export both again{note}",
        )


def _size(array: NDArray[Any]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"


class PhotoSet(Protocol):
    """Photographs by key; a photograph that cannot be read raises FrameError and is left out by its user.

    Attributes:
        facts: Of the set.
        keys: In a fixed order.
    """

    facts: SetFacts
    keys: tuple[str, ...]

    def photo(self, key: str) -> LabelledPhoto:
        """Reads one photograph."""
        ...


def readable_photos(source: PhotoSet, keys: Iterable[str]) -> Iterator[LabelledPhoto]:
    """Photographs by key; those that cannot be read are told and left out."""
    for key in keys:
        try:
            yield source.photo(key)
        except FrameError as error:
            logger.warning("left out: %s", error)


def photo_rng(photo: LabelledPhoto, purpose: str = "") -> np.random.Generator:
    """Draws of a photograph's own, the same in every run.

    Args:
        photo: The photograph.
        purpose: Keeps draws for different ends apart.
    """
    seed = hashlib.sha256(f"{photo.facts.name}/{photo.key}{purpose}".encode()).digest()
    return np.random.default_rng(list(seed))


class TruthTable:
    """What is known of words beside the labels of one set.

    A region's label denies words as ``Naming.truth`` says. In sets that are not dense it denies only words
    that name classes of the set itself. Unlabelled pixels deny those words too, or nothing at all.
    """

    def __init__(self, naming: Naming, facts: SetFacts) -> None:
        self._naming, self._facts = naming, facts
        self._cache: dict[tuple[str, str], Truth] = {}

    def of_region(self, name: str, word: str) -> Truth:
        """Of a region with a canonical name."""
        key = (name, word)
        if key not in self._cache:
            found = self._naming.truth(name, word)
            if found == Truth.FALSE and not self._facts.dense and not self._of_the_set(word):
                found = Truth.UNKNOWN
            self._cache[key] = found
        return self._cache[key]

    def of_rest(self, word: str) -> Truth:
        """Of unlabelled pixels."""
        denied = self._facts.rest_is_other and self._of_the_set(word)
        return Truth.FALSE if denied else Truth.UNKNOWN

    def of_regions(self, regions: Sequence[PhotoRegion], words: Sequence[str]) -> NDArray[np.int8]:
        """What is known of words in one photograph.

        The outline of a thing is seldom labelled to the pixel, so unlabelled pixels say nothing of words
        that are true of some region.

        Returns:
            (1 + regions, words) ``Truth``; the first row is that of unlabelled pixels.
        """
        rows = [[self.of_rest(word) for word in words]]
        rows += [[self.of_region(one.name, word) for word in words] for one in regions]
        table = np.array(rows, np.int8).reshape(1 + len(regions), len(words))
        shown = (table == Truth.TRUE).any(axis=0)
        table[0, shown] = Truth.UNKNOWN
        return table

    def in_photo(self, photo: LabelledPhoto, words: Sequence[str]) -> NDArray[np.int8]:
        """Whether a photograph shows something that each word names.

        Returns:
            (words,) ``Truth``: TRUE where regions of at least ``LEAST_SHARE`` have it, FALSE where every
            pixel denies it but for a ``LEAST_SHARE``, else UNKNOWN.
        """
        area = np.bincount(photo.numbers.ravel(), minlength=len(photo.regions) + 1) / photo.numbers.size
        table = self.of_regions(photo.regions, words)
        true, unknown = (area @ (table == truth) for truth in (Truth.TRUE, Truth.UNKNOWN))
        absent = (true == 0) & (unknown < LEAST_SHARE)
        found = np.where(true >= LEAST_SHARE, Truth.TRUE, np.where(absent, Truth.FALSE, Truth.UNKNOWN))
        return found.astype(np.int8)

    def _of_the_set(self, word: str) -> bool:
        """Whether the set would have labelled whatever the word names."""
        return word in self._own_words

    @cached_property
    def _own_words(self) -> frozenset[str]:
        """A wider word is the set's own only if the set labels everything that it names."""
        words = {word for name in self._facts.names for word in self._naming.true_words(name)}
        return frozenset(word for word in words if all(map(self._labels, self._naming.meant(word))))

    def _labels(self, name: str) -> bool:
        """Whether the set labels what has a name: by this name or by a wider one."""
        return not self._facts.names.isdisjoint(self._naming.true_words(name))


def numbered(
    labels: NDArray[np.int64], names: dict[int, str]
) -> tuple[NDArray[np.uint8], tuple[PhotoRegion, ...]]:
    """Regions of a label image: one for each class that is seen, the largest first.

    Args:
        labels: (H, W) class numbers.
        names: Class number to canonical name; other numbers are unlabelled.

    Returns:
        ``LabelledPhoto.numbers`` and ``LabelledPhoto.regions``.
    """
    by_name: dict[str, NDArray[np.bool_]] = {}
    for number in np.unique(labels).tolist():
        if number in names:
            mask = labels == number
            by_name[names[number]] = by_name[names[number]] | mask if names[number] in by_name else mask
    return stacked([(name, mask, False) for name, mask in by_name.items()], labels.shape)


def stacked(
    masks: Sequence[tuple[str, NDArray[np.bool_], bool]], shape: tuple[int, ...]
) -> tuple[NDArray[np.uint8], tuple[PhotoRegion, ...]]:
    """Regions of overlapping masks: the smaller one is in front, since it would not be seen behind.

    Args:
        masks: Canonical name, (H, W) mask, and whether it is one thing.
        shape: (H, W).
    """
    ordered = sorted(masks, key=lambda item: -int(item[1].sum()))[:MAX_REGIONS]
    numbers = np.zeros(shape, np.uint8)
    for index, (_, mask, _) in enumerate(ordered):
        numbers[mask] = index + 1
    return numbers, tuple(PhotoRegion(name, thing) for name, _, thing in ordered)


def folder_of(path: Path, *parts: str) -> Path | None:
    """A folder below another, or None where it does not exist."""
    found = path.joinpath(*parts)
    return found if found.is_dir() else None
