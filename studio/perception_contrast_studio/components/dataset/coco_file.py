"""A file of COCO's form with boxes that are drawn in the browser; what else is in it stays as it is."""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.core.arrays import Size
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import writing
from perception_contrast.core.vocabulary import checked_text

LISTS = ("images", "annotations", "categories")
MOST_BOXES = 500
MOST_BYTES = 512 << 20
OURS = "boxes drawn in perception_contrast studio"
BACKUP = ".before_studio"


class CocoFileError(PerceptionError):
    """A file that cannot be opened as COCO, or boxes that cannot be saved."""


@dataclass(frozen=True)
class LabelledBox:
    """A box on an image, edges in pixels from its upper left corner.

    Attributes:
        id: Of the annotation, 0 for a new one.
        label: Name of the category.
        x, y, w, h: Pixels.
        locked: It has a mask, which a moved box would contradict: it can only be shown.
    """

    id: int
    label: str
    x: float
    y: float
    w: float
    h: float
    locked: bool = False

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1."""
        return self.x, self.y, self.x + self.w, self.y + self.h


@dataclass(frozen=True)
class ImageFacts:
    """What is noted about an image.

    Attributes:
        name: Its ``file_name``.
        size: (height, width) in pixels.
        more: Further keys, such as ``stamp`` and ``frame_index``.
    """

    name: str
    size: Size
    more: Mapping[str, Any]


class CocoFile:
    """Boxes of images, by the images' names. Methods block; safe for several threads.

    Args:
        path: The file; it need not be there yet.
        about: ``info`` of a new file.
    """

    def __init__(self, path: Path, about: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._about = {"description": OURS, **(about or {})}
        self._lock = threading.Lock()
        self._content: dict[str, Any] = {}
        self._state: tuple[int, int] | None = None
        with self._lock:
            self._refresh()

    def labels(self) -> list[str]:
        """Names of the categories, those with the most boxes first."""
        with self._lock:
            self._refresh()
            names = {one["id"]: str(one["name"]) for one in self._content["categories"]}
            counts = dict.fromkeys(names.values(), 0)
            for note in self._content["annotations"]:
                if note.get("category_id") in names:
                    counts[names[note["category_id"]]] += 1
            return sorted(counts, key=lambda name: -counts[name])

    def labelled(self) -> dict[str, int]:
        """Number of boxes of each image that the file names."""
        with self._lock:
            self._refresh()
            names = {one["id"]: str(one["file_name"]) for one in self._content["images"]}
            counts = dict.fromkeys(names.values(), 0)
            for note in self._content["annotations"]:
                if note.get("image_id") in names:
                    counts[names[note["image_id"]]] += 1
            return counts

    def boxes(self, name: str) -> list[LabelledBox]:
        """Of an image, in the order of the file."""
        with self._lock:
            self._refresh()
            image = self._image(name)
            if image is None:
                return []
            names = {one["id"]: str(one["name"]) for one in self._content["categories"]}
            return [
                _box(note, names)
                for note in self._content["annotations"]
                if note.get("image_id") == image["id"] and _has_box(note)
            ]

    def put(self, image: ImageFacts, boxes: Sequence[LabelledBox], *, keep_empty: bool = False) -> None:
        """Replaces the boxes of an image and saves.

        Annotations without a box, or with a mask, stay unless they are missing among ``boxes``; so do all
        keys that are not about boxes.

        Args:
            image: Which, and what to note about it.
            boxes: All of them.
            keep_empty: Whether an image without boxes stays in the file: nothing of the categories is in it.

        Raises:
            CocoFileError: A box lies outside of the image, or a label is none.
            StorageError: The file cannot be written.
        """
        checked = [_checked(box, image.size) for box in boxes]
        if len(checked) > MOST_BOXES:
            raise CocoFileError(f"an image may have {MOST_BOXES} boxes, not {len(checked)}")
        with self._lock:
            self._refresh()
            content = {**self._content, **{name: list(self._content[name]) for name in LISTS}}
            _put(content, image, checked, keep_empty=keep_empty)
            self._write(content)

    def _image(self, name: str) -> dict[str, Any] | None:
        return next((one for one in self._content["images"] if one["file_name"] == name), None)

    def _refresh(self) -> None:
        """Reads the file if it is another than was read or written last."""
        try:
            facts = self.path.stat()
        except OSError:
            self._state = None
            self._content = {"info": dict(self._about), **{name: [] for name in LISTS}}
            return
        state = (facts.st_mtime_ns, facts.st_size)
        if state != self._state:
            self._content = read_coco(self.path)
            self._state = state

    def _write(self, content: dict[str, Any]) -> None:
        info = self._content.get("info")
        foreign = not (isinstance(info, dict) and info.get("description") == OURS)
        backup = self.path.with_name(self.path.name + BACKUP)
        if foreign and self.path.is_file() and not backup.exists():
            with writing(backup) as part:
                shutil.copyfile(self.path, part)
        with writing(self.path) as part:
            part.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        facts = self.path.stat()
        self._content, self._state = content, (facts.st_mtime_ns, facts.st_size)


def read_coco(path: Path) -> dict[str, Any]:
    """The content of a file of COCO's form.

    Raises:
        CocoFileError: It is none; the message says what is missing.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise CocoFileError(f"'{path}' is larger than {MOST_BYTES >> 20} MB; split it")
        read = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CocoFileError(f"'{path}' cannot be read as JSON: {error}") from error
    for name in LISTS:
        if not isinstance(read, dict) or not isinstance(read.get(name), list):
            raise CocoFileError(f"'{path}' has no list '{name}'; a COCO file has one")
    for name, keys in (("images", ("id", "file_name")), ("categories", ("id", "name"))):
        if not all(isinstance(one, dict) and all(key in one for key in keys) for one in read[name]):
            raise CocoFileError(f"an entry of '{name}' in '{path}' lacks {' or '.join(keys)}")
    if not all(isinstance(one, dict) for one in read["annotations"]):
        raise CocoFileError(f"an annotation of '{path}' is no object")
    return dict(read)


