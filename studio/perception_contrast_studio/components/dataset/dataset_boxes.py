"""Where the boxes of a dataset are saved, in a form that `calibrate` and `eval` read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from perception_contrast.core.file_writing import writing
from perception_contrast_studio.components.dataset.coco_file import (
    CocoFile,
    CocoFileError,
    ImageFacts,
    LabelledBox,
    is_coco,
)
from perception_contrast_studio.components.dataset.dataset_frames import DatasetFrames
from perception_contrast_studio.components.dataset.dataset_images import frame_bytes, frame_size

FOLDER, IMAGES, NAME = "boxes", "images", "studio.json"
MOST_FILES = 20
MOST_SEARCHED = 2000


def own_file(frames: DatasetFrames) -> Path:
    """The file that the studio makes.

    The frames of an extracted dataset lie in archives, so a frame with boxes is copied to ``boxes/images``
    beside the file. The images of a folder stay where they are, and the file lies among them.
    """
    if frames.extracted:
        return frames.folder / FOLDER / NAME
    return frames.folder / f"{FOLDER}_{NAME}"


def coco_files(frames: DatasetFrames) -> list[Path]:
    """The studio's own file first, then other COCO files of the dataset's folder. Blocks."""
    own = own_file(frames)
    found = [own]
    places = [frames.folder, frames.folder / FOLDER, frames.folder / "annotations"]
    searched = [path for place in places if place.is_dir() for path in sorted(place.glob("*.json"))]
    for path in searched[:MOST_SEARCHED]:
        if path != own and path.name != "dataset.json" and is_coco(path):
            found.append(path)
    return found[:MOST_FILES]


def open_boxes(frames: DatasetFrames, path: Path) -> CocoFile:
    """A file of boxes, new or there already.

    Raises:
        CocoFileError: It is none.
    """
    topics = {topic for _, topic in frames.lanes}
    about: dict[str, Any] = {"topic": next(iter(topics))} if frames.extracted and len(topics) == 1 else {}
    return CocoFile(path, about)


def image_name(frames: DatasetFrames, index: int) -> str:
    """The ``file_name`` of a frame."""
    return frames.files[index]


def image_facts(frames: DatasetFrames, index: int) -> ImageFacts:
    """What a COCO file notes about a frame. Blocks where the size is not recorded. Raises FrameError."""
    more: dict[str, Any] = {}
    if frames.extracted:
        key = frames.keys[index]
        bag, topic = frames.lanes[int(frames.lane[index])]
        more = {
            # The number of the image among all of its topic is the last part of the key.
            "frame_index": int(key.rpartition("_")[2]),
            "stamp": int(frames.stamps[index]),
            "recording": bag,
            "topic": topic,
        }
        if len(frames.lanes) > 1:
            more["video_id"] = f"{bag} {topic}"
    return ImageFacts(image_name(frames, index), frame_size(frames, index), more)


def boxes_from_browser(given: Any) -> list[LabelledBox]:
    """Boxes that the editor sent.

    Raises:
        CocoFileError: They are not what the editor sends.
    """
    try:
        return [
            LabelledBox(
                int(one["id"]), str(one["label"]), _number(one["x"]), _number(one["y"]), _number(one["w"]),
                _number(one["h"]), bool(one["locked"]),
            )
            for one in given
        ]  # fmt: skip
    except (TypeError, KeyError, ValueError) as error:
        raise CocoFileError(f"these boxes cannot be read: {error!r}; reload the page") from error


def _number(value: Any) -> float:
    """Whole numbers stay whole in the file."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value


def boxes_for_browser(boxes: Sequence[LabelledBox]) -> list[dict[str, Any]]:
    """As the editor takes them."""
    return [vars(box) for box in boxes]


def save_boxes(
    file: CocoFile,
    frames: DatasetFrames,
    index: int,
    boxes: Sequence[LabelledBox],
    *,
    keep_empty: bool = False,
) -> None:
    """Saves the boxes of a frame, and its image where readers could not find it. Blocks.

    Raises:
        CocoFileError: A box lies outside of the image.
        FrameError: The image cannot be read.
        StorageError: A file cannot be written.
    """
    facts = image_facts(frames, index)
    if frames.extracted and (boxes or keep_empty):
        _copy_image(frames, index, file.path.parent / IMAGES / facts.name)
    file.put(facts, boxes, keep_empty=keep_empty)


def _copy_image(frames: DatasetFrames, index: int, target: Path) -> None:
    if PurePosixPath(target.name).name != frames.files[index]:
        raise CocoFileError(f"'{frames.files[index]}' is no plain file name; extract the dataset again")
    if target.is_file():
        return
    with writing(target) as part:
        part.write_bytes(frame_bytes(frames, index))


def commands(frames: DatasetFrames, path: Path) -> Mapping[str, str]:
    """What to run with the file, by what it is for."""
    data = shlex.quote(str(path))
    images = "" if frames.extracted else f" --images {shlex.quote(str(frames.folder))}"
    found = {
        "Measure how well the names are found": f"perception-contrast eval --task det --data {data}{images}",
        "Fit the probabilities of words": f"perception-contrast calibrate --data {data}{images}",
    }
    if frames.extracted and len(frames.recordings) == 1:
        bag = shlex.quote(frames.recordings[0])
        found["Measure exemplars on the recording"] = (
            f"perception-contrast eval --task exemplars --data {bag} --boxes {data}"
        )
    return found
