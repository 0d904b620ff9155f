"""Exports an encoder as an ONNX file that describes itself in its metadata."""

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
from perception_contrast.core.errors import ModelError, one_line
from perception_contrast.core.version import __version__
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.export.exported_encoder import (
    FORMAT,
    FORMAT_VERSION,
    INPUT,
    seal,
)
from perception_contrast.engines.export.onnx_precision import FORMATS, reduce_precision

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
    """Writes an encoder as an ONNX file.

    Its input is "images" (batch, 3, H, W) float32, normalised; its outputs are ``graph.names``, float32.

    Args:
        graph: the encoder.
        path: the file.
        size: (height, width) of the images; the batch is free.
        precision: of the matrix products: "fp32", "fp16" or "bf16".
        licence: of the weights, for the metadata.

    Raises:
        ModelError: the size is no multiple of the patch, or one file cannot hold the model.
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
            reason = one_line(error)
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
    """Everything that running the file needs and a reader may want to know, as text."""
    spaces = {one.name: one.space for one in graph.outputs}
    roles = {one.name: [role.value for role in one.roles] for one in graph.outputs}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "model": graph.model,
        "space": graph.space,
        "spaces": json.dumps(spaces),
        "roles": json.dumps(roles),
        "family": graph.encoder.family,
        "dim": str(graph.encoder.dim),
        "dense": graph.method,
        "outputs": json.dumps(graph.names),
        "unit": json.dumps([one.name for one in graph.outputs if one.unit]),
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
        exporting = threading.get_ident()

        def attention(*arguments: Any, **options: Any) -> Tensor:
            # An encoder that serves in another thread keeps the fast one.
            return (_attention if threading.get_ident() == exporting else _fused)(*arguments, **options)

        vars(functional)["scaled_dot_product_attention"] = attention
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
