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
from perception_contrast.images.orientation import orientation_note
from perception_contrast_training.evaluation.readers.coco import mask_of, stored_annotations
from perception_contrast_training.photographs.base import LabelledPhoto, SetFacts, stacked
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
        self._images, self._file = images, file
        self._panoptic = any("segments_info" in note for note in stored["annotations"][:1])
        self._segments = segments or file.with_suffix("")
        try:
            self._names = {
                one["id"]: class_name(_stuff(str(one["name"])), naming) for one in stored["categories"]
            }
            self._files = {str(one["file_name"]): one for one in stored["images"]}
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
        self.keys = tuple(self._files)

    def photo(self, key: str) -> LabelledPhoto:
        """One photograph. Raises FrameError, or PerceptionError for annotations that do not fit."""
        entry, path = self._files[key], self._images / key
        image, size = load_image(path), (int(entry["height"]), int(entry["width"]))
        if image.shape[:2] != size:
            raise PerceptionError(
                f"image '{path}' is not of the size of its annotations, "
                f"{size[1]}x{size[0]}{orientation_note(path)}"
            )
        notes = self._notes.get(entry["id"], [])
        masks = self._panoptic_masks(notes, size) if self._panoptic else self._instance_masks(notes, size)
        return LabelledPhoto(key, image, *stacked(masks, size), self.facts)

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
                raise PerceptionError(
                    f"annotation {note.get('id')} of '{self._file}' cannot be read ({error!r}); "
                    "export it again"
                ) from error
            if mask.any():
                found.append((name, mask, not note.get("iscrowd", 0)))
        return found

    def _panoptic_masks(
        self, notes: list[dict[str, Any]], size: tuple[int, int]
    ) -> list[tuple[str, NDArray[np.bool_], bool]]:
        found = []
        for note in notes:
            path = self._segments / str(note["file_name"])
            try:
                with Image.open(path) as opened:
                    rgb = np.asarray(opened.convert("RGB")).astype(np.int64)
            except (OSError, UnidentifiedImageError) as error:
                raise FrameError("unreadable_file", f"segments '{path}' cannot be read: {error}") from error
            if rgb.shape[:2] != size:
                raise PerceptionError(f"segments '{path}' are not of their image's size; fetch them again")
            ids = rgb @ np.array([1, 256, 65536])
            for segment in note["segments_info"]:
                mask = ids == segment["id"]
                if mask.any():
                    found.append((self._names[segment["category_id"]], mask, not segment.get("iscrowd", 0)))
        return found


def _stuff(name: str) -> str:
    if name in STUFF:
        return STUFF[name]
    for ending in STUFF_ENDINGS:
        name = name.removesuffix(ending)
    return name
