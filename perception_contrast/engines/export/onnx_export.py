"""An encoder graph as an ONNX file that says of itself what it is."""

from __future__ import annotations

import inspect
import json
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor
from torch.nn import functional

from perception_contrast.core.cache import replacing
from perception_contrast.core.errors import ModelError
from perception_contrast.core.feature_grid import UNIT_OUTPUTS
from perception_contrast.core.version import __version__
from perception_contrast.encoders.encoder_graphs import EncoderGraph
from perception_contrast.engines.export.exported_encoder import (
    FORMAT,
    FORMAT_VERSION,
    INPUT,
    seal,
)
from perception_contrast.engines.export.onnx_precision import FORMATS, reduce_precision
from perception_contrast.models.registry import model_spec

OPSET = 17  # the first with LayerNormalization
PRECISIONS = ("fp32", *FORMATS)
# A protocol buffer holds no more; a little is left for the metadata.
LIMIT_BYTES = 2**31 - 2**20
TRACED_BATCH = 2
_fused = functional.scaled_dot_product_attention
_exporting = threading.Lock()


def require_size(size: tuple[int, int], patch: int, model: str) -> None:
    """Raises ModelError naming the nearest sizes unless (height, width) are multiples of the patch."""
    if min(size) > 0 and not any(side % patch for side in size):
        return

    def near(side: int) -> list[int]:
        low = max(1, side // patch) * patch
        return [low] if side <= low else [low, low + patch]

    sizes = ", ".join(f"{height}x{width}" for height in near(size[0]) for width in near(size[1]))
    raise ModelError(
        f"size {size[0]}x{size[1]} does not fit '{model}', whose patches are {patch} pixels wide; "
        f"the nearest that do: {sizes}"
    )


def export_onnx(
    graph: EncoderGraph,
    path: Path,
    size: tuple[int, int],
    *,
    precision: str = "fp32",
    licence: str = "",
) -> None:
    """Writes the graph for images of size (height, width) and any number of them at once.

    Input "images" (batch, 3, H, W) float32, normalised; outputs ``graph.names`` float32, whatever the
    precision ("fp32", "fp16", "bf16") of the matrix products between. Raises ModelError for a size
    that is no multiple of the patch, and for a graph that one file cannot hold.
    """
    require_size(size, graph.patch, graph.model)
    if precision not in PRECISIONS:
        raise ModelError(f"an export has no precision '{precision}'; use one of {', '.join(PRECISIONS)}")
    model = _traced(graph, size)
    reduce_precision(model, precision)
    onnx.helper.set_model_props(model, _metadata(graph, size, precision, licence))
    model.producer_name, model.producer_version = FORMAT, __version__
    if model.ByteSize() > LIMIT_BYTES:
        raise ModelError(_too_large(graph, precision))
    onnx.checker.check_model(model)
    with replacing(path) as temporary:
        temporary.write_bytes(seal(model.SerializeToString()))


def _family(graph: EncoderGraph) -> str:
    try:
        return model_spec(graph.model).family
    except ModelError:  # of a folder, which is known by its path alone
        return str(getattr(graph.tower, "family", ""))


def _traced(graph: EncoderGraph, size: tuple[int, int]) -> onnx.ModelProto:
    first = next(graph.parameters())
    images = torch.zeros(TRACED_BATCH, 3, *size, device=first.device)
    names = (INPUT, *graph.names)
    options: dict[str, Any] = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False
    with torch.no_grad():
        # Fills the cache of the position embedding, which the trace then finds as a constant.
        outputs = graph(images)
    with tempfile.TemporaryDirectory(prefix="perception_contrast_") as folder:
        traced = Path(folder) / "traced.onnx"
        try:
            with _traceable(), torch.no_grad():
                torch.onnx.export(
                    graph, (images,), str(traced), input_names=[INPUT], output_names=list(graph.names),
                    dynamic_axes={name: {0: "batch"} for name in names}, opset_version=OPSET, **options,
                )  # fmt: skip
        except RuntimeError as error:  # the exporter's own errors are of this kind
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"'{graph.model}' cannot be written as ONNX: {reason}") from error
        model = onnx.load(str(traced))
    for value, tensor in zip(model.graph.output, outputs, strict=True):
        # The trace forgets sizes behind a reshape, though all but the batch are fixed.
        for dimension, length in zip(value.type.tensor_type.shape.dim[1:], tensor.shape[1:], strict=True):
            dimension.dim_value = length
    return model


def _too_large(graph: EncoderGraph, precision: str) -> str:
    remedy = "use --precision fp16" if precision == "fp32" else "use a smaller model"
    return f"'{graph.model}' in {precision} is larger than the 2 GB that an ONNX file can hold; {remedy}"


def _metadata(graph: EncoderGraph, size: tuple[int, int], precision: str, licence: str) -> dict[str, str]:
    """Everything that serving needs and a reader may want to know, as text."""
    # household-lit gives its tower's features too, and those live in the tower's own space; values by
    # proxyclip live in a block's own.
    apart = {name: graph.tower.space for name in ("tokens", "cls")} | {"values": f"{graph.space}/values"}
    spaces = {name: apart.get(name, graph.space) for name in graph.names}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "model": graph.model,
        "space": graph.space,
        "spaces": json.dumps(spaces),
        "family": _family(graph),
        "dense": graph.method,
        "outputs": json.dumps(graph.names),
        "unit": json.dumps([name for name in graph.names if name in UNIT_OUTPUTS]),
        "precision": precision,
        "patch": str(graph.patch),
        "size": json.dumps(size),
        "mean": json.dumps(graph.mean),
        "std": json.dumps(graph.std),
        "interpolation": "bicubic antialias",
        "licence": licence,
        "opset": str(OPSET),
    }


@contextmanager
def _traceable() -> Iterator[None]:
    """Attention as two products and a softmax, at a scale that is a number, not a computation."""
    with _exporting, warnings.catch_warnings():
        # Of a trace that knows one size only, which is what is wanted here.
        warnings.simplefilter("ignore")
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        vars(functional)["scaled_dot_product_attention"] = _attention
        try:
            yield
        finally:
            vars(functional)["scaled_dot_product_attention"] = _fused
            torch.backends.mha.set_fastpath_enabled(fast)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **options: Any,
) -> Tensor:
    """softmax(q k^T scale + mask) v, as torch's; for towers of images, which see all and drop nothing."""
    if is_causal or dropout_p or options or (attn_mask is not None and attn_mask.dtype == torch.bool):
        return _fused(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, **options)
    scores = (query * (scale or int(query.shape[-1]) ** -0.5)) @ key.transpose(-2, -1)
    if attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(dim=-1) @ value
