"""The engines "torch" and "compiled": PyTorch, eager or through its compiler, on any device."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from perception_contrast.core.errors import ModelError, one_line
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.base import Plan
from perception_contrast.engines.cpu_features import fused_attention_is_faster
from perception_contrast.engines.weight_folding import fold_layer_scale

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """Eager torch.

    In a reduced precision norms and residuals stay float32 on a GPU, whose kernels for them wait for memory
    anyway. On a CPU the whole network computes in it: casts between the formats take as long as products.
    """

    def __init__(self, graph: EncoderGraph, precision: str, device: str) -> None:
        if precision not in ("fp32", *DTYPES):
            raise ModelError(f"engine torch has no precision {precision}; use fp32, bf16 or fp16")
        self.name, self.precision, self.device = "torch", precision, device
        self.outputs = graph.names
        self._type = torch.device(device).type
        self._dtype = DTYPES.get(precision, torch.float32)
        self._casts = precision != "fp32" and self._type != "cpu"
        self._forward: Any = graph
        if self._casts:
            self._forward = cast_products(graph, self._dtype)
        elif precision != "fp32":
            self._forward = cast_whole(graph, self._dtype)

    def run(self, images: Tensor) -> dict[str, Tensor]:
        with torch.inference_mode():
            return dict(zip(self.outputs, (values.float() for values in self.forward(images)), strict=True))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """As ``EncoderGraph``, in this precision."""
        if not self._casts:
            given: tuple[Tensor, ...] = self._forward(images.to(self._dtype))
            return given
        with torch.autocast(self._type, dtype=self._dtype):
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
            line = one_line(error)
            raise ModelError(f"torch could not compile for this machine ({line}); use engine auto") from error


def cast_products(graph: EncoderGraph, dtype: torch.dtype) -> EncoderGraph:
    """A copy whose weights of matrix products are stored in dtype, so that autocast need not cast them."""
    made = copy.deepcopy(graph)
    modules: Iterable[Any] = made.modules()
    for module in modules:
        if isinstance(module, nn.Linear | nn.Conv2d | nn.MultiheadAttention):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)
    return made


def cast_whole(graph: EncoderGraph, dtype: torch.dtype) -> EncoderGraph:
    """A copy that computes in dtype from its input to its outputs, with folded layer scales."""
    made = fold_layer_scale(graph).to(dtype)
    if not fused_attention_is_faster(dtype):
        modules: Iterable[Any] = made.modules()
        for module in modules:
            if hasattr(module, "fused_attn"):
                module.fused_attn = False
    return made


def build_torch_engine(graph: EncoderGraph, plan: Plan, device: str) -> TorchEngine:
    """Raises ModelError for a precision that torch does not have here."""
    kind = CompiledEngine if plan.kind == "compiled" else TorchEngine
    return kind(graph, plan.precision, device)