def is_coco(path: Path) -> bool:
    """Whether a file can be opened; a quick look at its beginning goes before all of it is read."""
    try:
        read_coco(path)
    except CocoFileError:
        return False
    return True


def _has_box(note: Mapping[str, Any]) -> bool:
    box = note.get("bbox")
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(one, int | float) and math.isfinite(one) for one in box)
    )


def _box(note: Mapping[str, Any], names: Mapping[Any, str]) -> LabelledBox:
    x, y, w, h = note["bbox"]
    identity = note.get("id")
    locked = bool(note.get("segmentation")) or not isinstance(identity, int)
    label = names.get(note.get("category_id"), "unknown")
    return LabelledBox(identity if isinstance(identity, int) else 0, label, x, y, w, h, locked)


def _checked(box: LabelledBox, size: Size) -> LabelledBox:
    """Raises CocoFileError, or QueryError for a label that is none."""
    label = checked_text(box.label, "a label")
    if box.locked:
        return box
    if not all(math.isfinite(one) for one in (box.x, box.y, box.w, box.h)):
        raise CocoFileError("a box has a coordinate that is no number")
    inside = box.x >= 0 and box.y >= 0 and box.x + box.w <= size[1] and box.y + box.h <= size[0]
    if not inside or box.w <= 0 or box.h <= 0:
        raise CocoFileError(
            f"the box of '{label}' at {box.x:g}, {box.y:g} of {box.w:g}x{box.h:g} does not lie in the image "
            f"of {size[1]}x{size[0]} pixels"
        )
    return LabelledBox(box.id, label, box.x, box.y, box.w, box.h)


def _put(
    content: dict[str, Any], image: ImageFacts, boxes: Sequence[LabelledBox], *, keep_empty: bool
) -> None:
    entry = next((one for one in content["images"] if one["file_name"] == image.name), None)
    if entry is None:
        if not boxes and not keep_empty:
            return
        entry = {
            "id": _next_id(content["images"]),
            "file_name": image.name,
            "height": image.size[0],
            "width": image.size[1],
            **image.more,
        }
        content["images"].append(entry)
    notes = content["annotations"]
    known = {one.id: one for one in boxes if one.id}
    own = [one for one in notes if one.get("image_id") == entry["id"]]
    kept = [_updated(one, known, content) for one in own if not _has_box(one) or one.get("id") in known]
    rest = [one for one in notes if one.get("image_id") != entry["id"]]
    # Ids of annotations that another image has, or that are gone, must not come back.
    ids = {one.get("id") for one in own}
    number = _next_id(notes)
    for box in boxes:
        if not box.id or box.id not in ids:
            kept.append(_new_note(number, entry["id"], box, content))
            number += 1
    content["annotations"] = rest + kept
    if not kept and not keep_empty:
        content["images"] = [one for one in content["images"] if one is not entry]


def _updated(
    note: dict[str, Any], known: Mapping[Any, LabelledBox], content: dict[str, Any]
) -> dict[str, Any]:
    """An annotation with another box or label; the same one where nothing changed."""
    box = known.get(note.get("id"))
    if box is None or box.locked or note.get("segmentation"):
        return note
    changed = dict(note)
    if [float(one) for one in note["bbox"]] != [box.x, box.y, box.w, box.h]:
        changed |= {"bbox": [box.x, box.y, box.w, box.h], "area": box.w * box.h}
    category = _category(content, box.label)
    if category != note.get("category_id"):
        changed["category_id"] = category
    return changed


def _new_note(number: int, image: Any, box: LabelledBox, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": _category(content, box.label),
        "bbox": [box.x, box.y, box.w, box.h],
        "area": box.w * box.h,
        "iscrowd": 0,
    }


def _category(content: dict[str, Any], label: str) -> Any:
    """Id of the category of that name, which is added if it is new."""
    found = next((one["id"] for one in content["categories"] if one["name"] == label), None)
    if found is not None:
        return found
    number = _next_id(content["categories"])
    content["categories"].append({"id": number, "name": label})
    return number


def _next_id(entries: Iterable[Mapping[str, Any]]) -> int:
    return max((one["id"] for one in entries if isinstance(one.get("id"), int)), default=0) + 1
