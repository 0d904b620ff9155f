"""COCO annotations: a JSON file and the folder of its images; of videos too."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError, QueryError
from perception_contrast.core.vocabulary import checked_text
from perception_contrast.images.orientation import orientation_note
from perception_contrast_training.evaluation.libraries import evaluation_library
from perception_contrast_training.evaluation.readers.types import Mask, Skipped, Thing, ThingsImage

HUMAN, MODEL = "human", "model"  # "source" of an annotation; one that says nothing is a person's
TRACKS = ("track_id", "instance_id")  # keys of who a thing is, in annotations of videos


@dataclass(frozen=True)
class _Entry:
    """One image of the file with its annotations."""

    name: str
    size: tuple[int, int]
    video: str
    order: int
    annotations: tuple[dict[str, Any], ...]


class CocoSet:
    """Images of a COCO JSON in its order, those of a video together and in the order of their frames.

    images: folder of the images; None looks beside the file, in ``images/`` and in a folder of its name.
    Categories that an image has no annotation of count as absent from it. Labels that a model made
    (`data autolabel`) are refused unless they are asked for with ``source``, and then they must be of a model
    all: what people and what models labelled is never read as one. Raises PerceptionError.
    """

    def __init__(
        self, file: Path, images: Path | None, skipped: Skipped, limit: int = 0, *, source: str = HUMAN
    ) -> None:
        self._file, self._skipped = file, skipped
        stored = stored_annotations(file)
        require_source(stored, file, source)
        self._categories = _categories(stored, file)
        # Two categories of one name are one thing to ask for.
        self.names = tuple(dict.fromkeys(self._categories.values()))
        self.entries = _entries(stored, self._categories, file)[: limit or None]
        self.folder = _folder_of(file, self.entries, images)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def has_tracks(self) -> bool:
        """Whether the annotations say who is who from frame to frame."""
        notes = (note for entry in self.entries for note in entry.annotations)
        return any(_track(note) for note in notes)

    @property
    def videos(self) -> tuple[str, ...]:
        """Ids of the videos, in order; one "" where the file has none."""
        return tuple(dict.fromkeys(entry.video for entry in self.entries))

    def __iter__(self) -> Iterator[ThingsImage]:
        for video in self.videos:
            yield from self.video(video)

    def video(self, video: str) -> Iterator[ThingsImage]:
        """The frames of one video."""
        return self.images(one for one in self.entries if one.video == video)

    def is_outlined(self, entry: _Entry) -> bool:
        """Whether all annotations of an image are masks, and none a box alone."""
        return all(note.get("segmentation") for note in entry.annotations)

    def images(self, entries: Iterable[_Entry]) -> Iterator[ThingsImage]:
        """Some of ``entries``, without those that cannot be read."""
        for entry in entries:
            path = self.folder / entry.name
            image = self._skipped.image(path, entry.name)
            if image is None:
                continue
            if image.shape[:2] != entry.size:
                raise PerceptionError(
                    f"image '{path}' is {image.shape[1]}x{image.shape[0]}, but its annotations are for "
                    f"{entry.size[1]}x{entry.size[0]}; give the images that were annotated"
                    f"{orientation_note(path)}"
                )
            there = {self._categories[note["category_id"]] for note in entry.annotations}
            absent = tuple(name for name in self.names if name not in there)
            yield ThingsImage(entry.name, image, tuple(self._things(entry)), absent)

    def _things(self, entry: _Entry) -> Iterator[Thing]:
        for note in entry.annotations:
            mask = self._mask(note, entry.size)
            if mask.any():
                name = self._categories[note["category_id"]]
                yield Thing((name,), mask, _track(note), bool(note.get("iscrowd", 0)))
            else:
                what = f"annotation {note.get('id')} of '{self._file.name}'"
                self._skipped.note(what, ValueError(f"{what} marks no pixel of '{entry.name}'"))

    def _mask(self, note: Mapping[str, Any], size: tuple[int, int]) -> Mask:
        what = f"annotation {note.get('id')} of '{self._file}'"
        try:
            return mask_of(note, size)
        except Exception as error:  # pycocotools raises plain ones for what it does not know
            raise PerceptionError(
                f"{what} has no mask that can be read ({error!r}); export it again"
            ) from error


def require_source(stored: Mapping[str, Any], file: Path, source: str = HUMAN) -> None:
    """Keeps what people and what models labelled apart.

    Args:
        stored: The content of a file of COCO's form.
        file: For the error.
        source: HUMAN or MODEL, whose labels are wanted.

    Raises:
        PerceptionError: Some labels are of the other source.
    """
    notes = [note for note in stored["annotations"] if isinstance(note, Mapping)]
    made = sum(note.get("source") == MODEL for note in notes)
    if source == HUMAN and made:
        raise PerceptionError(
            f"{made} of {len(notes)} annotations of '{file}' were made by a model; look at them, save what "
            'is right as labels of your own, without "source"'
        )
    if source == MODEL and made < len(notes):
        raise PerceptionError(
            f"{len(notes) - made} of {len(notes)} annotations of '{file}' were not made by a model; give a "
            "file of `perception-contrast data autolabel`"
        )


def mask_of(note: Mapping[str, Any], size: tuple[int, int]) -> Mask:
    """(H, W) mask of an annotation: polygons, run lengths, or its box where it has no segmentation.

    Raises ValueError for run lengths of another size; pycocotools raises others for what it does not know.
    """
    segments = note.get("segmentation")
    if isinstance(segments, dict):
        packer = evaluation_library("pycocotools.mask")
        if isinstance(segments["counts"], list):
            if sum(segments["counts"]) != size[0] * size[1]:
                raise ValueError(f"runs of {sum(segments['counts'])} pixels")
            segments = packer.frPyObjects(segments, *size)
        mask = np.asarray(packer.decode(segments) > 0)
        if mask.shape != size:
            raise ValueError(f"a mask of {mask.shape[1]}x{mask.shape[0]} for an image of {size[1]}x{size[0]}")
        return mask
    if segments:
        packer = evaluation_library("pycocotools.mask")
        return np.asarray(packer.decode(packer.merge(packer.frPyObjects(segments, *size))) > 0)
    x, y, width, height = note["bbox"]
    if width < 0 or height < 0:
        raise ValueError(f"a box of width {width} and height {height}")
    left, top, right, bottom = (max(0, round(edge)) for edge in (x, y, x + width, y + height))
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def stored_annotations(file: Path) -> dict[str, Any]:
    """The content of a file of COCO's form. Raises PerceptionError for what is none."""
    if not file.is_file():
        raise PerceptionError(f"annotations '{file}' do not exist; check --data")
    try:
        stored = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise PerceptionError(f"annotations '{file}' are no JSON ({error}); export them again") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(stored, dict) or not isinstance(stored.get(key), list):
            raise PerceptionError(f"annotations '{file}' have no list '{key}'; a COCO file has one")
    for key in ("images", "categories"):
        if not stored[key]:
            raise PerceptionError(f"annotations '{file}': the list '{key}' is empty; nothing can be measured")
    return dict(stored)


