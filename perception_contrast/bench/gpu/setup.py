"""How large the parts of a report are, and where they run."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from perception_contrast.bench.bench_models import Size
from perception_contrast.bench.timing import Limit


@dataclass(frozen=True)
class Setup:
    """Where and how large.

    Attributes:
        device: of torch.
        side: of the pair's network input, pixels.
        camera: (height, width) of the camera's images.
        embedding: the model whose image embedding is timed.
        embedding_side: of its input.
        exported: models whose ONNX parity is checked.
        limit: of each measurement.
        training_steps: steps of each training rate that count.
        training_batch: images of a step.
        tiny: whether networks that are trained are small ones.
    """

    device: str
    side: int = 448
    camera: Size = (480, 640)
    embedding: str = "clip-vit-l14"
    embedding_side: int = 224
    exported: tuple[str, ...] = ("dinov2-s14", "clip-vit-b16", "household-lit")
    limit: Limit = field(default_factory=lambda: Limit(seconds=5.0))
    training_steps: int = 6
    training_batch: int = 64
    tiny: bool = False

    @property
    def on_gpu(self) -> bool:
        return torch.device(self.device).type == "cuda"

    @property
    def precision(self) -> str:
        """That serves: half precision on a GPU."""
        return "fp16" if self.on_gpu else "fp32"

    @property
    def engine(self) -> str:
        """That serves frames and embeddings: one that is built in seconds."""
        return "captured" if self.on_gpu else "torch"


def quick_setup(device: str) -> Setup:
    """Tiny images and few rounds: the same code in seconds, whose figures mean nothing."""
    return Setup(
        device,
        side=56,
        camera=(48, 64),
        embedding="clip-vit-b16",
        embedding_side=32,
        exported=("dinov2-s14",),
        limit=Limit(rounds=2),
        training_steps=1,
        training_batch=4,
        tiny=True,
    )
