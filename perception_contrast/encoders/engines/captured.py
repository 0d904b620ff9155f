"""One launch a picture: the whole graph recorded once and replayed (CUDA graphs)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import ModelError
from ..graphs import EncoderGraph
from .torch_engine import TorchEngine

WARM_UPS = 3
KEPT_SHAPES = 8


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    images: Tensor
    outputs: tuple[Tensor, ...]


class CapturedEngine(TorchEngine):
    """Static buffers for each (batch, size) that comes; the last few stay. Needs a CUDA GPU."""

    def __init__(self, graph: EncoderGraph, precision: str, device: str) -> None:
        if torch.device(device).type != "cuda":
            raise ModelError("engine captured needs a CUDA GPU; use engine auto, torch or onnxruntime")
        super().__init__(graph, precision, device)
        self.name = "captured"
        self._recordings: dict[tuple[int, ...], _Recording] = {}

    def run(self, images: Tensor) -> dict[str, Tensor]:
        shape = tuple(images.shape)
        with torch.inference_mode(), torch.cuda.device(self.device):
            if shape not in self._recordings:
                while len(self._recordings) >= KEPT_SHAPES:
                    self._recordings.pop(next(iter(self._recordings)))
                self._recordings[shape] = self._record(images)
            recording = self._recordings[shape]
            recording.images.copy_(images, non_blocking=True)
            recording.graph.replay()
            # The next replay writes over the recording's own tensors.
            return {
                name: values.to(torch.float32, copy=True)
                for name, values in zip(self.outputs, recording.outputs, strict=True)
            }

    def _record(self, images: Tensor) -> _Recording:
        static = images.clone()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self.forward(static)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self.forward(static)
        return _Recording(graph, static, outputs)
