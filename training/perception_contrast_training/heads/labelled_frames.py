"""Labelled frames of any layout, one after the other: what a head is trained on and measured with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.vocabulary import UNLABELLED, checked_text
from perception_contrast.heads.head_card import MOST_CLASSES, Task
from perception_contrast_training.evaluation.readers.boxes import VocBoxes, YoloThings
from perception_contrast_training.evaluation.readers.classes import ClassFolder
from perception_contrast_training.evaluation.readers.coco import HUMAN, CocoSet
from perception_contrast_training.evaluation.readers.folders import labelled_pairs
from perception_contrast_training.evaluation.readers.types import VOID, Image, Skipped, Thing, ThingsImage
from perception_contrast_training.photographs.label_folder import class_texts

logger = logging.getLogger(__name__)

IGNORED = -1  # in ``LabelledFrame.labels``: pixels of which nothing is known
LAYOUTS = (
    "COCO (its JSON, or the folder of it; the studio writes this), PASCAL VOC (Annotations/*.xml with "
    "JPEGImages/), YOLO (data.yaml with images/ and labels/), label images (images/ and labels/ with a class "
    "list), or a folder for each class"
)


@dataclass(frozen=True)
class LabelledFrame:
    """One frame with what people labelled in it.

    Attributes:
        key: Unique in its data.
        image: (H, W, 3) uint8 RGB.
        things: Of all classes that were chosen; None for label images.
        labels: (H, W) int64 index of the class, the number of classes for none of them, IGNORED where nothing
            is known; None where only things or a class are labelled.
        classes: Indices of the classes that the image shows.
    """

    key: str
    image: Image
    things: tuple[Thing, ...] | None
    labels: NDArray[np.int64] | None
    classes: tuple[int, ...]


@dataclass(frozen=True)
class LabelledData:
    """Frames that are read one at a time.

    Attributes:
        path: For errors.
        classes: That were chosen, in their order.
        keys: Of the frames, as ``LabelledFrame.key``.
        outlined: Whether the things have outlines, not only boxes.
        several: Whether an image may show several of the classes.
        kind: Layout, for people.
    """

    path: Path
    classes: tuple[str, ...]
    keys: tuple[str, ...]
    outlined: bool
    several: bool
    kind: str
    reader: Callable[[int], LabelledFrame | None]

    def frame(self, index: int) -> LabelledFrame | None:
        """A frame by its place in ``keys``; None, and noted, where it cannot be read."""
        return self.reader(index)


def open_labelled(
    path: Path,
    task: Task,
    classes: Sequence[str] = (),
    skipped: Skipped | None = None,
    *,
    images: Path | None = None,
    source: str = HUMAN,
) -> LabelledData:
    """The labelled frames of a file or folder.

    Args:
        path: Of one of ``LAYOUTS``.
        task: What they are for.
        classes: That are wanted, by the names in the data; none for all.
        skipped: Notes images that cannot be read.
        images: Folder of a COCO file's images; None looks beside it.
        source: HUMAN, or MODEL for labels of `data autolabel`.

    Raises:
        PerceptionError: It is none of the layouts, lacks a class, or says too little for the task.
    """
    skipped = skipped or Skipped()
    if not path.exists():
        raise PerceptionError(f"labelled frames '{path}' do not exist; check the path")
    data = _opened(path, classes, skipped, images, source)
    if task == "detection" and data.kind in ("label images", "class folders"):
        raise PerceptionError(
            f"'{path}' holds {data.kind}, which do not say where one thing ends and the next begins; train "
            f"--task {'segmentation' if data.kind == 'label images' else 'classification'}, or label boxes"
        )
    if task == "segmentation" and data.kind == "class folders":
        raise PerceptionError(f"'{path}' holds {data.kind}, no pixels; train --task classification")
    if task == "segmentation" and not data.outlined:
        raise PerceptionError(
            f"'{path}' holds boxes, and a segmentation needs outlines; train --task detection, or "
            "label outlines"
        )
    if not data.keys:
        raise PerceptionError(f"'{path}' has no labelled frames; label some first")
    if len(data.classes) > MOST_CLASSES:
        raise PerceptionError(
            f"'{path}' has {len(data.classes)} classes, and a head at most {MOST_CLASSES}; choose some with "
            "--classes"
        )
    return data


def _opened(
    path: Path, classes: Sequence[str], skipped: Skipped, images: Path | None, source: str
) -> LabelledData:
    if path.is_file() and path.suffix == ".json":
        return _coco(path, images, classes, skipped, source)
    if path.is_dir():
        if (path / "Annotations").is_dir():
            voc = VocBoxes(path, skipped)
            return _things(
                path, voc.names, voc.files, voc.image, voc.name_of, classes, outlined=False, kind="PASCAL VOC"
            )
        if (path / "data.yaml").is_file():
            yolo = YoloThings(path, skipped)
            # Of boxes the mask is the box, which no polygon is.
            outlined = yolo.outlined
            return _things(
                path,
                yolo.names,
                yolo.files,
                yolo.image,
                yolo.name_of,
                classes,
                outlined=outlined,
                kind="YOLO",
            )
        if (path / "images").is_dir() and (path / "labels").is_dir():
            return _label_images(path, classes, skipped)
        files = sorted([*path.glob("*.json"), *(path / "annotations").glob("*.json")])
        coco = [file for file in files if "classes" not in file.stem]
        if len(coco) > 1:
            raise PerceptionError(
                f"'{path}' has several files of labels, such as '{coco[0]}'; name one of them"
            )
        if coco:
            beside = coco[0].parent.parent / "images" if coco[0].parent != path else None
            if images is None and beside is not None and beside.is_dir():
                images = beside
            return _coco(coco[0], images, classes, skipped, source)
    try:
        return _class_folders(path, classes, skipped)
    except PerceptionError as error:
        raise PerceptionError(f"'{path}' is none of the layouts that are read: {LAYOUTS}") from error


def _coco(
    file: Path, images: Path | None, classes: Sequence[str], skipped: Skipped, source: str
) -> LabelledData:
    coco = CocoSet(file, images, skipped, source=source)
    outlined = all(coco.is_outlined(entry) for entry in coco.entries)

    def read(entry: Any) -> ThingsImage | None:
        return next(iter(coco.images([entry])), None)

    def name_of(entry: Any) -> str:
        return str(entry.name)

    return _things(file, coco.names, coco.entries, read, name_of, classes, outlined=outlined, kind="COCO")


def _things(
    path: Path,
    names: Sequence[str],
    entries: Sequence[Any],
    read: Callable[[Any], ThingsImage | None],
    name_of: Callable[[Any], str],
    classes: Sequence[str],
    *,
    outlined: bool,
    kind: str,
) -> LabelledData:
    chosen = _chosen(classes, names, path)
    numbers = {name: number for number, name in enumerate(chosen)}

    def frame(index: int) -> LabelledFrame | None:
        sample = read(entries[index])
        if sample is None:
            return None
        things = tuple(thing for thing in sample.things if thing.names[0] in numbers)
        shown = {numbers[thing.names[0]] for thing in things if not thing.ignored}
        labels = _stacked(things, numbers, sample.image.shape[:2]) if outlined else None
        return LabelledFrame(sample.name, sample.image, things, labels, tuple(sorted(shown)))

    # The names that the frames have when they are read: by these it is told which ones a head saw.
    keys = tuple(name_of(entry) for entry in entries)
    return LabelledData(path, chosen, keys, outlined, True, kind, frame)


def _stacked(things: Sequence[Thing], numbers: dict[str, int], size: tuple[int, ...]) -> NDArray[np.int64]:
    """(H, W) classes of the pixels; the smaller of two things is in front, of a crowd nothing is known."""
    labels = np.full(size, len(numbers), np.int64)
    for thing in sorted(things, key=lambda one: (not one.ignored, -int(one.mask.sum()))):
        labels[thing.mask] = IGNORED if thing.ignored else numbers[thing.names[0]]
    return labels


def _label_images(folder: Path, classes: Sequence[str], skipped: Skipped) -> LabelledData:
    from perception_contrast_training.evaluation.readers.folders import LabelFolder

    texts = class_texts(folder)
    names = tuple(dict.fromkeys(texts.values()))
    chosen = _chosen(classes, names, folder)
    pairs = labelled_pairs(folder, skipped)
    if (highest := max(texts)) > UNLABELLED:
        raise PerceptionError(
            f"the class list of '{folder}' has the number {highest}; labels of 16 bits go to {UNLABELLED}"
        )
    unnamed: set[int] = set()
    # By number: numbers without a name are void, those of other classes are none of the chosen.
    table = np.full(1 + max([*texts, *VOID]), IGNORED, np.int64)
    for number, name in texts.items():
        table[number] = chosen.index(name) if name in chosen else len(chosen)
    table[list(VOID)] = IGNORED

    def frame(index: int) -> LabelledFrame | None:
        path, labels_path = pairs[index]
        image, numbers = skipped.image(path), skipped.labels(labels_path)
        if image is None or numbers is None:
            return None
        LabelFolder.require_size(numbers, labels_path, image, path)
        labels = table[np.clip(numbers, 0, len(table) - 1)]
        labels[(numbers < 0) | (numbers >= len(table))] = IGNORED
        if new := set(np.unique(numbers).tolist()) - {*texts, *VOID, *unnamed}:
            unnamed.update(new)
            # Some lists leave classes out on purpose; a list that is too short should not go unnoticed.
            logger.warning(
                "'%s' holds the class %s, which the class list does not name: its pixels count neither way",
                labels_path,
                ", ".join(map(str, sorted(new)[:8])),
            )
        shown = tuple(int(one) for one in np.unique(labels) if 0 <= one < len(chosen))
        return LabelledFrame(path.stem, image, None, labels, shown)

    keys = tuple(image.stem for image, _ in pairs)
    return LabelledData(folder, chosen, keys, True, True, "label images", frame)


def _class_folders(path: Path, classes: Sequence[str], skipped: Skipped) -> LabelledData:
    folder = ClassFolder(path, skipped)
    chosen = _chosen(classes, folder.names, path)
    files = [name for name in folder.files if folder.class_of(name) in chosen]

    def frame(index: int) -> LabelledFrame | None:
        name = files[index]
        image = folder.image(name)
        if image is None:
            return None
        return LabelledFrame(name, image, None, None, (chosen.index(folder.class_of(name)),))

    return LabelledData(path, chosen, tuple(files), False, False, "class folders", frame)


def _chosen(classes: Sequence[str], names: Sequence[str], path: Path) -> tuple[str, ...]:
    classes = [checked_text(name, "a class") for name in classes]  # the form that the data's names have
    unknown = [name for name in classes if name not in names]
    if unknown:
        raise PerceptionError(
            f"class '{unknown[0]}' is not in '{path}'; it has: {', '.join(names[:12])}"
            f"{', ...' if len(names) > 12 else ''}"
        )
    return tuple(dict.fromkeys(classes)) if classes else tuple(names)
