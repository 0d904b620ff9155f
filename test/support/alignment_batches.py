"""A sentence encoder, shards and batches for fits of the alignment head, all in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception_contrast.encoders.alignment_head import AlignmentConfig
from perception_contrast.text.base import TextEncoder
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_training.household.alignment.dense_batches import BatchMaker, BatchSettings
from perception_contrast_training.household.scene_shards import Shard
from perception_contrast_training.household.words import Words

SEEN = ("mug", "book", "chair", "banana", "laptop")


class Sentences(TextEncoder):
    """Sums of a vector per word, so that phrases with common words are near."""

    model, space, dim, wording = "sentences", "sentences@1", 384, ""

    def canonical(self, text: str) -> str:
        return text.lower()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        def word(text: str) -> np.ndarray:
            return np.random.default_rng(list(text.encode())).standard_normal(self.dim)

        rows = [sum(word(w) for w in text.split()) for text in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def shard(seed: int = 0, images: int = 4, side: int = 4) -> Shard:
    """Noise for tokens with a direction for each category, labels in quarters."""
    rng = np.random.default_rng(seed)
    layers = len(AlignmentConfig().layers)
    width = AlignmentConfig().image_dim * layers
    meaning = {name: np.random.default_rng(i).normal(0, 3, width) for i, name in enumerate(("floor", *SEEN))}
    tokens = rng.normal(0, 1, (images, side, side, width))
    cells = np.ones((images, 2 * side, 2 * side), np.uint8)
    objects = []
    for p in range(images):
        names = [SEEN[int(i)] for i in rng.permutation(len(SEEN))[:2]]
        objects.append([SceneObject(0, "floor")])
        objects[-1] += [SceneObject(3 + k, n, "red" if k else "blue") for k, n in enumerate(names)]
        cells[p, :side, :side], cells[p, :side, side:] = 2, 3
        for y, x in np.ndindex(side, side):
            tokens[p, y, x] += meaning[objects[-1][cells[p, 2 * y, 2 * x] - 1].category]
    colours = rng.normal(0, 0.3, (images, 6, 2 * side, 2 * side)).astype(np.float16)
    cls = rng.normal(0, 1, (images, AlignmentConfig().image_dim)).astype(np.float16)
    purity = np.full(cells.shape, 255, np.uint8)
    return Shard(tokens.astype(np.float16), cls, colours, cells, purity, objects)


SETTINGS = BatchSettings(images=4, crop=4, phrases=20)


def maker(seed: int = 3) -> BatchMaker:
    return BatchMaker([shard()], Words(), SETTINGS, len(AlignmentConfig().layers), seed)
