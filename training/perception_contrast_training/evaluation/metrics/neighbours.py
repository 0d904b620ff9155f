"""What the nearest vectors say: classes (kNN), captions (retrieval), and frames that were near in time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

ROWS = 1024  # compared with all others at once


def knn_predictions(
    train: Tensor, labels: Tensor, test: Tensor, *, k: int = 20, temperature: float = 0.07, classes: int = 0
) -> Tensor:
    """(m,) classes of ``test`` (m, c), as DINO measures encoders (Caron et al., 2021; Wu et al., 2018).

    Each of the k nearest of ``train`` (n, c) by cosine votes for its label with exp(cosine / temperature).
    labels: (n,) int64. classes: how many there are, 0 for one more than the largest label.
    """
    count = classes or int(labels.max()) + 1
    keys, k = F.normalize(train.float(), dim=-1), min(k, len(train))
    found = []
    for part in torch.split(F.normalize(test.float(), dim=-1), ROWS):
        cosine, nearest = (part @ keys.T).topk(k, dim=-1)
        found.append(_voted(cosine, labels[nearest], temperature, count))
    return torch.cat(found) if found else labels[:0]


def left_out_predictions(
    vectors: Tensor, labels: Tensor, *, k: int = 20, temperature: float = 0.07, classes: int = 0
) -> Tensor:
    """(n,) classes of ``vectors`` (n, c), each by all others: ``knn_predictions`` with one left out."""
    count = classes or int(labels.max()) + 1
    cosine, nearest = nearest_others(vectors, k)
    return _voted(cosine, labels[nearest], temperature, count)


def nearest_others(vectors: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Cosines and numbers of the k nearest others of each of ``vectors`` (n, c): (n, at most k) each."""
    unit, k = F.normalize(vectors.float(), dim=-1), max(0, min(k, len(vectors) - 1))
    cosines, numbers = [unit.new_zeros(0, k)], [torch.zeros(0, k, dtype=torch.int64)]
    for first in range(0, len(unit), ROWS):
        cosine = unit[first : first + ROWS] @ unit.T
        own = torch.arange(len(cosine))
        cosine[own, first + own] = -torch.inf
        best, nearest = cosine.topk(k, dim=-1)
        cosines.append(best)
        numbers.append(nearest)
    return torch.cat(cosines), torch.cat(numbers)


def neighbour_overlap(first: Tensor, second: Tensor, k: int = 10) -> float:
    """Mean share of the k nearest others that two encoders agree on (Huh et al., 2024); 1 if on all.

    Args:
        first: (n, c) of one encoder.
        second: (n, d) of the other, of the same n images or cells.
        k: Neighbours; by chance k / (n - 1) of them agree.

    Returns:
        From 0 to 1; nan for fewer than two rows.
    """
    mine, others = nearest_others(first, k)[1], nearest_others(second, k)[1]
    if mine.numel() == 0:
        return float("nan")
    return float((mine[:, :, None] == others[:, None, :]).any(dim=-1).float().mean())


def _voted(cosine: Tensor, labels: Tensor, temperature: float, classes: int) -> Tensor:
    """cosine, labels: (m, k) of the nearest, the nearest first. Gives (m,) labels."""
    # The largest is taken off: exp would overflow nowhere, and votes keep their ratio.
    weights = ((cosine - cosine[:, :1]) / temperature).exp()
    votes = torch.zeros(len(cosine), classes, device=cosine.device)
    return votes.scatter_add_(1, labels, weights).argmax(dim=-1)


def knn_accuracy(train: Tensor, labels: Tensor, test: Tensor, truth: Tensor, **options: float) -> float:
    """Share of ``test`` whose class ``knn_predictions`` finds; options as there."""
    predicted = knn_predictions(train, labels, test, **options)  # type: ignore[arg-type]
    return float((predicted == truth).float().mean())


def recall_at(
    queries: Tensor, keys: Tensor, right: NDArray[np.bool_] | Tensor, counts: Sequence[int] = (1, 5, 10)
) -> dict[int, float]:
    """Share of queries (m, c) with a right key (n, c) among the nearest k by cosine, for each k.

    right: (m, n), which keys answer which query. Keys as near as the right one stand before it.
    """
    return recall_of(first_right(queries, keys, right), counts)


def recall_of(ranks: Tensor, counts: Sequence[int] = (1, 5, 10)) -> dict[int, float]:
    """The same from (m,) ranks of ``first_right``."""
    return {k: float((ranks < k).float().mean()) for k in counts}


def first_right(queries: Tensor, keys: Tensor, right: NDArray[np.bool_] | Tensor) -> Tensor:
    """(m,) wrong keys before the first right one, n without any; arguments of ``recall_at``."""
    right = torch.as_tensor(right, dtype=torch.bool, device=queries.device)
    normalised = F.normalize(keys.float(), dim=-1)
    ranks = []
    for part, answers in zip(
        torch.split(F.normalize(queries.float(), dim=-1), ROWS), torch.split(right, ROWS), strict=True
    ):
        cosine = part @ normalised.T
        best = cosine.masked_fill(~answers, -torch.inf).max(dim=-1, keepdim=True).values
        ranks.append(((cosine >= best) & ~answers).sum(dim=-1).masked_fill(~answers.any(dim=-1), len(keys)))
    return torch.cat(ranks)


def retrieval(
    image: Tensor, text: Tensor, owners: Sequence[int], counts: Sequence[int] = (1, 5, 10)
) -> dict[str, float]:
    """R@k both ways. image (n, c); text (m, c), whose image is ``owners[j]``; as for COCO and Flickr30k."""
    owner = torch.as_tensor(list(owners))
    right = owner[None, :] == torch.arange(len(image))[:, None]
    found = {f"image to text R@{k}": v for k, v in recall_at(image, text, right, counts).items()}
    return found | {f"text to image R@{k}": v for k, v in recall_at(text, image, right.T, counts).items()}


def time_precisions(
    vectors: Tensor, stamps: NDArray[np.int64], groups: NDArray[np.int64], within: float
) -> Tensor:
    """Average precision of finding, by cosine, the frames that were near in time; needs no labels.

    Args:
        vectors: (n, c) of frames.
        stamps: (n,) nanoseconds.
        groups: (n,) recordings.
        within: Seconds that count as near.

    Returns:
        (m,) float64 of each frame that has a near one, compared with all others; their mean is the mAP.
    """
    unit = F.normalize(vectors.float(), dim=-1)
    apart = np.abs(stamps[:, None] - stamps[None, :]) / 1e9
    near = torch.from_numpy((apart <= within) & (groups[:, None] == groups[None, :])).fill_diagonal_(False)
    cosine = (unit @ unit.T).cpu().fill_diagonal_(-torch.inf)
    order = cosine.argsort(dim=-1, descending=True, stable=True)
    hits = near.gather(1, order).double()
    precision = hits.cumsum(-1) / torch.arange(1, hits.shape[1] + 1)
    counted = hits.sum(-1) > 0
    return (precision * hits).sum(-1)[counted] / hits.sum(-1)[counted]
