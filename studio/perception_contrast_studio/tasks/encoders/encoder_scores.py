"""How good two encoders are on the user's data, and which frames they hold alike."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.tasks.datasets.frame_sources import (
    DATASET,
    FrameSource,
    Pixels,
    images_of,
    pixels_of,
    pixels_of_sample,
    source_key,
    thumbnail,
)
from perception_contrast_studio.tasks.encoders.kept_vectors import dataset_vectors, vectors_file
from perception_contrast_studio.tasks.encoders.loaded_encoders import LoadedEncoder, loaded_encoder
from perception_contrast_studio.workers.worker_process import Report
from perception_contrast_training.data.datasets.subset import image_names
from perception_contrast_training.evaluation.compare import class_vectors, time_figures
from perception_contrast_training.evaluation.dense_compare import compare_dense, has_masks
from perception_contrast_training.evaluation.encoding import EncodedImages, EncoderAdapter, fitted
from perception_contrast_training.evaluation.metrics.neighbours import left_out_predictions, neighbour_overlap
from perception_contrast_training.evaluation.metrics.ranking import roc_auc
from perception_contrast_training.evaluation.progress import listening
from perception_contrast_training.evaluation.readers.folders import labelled_pairs
from perception_contrast_training.evaluation.readers.types import Skipped

VERSION = 1
KNN, PROBE, CLUSTERING = "kNN accuracy", "dense probe mIoU", "clustering mIoU"
PRESENCE, TIME = "presence AUC", "near in time mAP"
SCORES = (KNN, PROBE, CLUSTERING, PRESENCE, TIME)
NEIGHBOURS = 20
AGREEMENT_NEIGHBOURS = 10
LEAST_CLASSES = 2


class Score(TypedDict):
    """value: None where it cannot be had, as ``missing`` tells. count: images that it was measured on."""

    value: float | None
    count: int
    missing: str


class ScoreRow(TypedDict):
    """One score on one dataset. scores: by encoder, in the order of the request."""

    score: str
    dataset: str
    scores: list[Score]


class Neighbour(TypedDict):
    """A similar frame."""

    number: int
    name: str
    cosine: float
    jpeg: bytes


class Retrieved(TypedDict):
    """neighbours: by encoder. agreement: of their nearest frames over the dataset; chance: by chance."""

    neighbours: list[list[Neighbour]]
    frames: int
    left_out: int
    agreement: float
    chance: float


def measure(report: Report, encoders: Sequence[str], datasets: Sequence[str], most: int) -> list[ScoreRow]:
    """All scores of the encoders on all datasets.

    Args:
        report: Takes the progress.
        encoders: Two names.
        datasets: Folders.
        most: Images that are looked at of each.

    Returns:
        A row for each score and each dataset that it can be measured on; one for a score that none has.

    Raises:
        PerceptionError: An encoder or a dataset cannot be read.
    """
    found: dict[tuple[str, str], list[Score]] = {}
    parts = len(encoders) * max(len(datasets), 1)
    for number, name in enumerate(encoders):
        report(number / len(encoders), f"loading {name}")
        loaded = loaded_encoder(name)
        for place, path in enumerate(datasets):
            start = (number * len(datasets) + place) / parts
            part = _part(report, start, 1 / parts, f"{name} on {Path(path).name}")
            for score, value in _measured(loaded, path, most, part).items():
                found.setdefault((score, path), []).append(value)
    return _rows(found, datasets)


def similar_frames(
    report: Report,
    encoders: Sequence[str],
    source: FrameSource,
    box: tuple[float, float, float, float] | None,
    dataset: str,
    most: int,
    count: int,
) -> Retrieved:
    """The frames of a dataset that are most like a frame or a part of one, by each encoder.

    Args:
        report: Takes the progress.
        encoders: Two names.
        source: The frame.
        box: (x0, y0, x1, y1) as shares of its width and height; None for all of it.
        dataset: Folder.
        most: Images that are looked at.
        count: Frames that are returned.

    Raises:
        PerceptionError: The frame or the dataset cannot be read, or the box is empty.
    """
    image = _cut(pixels_of(source), box)
    whole, own = box is None, source_key(source)
    neighbours, vectors = [], []
    left_out = 0
    for place, name in enumerate(encoders):
        report(place / len(encoders), f"loading {name}")
        adapter = loaded_encoder(name).adapter
        part = _part(report, place / len(encoders), 1 / len(encoders), f"{name}: {Path(dataset).name}")
        seen = dataset_vectors(adapter, dataset, most, part)
        cosines = functional.normalize(seen.encoded.vectors, dim=-1) @ _vector(adapter, image)
        order = [int(one) for one in cosines.argsort(descending=True)]
        chosen = [row for row in order if not (whole and _is(dataset, int(seen.numbers[row]), own))][:count]
        neighbours.append(
            [_neighbour(dataset, int(seen.numbers[row]), float(cosines[row])) for row in chosen]
        )
        vectors.append(seen.encoded.vectors)
        left_out = max(left_out, seen.encoded.unreadable)
    frames = len(vectors[0])
    return Retrieved(
        neighbours=neighbours,
        frames=frames,
        left_out=left_out,
        agreement=neighbour_overlap(vectors[0], vectors[1], AGREEMENT_NEIGHBOURS),
        chance=min(1.0, AGREEMENT_NEIGHBOURS / max(frames - 1, 1)),
    )


def _is(dataset: str, number: int, key: str) -> bool:
    """Whether a frame of the dataset is the one with that key."""
    return source_key(FrameSource(kind=DATASET, path=dataset, index=number)) == key


def _part(report: Report, start: float, share: float, what: str) -> Callable[[int, int], None]:
    """Reports a part of the work."""

    def told(done: int, total: int) -> None:
        inside = done / total if total else 0.0
        report(start + share * inside, f"{what}: {done} of {total}" if total else what)

    return told


def _measured(
    loaded: LoadedEncoder, path: str, most: int, told: Callable[[int, int], None]
) -> dict[str, Score]:
    """All scores of one encoder on one dataset; kept on disk."""
    file = vectors_file(loaded.adapter, path, most).with_suffix(f".scores{VERSION}.json")
    kept = _kept(file)
    if kept is not None:
        return kept
    seen = dataset_vectors(loaded.adapter, path, most, told).encoded
    classes = tuple(images_of(path).classes)
    found = {
        KNN: _knn(seen, classes),
        PRESENCE: _presence(loaded.adapter, seen, classes),
        TIME: _in_time(seen),
        **_dense(loaded, path, most, told),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(file, json.dumps(found).encode())
    return found


def _kept(file: Path) -> dict[str, Score] | None:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and set(found) == set(SCORES) else None


def _knn(seen: EncodedImages, classes: Sequence[str]) -> Score:
    vectors, labels = _labelled(seen)
    missing = _classes_missing(labels, classes)
    if missing:
        return _without(missing)
    right = left_out_predictions(vectors, labels, k=NEIGHBOURS, classes=len(classes)) == labels
    return Score(value=float(right.float().mean()), count=len(labels), missing="")


def _presence(adapter: EncoderAdapter, seen: EncodedImages, classes: Sequence[str]) -> Score:
    """AUC of each image's cosine with the name of its class against those with the other names."""
    vectors, labels = _labelled(seen)
    missing = _classes_missing(labels, classes)
    if adapter.words is None:
        missing = f"{adapter.name} knows no words"
    if missing or adapter.words is None:
        return _without(missing)
    names = class_vectors(adapter.words, classes, "robot_camera").cpu()
    cosines = functional.normalize(vectors, dim=-1) @ names.T
    present = torch.zeros_like(cosines, dtype=torch.bool)
    present[torch.arange(len(labels)), labels] = True
    value = roc_auc(cosines[present].tolist(), cosines[~present].tolist())
    return Score(value=value, count=len(labels), missing="")


