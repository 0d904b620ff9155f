"""Photographs of one thing each, in a folder for each class; the thing fills the photograph."""

from __future__ import annotations

from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.file_listing import list_images
from perception_contrast.images.files import load_image
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.photographs.base import LabelledPhoto, PhotoRegion, SetFacts
from perception_contrast_training.photographs.label_folder import OWN_TERMS, class_name
from perception_contrast_training.photographs.naming import Naming


class ClassFolderPhotos:
    """``CLASS/*.jpg``: the whole photograph is one region; nothing is known of anything else in it."""

    def __init__(self, folder: Path, naming: Naming, skipped: Skipped, licence: str = OWN_TERMS) -> None:
        """Lists the photographs. Raises PerceptionError where there are none."""
        listing = list_images(folder, recursive=True)
        skipped.files.update(listing.left_out)
        files = listing.files
        self._files = {path.relative_to(folder).as_posix(): path for path in files if path.parent != folder}
        if not self._files:
            raise PerceptionError(f"'{folder}' has no images in folders of their classes")
        self._names = {key: class_name(path.parent.name, naming) for key, path in self._files.items()}
        names = frozenset(self._names.values())
        self.facts = SetFacts(folder.name, licence, names, dense=False, rest_is_other=False)
        # One of each class in turn, so that every stretch of keys has all classes.
        by_class: dict[str, list[str]] = {}
        for key, path in self._files.items():
            by_class.setdefault(path.parent.name, []).append(key)
        turns = chain.from_iterable(zip_longest(*by_class.values()))
        self.keys = tuple(key for key in turns if key is not None)

    def photo(self, key: str) -> LabelledPhoto:
        """One photograph. Raises FrameError."""
        image = load_image(self._files[key])
        numbers = np.ones(image.shape[:2], np.uint8)
        return LabelledPhoto(key, image, numbers, (PhotoRegion(self._names[key], True),), self.facts)
