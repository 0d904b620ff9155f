"""A run's encoder against the one it started from, on held-out images: figures, pictures, worst cases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.images.files import encode_image
from perception_contrast.visualization.pca import PcaRenderer
from perception_contrast_studio.workers.worker_process import Report
from perception_contrast_training.data.datasets.frame_lists import read_frame_lists
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import evenly, image_names
from perception_contrast_training.engine.load_run import TrainedRun, load_run
from perception_contrast_training.engine.pretraining_data import held_out_of, open_data, with_data_at
from perception_contrast_training.engine.recipe_method import initial_backbone
from perception_contrast_training.engine.regression_guard import Verdict, judge, scores_before_and_after
from perception_contrast_training.evaluation.compare import usual_interval
from perception_contrast_training.evaluation.encoding import EncodedImages, encode_images, evaluating, fitted
from perception_contrast_training.evaluation.held_out_figures import HeldOut, backbone_adapter
from perception_contrast_training.networks.two_towers import Network

PICTURES, WORST, NEIGHBOURS = 4, 6, 3
MOST_COMPARED = 300
"""Images among which worst cases are looked for."""
SIDE = 192

Images8 = NDArray[np.uint8]


def judge_run(report: Report, folder: str) -> dict[str, Any]:
    """Compares the best checkpoint of a run with its start.

    Args:
        report: Progress.
        folder: Of the run.

    Returns:
        ``step``; ``adapts``: whether it started from trained weights; ``headings`` and ``rows`` of the
        guard's table; ``sentences``; ``worse``, ``judged`` and ``share`` of the verdict; ``pictures`` and
        ``worst``, with JPEGs as bytes.

    Raises:
        PerceptionError: The run has no checkpoint, its images are gone, or none were kept back.
    """
    report(0.02, "reading the run")
    trained = load_run(Path(folder))
    recipe = with_data_at(trained.recipe)
    data = open_data(recipe, read_frame_lists(Path(folder)), exact=False)
    held_out = held_out_of(recipe, data)
    if held_out is None:
        raise PerceptionError(
            "this run kept no images back, so nothing can be compared; set data.held_out in the next one"
        )
    report(0.1, f"measuring both encoders on {len(held_out.held)} held-out images")
    before, after = scores_before_and_after(trained, held_out)
    verdict = judge(before, after, recipe.guard.share)
    report(0.6, "drawing features")
    with torch.random.fork_rng():
        start = initial_backbone(recipe)
    pair = (_Encoder(start, held_out), _Encoder(trained.backbone, held_out))
    pictures = _pictures(pair, held_out.held)
    report(0.75, "looking for the worst cases")
    return {
        "step": trained.step,
        **_told(verdict, trained),
        "pictures": pictures,
        "worst": _worst_cases(pair, held_out.held),
    }


def _told(verdict: Verdict, trained: TrainedRun) -> dict[str, Any]:
    table = verdict.table()
    return {
        "adapts": trained.recipe.adapts,
        "judged": verdict.judged,
        "worse": list(verdict.worse),
        "share": verdict.share,
        "headings": list(table.headings),
        "rows": [list(row) for row in table.rows],
        "sentences": verdict.sentences(),
    }


@dataclass(frozen=True)
class _Encoder:
    network: Network
    held_out: HeldOut

    def encoded(self, images: Images) -> EncodedImages:
        device = next(self.network.parameters()).device
        with evaluating(self.network):
            return encode_images(backbone_adapter(self.network, device), images)

    def tokens(self, image: Tensor) -> NDArray[np.float32]:
        """(rows, columns, c) features of the parts of a (3, size, size) image; empty without parts."""
        with evaluating(self.network), torch.inference_mode():
            found = self.network(image[None]).tokens[0].float().cpu().numpy()
        side = round(len(found) ** 0.5)
        return np.asarray(found[: side * side].reshape(side, side, -1), np.float32)


def _square(network: Network, image: Tensor) -> Tensor:
    return fitted(image, network.size, network.mean, network.std)


def _pictures(pair: tuple[_Encoder, _Encoder], held: Images) -> list[dict[str, Any]]:
    """Some held-out images with the features of both encoders as colours."""
    names, found = image_names(held), []
    renderers = (PcaRenderer(), PcaRenderer())
    for index in np.unique(np.linspace(0, len(held) - 1, PICTURES).round().astype(int)):
        image = held[int(index)]["image"]
        drawn = []
        for encoder, renderer in zip(pair, renderers, strict=True):
            cells = encoder.tokens(_square(encoder.network, image))
            drawn.append(_drawn(cells, renderer) if min(cells.shape[:2]) > 1 else None)
        found.append(
            {"name": names[index], "image": _jpeg(_shown(image)), "before": drawn[0], "after": drawn[1]}
        )
    return found


def _drawn(cells: NDArray[np.float32], renderer: PcaRenderer) -> bytes:
    rows, columns = cells.shape[:2]
    grid = FeatureGrid(
        cells, "run", "run", GridToImage.of_resize((SIDE, SIDE), (rows, columns)), (SIDE, SIDE)
    )
    return _jpeg(renderer(grid))


def _shown(image: Tensor) -> Images8:
    """The middle square that the encoders see, small."""
    square = fitted(image, SIDE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return np.asarray((square.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy())


def _jpeg(image: Images8) -> bytes:
    return encode_image(image, ".jpg")


def _worst_cases(pair: tuple[_Encoder, _Encoder], held: Images) -> list[dict[str, Any]]:
    """Images of whose right neighbours the trained encoder finds the smallest share."""
    images = evenly(held, MOST_COMPARED)
    before, after = (encoder.encoded(images) for encoder in pair)
    # Numbers of encoded images are those of the dataset only where all were read.
    if len(after) != len(images) or len(before) != len(images) or len(after) < 3:
        return []
    right = _right_neighbours(after)
    found, orders = zip(*(_found_right(one.vectors, right) for one in (before, after)), strict=True)
    counts = right.sum(axis=1)
    missed = np.flatnonzero(found[1] < counts)
    names = image_names(images)
    worst = sorted(missed, key=lambda index: found[1][index] / counts[index])[:WORST]
    return [
        {
            "name": names[index],
            "image": _jpeg(_shown(images[int(index)]["image"])),
            "found_before": int(found[0][index]),
            "found_after": int(found[1][index]),
            "of": int(counts[index]),
            "before": _neighbours(images, names, orders[0][index], right[index]),
            "after": _neighbours(images, names, orders[1][index], right[index]),
        }
        for index in worst
    ]


def _right_neighbours(images: EncodedImages) -> NDArray[np.bool_]:
    """(n, n): which two show the same, by their labels, else because they are near in time."""
    labels = images.labels.numpy()
    if (labels >= 0).any():
        same = (labels[:, None] == labels[None, :]) & (labels[:, None] >= 0)
    elif (images.stamps >= 0).all():
        apart = np.abs(images.stamps[:, None] - images.stamps[None, :]) / 1e9
        same = (apart <= usual_interval(images)) & (images.groups[:, None] == images.groups[None, :])
    else:
        return np.zeros((len(images), len(images)), bool)
    return np.asarray(same & ~np.eye(len(images), dtype=bool))


def _found_right(vectors: Tensor, right: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) right ones among as many nearest as there are right ones; (n, n - 1) neighbours, nearest first."""
    unit = functional.normalize(vectors.float(), dim=-1)
    cosine = (unit @ unit.T).fill_diagonal_(-torch.inf)
    order = cosine.argsort(dim=-1, descending=True, stable=True)[:, :-1].numpy()
    hits = np.take_along_axis(right, order, 1)
    first = np.arange(order.shape[1])[None, :] < right.sum(axis=1)[:, None]
    return (hits & first).sum(axis=1), order


def _neighbours(
    images: Images, names: list[str], order: NDArray[np.int64], right: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    return [
        {"name": names[one], "right": bool(right[one]), "image": _jpeg(_shown(images[int(one)]["image"]))}
        for one in order[:NEIGHBOURS]
    ]
