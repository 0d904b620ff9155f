"""Encoders in OpenVINO, exported and compiled."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.base import Plan
from perception_contrast.engines.engine_cache import (
    EngineFileError,
    engine_file,
    engines_dir,
    file_of,
    key_of,
    machine_facts,
)
from perception_contrast.engines.engine_cache import threads as usable_threads
from perception_contrast.engines.export.onnx_export import export_onnx
from perception_contrast.engines.openvino_model import (
    DEVICES,
    OpenVinoModel,
    openvino_core,
    openvino_line,
    require_precision,
)
from perception_contrast.engines.static_quantization import require_nncf, write_int8
from perception_contrast.engines.weight_folding import fold_layer_scale


class OpenVinoEngine:
    """An exported encoder in OpenVINO. Tensors are in the host's memory, whatever device computes.

    Attributes:
        path: its ONNX file, or the .xml of OpenVINO's own two.
    """

    device = "cpu"

    def __init__(
        self, core: Any, path: Path, plan: Plan, outputs: tuple[str, ...], cache: Path | None = None
    ) -> None:
        """core: as of ``openvino_core``. Raises ModelError for a file that cannot be loaded."""
        self.name: str = plan.kind
        self.precision: str = plan.precision
        self.outputs, self.path = outputs, path
        try:
            self._model = OpenVinoModel(
                core, path, DEVICES[plan.kind], plan.precision, usable_threads(), cache
            )
        except Exception as error:  # its own kinds and a plain RuntimeError
            raise EngineFileError(
                f"engine file {path} cannot be loaded: {openvino_line(error)}; delete it and try again"
            ) from error
        there = self._model.outputs
        if len(there) != len(outputs) or any(a not in b for a, b in zip(outputs, there, strict=True)):
            found = ", ".join(min(names) for names in there)
            raise ModelError(f"engine file {path} gives {found}, not {', '.join(outputs)}; delete it")

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """As ``Engine.run``. Raises ModelError if OpenVINO fails."""
        try:
            values = self._model.run(images.detach().contiguous().numpy())
        except Exception as error:  # its own kinds and a plain RuntimeError
            raise ModelError(
                f"engine {self.name} failed on {self.path.name}: {openvino_line(error)}"
            ) from error
        return {name: torch.from_numpy(array) for name, array in zip(self.outputs, values, strict=True)}

    def forget_trial(self) -> None:
        """Frees what the gate needed and the use to come probably does not."""
        self._model.forget_trial()


def installed_int8(graph: EncoderGraph, size: tuple[int, int]) -> Path:
    """Where a file stands whose scales were measured on images of the user's own, if one was installed.

    Args:
        graph: the encoder.
        size: (height, width) of the images.
    """
    # The network is its own, whatever version of this package asks for it.
    key = key_of(graph, size, precision="int8", images="own")
    return engines_dir() / f"{graph.model}-{size[0]}x{size[1]}-int8-own-{key}.onnx"


def build_openvino_engine(
    graph: EncoderGraph,
    plan: Plan,
    size: tuple[int, int],
    *,
    keep: tuple[str, ...] = (),
    written: Callable[[Path], None] | None = None,
) -> OpenVinoEngine:
    """Exports an encoder, or takes the file of an earlier start, and compiles it.

    float32, float16 and bfloat16 are compiled from one network in float32, of the file that ONNX Runtime
    reads too.

    Args:
        graph: the encoder.
        plan: the engine's kind and precision.
        size: (height, width) of the images.
        keep: for int8, parts of the names of nodes that stay in float32.
        written: told of a file before it is written.

    Raises:
        ModelError: OpenVINO or the device is missing, or the file cannot be written or loaded.
    """
    core = openvino_core(plan.kind)
    require_precision(core, plan.kind, plan.precision)
    cache = None
    if plan.kind != "openvino":
        key = key_of(graph, size, precision=plan.precision, **machine_facts("cpu"))
        cache = engines_dir() / "openvino" / key
    installed = installed_int8(graph, size)
    if plan.precision != "int8":
        path, make = (
            file_of(graph, size, "fp32", keep="").with_suffix(".xml"),
            partial(_convert, core, graph, size, written),
        )
    elif not keep and installed.exists():
        path, make = installed, partial(_quantize, graph, size, keep)
    else:
        require_nncf()
        path = file_of(graph, size, "int8", by="nncf", keep="+".join(keep))
        make = partial(_quantize, graph, size, keep)
    with engine_file(path, make, written) as there:
        return OpenVinoEngine(core, there, plan, graph.names, cache)


def _quantize(graph: EncoderGraph, size: tuple[int, int], keep: tuple[str, ...], target: Path) -> None:
    write_int8(graph, target, size, keep=keep)


def _convert(
    core: Any,
    graph: EncoderGraph,
    size: tuple[int, int],
    written: Callable[[Path], None] | None,
    target: Path,
) -> None:
    """Writes OpenVINO's own two files from that of ONNX Runtime; their weights are mapped, not copied."""
    from openvino import save_model

    def export(path: Path) -> None:
        export_onnx(fold_layer_scale(graph), path, size)

    with (
        engine_file(file_of(graph, size, "fp32", keep=""), export, written) as source,
        tempfile.TemporaryDirectory(prefix=".openvino_", dir=target.parent) as folder,
    ):
        made = Path(folder) / target.name
        try:
            network = core.read_model(str(source))
        except RuntimeError as error:
            raise EngineFileError(
                f"engine file {source} cannot be loaded: {openvino_line(error)}; delete it and try again"
            ) from error
        try:
            save_model(network, str(made), compress_to_fp16=False)
        except RuntimeError as error:
            raise EngineFileError(
                f"engine file {target} cannot be written: {openvino_line(error)}; free some disk space"
            ) from error
        # The network is there once its weights are.
        for suffix in (".bin", ".xml"):
            made.with_suffix(suffix).replace(target.with_suffix(suffix))
