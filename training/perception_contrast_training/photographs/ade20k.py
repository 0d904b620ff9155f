"""ADE20K's scene parsing benchmark (Zhou et al., IJCV 2019): 150 classes, dense label images."""

from __future__ import annotations

from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import load_image
from perception_contrast_training.evaluation.readers.folders import image_files
from perception_contrast_training.evaluation.readers.label_files import read_labels
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.photographs.base import LabelledPhoto, SetFacts, folder_of, numbered
from perception_contrast_training.photographs.label_folder import LabelFolderPhotos
from perception_contrast_training.photographs.naming import Naming

LICENCE = "annotations BSD-3-Clause; images of their owners, for non-commercial research"
# The benchmark's classes 1 to 150 by the names of names.yaml.
CLASSES = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "window", "grass", "cabinet",
    "sidewalk", "person", "ground", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water",
    "picture", "sofa", "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk",
    "rock", "wardrobe", "lamp", "bathtub", "banister", "cushion", "pedestal", "box", "column", "sign",
    "dresser", "counter", "sand", "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path",
    "stairs", "runway", "display case", "pool table", "pillow", "screen door", "stairs", "river", "bridge",
    "bookshelf", "blinds", "coffee table", "toilet", "flower", "book", "hill", "bench", "countertop", "stove",
    "palm tree", "kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine", "hut", "bus",
    "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight", "booth", "television",
    "airplane", "dirt track", "clothes", "pole", "land", "banister", "escalator", "ottoman", "bottle",
    "sideboard", "poster", "stage", "van", "ship", "fountain", "conveyor belt", "canopy", "washing machine",
    "toy", "swimming pool", "stool", "barrel", "basket", "waterfall", "tent", "bag", "motorbike", "crib",
    "oven", "ball", "food", "step", "tank", "trade name", "microwave", "flowerpot", "animal", "bicycle",
    "lake", "dishwasher", "projection screen", "blanket", "sculpture", "range hood", "sconce", "vase",
    "traffic light", "tray", "trash can", "fan", "pier", "crt screen", "plate", "monitor", "bulletin board",
    "shower", "radiator", "drinking glass", "clock", "flag",
)  # fmt: skip
FACTS = SetFacts("ade20k", LICENCE, frozenset(CLASSES))
NAMES = {number + 1: name for number, name in enumerate(CLASSES)}


class Ade20kPhotos:
    """``ADEChallengeData2016``: ``images/PART/*.jpg`` and ``annotations/PART/*.png``, 0 for other."""

    facts = FACTS

    def __init__(self, folder: Path, skipped: Skipped, part: str = "training") -> None:
        """Lists the images of a part, ``training`` or ``validation``. Raises PerceptionError."""
        images, self._labels = folder_of(folder, "images", part), folder / "annotations" / part
        if images is None or not self._labels.is_dir():
            raise PerceptionError(
                f"'{folder}' has no images/{part}/ with annotations/{part}/; unpack it whole"
            )
        self._files = {path.stem: path for path in image_files(images, skipped)}
        self.keys = tuple(self._files)

    def photo(self, key: str) -> LabelledPhoto:
        """One photograph. Raises FrameError or PerceptionError."""
        labels = read_labels(self._labels / f"{key}.png")
        file = self._files[key]
        return LabelledPhoto(key, load_image(file), *numbered(labels, NAMES), FACTS, file)


def ade20k_folder(folder: Path, naming: Naming, skipped: Skipped) -> LabelFolderPhotos:
    """ADE20K as ``images/``, ``labels/`` and a class list of its 150 names."""
    return LabelFolderPhotos(folder, naming, skipped, FACTS, NAMES)
