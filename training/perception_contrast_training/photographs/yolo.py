"""Polygons as YOLO's segmentation sets have them: a text file an image, a class and its corners a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError, QueryError
from perception_contrast.core.vocabulary import checked_text
from perception_contrast.images.file_listing import list_images
from perception_contrast.images.files import load_image
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.photographs.base import LabelledPhoto, SetFacts, stacked
from perception_contrast_training.photographs.label_folder import OWN_TERMS, class_name
from perception_contrast_training.photographs.naming import Naming

_BOX = 4  # numbers after the class: centre, width, height


class YoloPhotos:
    """``data.yaml`` with names, ``images/`` and ``labels/*.txt``, or the same below ``train`` and ``val``.

    A line is a class number and corners x y x y ... in shares of the image; four numbers are a box by its
    centre and size, whose mask is the box.
    """

    def __init__(self, folder: Path, naming: Naming, skipped: Skipped) -> None:
        """Reads ``data.yaml`` and lists the images. Raises PerceptionError."""
        stored = _read(folder / "data.yaml")
        self._names = {
            number: class_name(text, naming) for number, text in yolo_names(folder / "data.yaml").items()
        }
        self._files = {path.relative_to(folder).as_posix(): path for path in yolo_images(folder, skipped)}
        self.facts = SetFacts(
            folder.name, str(stored.get("license") or OWN_TERMS), frozenset(self._names.values()), dense=False
        )
        self.keys = tuple(self._files)

    def photo(self, key: str) -> LabelledPhoto:
        """One photograph; an image without a text file shows none of the classes. Raises PerceptionError."""
        path = self._files[key]
        image = load_image(path)
        size = (image.shape[0], image.shape[1])
        masks = [(name, mask, True) for name, mask in yolo_things(path, size, self._names) if mask.any()]
        return LabelledPhoto(key, image, *stacked(masks, size), self.facts, path)


def yolo_names(file: Path) -> dict[int, str]:
    """Class number to name of a ``data.yaml``. Raises PerceptionError."""
    return _numbered_names(_read(file).get("names"), file)


def yolo_things(
    image: Path, size: tuple[int, int], names: dict[int, str]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Name and mask (H, W) of each line of an image's text file.

    Args:
        image: Its file.
        size: (height, width).
        names: Class number to name.

    Raises:
        PerceptionError: A line is none.
    """
    masks = []
    for number, line in enumerate(_lines(labels_of(image))):
        try:
            numbers = [float(part) for part in line.split()]
            mask = _mask(numbers[1:], size)
            if int(numbers[0]) not in names:
                raise ValueError(f"data.yaml has no name for class {int(numbers[0])}")
            masks.append((names[int(numbers[0])], mask))
        except (ValueError, IndexError, OverflowError) as error:
            raise PerceptionError(
                f"line {number + 1} of '{labels_of(image)}' is no class with its corners: {error}"
            ) from error
    return masks


def yolo_outlined(image: Path) -> bool:
    """Whether all lines of an image's text file are polygons. Raises PerceptionError."""
    return all(len(line.split()) != 1 + _BOX for line in _lines(labels_of(image)))


def labels_of(image: Path) -> Path:
    """The text file of an image: the last folder called ``images`` becomes ``labels``."""
    parts = list(image.parts)
    place = len(parts) - 1 - parts[::-1].index("images")
    parts[place] = "labels"
    return Path(*parts).with_suffix(".txt")


def yolo_images(folder: Path, skipped: Skipped) -> list[Path]:
    """The images of a set, below its folders ``images``. Raises PerceptionError for none."""
    listing = list_images(folder, recursive=True)
    skipped.files.update(listing.left_out)
    found = [path for path in listing.files if "images" in path.relative_to(folder).parts]
    if not found:
        raise PerceptionError(f"'{folder}' has no images in a folder 'images'")
    return found


def _numbered_names(named: Any, file: Path) -> dict[int, str]:
    """Class number to name, of a list or of a mapping of numbers to names. Raises PerceptionError."""
    if not named:
        raise PerceptionError(f"'{file}' has no 'names'; list the classes there")
    pairs = dict(enumerate(named)) if isinstance(named, list) else named
    if not isinstance(pairs, dict):
        raise PerceptionError(f"'names' of '{file}' is {named!r}; write a list of the classes")
    for number, text in pairs.items():
        if not str(number).isdecimal():
            raise PerceptionError(
                f"'names' of '{file}' has {number!r} where a class number belongs; write them as "
                "'names: {0: chair}', or as a list"
            )
        if isinstance(text, list | dict) or text is None or not str(text).strip():
            raise PerceptionError(f"class {number} of '{file}' has the name {text!r}; give it a word")
    try:
        return {int(number): checked_text(str(text), "a name") for number, text in pairs.items()}
    except QueryError as error:
        raise PerceptionError(f"'names' of '{file}': {error}") from error


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise PerceptionError(f"labels '{path}' cannot be read: {error}") from error


def _mask(numbers: list[float], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool of corners or of a box, in shares of the image."""
    height, width = size
    if len(numbers) == _BOX and np.isfinite(numbers).all():
        return _box_mask(numbers, size)
    if len(numbers) < 6 or len(numbers) % 2 or not np.isfinite(numbers).all():
        raise ValueError(f"{len(numbers)} numbers after the class")
    corners = np.array(numbers).reshape(-1, 2).clip(0.0, 1.0) * (width, height)
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.round(corners - 0.5).astype(np.int32)], 1)
    return mask.astype(bool)


def _box_mask(numbers: list[float], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool of a box; a thin one keeps a pixel, one outside the image or without a size has none."""
    x, y, w, h = numbers
    mask = np.zeros(size, bool)
    sides = []
    for centre, length, pixels in ((y, h, size[0]), (x, w, size[1])):
        first, last = (min(max(centre + sign * length / 2, 0.0), 1.0) * pixels for sign in (-1, 1))
        if last <= first:
            return mask
        start = min(round(first), pixels - 1)
        sides.append(slice(start, max(start + 1, round(last))))
    mask[tuple(sides)] = True
    return mask


def _read(path: Path) -> dict[str, Any]:
    try:
        stored = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise PerceptionError(f"'{path}' cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(stored, dict):
        raise PerceptionError(f"'{path}' is no mapping with 'names'")
    return stored
