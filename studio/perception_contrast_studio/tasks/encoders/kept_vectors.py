"""Vectors of whole datasets by an encoder, kept on disk."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.file_writing import writing
from perception_contrast_studio.tasks.datasets.frame_sources import images_of
from perception_contrast_studio.tasks.points.encoded_points import dataset_folder
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import evenly
from perception_contrast_training.evaluation.encoding import EncodedImages, EncoderAdapter, encode_images
from perception_contrast_training.evaluation.progress import listening

VERSION = 1
BATCH = 16
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class DatasetVectors:
    """Vectors of a dataset's images. numbers: (n,) of each image in the dataset."""

    encoded: EncodedImages
    numbers: NDArray[np.int64]


class _Noting:
    """A dataset that notes which of its images could be read, in order."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Any:
        sample = self._images[index]
        self.read.append(int(sample["index"]))
        return sample


def dataset_vectors(adapter: EncoderAdapter, path: str, most: int, told: Told) -> DatasetVectors:
    """Vectors of at most ``most`` images of a dataset, spread evenly; from the disk if they are there.

    Args:
        adapter: The encoder.
        path: Of the dataset.
        most: Images.
        told: Takes how many batches are done, and how many there are.

    Raises:
        PerceptionError: The dataset cannot be read.
    """
    file = vectors_file(adapter, path, most)
    kept = _read(file)
    if kept is not None:
        return kept
    images = _Noting(evenly(images_of(path), most))
    with listening(lambda what, done, total: told(done, total)):
        encoded = encode_images(adapter, images, batch=BATCH)
    found = DatasetVectors(encoded, np.array(images.read, np.int64))
    _write(file, found)
    return found


def vectors_file(adapter: EncoderAdapter, path: str, most: int) -> Path:
    """Where the vectors of a dataset, as it is now, are kept."""
    facts = f"{VERSION} {adapter.space} {adapter.size} {most}"
    return dataset_folder(Path(path)) / f"compared_{hashlib.sha256(facts.encode()).hexdigest()[:24]}.npz"


def _read(file: Path) -> DatasetVectors | None:
    """What was kept; None for nothing, or a file that is damaged."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            encoded = EncodedImages(
                vectors=torch.from_numpy(stored["vectors"]),
                labels=torch.from_numpy(stored["labels"]),
                stamps=stored["stamps"],
                groups=stored["groups"],
                texts=tuple(str(text) for text in stored["texts"]),
                refused=tuple(str(line) for line in stored["refused"]),
                unreadable=len(stored["refused"]),
            )
            return DatasetVectors(encoded, stored["numbers"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write(file: Path, found: DatasetVectors) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    encoded = found.encoded
    with writing(file) as part, part.open("wb") as stream:
        np.savez(
            stream,
            vectors=encoded.vectors.numpy(),
            labels=encoded.labels.numpy(),
            stamps=encoded.stamps,
            groups=encoded.groups,
            texts=np.array(encoded.texts, np.str_),
            refused=np.array(encoded.refused, np.str_),
            numbers=found.numbers,
        )
