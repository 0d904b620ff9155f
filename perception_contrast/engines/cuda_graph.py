"""One launch an image: the whole graph recorded once and replayed."""

from __future__ import annotations

import torch
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.encoder_graphs import EncoderGraph
from perception_contrast.engines.cuda_graph_recorder import CudaGraphRecorder, Record, cuda_graph
from perception_contrast.engines.torch_engine import TorchEngine


class CapturedEngine(TorchEngine):
    """Static buffers for each (batch, size) that comes; the last few stay. Needs a CUDA GPU.

    record: how a recording is made; another than the CUDA graph runs on any device.
    """

    def __init__(
        self, graph: EncoderGraph, precision: str, device: str, *, record: Record = cuda_graph
    ) -> None:
        if record is cuda_graph and torch.device(device).type != "cuda":
            raise ModelError("engine captured needs a CUDA GPU; use engine auto, torch or onnxruntime")
        super().__init__(graph, precision, device)
        self.name = "captured"
        self._recorder = CudaGraphRecorder(record)

    def run(self, images: Tensor) -> dict[str, Tensor]:
        with torch.inference_mode():
            outputs = self._recorder.run(self.name, self.forward, [images])
            # The next replay writes over the recording's own tensors.
            return {
                name: values.to(torch.float32, copy=True)
                for name, values in zip(self.outputs, outputs, strict=True)
            }
