"""The engines "torch" and "compiled": PyTorch, eager or through its compiler, on any device."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.base import Plan

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """Eager torch. In a reduced precision norms and residuals stay float32."""

    def __init__(self, graph: EncoderGraph, precision: str, device: str) -> None:
        if precision not in ("fp32", *DTYPES):
            raise ModelError(f"engine torch has no precision {precision}; use fp32, bf16 or fp16")
        self.name, self.precision, self.device = "torch", precision, device
        self.outputs = graph.names
        self._type = torch.device(device).type
        self._forward: Any = graph if precision == "fp32" else cast_weights(graph, DTYPES[precision])

    def run(self, images: Tensor) -> dict[str, Tensor]:
        with torch.inference_mode():
            return dict(zip(self.outputs, (values.float() for values in self.forward(images)), strict=True))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """As ``EncoderGraph``, in this precision."""
        enabled = self.precision != "fp32"
        with torch.autocast(self._type, dtype=DTYPES.get(self.precision), enabled=enabled):
            result: tuple[Tensor, ...] = self._forward(images)
        return result


class CompiledEngine(TorchEngine):
    """The graph through torch's compiler, for one image size and batch at a time."""

    def __init__(self, graph: EncoderGraph, precision: str, device: str) -> None:
        super().__init__(graph, precision, device)
        self.name = "compiled"
        self._forward = torch.compile(self._forward, dynamic=False)

    def run(self, images: Tensor) -> dict[str, Tensor]:
        try:
            return super().run(images)
        except Exception as error:  # the compiler raises many kinds
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            line = str(error).strip().splitlines()[0]
            raise ModelError(f"torch could not compile for this machine ({line}); use engine auto") from error


def cast_weights(graph: EncoderGraph, dtype: torch.dtype) -> EncoderGraph:
    """A copy whose weights of matrix products are stored in dtype, so that autocast need not cast them."""
    made = copy.deepcopy(graph)
    on_cpu = all(parameter.device.type == "cpu" for parameter in made.parameters())
    modules: Iterable[Any] = made.modules()
    for module in modules:
        if on_cpu and dtype == torch.bfloat16 and hasattr(module, "fused_attn"):
            # Torch's fused attention on a CPU is slower in bfloat16 than the products one by one.
            module.fused_attn = False
        if isinstance(module, nn.Linear | nn.Conv2d | nn.MultiheadAttention):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)
    return made


def build_torch_engine(graph: EncoderGraph, plan: Plan, device: str) -> TorchEngine:
    """Raises ModelError for a precision that torch does not have here."""
    kind = CompiledEngine if plan.kind == "compiled" else TorchEngine
    return kind(graph, plan.precision, device)
