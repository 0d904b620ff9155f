"""The same frame through two encoders: principal components, clusters, likeness, attention, labels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.images.files import encode_image
from perception_contrast.images.resize import resize_labels
from perception_contrast.segmentation.exemplars import exemplar_of
from perception_contrast.visualization.pca import PcaRenderer
from perception_contrast_studio.tasks.datasets.frame_sources import FrameSource, pixels_of, source_key
from perception_contrast_studio.tasks.encoders.class_attention import NoAttentionError, class_attention
from perception_contrast_studio.tasks.encoders.feature_drawing import heat_png, label_png
from perception_contrast_studio.tasks.encoders.loaded_encoders import (
    MOST_CELLS,
    LoadedEncoder,
    loaded_encoder,
)
from perception_contrast_studio.workers.worker_process import Report
from perception_contrast_training.evaluation.clustering import best_names
from perception_contrast_training.evaluation.metrics.neighbours import knn_predictions, neighbour_overlap

Labels = NDArray[np.int64]
KEPT_GRIDS = 8
AGREEMENT_NEIGHBOURS = 10
# The cell under a point alone, whatever its neighbours are.
ALONE = 2.0


@dataclass(frozen=True)
class Compared:
    """What is looked at. sources: of frames; encoders: two names; short_side: of their input in pixels."""

    encoders: Sequence[str]
    source: FrameSource
    short_side: int


class View(TypedDict):
    """One encoder's share of a comparison; png: of the overlay."""

    png: bytes
    note: str
    low: float
    high: float
    best: tuple[float, float]


class FrameViews(TypedDict):
    """pca, clusters: by encoder. agreement, same_clusters: of both encoders; chance: of the agreement."""

    pca: list[View]
    clusters: list[View]
    agreement: float
    chance: float
    same_clusters: float


class AttentionView(View):
    """heads, blocks: how many there are; 0 where there is no attention, as ``note`` tells."""

    heads: int
    blocks: int


class PropagatedLabels(TypedDict):
    """views: by encoder. same: share of the cells to which both give the same label."""

    views: list[View]
    same: float


def frame_views(
    report: Report,
    encoders: Sequence[str],
    source: FrameSource,
    short_side: int,
    clusters: int,
    one_scale: bool,
) -> FrameViews:
    """Principal components, clusters and agreement. Raises PerceptionError."""
    compared = Compared(encoders, source, short_side)
    grids = _grids(report, compared)
    report(0.8, "components and clusters")
    found = [_clusters(grid, clusters) for grid in grids]
    common = _common_size(grids)
    first, second = (resize_labels(one, common) for one in found)
    found[1] = _named_like(found[1], first, second, clusters)
    cells = [torch.from_numpy(_resampled(grid, common)) for grid in grids]
    count = len(cells[0])
    from sklearn.metrics import adjusted_mutual_info_score

    return FrameViews(
        pca=[_components(grid, one_scale) for grid in grids],
        clusters=[
            _view(label_png(one, grid.image_size), f"{len(np.unique(one))} clusters of {one.size} cells")
            for one, grid in zip(found, grids, strict=True)
        ],
        agreement=neighbour_overlap(cells[0], cells[1], AGREEMENT_NEIGHBOURS),
        chance=min(1.0, AGREEMENT_NEIGHBOURS / max(count - 1, 1)),
        same_clusters=float(adjusted_mutual_info_score(first.ravel(), second.ravel())),
    )


def point_similarity(
    report: Report,
    encoders: Sequence[str],
    source: FrameSource,
    short_side: int,
    point: tuple[float, float],
    same_scale: bool,
) -> list[View]:
    """Cosine of every cell with the one under a point, for each encoder.

    Args:
        report: Takes the progress.
        encoders: Two names.
        source: The frame.
        short_side: Of the networks' input, pixels.
        point: (x, y) as shares of the frame's width and height.
        same_scale: Draw both from the least to the highest cosine of both; else each by its own.

    Raises:
        PerceptionError: The point is not in the frame.
    """
    grids = _grids(report, Compared(encoders, source, short_side))
    maps = [_cosines(grid, point) for grid in grids]
    lows = [float(one.min()) for one in maps]
    if same_scale:
        lows = [min(lows)] * len(lows)
    views = []
    for grid, values, low in zip(grids, maps, lows, strict=True):
        best = _place(grid, int(values.argmax()))
        note = f"cosines from {values.min():.2f} to {values.max():.2f}, median {np.median(values):.2f}"
        views.append(_view(heat_png(values, grid.image_size, low, 1.0), note, low, 1.0, best))
    return views


