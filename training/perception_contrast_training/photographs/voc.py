"""PASCAL VOC (Everingham et al., IJCV 2010): 20 classes, label images of classes and of things."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import load_image
from perception_contrast_training.evaluation.readers.label_files import read_labels
from perception_contrast_training.photographs.base import LabelledPhoto, SetFacts, require_size, stacked

LICENCE = "images under Flickr licences, by image; for research"
VOID = 255  # the outline of things
CLASSES = (
    "airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "monitor",
)  # fmt: skip
FACTS = SetFacts("voc", LICENCE, frozenset(CLASSES), dense=False)


class VocPhotos:
    """``VOC2012``: ``JPEGImages``, ``SegmentationClass`` and ``SegmentationObject``.

    Pixels of outlines count to no region.
    """

    facts = FACTS

    def __init__(self, folder: Path, part: str = "train") -> None:
        """Lists the images of a part in ``ImageSets/Segmentation``, or all with label images.

        Raises PerceptionError for a folder or a list that cannot be read.
        """
        self._folder = folder
        listed = folder / "ImageSets" / "Segmentation" / f"{part}.txt"
        labels = folder / "SegmentationClass"
        if not labels.is_dir() or not (folder / "JPEGImages").is_dir():
            raise PerceptionError(f"'{folder}' has no JPEGImages/ with SegmentationClass/; unpack it whole")
        try:
            listing = listed.read_text("utf-8") if listed.is_file() else None
        except (OSError, ValueError) as error:
            raise PerceptionError(f"'{listed}' cannot be read ({error}); unpack the set again") from error
        names = [p.stem for p in labels.glob("*.png")] if listing is None else listing.split()
        self.keys = tuple(sorted(names))

    def photo(self, key: str) -> LabelledPhoto:
        """One photograph. Raises FrameError or PerceptionError."""
        file = self._folder / "JPEGImages" / f"{key}.jpg"
        image = load_image(file)
        classes = read_labels(self._folder / "SegmentationClass" / f"{key}.png")
        path = self._folder / "SegmentationObject" / f"{key}.png"
        things = read_labels(path) if path.is_file() else None
        for labels in (classes,) if things is None else (classes, things):
            require_size(labels, image, FACTS, key, file)  # before one is laid over the other
        masks = []
        for number in np.unique(classes).tolist():
            if not 0 < number <= len(CLASSES):
                continue
            mask = classes == number
            parts = [mask] if things is None else [mask & (things == n) for n in np.unique(things[mask])]
            masks += [(CLASSES[number - 1], part, things is not None) for part in parts]
        return LabelledPhoto(key, image, *stacked(masks, classes.shape), FACTS, file)
