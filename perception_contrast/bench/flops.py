"""Counts the operations and bytes of a model for an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from perception_contrast.encoders.encoder_graph import EncoderGraph

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}


@dataclass(frozen=True)
class Work:
    """Work of one image.

    Attributes:
        flops: Two for each multiply-accumulate.
        weights: Number of weights.
        moved: Bytes of the image and the outputs.
    """

    flops: int
    weights: int
    moved: int

    def bytes_of(self, precision: str, batch: int) -> int:
        """The least that must be moved for a batch: each weight once, images in, outputs out."""
        return self.weights * _BYTES[precision] + batch * self.moved


def count_work(graph: EncoderGraph, size: tuple[int, int]) -> Work:
    """Runs the graph once at size (height, width). Products count, also in attention; norms do not."""
    device = next(graph.parameters()).device
    images = torch.zeros(1, 3, *size, device=device)
    fast = torch.backends.mha.get_fastpath_enabled()
    # Fused operators hide their products from the counter.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            outputs = graph(images)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    weights = sum(parameter.numel() for parameter in graph.parameters())
    moved = 4 * (images.numel() + sum(one.numel() for one in outputs))
    return Work(int(counter.get_total_flops()), weights, moved)
