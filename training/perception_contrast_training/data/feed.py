"""From a data set to batches of views, in processes beside the one that learns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from perception_contrast.errors import PerceptionError

from ..methods.base import Views
from .order import Order

TRIES = 16  # neighbours that are looked at in place of a picture that cannot be read
UNREADABLE = "unreadable"
FEED_BATCH = dict[str, Any]


class Pictures(Protocol):
    """Pictures by number: ``picture`` (3, h, w) uint8 RGB, and what is known beside it.

    ``text`` str, ``label`` int, ``stamp`` float seconds, ``pose`` (4, 4) float64 and ``group`` int may be there.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...


def chance(seed: int, *places: int) -> int:
    """A seed for what happens at a place: alike in every process and on every machine."""
    digest = hashlib.blake2b(repr((seed, *places)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class _Viewed(Dataset[FEED_BATCH]):
    """Views of the picture at an (index, place). A picture that cannot be read gives way to the next."""

    def __init__(self, pictures: Pictures, views: Views, seed: int) -> None:
        self._pictures, self._views, self._seed = pictures, views, seed

    def __getitem__(self, where: tuple[int, int]) -> FEED_BATCH:
        index, place = where
        sample, unreadable = self._readable(index)
        generator = torch.Generator().manual_seed(chance(self._seed, place))
        made: FEED_BATCH = dict(self._views(sample.pop("picture"), generator))
        return made | {name: value for name, value in sample.items() if value is not None} | {
            UNREADABLE: unreadable
        }  # fmt: skip

    def _readable(self, index: int) -> tuple[dict[str, Any], int]:
        for more in range(TRIES):
            try:
                return dict(self._pictures[(index + more) % len(self._pictures)]), more
            except PerceptionError as error:
                last = error
        raise PerceptionError(f"{TRIES} pictures on end from number {index} cannot be read: {last}")


def together(samples: Sequence[FEED_BATCH]) -> FEED_BATCH:
    """One batch of samples. Several views of a picture, (v, 3, h, w), come as (v, n, 3, h, w).

    What only some samples have is left out; texts stay a list.
    """
    names = [name for name in samples[0] if all(name in sample for sample in samples)]
    return {name: _stacked([sample[name] for sample in samples]) for name in names}


def _stacked(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, np.ndarray | np.generic):
        values = [torch.as_tensor(np.asarray(value)) for value in values]
        first = values[0]
    if isinstance(first, Tensor):
        return torch.stack(values, dim=1 if first.ndim == 4 else 0)
    if isinstance(first, bool | int | float):
        return torch.tensor(values)
    return values


class _Numbers:
    """The places of every batch from ``start`` on, as a DataLoader asks for them."""

    def __init__(self, order: Order, start: int, rank: int, processes: int) -> None:
        self._order, self._start, self._rank, self._processes = order, start, rank, processes

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        number = self._start
        while True:
            yield self._order.share_at(number, self._rank, self._processes)
            number += 1


def batches(
    pictures: Pictures,
    views: Views,
    order: Order,
    *,
    start: int = 0,
    rank: int = 0,
    processes: int = 1,
    workers: int = 0,
    pinned: bool = False,
) -> Iterator[FEED_BATCH]:
    """Batches from number ``start`` on, without end; the same ones however many ``workers`` make them."""
    loader: DataLoader[FEED_BATCH] = DataLoader(
        _Viewed(pictures, views, order.seed),
        batch_sampler=_Numbers(order, start, rank, processes),  # type: ignore[arg-type]
        collate_fn=together,
        num_workers=workers,
        pin_memory=pinned,
        prefetch_factor=4 if workers else None,
    )
    return iter(loader)
