"""Eight-bit products for processors that have instructions for them (VNNI and its like).

Weights get a scale for each output channel, activations one for each tensor at run time. A few channels
of a transformer are hundreds of times larger than the rest and would eat all eight bits; so before
the export each norm's gain hands part of them on to the weights behind it, which changes nothing in
exact arithmetic (Xiao et al., "SmoothQuant", ICML 2023).
"""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception_contrast.core.cache import replacing
from perception_contrast.encoders.encoder_graphs import EncoderGraph
from perception_contrast.preprocessing.to_tensor import image_tensor

STRENGTH = 0.65  # share of the large channels that moves into the weights, SmoothQuant's alpha
# What stays in float32, mildest first. What follows a GELU suffers most: no norm stands before it.
KEPT: tuple[tuple[str, ...], ...] = ((), ("fc2", "c_proj"), ("mlp",))
TOWER = "/tower/"  # nodes of the tower; the rest is small and makes the vectors that words are compared with


def calibration_images() -> tuple[NDArray[np.uint8], ...]:
    """Photographs (H, W, 3) uint8 RGB other than the gate's; they come with scikit-image."""
    from skimage import data

    return tuple(np.asarray(image()) for image in (data.rocket, data.immunohistochemistry))


def smoothed(graph: EncoderGraph, size: tuple[int, int]) -> EncoderGraph:
    """A copy with the same results, whose linear layers behind norms see even channels."""
    made = copy.deepcopy(graph)
    pairs = list(_norm_and_weights(made))
    largest: dict[int, Tensor] = {}

    def watch(index: int) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            top = output.detach().abs().flatten(0, -2).amax(dim=0)
            largest[index] = torch.maximum(top, largest[index]) if index in largest else top

        return hook

    hooks = [norm.register_forward_hook(watch(i)) for i, (norm, _) in enumerate(pairs)]
    with torch.inference_mode():
        for image in calibration_images():
            made(image_tensor(image, size, made.mean, made.std))
    for hook in hooks:
        hook.remove()
    for index, (norm, weight) in enumerate(pairs):
        if index in largest:
            _move(norm, weight, largest[index])
    return made


def _move(norm: nn.LayerNorm, weight: nn.Parameter, activations: Tensor) -> None:
    scale = activations.clamp_min(1e-5) ** STRENGTH / weight.abs().amax(dim=0).clamp_min(1e-5) ** (
        1 - STRENGTH
    )
    scale = scale.clamp(1e-3, 1e3)
    norm.weight.data = norm.weight.data / scale
    norm.bias.data = norm.bias.data / scale
    weight.data = weight.data * scale


def _norm_and_weights(graph: nn.Module) -> Iterator[tuple[nn.LayerNorm, nn.Parameter]]:
    """Norms that one linear layer alone reads, in timm's and open_clip's blocks."""
    for block in graph.modules():
        parts = dict(block.named_children())
        names = {("norm1", "attn"), ("norm2", "mlp"), ("ln_1", "attn"), ("ln_2", "mlp")}
        for norm_name, reader_name in sorted(names):
            norm, reader = parts.get(norm_name), parts.get(reader_name)
            weight = _first_weight(reader)
            if isinstance(norm, nn.LayerNorm) and norm.elementwise_affine and weight is not None:
                yield norm, weight


def _first_weight(reader: nn.Module | None) -> nn.Parameter | None:
    for name in ("qkv", "fc1", "c_fc"):
        layer = getattr(reader, name, None)
        if isinstance(layer, nn.Linear):
            return cast(nn.Parameter, layer.weight)
    weight: nn.Parameter | None = getattr(reader, "in_proj_weight", None)
    return weight


@contextmanager
def quiet() -> Iterator[None]:
    """ONNX Runtime's quantiser tells the root logger of every node; nobody wants to read that."""
    root = logging.getLogger()

    def ours(record: logging.LogRecord) -> bool:
        return "quantization" not in record.pathname

    root.addFilter(ours)
    try:
        yield
    finally:
        root.removeFilter(ours)


def quantize(source: Path, target: Path, keep: Sequence[str] = ()) -> None:
    """Writes the ONNX file with the tower's products in 8 bits, but for nodes named like one of keep."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    nodes = onnx.load(str(source), load_external_data=False).graph.node
    names = [node.name for node in nodes]
    kept = [name for name in names if TOWER not in name or any(part in name for part in keep)]
    with (
        quiet(),
        replacing(target) as part,
        tempfile.TemporaryDirectory(prefix="perception_contrast_") as place,
    ):
        made = Path(place) / "int8.onnx"
        quantize_dynamic(
            str(source),
            str(made),
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            # The quantiser splits a Gemm into a MatMul of this name and an Add.
            nodes_to_exclude=[*kept, *(f"{name}_MatMul" for name in kept)],
            extra_options={"MatMulConstBOnly": True},
        )
        part.write_bytes(made.read_bytes())