def token_attention(
    report: Report,
    encoders: Sequence[str],
    source: FrameSource,
    short_side: int,
    block_from_end: int,
    head: int,
) -> list[AttentionView]:
    """Attention of the class token.

    Args:
        report: Takes the progress.
        encoders: Two names.
        source: The frame.
        short_side: Of the networks' input, pixels.
        block_from_end: 0 for the last block, 1 for the one before.
        head: From 0; -1 for the mean of all.

    Raises:
        PerceptionError: The frame cannot be read.
    """
    views = []
    for number, name in enumerate(encoders):
        report(number / len(encoders), f"attention of {name}")
        views.append(_attention(_loaded(report, name), pixels_of(source), short_side, block_from_end, head))
    return views


def propagate_labels(
    report: Report,
    encoders: Sequence[str],
    source: FrameSource,
    target: FrameSource,
    short_side: int,
    points: Sequence[tuple[float, float]],
    labels: Sequence[int],
    least: float,
) -> PropagatedLabels:
    """Each cell of another frame takes the label of the most similar cell that was labelled.

    Args:
        report: Takes the progress.
        encoders: Two names.
        source: The labelled frame.
        target: The other frame.
        short_side: Of the networks' input, pixels.
        points: (x, y) as shares of the frame's width and height.
        labels: Of the points, from 0.
        least: Cosine below which a cell stays without a label.

    Raises:
        PerceptionError: There are no points, or one is not in the frame.
    """
    if not points:
        raise PerceptionError("no point has a label yet; click into the frame first")
    known = _grids(report, Compared(encoders, source, short_side))
    others = _grids(report, Compared(encoders, target, short_side))
    found = [
        _nearest_labels(grid, other, points, labels, least) for grid, other in zip(known, others, strict=True)
    ]
    common = _common_size(others)
    first, second = (resize_labels(one, common) for one in found)
    return PropagatedLabels(
        views=[
            _view(label_png(one, other.image_size), f"{(one >= 0).mean():.0%} of the cells have a label")
            for one, other in zip(found, others, strict=True)
        ],
        same=float((first == second).mean()),
    )


def encoder_facts(report: Report, name: str) -> dict[str, str | int]:
    """What is known of a loaded encoder. Raises ModelError."""
    loaded = _loaded(report, name)
    encoder = loaded.encoder
    return {
        "space": encoder.space,
        "channels": encoder.dim,
        "patch": encoder.patch,
        "method": encoder.method,
        "words": int(loaded.adapter.words is not None),
    }


_kept: OrderedDict[tuple[str, str, int], FeatureGrid] = OrderedDict()


def _grids(report: Report, compared: Compared) -> list[FeatureGrid]:
    """Cells of the frame by each encoder, kept for the next question."""
    found = []
    for number, name in enumerate(compared.encoders):
        key = (name, source_key(compared.source), compared.short_side)
        if key not in _kept:
            loaded = _loaded(report, name)
            report(0.1 + 0.35 * number, f"encoding with {name}")
            grid = loaded.grid(Frame(pixels_of(compared.source)), compared.short_side)
            while len(_kept) >= KEPT_GRIDS:
                _kept.popitem(last=False)
            _kept[key] = grid
        _kept.move_to_end(key)
        found.append(_kept[key])
    return found


def _loaded(report: Report, name: str) -> LoadedEncoder:
    report(0.05, f"loading {name}")
    return loaded_encoder(name)


def _view(
    png: bytes, note: str, low: float = 0.0, high: float = 1.0, best: tuple[float, float] = (0.0, 0.0)
) -> View:
    return View(png=png, note=note, low=low, high=high, best=best)


def _components(grid: FeatureGrid, one_scale: bool) -> View:
    renderer = PcaRenderer(one_scale=one_scale)
    png = encode_image(renderer(grid), ".png")
    shares = " + ".join(f"{share:.0%}" for share in renderer.explained)
    rows, columns, channels = grid.shape
    note = (
        f"red + green + blue explain {shares} of the variance; {rows} x {columns} cells, {channels} channels"
    )
    return _view(png, note)


def _clusters(grid: FeatureGrid, count: int) -> Labels:
    """(h, w) numbers of clusters of the unit vectors, by size."""
    from sklearn.cluster import KMeans

    rows, columns, channels = grid.shape
    points = grid.unit().values.reshape(-1, channels)
    found = KMeans(min(count, len(points)), n_init=3, random_state=0).fit_predict(points)
    order = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    ranks = np.empty(count, np.int64)
    ranks[order] = np.arange(count)
    return np.asarray(ranks[found].reshape(rows, columns), np.int64)


