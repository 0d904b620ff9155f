"""COCO (Lin et al., ECCV 2014) and panoptic COCO (Kirillov et al., CVPR 2019), and files of their forms."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.files import load_image
from perception_contrast_training.evaluation.readers.coco import (
    mask_of,
    require_source,
    stored_annotations,
)
from perception_contrast_training.photographs.base import LabelledPhoto, SetFacts, require_size, stacked
from perception_contrast_training.photographs.label_folder import class_name
from perception_contrast_training.photographs.naming import Naming

LICENCE = "annotations CC BY 4.0; images under Flickr licences, by image"
# The suffixes of panoptic COCO's names of stuff, and what its merged classes are.
STUFF_ENDINGS = ("-merged", "-other", "-stuff")
STUFF = {
    "wall-brick": "wall", "wall-stone": "wall", "wall-tile": "wall", "wall-wood": "wall",
    "floor-wood": "floor",
    "window-blind": "blinds", "tree-merged": "tree", "water-other": "water", "door-stuff": "door",
    "mirror-stuff": "mirror", "dirt": "ground", "pavement": "sidewalk", "playingfield": "field",
}  # fmt: skip


class CocoPhotos:
    """An instances or a panoptic JSON with the folder of its images."""

    def __init__(self, file: Path, images: Path, naming: Naming, segments: Path | None = None) -> None:
        """Reads the annotations.

        Args:
            file: ``instances_*.json`` or ``panoptic_*.json``.
            images: Folder of the images.
            naming: Gives names their canonical form.
            segments: Folder of panoptic PNGs; None takes the one that is called as the file.

        Raises:
            PerceptionError: The file is none of the two forms.
        """
        stored = stored_annotations(file)
        require_source(stored, file)
        self._images, self._file = images, file
        self._segments = segments or file.with_suffix("")
        try:
            self._names = {
                one["id"]: class_name(_stuff(str(one["name"])), naming) for one in stored["categories"]
            }
            self._entries = dict(_entry(one, file) for one in stored["images"])
            self._panoptic = any("segments_info" in note for note in stored["annotations"][:1])
            self._notes: dict[Any, list[dict[str, Any]]] = defaultdict(list)
            for note in stored["annotations"]:
                self._notes[note["image_id"]].append(note)
        except (KeyError, TypeError) as error:
            raise PerceptionError(
                f"annotations '{file}' lack or misstate {error}; export them again"
            ) from error
        names = frozenset(self._names.values())
        own = file.name.startswith(("instances", "panoptic"))
        self.facts = SetFacts(
            "coco" if own else file.stem,
            LICENCE if own else "terms of their owner",
            names,
            dense=self._panoptic,
        )
        self.keys = tuple(self._entries)

    def photo(self, key: str) -> LabelledPhoto:
        """One photograph. Raises FrameError, or PerceptionError for annotations that do not fit."""
        (number, size), path = self._entries[key], self._images / key
        image, notes = load_image(path), self._notes.get(number, [])
        if not self._panoptic:
            masks = self._instance_masks(notes, size)
            return LabelledPhoto(key, image, *stacked(masks, size), self.facts, path)
        masks = []
        for note in notes:
            ids = self._segment_ids(note)
            require_size(ids, image, self.facts, key, path)  # of every file, before they are laid over
            masks += self._segment_masks(note, ids)
        return LabelledPhoto(key, image, *stacked(masks, image.shape[:2]), self.facts, path)

    def _instance_masks(
        self, notes: list[dict[str, Any]], size: tuple[int, int]
    ) -> list[tuple[str, NDArray[np.bool_], bool]]:
        found = []
        for note in notes:
            try:
                mask = mask_of(note, size)
                name = self._names[note["category_id"]]
            except PerceptionError:
                raise
            except Exception as error:  # pycocotools raises plain ones for what it does not know
                raise self._misstated(note, error) from error
            if mask.any():
                found.append((name, mask, not note.get("iscrowd", 0)))
        return found

    def _segment_ids(self, note: dict[str, Any]) -> NDArray[np.int64]:
        """(H, W) ids of the segments of a panoptic annotation's image. Raises PerceptionError."""
        if not isinstance(note.get("file_name"), str):
            raise self._misstated(note, KeyError("file_name"))
        path = self._segments / note["file_name"]
        try:
            with Image.open(path) as opened:
                rgb = np.asarray(opened.convert("RGB")).astype(np.int64)
        except (OSError, UnidentifiedImageError) as error:
            raise FrameError("unreadable_file", f"segments '{path}' cannot be read: {error}") from error
        return np.asarray(rgb @ np.array([1, 256, 65536]))

    def _segment_masks(
        self, note: dict[str, Any], ids: NDArray[np.int64]
    ) -> list[tuple[str, NDArray[np.bool_], bool]]:
        try:
            found = [
                (self._names[one["category_id"]], ids == one["id"], not one.get("iscrowd", 0))
                for one in note["segments_info"]
            ]
        except (AttributeError, KeyError, TypeError) as error:
            raise self._misstated(note, error) from error
        return [one for one in found if one[1].any()]

    def _misstated(self, note: dict[str, Any], error: Exception) -> PerceptionError:
        which = f"annotation {note.get('id')} of image {note.get('image_id')}"
        return PerceptionError(f"{which} of '{self._file}' cannot be read ({error!r}); export it again")


def _entry(one: Any, file: Path) -> tuple[str, tuple[Any, tuple[int, int]]]:
    """(file name, (id, (height, width))) of an image's entry. Raises PerceptionError."""
    try:
        return str(one["file_name"]), (one["id"], (int(one["height"]), int(one["width"])))
    except (KeyError, TypeError, ValueError) as error:
        raise PerceptionError(
            f"the image {one!r} of '{file}' lacks or misstates {error}; every image needs "
            "'id', 'file_name', 'height' and 'width': export the file again"
        ) from error


def _stuff(name: str) -> str:
    if name in STUFF:
        return STUFF[name]
    for ending in STUFF_ENDINGS:
        name = name.removesuffix(ending)
    return name
