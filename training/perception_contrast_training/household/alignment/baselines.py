"""What a trained head is compared with: one that was never trained, and a least-squares map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.encoders.alignment_head import AlignmentConfig, AlignmentHead
from perception_contrast.text.base import TextEncoder
from perception_contrast_training.household.scene_shards import Shard
from perception_contrast_training.household.words import SURFACES

CELLS_PER_IMAGE = 40
WALL_SHARE = 0.3  # of the cells on walls and floors that are kept


class LinearHead(AlignmentHead):
    """tokens x matrix = sentence vector, both sides cut to the head's dimensions. No colours, no context."""

    def __init__(
        self, matrix: NDArray[np.float64], basis: NDArray[np.float64], centre: NDArray[np.float64]
    ) -> None:
        """matrix: (layers * c + 1, dim); basis: (dim, text_dim) orthonormal rows; centre: (text_dim,)."""
        super().__init__(AlignmentConfig(things=False))
        self.register_buffer("matrix", torch.from_numpy(matrix).float())
        self.register_buffer("basis", torch.from_numpy(basis).float())
        self.register_buffer("centre", torch.from_numpy(centre).float())

    def grid(self, layers: Sequence[Tensor], colours: Tensor) -> tuple[Tensor, Tensor, None]:
        """As the trained head's; every cell of a patch has the patch's vector."""
        tokens = torch.cat([F.layer_norm(layer, layer.shape[-1:]) for layer in layers], dim=-1)
        ones = torch.ones_like(tokens[..., :1])
        vectors = torch.cat([tokens, ones], dim=-1) @ self.get_buffer("matrix")
        up = self.config.up
        fine = vectors.repeat_interleave(up, dim=1).repeat_interleave(up, dim=2)
        trunk = tokens.new_zeros((len(tokens), self.config.width, *tokens.shape[1:3]))
        return F.normalize(fine, dim=-1), trunk, None

    def text_embedding(self, sentences: Tensor) -> Tensor:
        """Sentences less their mean, in the kept directions."""
        return F.normalize((sentences - self.get_buffer("centre")) @ self.get_buffer("basis").T, dim=-1)


def untrained_head(seed: int) -> AlignmentHead:
    """The architecture at its random initialisation."""
    torch.manual_seed(seed)
    return AlignmentHead().eval().requires_grad_(False)


def closed_form_head(
    shards: Sequence[Shard], tower: TextEncoder, seed: int, ridge: float = 1e-3
) -> LinearHead:
    """Ridge regression from tokens of several layers to the sentence vector of "colour category"."""
    rng = np.random.default_rng(seed)
    words: dict[str, NDArray[np.float32]] = {}
    features, targets = [], []
    for shard in shards:
        for index in range(len(shard.cls)):
            for token, text in _labelled_tokens(shard, index, rng):
                if text not in words:
                    words[text] = tower.encode([text])[0]
                features.append(token)
                targets.append(words[text])
    dim = AlignmentHead().config.dim
    x = _layer_normalised(np.stack(features).astype(np.float64), len(AlignmentHead().config.layers))
    y = np.stack(targets).astype(np.float64)
    centre = y.mean(axis=0)
    design = np.column_stack([x, np.ones(len(x))])
    gram = design.T @ design / len(x) + ridge * np.eye(design.shape[1])
    solution = np.linalg.solve(gram, design.T @ (y - centre) / len(x))
    # The head's space is smaller than that of sentences: keep the directions that vary most.
    basis = np.linalg.eigh(np.cov((y - centre).T))[1][:, ::-1][:, :dim].T
    head = LinearHead(solution @ basis.T, np.ascontiguousarray(basis), centre)
    with torch.no_grad():
        head.log_scale.fill_(float(np.log(12.0)))
    return head.eval().requires_grad_(False)


def _labelled_tokens(
    shard: Shard, index: int, rng: np.random.Generator
) -> list[tuple[NDArray[np.float32], str]]:
    up = shard.cells.shape[1] // shard.tokens.shape[1]
    labels = shard.cells[index][::up, ::up]
    rows, columns = np.nonzero(labels)
    found = []
    for k in rng.permutation(len(rows))[:CELLS_PER_IMAGE]:
        thing = shard.objects[index][int(labels[rows[k], columns[k]]) - 1]
        if thing.category in SURFACES and rng.random() > WALL_SHARE:
            continue
        token = np.asarray(shard.tokens[index, rows[k], columns[k]], np.float32)
        found.append((token, f"{thing.color} {thing.category}".strip()))
    return found


def _layer_normalised(x: NDArray[np.float64], layers: int) -> NDArray[np.float64]:
    parts = np.split(x, layers, axis=1)
    return np.concatenate(
        [(p - p.mean(1, keepdims=True)) / np.sqrt(p.var(1, keepdims=True) + 1e-5) for p in parts], axis=1
    )