def _named_like(labels: Labels, first: Labels, second: Labels, count: int) -> Labels:
    """``labels`` with the numbers of the clusters of ``first`` that ``second`` overlaps most."""
    overlap = np.zeros((count, count), np.int64)
    np.add.at(overlap, (second.ravel(), first.ravel()), 1)
    return np.asarray(best_names(overlap)[labels], np.int64)


def _common_size(grids: Sequence[FeatureGrid]) -> tuple[int, int]:
    """(rows, columns) of the coarser grid."""
    return min((grid.shape[0], grid.shape[1]) for grid in grids)


def _resampled(grid: FeatureGrid, size: tuple[int, int]) -> NDArray[np.float32]:
    """(n, c) cells of a grid at another size, the nearest of each."""
    rows, columns, channels = grid.shape
    numbers = np.arange(rows * columns).reshape(rows, columns)
    chosen = resize_labels(numbers, size).ravel()
    return np.asarray(grid.values.reshape(-1, channels)[chosen], np.float32)


def _pixel(grid: FeatureGrid, point: tuple[float, float]) -> tuple[float, float]:
    height, width = grid.image_size
    return point[0] * width - 0.5, point[1] * height - 0.5


def _cosines(grid: FeatureGrid, point: tuple[float, float]) -> NDArray[np.float32]:
    vector = exemplar_of(grid, None, _pixel(grid, point), ALONE).vector
    return np.asarray(np.clip(grid.unit().values @ vector, -1, 1), np.float32)


def _place(grid: FeatureGrid, cell: int) -> tuple[float, float]:
    """The centre of a cell as shares of the width and height."""
    row, column = divmod(cell, grid.shape[1])
    return (column + 0.5) / grid.shape[1], (row + 0.5) / grid.shape[0]


def _attention(
    loaded: LoadedEncoder, image: NDArray[np.uint8], short_side: int, block_from_end: int, head: int
) -> AttentionView:
    encoder = loaded.adapter.encoder
    assert encoder is not None
    try:
        # A block that a shallower network does not have is taken for its first.
        seen = class_attention(encoder, image, short_side, MOST_CELLS)
        if block_from_end:
            block = max(0, seen.blocks - 1 - block_from_end)
            seen = class_attention(encoder, image, short_side, MOST_CELLS, block)
    except NoAttentionError as error:
        return AttentionView(png=b"", note=str(error), low=0.0, high=0.0, best=(0.0, 0.0), heads=0, blocks=0)
    values = seen.heads.mean(axis=0) if head < 0 else seen.heads[head % len(seen.heads)]
    which = "mean of all heads" if head < 0 else f"head {head % len(seen.heads) + 1}"
    note = (
        f"{which} of {len(seen.heads)}, block {seen.block + 1} of {seen.blocks}; {seen.on_cells:.0%} of the "
        "attention goes to cells, the rest to tokens that belong to no place"
    )
    if encoder.backbone.model != encoder.model:
        note += f"; of {encoder.backbone.model}, on which {encoder.model} stands"
    low, high = 0.0, float(np.quantile(values, 0.995))
    size = (image.shape[0], image.shape[1])
    row, column = divmod(int(values.argmax()), values.shape[1])
    best = ((column + 0.5) / values.shape[1], (row + 0.5) / values.shape[0])
    return AttentionView(
        png=heat_png(values, size, low, high), note=note, low=low, high=high, best=best,
        heads=len(seen.heads), blocks=seen.blocks,
    )  # fmt: skip


def _nearest_labels(
    known: FeatureGrid,
    other: FeatureGrid,
    points: Sequence[tuple[float, float]],
    labels: Sequence[int],
    least: float,
) -> Labels:
    """(h, w) labels of the cells of ``other``, -1 below ``least``."""
    vectors = np.stack([exemplar_of(known, None, _pixel(known, one), ALONE).vector for one in points])
    rows, columns, channels = other.shape
    cells = np.asarray(other.unit().values.reshape(-1, channels), np.float32)
    train, truth = torch.from_numpy(vectors), torch.tensor(list(labels), dtype=torch.int64)
    found = knn_predictions(train, truth, torch.from_numpy(cells), k=1).numpy()
    far = (cells @ vectors.T).max(axis=1) < least
    return np.where(far, -1, found).reshape(rows, columns).astype(np.int64)
