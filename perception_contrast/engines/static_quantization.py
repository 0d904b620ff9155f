"""Static int8 quantization with NNCF: scales of weights and activations are measured on images beforehand.

As a program this module quantizes one file: NNCF's memory, messages and settings stay in that process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from perception_contrast.core.cache import replacing
from perception_contrast.core.errors import ModelError
from perception_contrast.core.process.usage_reports import forbid_usage_reports
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.export.exported_encoder import INPUT, seal
from perception_contrast.engines.export.onnx_export import export_onnx
from perception_contrast.engines.quantization import (
    calibration_images,
    left_in_float32,
    smoothquant,
)
from perception_contrast.engines.weight_folding import fold_layer_scale
from perception_contrast.preprocessing.to_tensor import image_tensor

# Seconds for the largest model on a slow processor.
PATIENCE = 3600


def require_nncf() -> None:
    """Raises ModelError with the remedy where NNCF is not installed."""
    if find_spec("nncf") is None:
        raise ModelError(
            "int8 with measured scales needs the library nncf, which is not installed; "
            "`pip install nncf`, or use another precision"
        )


def write_int8(
    graph: EncoderGraph,
    path: Path,
    size: tuple[int, int],
    *,
    images: Sequence[NDArray[np.uint8]] = (),
    keep: Sequence[str] = (),
    licence: str = "",
) -> None:
    """Writes an encoder whose linear layers multiply 8-bit numbers, as a self-describing ONNX file.

    Large channels first move from activations into weights, as ``smoothquant`` does. Attention's own
    products, norms, residuals and heads stay in float32.

    Args:
        graph: the encoder.
        path: the file.
        size: (height, width) of the images that it takes.
        images: (H, W, 3) uint8 RGB that scales are measured on; without any, photographs that come with
            scikit-image.
        keep: parts of the names of nodes that stay in float32.
        licence: of the weights, for the metadata.

    Raises:
        ModelError: NNCF is missing or failed, or the model cannot be written as ONNX.
    """
    require_nncf()
    chosen = list(images) or list(calibration_images())
    with tempfile.TemporaryDirectory(prefix="perception_contrast_") as folder:
        source, arrays, made = (Path(folder) / name for name in ("exact.onnx", "images.npy", "int8.onnx"))
        export_onnx(smoothquant(fold_layer_scale(graph), size, chosen), source, size, licence=licence)
        normalised = [image_tensor(image, size, graph.mean, graph.std).numpy() for image in chosen]
        np.save(arrays, np.concatenate(normalised))
        _run_child(source, arrays, made, keep)
        model = onnx.load(str(made))
        facts = {one.key: one.value for one in onnx.load(str(source)).metadata_props if one.key != "sha256"}
    onnx.helper.set_model_props(model, {**facts, "precision": "int8"})
    with replacing(path) as part:
        part.write_bytes(seal(model.SerializeToString()))


def _run_child(source: Path, arrays: Path, made: Path, keep: Sequence[str]) -> None:
    command = [sys.executable, "-m", __name__, str(source), str(arrays), str(made), *keep]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelError(f"NNCF did not quantize the model: {error}") from error
    if ended.returncode or not made.exists():
        told = [line for line in ended.stderr.strip().splitlines() if line.strip()]
        raise ModelError(
            f"NNCF did not quantize the model: {told[-1] if told else 'it ended without a word'}"
        )


def _quantize(source: Path, arrays: Path, made: Path, keep: Sequence[str]) -> None:
    """The child's work. arrays: (n, 3, H, W) float32 in NumPy's format."""
    forbid_usage_reports()
    import nncf

    model = onnx.load(str(source))
    _name_outputs_by_identities(model)
    images = np.load(arrays, allow_pickle=False)
    # Nodes that fold into constants are not in NNCF's own graph, so names need not be found there.
    kept = nncf.IgnoredScope(names=left_in_float32(model, keep), validate=False)
    result = nncf.quantize(
        model,
        nncf.Dataset(list(images[:, None]), lambda image: {INPUT: image}),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=kept,
    )
    onnx.save(result, str(made))


def _name_outputs_by_identities(model: onnx.ModelProto) -> None:
    """Replaces casts of float32 to float32 that name an output: NNCF 3 fails to leave these out."""
    outputs = {value.name for value in model.graph.output}
    for node in model.graph.node:
        if node.op_type == "Cast" and outputs.issuperset(node.output):
            node.op_type = "Identity"
            del node.attribute[:]


if __name__ == "__main__":
    given = [Path(text) for text in sys.argv[1:4]]
    _quantize(given[0], given[1], given[2], sys.argv[4:])
