"""Dynamic int8 quantization for processors with instructions for it (VNNI and similar).

Weights get a scale per output channel, activations one per tensor at run time. A few channels of a
transformer are hundreds of times larger than the rest and would take up all eight bits. So each norm's gain
moves part of them into the weights behind it, which changes nothing in exact arithmetic (Xiao et al.,
"SmoothQuant", ICML 2023).
"""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception_contrast.core.cache import replacing
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.preprocessing.to_tensor import image_tensor

STRENGTH = 0.65  # share of the large channels that moves into the weights, SmoothQuant's alpha
# Layers that stay in float32, fewest first. Those behind a GELU lose most: no norm stands before them.
FLOAT32_LAYERS: tuple[tuple[str, ...], ...] = ((), ("fc2", "c_proj"), ("mlp",))
ENCODER_SCOPE = "/encoder/"  # nodes of the image encoder; a head is small and stays in float32


def calibration_images() -> tuple[NDArray[np.uint8], ...]:
    """Photographs (H, W, 3) uint8 RGB other than the gate's; they come with scikit-image."""
    from skimage import data

    return tuple(np.asarray(image()) for image in (data.rocket, data.immunohistochemistry))


def smoothquant(
    graph: EncoderGraph, size: tuple[int, int], images: Iterable[NDArray[np.uint8]] = ()
) -> EncoderGraph:
    """A copy with the same results, whose linear layers behind norms have inputs of even channels.

    Args:
        graph: the encoder.
        size: (height, width) of the images.
        images: (H, W, 3) uint8 RGB that the channels are measured on; without any, ``calibration_images``.
    """
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
        for image in list(images) or calibration_images():
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
def quiet_quantizer() -> Iterator[None]:
    """Hides the messages that ONNX Runtime's quantizer sends to the root logger for every node."""
    root = logging.getLogger()

    def ours(record: logging.LogRecord) -> bool:
        return "quantization" not in record.pathname

    root.addFilter(ours)
    try:
        yield
    finally:
        root.removeFilter(ours)


def left_in_float32(model: Any, keep: Sequence[str] = ()) -> list[str]:
    """Names of the nodes that stay in float32.

    Args:
        model: an ONNX model of an export.
        keep: parts of the names of more nodes.

    Returns:
        All but the encoder's products of an input and a weight.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type not in ("MatMul", "Gemm")
        or ENCODER_SCOPE not in node.name
        or weights.isdisjoint(node.input)
        or any(part in node.name for part in keep)
    ]


def quantize(source: Path, target: Path, keep: Sequence[str] = ()) -> None:
    """Writes an ONNX file whose encoder has its products in 8 bits.

    Args:
        source: the float32 ONNX file.
        target: the file to write.
        keep: parts of the names of nodes that stay in float32.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    kept = left_in_float32(onnx.load(str(source), load_external_data=False), keep)
    with (
        quiet_quantizer(),
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
