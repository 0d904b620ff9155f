"""What is measured: a cell is a method on a network or a kind of data, with a seed, by one maker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

OURS, LIGHTLY, OPEN_CLIP = "ours", "lightly", "open_clip"
IMAGES_ALONE = ("simclr", "byol", "dino", "dinov2", "mae")
WORDS = ("clip", "siglip", "lit")
NETWORKS = ("vit_tiny", "resnet18")
SCENES, PHOTOGRAPHS = "scenes", "photographs"
SEEDS = (0, 1, 2)
_OF_A_SEED = (
    *((method, on) for method in ("lit", "clip", "siglip") for on in (PHOTOGRAPHS, SCENES)),
    ("mae", "vit_tiny"),
    *((method, "resnet18") for method in ("simclr", "byol", "dino")),
    *((method, "vit_tiny") for method in ("simclr", "byol", "dino", "dinov2")),
)
"""What costs least comes first, so that few minutes fill much of the tables. MAE and DINOv2 need a ViT."""


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        method: Of IMAGES_ALONE or WORDS.
        on: The network of a method without captions, else what the captions are of.
        seed: Of weights, batches and views.
        maker: Whose heads, losses and teacher: OURS, LIGHTLY or OPEN_CLIP.
    """

    method: str
    on: str
    seed: int
    maker: str

    @property
    def key(self) -> str:
        """The name in a file of results, which is a file's name too."""
        return f"{self.method}-{self.on}-{self.seed}-{self.maker}"


def all_cells(seeds: Sequence[int] = SEEDS) -> list[Cell]:
    """Every cell of the tables: all of one seed before the next, both makers of a method in turns."""
    found: list[Cell] = []
    for turn, (seed, (method, on)) in enumerate(product(seeds, _OF_A_SEED)):
        makers = (OURS, OPEN_CLIP if method in WORDS else LIGHTLY)
        # In turns, so that neither is always the one that runs on a warm machine.
        found += [Cell(method, on, seed, maker) for maker in makers[:: 1 if turn % 2 == 0 else -1]]
    return found