def _categories(stored: Mapping[str, Any], file: Path) -> dict[Any, str]:
    """Id to name, in the form that labels have."""
    try:
        return {one["id"]: checked_text(str(one["name"]), "a name") for one in stored["categories"]}
    except (KeyError, TypeError, QueryError) as error:
        raise PerceptionError(
            f"the categories of '{file}' lack or misstate {error}; export them again"
        ) from error


def _entries(stored: Mapping[str, Any], categories: Mapping[Any, str], file: Path) -> list[_Entry]:
    try:
        notes: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        known = {image["id"] for image in stored["images"]}
        if len(known) < len(stored["images"]):
            raise PerceptionError(f"two images of '{file}' have one id; number them anew")
        for note in stored["annotations"]:
            if note["category_id"] not in categories:
                raise PerceptionError(
                    f"annotation {note.get('id')} of '{file}' has the unknown category "
                    f"{note['category_id']}; add it to 'categories'"
                )
            if note["image_id"] not in known:
                raise PerceptionError(
                    f"annotation {note.get('id')} of '{file}' is of the unknown image {note['image_id']}"
                )
            if not note.get("segmentation") and "bbox" not in note:
                raise PerceptionError(
                    f"annotation {note.get('id')} of '{file}' has neither 'segmentation' nor 'bbox'"
                )
            notes[note["image_id"]].append(note)
        entries = [
            _Entry(
                str(image["file_name"]),
                (int(image["height"]), int(image["width"])),
                str(image.get("video_id", "")),
                int(image.get("frame_id", image.get("frame_index", index))),
                tuple(notes[image["id"]]),
            )
            for index, image in enumerate(stored["images"])
        ]
        videos = {video: number for number, video in enumerate(dict.fromkeys(one.video for one in entries))}
        return sorted(entries, key=lambda one: (videos[one.video], one.order))
    except (KeyError, TypeError, ValueError) as error:
        raise PerceptionError(f"annotations '{file}' lack or misstate {error}; export them again") from error


def _track(note: Mapping[str, Any]) -> str:
    return next((str(note[key]) for key in TRACKS if note.get(key) is not None), "")


def _folder_of(file: Path, entries: Sequence[_Entry], images: Path | None) -> Path:
    """The folder that holds images of the file; single ones may be missing there."""
    beside = (file.parent, file.parent / "images", file.parent / file.stem)
    for folder in beside if images is None else (images,):
        if any((folder / entry.name).is_file() for entry in entries):
            return folder
    if not entries:
        raise PerceptionError(f"'{file}' names no images; export it again")
    where = "beside it" if images is None else f"in '{images}'"
    raise PerceptionError(
        f"the images of '{file}', such as '{entries[0].name}', are not {where}; "
        "name their folder with --images"
    )


def boxes_of(masks: list[Mask]) -> NDArray[np.float64]:
    """(n, 4) x_min, y_min, x_max, y_max (edges) of masks; zeros for an empty one."""
    boxes = np.zeros((len(masks), 4))
    for row, mask in zip(boxes, masks, strict=True):
        ys, xs = np.nonzero(mask)
        if len(ys):
            row[:] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    return boxes