def _in_time(seen: EncodedImages) -> Score:
    if bool((seen.stamps < 0).any()):
        return _without("the frames have no times; `perception-contrast data extract` keeps those of a bag")
    value = time_figures(seen).get(TIME)
    if value is None:
        return _without("no frame was taken soon after another")
    return Score(value=float(value), count=len(seen), missing="")


def _dense(loaded: LoadedEncoder, path: str, most: int, told: Callable[[int, int], None]) -> dict[str, Score]:
    folder = Path(path)
    if not has_masks(folder):
        missing = _without("there are no label images; put them into labels/ beside images/")
        return {PROBE: missing, CLUSTERING: missing}
    pairs = len(labelled_pairs(folder, Skipped()))
    try:
        with listening(lambda what, done, total: told(done, total)):
            outcome = compare_dense([loaded.adapter], folder, limit=most)
    except PerceptionError as error:
        return {PROBE: _without(str(error)), CLUSTERING: _without(str(error))}
    figures = outcome.figures["encoders"][loaded.adapter.name]
    return {
        name: Score(value=_number(figures[name]), count=min(most, pairs) if most else pairs, missing="")
        for name in (PROBE, CLUSTERING)
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _labelled(seen: EncodedImages) -> tuple[Tensor, Tensor]:
    known = seen.labels >= 0
    return seen.vectors[known], seen.labels[known]


def _classes_missing(labels: Tensor, classes: Sequence[str]) -> str:
    if not classes or not len(labels):
        return "its images have no classes; put those of each class into a folder of its name"
    if len(torch.unique(labels)) < LEAST_CLASSES:
        return "all its images are of one class"
    return ""


def _without(missing: str) -> Score:
    return Score(value=None, count=0, missing=missing)


def _rows(found: dict[tuple[str, str], list[Score]], datasets: Sequence[str]) -> list[ScoreRow]:
    """Those that were measured; of a score that never was the first reason."""
    rows = []
    for score in SCORES:
        having = [path for path in datasets if any(one["value"] is not None for one in found[score, path])]
        for path in having or datasets[:1]:
            rows.append(ScoreRow(score=score, dataset=path, scores=found[score, path]))
    return rows


def _cut(image: Pixels, box: tuple[float, float, float, float] | None) -> Pixels:
    if box is None:
        return image
    height, width = image.shape[:2]
    x0, x1 = sorted((round(box[0] * width), round(box[2] * width)))
    y0, y1 = sorted((round(box[1] * height), round(box[3] * height)))
    part = image[max(0, y0) : y1, max(0, x0) : x1]
    if part.size == 0:
        raise PerceptionError("the part of the frame has no pixels; drag a larger one")
    return np.ascontiguousarray(part)


def _vector(adapter: EncoderAdapter, image: Pixels) -> Tensor:
    """(c,) unit vector of an image, prepared as those of the dataset."""
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    inputs = fitted(planes, adapter.size, adapter.mean, adapter.std)[None].to(adapter.device)
    with torch.inference_mode():
        return functional.normalize(adapter.network(inputs).float().cpu()[0], dim=-1).clone()


def _neighbour(dataset: str, number: int, cosine: float) -> Neighbour:
    name, jpeg = _shown(dataset, number)
    return Neighbour(number=number, name=name, cosine=cosine, jpeg=jpeg)


@functools.lru_cache(maxsize=256)
def _shown(dataset: str, number: int) -> tuple[str, bytes]:
    images = images_of(dataset)
    name = image_names(images)[number].partition("\n")[0]
    return name, thumbnail(pixels_of_sample(images[number]["image"]))
