"""From a data set to batches of views, in processes beside the one that learns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.data.pairs.positive_pairs import PositivePairs
from perception_contrast_training.engine.negative_mask import FRAME_POSITIONS
from perception_contrast_training.methods.base import PairedViews, Views
from perception_contrast_training.views.batch import SOURCES, collated, padded

UNREADABLE = "unreadable"
UNREADABLE_FILES = "unreadable_files"
PARTNERED = "partnered"
BatchItems = dict[str, Any]


def derived_seed(seed: int, *places: int) -> int:
    """A seed for what happens at a place: alike in every process and on every machine."""
    digest = hashlib.blake2b(repr((seed, *places)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class ViewDataset(Dataset[BatchItems]):
    """Views of the image at an (index, place), and one of its texts.

    An image that cannot be read gives way to the next, as a partner to the image itself.
    """

    def __init__(self, images: Images, views: Views, seed: int, positives: PositivePairs | None) -> None:
        self._images, self._views, self._seed, self._positives = images, views, seed, positives

    def __getitem__(self, where: tuple[int, int]) -> BatchItems:
        index, place = where
        sample, refused = self._readable(index)
        more = len(refused)
        generator = torch.Generator().manual_seed(derived_seed(self._seed, place))
        texts = [line for line in str(sample.get("text", "")).split("\n") if line]
        if len(texts) > 1:
            sample["text"] = texts[int(torch.randint(len(texts), (), generator=generator))]
        image = sample.pop("image")
        if self._positives is None:
            made = self._views(image, generator)
            return {**sample, **made, UNREADABLE: more, UNREADABLE_FILES: "\n".join(refused)}
        made = self._paired(image, (index + more) % len(self._images), generator, self._positives)
        return {**sample, **made, UNREADABLE: more + made[UNREADABLE], UNREADABLE_FILES: "\n".join(refused)}

    def _paired(
        self, image: Tensor, index: int, generator: torch.Generator, positives: PositivePairs
    ) -> BatchItems:
        """Views of an image and its partner, and where both were taken."""
        second, unreadable, shown = positives.draw_positive(index, generator), 0, None
        if second != index:
            try:
                shown = self._images[second]["image"]
            except PerceptionError:
                second, unreadable = index, 1
        made: BatchItems = {UNREADABLE: unreadable}
        if shown is None:
            made |= self._views(image, generator)
        else:
            made |= cast(PairedViews, self._views)(image, generator, shown)
        if positives.pairs:
            made[PARTNERED] = int(second != index)
        if (where := positives.where(index, second)) is not None:
            made[FRAME_POSITIONS] = where
        return made

    def _readable(self, index: int) -> tuple[dict[str, Any], list[str]]:
        """The first sample from an index on that can be read, and a line for each before it that cannot."""
        refused: list[str] = []
        for more in range(len(self._images)):
            try:
                return {**self._images[(index + more) % len(self._images)]}, refused
            except PerceptionError as error:
                refused.append(" ".join(str(error).split()))
        raise PerceptionError(f"none of {len(self._images)} images can be read: {refused[-1]}")


def collate(samples: Sequence[BatchItems]) -> BatchItems:
    """One batch of samples: views as ``views.collated`` does it, numbers as tensors; texts stay lists."""
    tensors = {name for name, value in samples[0].items() if isinstance(value, Tensor)} - {SOURCES}
    batch: BatchItems = dict(collated([{name: sample[name] for name in tensors} for sample in samples]))
    if SOURCES in samples[0]:
        batch[SOURCES] = padded([sample[SOURCES] for sample in samples])
    for name in samples[0].keys() - tensors - {SOURCES}:
        values = [sample[name] for sample in samples]
        batch[name] = values if isinstance(values[0], str) else torch.tensor(values)
    return batch


class _BatchSampler:
    """The places of every batch from ``start`` on, as a DataLoader asks for them."""

    def __init__(self, order: Order, start: int, rank: int, processes: int) -> None:
        self._order, self._start, self._rank, self._processes = order, start, rank, processes

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        number = self._start
        while True:
            yield self._order.share_at(number, self._rank, self._processes)
            number += 1


def batches(
    images: Images,
    views: Views,
    order: Order,
    *,
    start: int = 0,
    rank: int = 0,
    processes: int = 1,
    workers: int = 0,
    pinned: bool = False,
    positives: PositivePairs | None = None,
) -> Iterator[BatchItems]:
    """Batches from number ``start`` on, without end; the same ones however many ``workers`` make them.

    positives: of the images, for views that take one (``PairedViews``) and losses that leave some negatives
    out; the batch has FRAME_POSITIONS and PARTNERED then, as far as ``positives`` knows them.
    """
    loader: DataLoader[BatchItems] = DataLoader(
        ViewDataset(images, views, order.seed, positives),
        batch_sampler=_BatchSampler(order, start, rank, processes),
        collate_fn=collate,
        num_workers=workers,
        pin_memory=pinned,
        prefetch_factor=4 if workers else None,
    )
    return iter(loader)
