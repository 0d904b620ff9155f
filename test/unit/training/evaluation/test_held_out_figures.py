"""Figures of held-out images are means of the rows that the guard's intervals are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from small_methods import SIZE, small_vit
from torch import Tensor

from perception_contrast_training.evaluation.compare import caption_retrieval, time_figures
from perception_contrast_training.evaluation.encoding import encode_images
from perception_contrast_training.evaluation.held_out_figures import HeldOut, HeldOutScores, backbone_adapter
from perception_contrast_training.evaluation.metrics.neighbours import knn_accuracy

NAMES = ("green", "red")


class Noise:
    """Noise of two colours that overlap, a frame every half second; each class has one caption."""

    classes = NAMES

    def __init__(self, count: int, seed: int) -> None:
        chance = torch.Generator().manual_seed(seed)
        self.images = torch.randint(0, 200, (count, 3, SIZE, SIZE), generator=chance, dtype=torch.uint8)
        for number in range(count):
            self.images[number, 1 - number % 2] += 8

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int, /) -> Any:
        label = index % 2
        return {
            "image": self.images[index], "text": f"a {NAMES[label]} wall", "stamp": index * 500_000_000,
            "group": 0, "label": label, "index": index,
        }  # fmt: skip


class Words:
    """Two towers: the backbone, and a fixed vector for each text."""

    def __init__(self, backbone: Any) -> None:
        self.backbone = backbone

    def image_vectors(self, images: Tensor) -> Tensor:
        vectors: Tensor = self.backbone(images).pooled
        return vectors

    def text_vectors(self, texts: Sequence[str]) -> Tensor:
        chance = torch.Generator().manual_seed(3)
        table = torch.randn(2, self.backbone.dim, generator=chance)
        return torch.stack([table[int("red" in text)] for text in texts])

    def modules(self) -> list[Any]:
        return list(self.backbone.modules())

    def eval(self) -> None:
        self.backbone.eval()


def test_figures_are_the_means_of_their_rows_and_those_of_compare() -> None:
    learned, held = Noise(40, 1), Noise(30, 2)
    backbone = small_vit()
    pair: Any = Words(backbone)
    scores = HeldOut(learned, held).scores(backbone, pair=pair, probe=True)
    assert {"kNN", "linear probe", "R@1", "zero-shot", "near in time mAP"} == scores.rows.keys()
    for name, rows in scores.rows.items():
        assert scores.figures[name] == pytest.approx(np.mean([float(one.mean()) for one in rows]))
        assert all(float(one.min()) >= 0 and float(one.max()) <= 1 for one in rows)
    assert [len(rows) for rows in scores.rows["R@1"]] == [30, 2]
    backbone.eval()
    adapter = backbone_adapter(backbone, torch.device("cpu"))
    train, test = encode_images(adapter, learned), encode_images(adapter, held)
    knn = knn_accuracy(train.vectors, train.labels, test.vectors, test.labels)
    assert 0 < knn < 1 and scores.figures["kNN"] == pytest.approx(knn)
    assert scores.figures["near in time mAP"] == pytest.approx(time_figures(test)["near in time mAP"])
    recalls = caption_retrieval(test.vectors, pair.text_vectors, test.texts)
    assert recalls.items() <= scores.figures.items()


def test_a_mean_without_rows_is_no_figure() -> None:
    scores = HeldOutScores({})
    scores.add("R@1", torch.ones(3), torch.ones(0))
    assert not scores.figures and not scores.rows
