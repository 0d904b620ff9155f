"""Locked-image, locked-text dense alignment: what one step computes.

After LiT (Zhai et al., 2022) with region-phrase pairs: masks of phrases, regions against phrases,
cells against category names, and images against captions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast.encoders.alignment_head import CAPTIONS, WORDS, AlignmentHead
from perception_contrast_training.household.alignment.dense_batches import DenseBatch
from perception_contrast_training.losses.clip import clip_loss
from perception_contrast_training.losses.dense import category_loss, mask_loss, presence_loss, thing_loss
from perception_contrast_training.losses.neighbours import neighbour_loss
from perception_contrast_training.losses.supcon import supervised_contrastive_loss


@dataclass(frozen=True)
class LossWeights:
    mask: float = 1.0
    presence: float = 0.3
    region: float = 0.3
    category: float = 0.5
    caption: float = 0.1
    thing: float = 0.3
    neighbours: float = 0.0


TERMS = tuple(one.name for one in fields(LossWeights))


@dataclass(frozen=True)
class TextVectors:
    """Sentence embeddings, unit rows: of the phrases (q, c), category words (k, c), captions (b, c)."""

    phrases: Tensor
    categories: Tensor
    captions: Tensor


def gather_cells(table: Tensor, cells: Tensor) -> Tensor:
    """Looks objects' values up for cells: table (b, objects + 1, q), cells (b, n) to (b, q, n)."""
    index = cells.unsqueeze(-1).expand(-1, -1, table.shape[-1])
    return table.gather(1, index).transpose(1, 2)


def region_means(grid: Tensor, cells: Tensor, purity: Tensor, wanted: Tensor) -> Tensor:
    """Unit mean vectors of regions. grid (b, n, d); wanted (e, 2): image and value in cells."""
    images, values = len(cells), int(cells.max()) + 1
    rows = (torch.arange(images).unsqueeze(1) * values + cells).flatten()
    # One sum over all cells: a product for each region would copy its whole image.
    weighted = (grid * purity.unsqueeze(-1)).flatten(0, 1)
    sums = weighted.new_zeros(images * values, weighted.shape[-1]).index_add(0, rows, weighted)
    return F.normalize(sums[wanted[:, 0] * values + wanted[:, 1]], dim=-1, eps=1e-6)


def alignment_losses(
    head: AlignmentHead, batch: DenseBatch, text: TextVectors, wanted: Collection[str] = TERMS
) -> dict[str, Tensor]:
    """The wanted terms of the loss by name, unweighted."""
    vectors, trunk, things = head.grid(batch.layers, batch.colours)
    grid = vectors.flatten(1, 2)
    phrases = head.text_embedding(text.phrases)
    terms: dict[str, Callable[[], Tensor]] = {
        "category": lambda: _categories(head, grid, batch, text.categories),
        "region": lambda: _regions(head, grid, batch, phrases),
        "caption": lambda: clip_loss(
            head.image_embedding(batch.cls, trunk),
            head.text_embedding(text.captions),
            head.log_scale[CAPTIONS].exp(),
        ),
        "neighbours": lambda: neighbour_loss(
            _gram(text.categories),
            _gram(head.text_embedding(text.categories)),
        ),
    }
    if things is not None:
        terms["thing"] = lambda: _things(things, batch)
    found = _masks(head, grid, batch, phrases) if {"mask", "presence"} & set(wanted) else {}
    return {**found, **{name: term() for name, term in terms.items() if name in wanted}}


def _masks(head: AlignmentHead, grid: Tensor, batch: DenseBatch, phrases: Tensor) -> dict[str, Tensor]:
    logits = head.logits(grid @ phrases.T).transpose(1, 2)
    truth = gather_cells(batch.truth, batch.cells)
    weight = (truth >= 0).float() * batch.purity.unsqueeze(1)
    target = truth.clamp_min(0)
    present = (target * (batch.purity > 0.6).unsqueeze(1)).sum(-1)
    unsure = (truth < 0).any(-1)
    known = (present >= 3) | ((present == 0) & ~unsure)
    return {
        "mask": mask_loss(logits, target, weight),
        "presence": presence_loss(logits, (present >= 3).float(), known),
    }


def _things(prediction: Tensor, batch: DenseBatch) -> Tensor:
    size = prediction.shape[:3]
    owner = batch.cells.unsqueeze(-1).expand(-1, -1, 3)
    row, column, radius = batch.places.gather(1, owner).reshape(*size, 3).unbind(-1)
    weight = (radius > 0).float() * batch.purity.reshape(size)
    radius = radius.clamp_min(0.5)
    rows, columns = (torch.arange(n, dtype=row.dtype) for n in size[1:])
    offset = torch.stack([(row - rows[:, None]) / radius, (column - columns) / radius], dim=-1)
    edge = edges_of(batch.cells.reshape(size)).float()
    return thing_loss(prediction, offset.clamp(-4, 4), radius.log(), edge, weight)


def edges_of(cells: Tensor) -> Tensor:
    """(b, h, w) bool: cells with one of their four neighbours in another thing."""
    edge = torch.zeros_like(cells, dtype=torch.bool)
    for axis in (1, 2):
        differs = cells.diff(dim=axis) != 0
        there = differs.shape[axis]
        edge.narrow(axis, 0, there).logical_or_(differs)
        edge.narrow(axis, 1, there).logical_or_(differs)
    return edge


def _categories(head: AlignmentHead, grid: Tensor, batch: DenseBatch, sentences: Tensor) -> Tensor:
    names = head.text_embedding(sentences)
    target = batch.category.gather(1, batch.cells).flatten()
    weight = (batch.purity * (batch.purity > 0.6)).flatten()
    # A quarter of the cells tells the same at a quarter of the cost.
    chosen = torch.randperm(len(target))[: len(target) // 4]
    logits = head.log_scale[WORDS].exp() * (grid.flatten(0, 1)[chosen] @ names.T).float()
    if batch.category_open is not None:
        open_names = _rows_of_cells(batch.category_open, batch.cells, chosen)
        logits = logits.masked_fill(open_names, float("-inf"))
    if batch.category_weight is not None:
        weight = weight * batch.category_weight[target.clamp_min(0)]
    return category_loss(logits, target[chosen], weight[chosen])


def _gram(vectors: Tensor) -> Tensor:
    return vectors @ vectors.T


def _rows_of_cells(table: Tensor, cells: Tensor, chosen: Tensor) -> Tensor:
    """Rows (chosen, k) of a table (b, objects + 1, k) for some of the cells (b, n), counted through."""
    image = torch.arange(len(cells)).unsqueeze(1).expand_as(cells).flatten()[chosen]
    return table[image, cells.flatten()[chosen]]


def _regions(head: AlignmentHead, grid: Tensor, batch: DenseBatch, phrases: Tensor) -> Tensor:
    pairs = [
        (b, int(value))
        for b, row in enumerate(batch.cells)
        for value, count in zip(*torch.unique(row, return_counts=True), strict=True)
        if int(value) > 0 and int(count) >= 3
    ]
    wanted = torch.tensor(pairs, dtype=torch.int64)
    regions = region_means(grid, batch.cells, batch.purity, wanted)
    truth = batch.truth[wanted[:, 0], wanted[:, 1]]
    logits = head.log_scale[WORDS].exp() * (regions @ phrases.T).float()
    ignored = truth < 0
    # A region has several true phrases; a phrase has several true regions.
    return 0.5 * (
        supervised_contrastive_loss(logits, truth > 0, ignored)
        + supervised_contrastive_loss(logits.T, (truth > 0).T, ignored.T)
    )
