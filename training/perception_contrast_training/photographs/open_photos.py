"""Opens labelled photographs of any layout, by what lies in the folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.file_listing import list_images
from perception_contrast_training.evaluation.readers.names import LISTS
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.photographs.ade20k import Ade20kPhotos, ade20k_folder
from perception_contrast_training.photographs.base import PhotoSet
from perception_contrast_training.photographs.class_folders import ClassFolderPhotos
from perception_contrast_training.photographs.coco import CocoPhotos
from perception_contrast_training.photographs.label_folder import LabelFolderPhotos
from perception_contrast_training.photographs.naming import Naming
from perception_contrast_training.photographs.nyuv2 import MAT_FILE, Nyuv2Photos, nyuv2_folder
from perception_contrast_training.photographs.voc import VocPhotos
from perception_contrast_training.photographs.yolo import YoloPhotos

LAYOUTS = (
    f"NYU Depth V2 ({MAT_FILE}), ADE20K (ADEChallengeData2016), COCO (a JSON of instances or "
    "panoptic, or the folder with annotations/), PASCAL VOC (VOC2012), YOLO polygons "
    "(data.yaml), images/ and labels/ with a class list, or a folder for each class"
)
# Folders of plain layout whose names are those of a published set keep what holds for that set.
_KNOWN_FOLDERS = {"nyuv2": nyuv2_folder, "ade20k": ade20k_folder}
# Folders that are a part of some layout, never a class.
_PARTS = ("annotations", "images", "JPEGImages", "labels", "SegmentationClass", "SegmentationObject")


def open_photos(path: Path, naming: Naming, part: str = "", skipped: Skipped | None = None) -> PhotoSet:
    """The photographs of a folder or file.

    Args:
        path: Of one of ``LAYOUTS``.
        naming: Gives names their canonical form.
        part: Of sets that come in parts, such as ``validation``; "" for the one that is to be trained on.
        skipped: Notes files that are left out of the list.

    Raises:
        PerceptionError: It is none of these, or a part of it is missing.
    """
    skipped = skipped or Skipped()
    if not path.exists():
        raise PerceptionError(f"photographs '{path}' do not exist; check the path")
    if path.is_file():
        return _of_file(path, naming)
    if (opener := _opener(path, naming, part, skipped)) is not None:
        return opener()
    if any((path / name).is_file() for name in LISTS):
        raise PerceptionError(f"'{path}' has a class list but no images/ with labels/")
    # Told by the names of folders, before all that lies in them is listed.
    _refuse_sets(path, naming, skipped)
    if parts := [name for name in _PARTS if (path / name).is_dir()]:
        raise PerceptionError(
            f"'{path}' has {', '.join(f'{name}/' for name in parts)} but not all that goes with it"
            f"{f' for the part {part!r}' if part else ''}; the layouts that are read: {LAYOUTS}"
        )
    try:
        return ClassFolderPhotos(path, naming, skipped)
    except PerceptionError as error:
        raise PerceptionError(f"'{path}' is none of the layouts that are read: {LAYOUTS}") from error


def _opener(path: Path, naming: Naming, part: str, skipped: Skipped) -> Callable[[], PhotoSet] | None:
    """What opens a folder that tells its layout by the names in it; None for one that does not."""
    if (path / MAT_FILE).is_file():
        return partial(Nyuv2Photos, path / MAT_FILE, naming)
    if (path / "annotations").is_dir() and (path / "images" / (part or "training")).is_dir():
        return partial(Ade20kPhotos, path, skipped, part or "training")
    if (path / "SegmentationClass").is_dir():
        return partial(VocPhotos, path, part or "train")
    if (path / "data.yaml").is_file():
        return partial(YoloPhotos, path, naming, skipped)
    if (file := _coco_file(path, part)) is not None:
        return lambda: CocoPhotos(file, _coco_images(path, file), naming)
    if (path / "images").is_dir() and (path / "labels").is_dir():
        return partial(_KNOWN_FOLDERS.get(path.name.lower(), LabelFolderPhotos), path, naming, skipped)
    return None


def _refuse_sets(path: Path, naming: Naming, skipped: Skipped) -> None:
    """Raises PerceptionError for a folder of sets, and names those; a folder of class folders is one."""
    told = [one for one in _folders(path) if _opener(one, naming, "", skipped)]
    if not told:
        return
    others = [one for one in _folders(path) if one not in told]
    # A folder of folders of class folders names those, which is as deep as they lie.
    below = [one if _has_class_folders(one) else deep for one in others for deep in _folders(one)]
    sets = sorted({*told, *(one for one in below if _has_class_folders(one))})
    raise PerceptionError(
        f"'{path}' holds sets of photographs, not a folder for each class; give one of them: "
        f"{', '.join(str(one) for one in sets)}"
    )


def _folders(path: Path) -> list[Path]:
    return sorted(one for one in path.iterdir() if one.is_dir())


def _has_class_folders(path: Path) -> bool:
    return any(list_images(one).files for one in _folders(path))


def _of_file(path: Path, naming: Naming) -> PhotoSet:
    if path.suffix == ".mat":
        return Nyuv2Photos(path, naming)
    if path.suffix == ".json":
        return CocoPhotos(path, _coco_images(path.parent, path), naming)
    raise PerceptionError(f"'{path}' is none of the layouts that are read: {LAYOUTS}")


def _coco_file(folder: Path, part: str) -> Path | None:
    """The annotations of COCO's layout: panoptic before instances, those of training before others."""
    found = [p for where in (folder, folder / "annotations") for p in sorted(where.glob("*.json"))]
    named = [p for p in found if p.stem.startswith(("instances", "panoptic")) and part in p.stem]
    named.sort(key=lambda p: ("train" not in p.stem, not p.stem.startswith("panoptic"), p.name))
    return named[0] if named else None


def _coco_images(folder: Path, file: Path) -> Path:
    """The folder of a file's images: called as the file's last word, or ``images``."""
    word = file.stem.rpartition("_")[2]
    base = folder.parent if folder.name == "annotations" else folder
    segments = file.with_suffix("") if file.stem.startswith("panoptic") else None  # no photographs
    for name in (word, "images", "."):
        if (base / name) == segments:
            continue
        if (base / name).is_dir() and (name != "." or any(base.glob("*.jpg"))):
            return base / name
    raise PerceptionError(f"the images of '{file}' are not beside it, in '{word}/' or 'images/'")
