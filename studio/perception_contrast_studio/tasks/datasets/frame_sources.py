"""Frames that pages compare encoders on: of datasets, of rendered rooms, of a camera or a file."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import decode_image_file, encode_image
from perception_contrast.images.resize import shrink_image
from perception_contrast_studio.tasks.datasets.image_sources import dataset
from perception_contrast_studio.workers.worker_process import Report
from perception_contrast_training.data.datasets.subset import image_names
from perception_contrast_training.evaluation.dense_compare import has_masks

DATASET, EXAMPLE, IMAGE = "dataset", "example", "image"
EXAMPLES = 24
EXAMPLE_SEED = 7
EXAMPLE_SECONDS = 1.5
LONGEST_SIDE = 1280
THUMBNAIL = 240
Pixels = NDArray[np.uint8]


class FrameSource(TypedDict, total=False):
    """kind: of the constants above. path, index: of a dataset or of the example. data, name: of an image."""

    kind: str
    path: str
    index: int
    data: bytes
    name: str


class DatasetFacts(TypedDict):
    """What a dataset has: frames, classes of whole images, label images, and times of frames."""

    frames: int
    classes: int
    labels: bool
    stamps: bool


class OpenedFrame(TypedDict):
    """A frame as pages show it; source: as tasks take it again."""

    jpeg: bytes
    width: int
    height: int
    name: str
    source: FrameSource


def dataset_facts(report: Report, path: str) -> DatasetFacts:
    """What a dataset has. Raises PerceptionError."""
    images = images_of(path)
    stamps = getattr(images, "stamps", None)
    return DatasetFacts(
        frames=len(images),
        classes=len(images.classes),
        labels=has_masks(Path(path)),
        stamps=stamps is not None and bool((np.asarray(stamps) >= 0).all()),
    )


def open_frame(report: Report, source: FrameSource) -> OpenedFrame:
    """A frame to show. Large images that were sent are made smaller first. Raises PerceptionError."""
    image, name = pixels_of(source), source.get("name", "")
    if source["kind"] == IMAGE:
        image = shrink_image(image, LONGEST_SIDE)
        source = FrameSource(kind=IMAGE, data=encode_image(image, ".png"), name=name)
    elif source["kind"] == DATASET:
        name = image_names(images_of(source["path"]))[source["index"]].partition("\n")[0]
    else:
        name = f"rendered room, second {source['index'] * EXAMPLE_SECONDS:g}"
    jpeg = encode_image(shrink_image(image, LONGEST_SIDE), ".jpg")
    return OpenedFrame(
        jpeg=jpeg, width=int(image.shape[1]), height=int(image.shape[0]), name=name, source=source
    )


def images_of(path: str) -> Any:
    """The images of a dataset; of one with label images those of ``images/``. Raises PerceptionError."""
    folder = Path(path)
    return dataset(str(folder / "images" if has_masks(folder) else folder))


def pixels_of(source: FrameSource) -> Pixels:
    """(H, W, 3) uint8 RGB of a frame. Raises PerceptionError."""
    if source["kind"] == IMAGE:
        return decode_image_file(source["data"], source.get("name", "image"))
    if source["kind"] == EXAMPLE:
        return _rendered(int(source["index"]) % EXAMPLES)
    images = images_of(source["path"])
    if not 0 <= source["index"] < len(images):
        raise PerceptionError(f"'{source['path']}' has {len(images)} frames, and no number {source['index']}")
    return pixels_of_sample(images[source["index"]]["image"])


def pixels_of_sample(image: Any) -> Pixels:
    """(3, H, W) uint8 tensor of a dataset to (H, W, 3)."""
    return np.ascontiguousarray(image.numpy().transpose(1, 2, 0))


def source_key(source: FrameSource) -> str:
    """Equal for the same frame."""
    if source["kind"] == IMAGE:
        return f"{IMAGE} {hashlib.sha1(source['data'], usedforsecurity=False).hexdigest()}"
    return f"{source['kind']} {source.get('path', '')} {source['index']}"


def thumbnail(image: Pixels) -> bytes:
    """A small JPEG."""
    return encode_image(shrink_image(image, THUMBNAIL), ".jpg")


@functools.lru_cache(maxsize=EXAMPLES)
def _rendered(index: int) -> Pixels:
    rgb: Pixels = _room().render(index * EXAMPLE_SECONDS).rgb
    return rgb


@functools.lru_cache(maxsize=1)
def _room() -> Any:
    from perception_contrast_sim.rooms.household import Household

    return Household(EXAMPLE_SEED, offline=True)
