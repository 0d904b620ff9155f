"""Functions of tensors recorded once and replayed: one launch, static buffers (CUDA graphs)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

WARM_UPS = 3
KEPT = 8

Function = Callable[..., tuple[Tensor, ...]]
# Of a function and its static inputs: what runs it on them again, and the outputs that this writes to.
Record = Callable[[Function, Sequence[Tensor]], tuple[Callable[[], None], tuple[Tensor, ...]]]


@dataclass(frozen=True)
class _Recording:
    replay: Callable[[], None]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class CudaGraphRecorder:
    """Keeps a recording for each function and the shapes of its inputs; the last few stay.

    record: makes a recording. Not thread-safe.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._kept: dict[Hashable, _Recording] = {}

    def run(self, key: Hashable, function: Function, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What the function makes of the inputs, in tensors that the next run of the same key writes over.

        key: stands for the function; what one key computes must not change. Inputs of one device.
        """
        place = (key, *((tuple(one.shape), one.dtype) for one in inputs))
        recording = self._kept.pop(place, None)
        if recording is None:
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            static = tuple(one.clone() for one in inputs)
            replay, outputs = self._record(function, static)
            recording = _Recording(replay, static, outputs)
        # Put last: the first is the one that was not used for longest.
        self._kept[place] = recording
        for buffer, given in zip(recording.inputs, inputs, strict=True):
            buffer.copy_(given, non_blocking=True)
        recording.replay()
        return recording.outputs


def cuda_graph(function: Function, inputs: Sequence[Tensor]) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
    """A ``Record`` by CUDA graph, on the device of the inputs."""
    with torch.cuda.device(inputs[0].device):
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                function(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = function(*inputs)
    return graph.replay, outputs
