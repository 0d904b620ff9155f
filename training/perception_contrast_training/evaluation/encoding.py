"""Vectors of a data set's images, with what is known of each, by any encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torchvision.transforms.v2.functional as tf
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.base import ImageEncoder
from perception_contrast.models.specs import Triple
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.evaluation.corruptions import Change
from perception_contrast_training.evaluation.progress import tracked

CPU = torch.device("cpu")


@dataclass(frozen=True)
class EncoderAdapter:
    """An encoder and what it wants. network: (n, 3, size, size), normalised, to (n, c).

    name, space: what figures are told under. words: texts to (m, c) of the images' space, or None.
    encoder: gives dense features; None without.
    """

    name: str
    space: str
    network: Callable[[Tensor], Tensor]
    size: int
    mean: Triple
    std: Triple
    device: torch.device = CPU
    words: Callable[[Sequence[str]], Tensor] | None = None
    encoder: ImageEncoder | None = None


@dataclass(frozen=True)
class EncodedImages:
    """vectors (n, c) float32 on the CPU; labels, groups and stamps (n,), -1 where
    unknown, stamps in nanoseconds; texts: "" where there is none. unreadable: images that were left out.
    refused: a line for each of those that says why."""

    vectors: Tensor
    labels: Tensor
    stamps: NDArray[np.int64]
    groups: NDArray[np.int64]
    texts: tuple[str, ...]
    unreadable: int = 0
    refused: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.vectors)


def fitted(source: Tensor, size: int, mean: Triple, std: Triple) -> Tensor:
    """(3, h, w) uint8 to (3, size, size): shorter side resized (bicubic, antialiased), middle kept."""
    h, w = source.shape[-2:]
    scale = size / min(h, w)
    shape = [max(size, round(h * scale)), max(size, round(w * scale))]
    small = tf.resize(source, shape, tf.InterpolationMode.BICUBIC, antialias=True)
    middle = tf.center_crop(small, [size, size])
    image: Tensor = tf.normalize(middle.float() / 255, list(mean), list(std))
    return image


_REFUSED = "refused"  # in place of a sample


class _Fitted(Dataset[dict[str, Any]]):
    def __init__(
        self, images: Images, chosen: Sequence[int], adapter: EncoderAdapter, change: Change | None
    ) -> None:
        self._images, self._chosen, self._change = images, chosen, change
        self._size, self._mean, self._std = adapter.size, adapter.mean, adapter.std

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, number: int) -> dict[str, Any]:
        try:
            sample = dict(self._images[self._chosen[number]])
        except PerceptionError as error:
            return {_REFUSED: " ".join(str(error).split())}
        image = sample["image"] if self._change is None else self._change(sample["image"])
        sample["image"] = fitted(image, self._size, self._mean, self._std)
        return sample


def encode_images(
    adapter: EncoderAdapter,
    images: Images,
    chosen: Sequence[int] | None = None,
    *,
    change: Change | None = None,
    batch: int = 64,
    workers: int = 0,
    what: str = "vectors",
) -> EncodedImages:
    """Vectors of the chosen images, all of them by default, in order; unreadable ones are left out.

    change: made to each image first. Raises PerceptionError if none can be read.
    """
    numbers = list(range(len(images))) if chosen is None else list(chosen)
    data = _Fitted(images, numbers, adapter, change)
    loader: DataLoader[dict[str, Any]] = DataLoader(
        data, batch_size=batch, num_workers=workers, collate_fn=list
    )
    vectors, samples = [], []
    refused: list[str] = []
    for rows in tracked(loader, f"{adapter.name}: {what}", len(loader)):
        refused += [row[_REFUSED] for row in rows if _REFUSED in row]
        readable = [row for row in rows if _REFUSED not in row]
        if not readable:
            continue
        stacked = torch.stack([row.pop("image") for row in readable]).to(adapter.device)
        with torch.inference_mode():
            vectors.append(adapter.network(stacked).float().cpu())
        samples += readable
    if not samples:
        raise PerceptionError(f"none of {len(numbers)} images can be read; look at the data")
    if not all(bool(part.isfinite().all()) for part in vectors):
        raise PerceptionError(
            f"encoder '{adapter.name}' gives vectors that are not finite; its weights are broken"
        )

    def column(name: str) -> NDArray[np.int64]:
        return np.array([int(sample.get(name, -1)) for sample in samples], np.int64)

    return EncodedImages(
        vectors=torch.cat(vectors).clone(),
        labels=torch.from_numpy(column("label")),
        stamps=column("stamp"),
        groups=column("group"),
        texts=tuple(str(sample.get("text", "")) for sample in samples),
        unreadable=len(numbers) - len(samples),
        refused=tuple(refused),
    )


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode within; every part is then as it was."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
