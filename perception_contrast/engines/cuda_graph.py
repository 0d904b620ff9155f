"""CUDA graphs: an encoder recorded once and replayed by one launch, in static buffers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.torch_engine import TorchEngine

WARM_UPS = 3
MAX_RECORDINGS = 8

Function = Callable[..., tuple[Tensor, ...]]
# From a function and its static inputs to a replay function and the outputs that it writes to.
Record = Callable[[Function, Sequence[Tensor]], tuple[Callable[[], None], tuple[Tensor, ...]]]


@dataclass(frozen=True)
class _Recording:
    replay: Callable[[], None]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class CudaGraphRecorder:
    """Records functions of tensors and replays them: one recording per function and input shapes.

    The most recently used recordings stay. Not thread-safe.

    Args:
        record: makes a recording.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._recordings: dict[Hashable, _Recording] = {}

    def run(self, key: Hashable, function: Function, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The function's outputs, in tensors that the next run of the same key overwrites.

        Args:
            key: stands for the function; what one key computes must not change.
            function: called while a recording is made.
            inputs: on one device.
        """
        recording_key = (key, *((tuple(one.shape), one.dtype) for one in inputs))
        recording = self._recordings.pop(recording_key, None)
        if recording is None:
            while len(self._recordings) >= MAX_RECORDINGS:
                self._recordings.pop(next(iter(self._recordings)))
            static = tuple(one.clone() for one in inputs)
            replay, outputs = self._record(function, static)
            recording = _Recording(replay, static, outputs)
        # Put last, so that the first is the least recently used.
        self._recordings[recording_key] = recording
        for buffer, given in zip(recording.inputs, inputs, strict=True):
            buffer.copy_(given, non_blocking=True)
        recording.replay()
        return recording.outputs


def record_cuda_graph(
    function: Function, inputs: Sequence[Tensor]
) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
    """A ``Record`` by CUDA graph, on the device of the inputs."""
    with torch.cuda.device(inputs[0].device):
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                function(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Other threads go on with the GPU: what they do, as allocate memory, must not end the capture.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = function(*inputs)
    return graph.replay, outputs


class CudaGraphEngine(TorchEngine):
    """The engine "captured": a CUDA graph for each batch size and image size. Needs a CUDA GPU.

    Args:
        graph: the encoder.
        precision: of the matrix products.
        device: a CUDA device.
        record: makes recordings; another than the default runs on any device.

    Raises:
        ModelError: the device is no CUDA GPU.
    """

    def __init__(
        self, graph: EncoderGraph, precision: str, device: str, *, record: Record = record_cuda_graph
    ) -> None:
        if record is record_cuda_graph and torch.device(device).type != "cuda":
            raise ModelError("engine captured needs a CUDA GPU; use engine auto, torch or onnxruntime")
        super().__init__(graph, precision, device)
        self.name = "captured"
        self._recorder = CudaGraphRecorder(record)

    def run(self, images: Tensor) -> dict[str, Tensor]:
        with torch.inference_mode():
            outputs = self._recorder.run(self.name, self.forward, [images])
            # The next replay overwrites the recording's own tensors.
            return {
                name: values.to(torch.float32, copy=True)
                for name, values in zip(self.outputs, outputs, strict=True)
            }
