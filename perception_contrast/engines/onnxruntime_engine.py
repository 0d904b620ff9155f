"""ONNX Runtime on the CPU, on CUDA and through TensorRT: one code, three providers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perception_contrast.core.errors import ModelError, one_line
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines import quantization as quantize
from perception_contrast.engines.base import Plan
from perception_contrast.engines.engine_cache import (
    EngineFileError,
    engine_file,
    engines_dir,
    file_of,
    key_of,
    machine_facts,
    threads,
)
from perception_contrast.engines.export.onnx_export import export_onnx
from perception_contrast.engines.weight_folding import fold_layer_scale

PROVIDERS = {
    "onnxruntime": "CPUExecutionProvider",
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


def require_provider(kind: str) -> None:
    """Raises ModelError with the remedy if this ONNX Runtime lacks the provider of an engine."""
    import onnxruntime

    wanted, there = PROVIDERS[kind], onnxruntime.get_available_providers()
    if wanted not in there:
        raise ModelError(
            f"engine {kind} needs ONNX Runtime's {wanted}; this one has {', '.join(there)}. "
            "Install onnxruntime-gpu, or use engine auto"
        )


class OrtEngine:
    """An exported encoder. Outputs are written straight into tensors on the engine's device.

    Attributes:
        path: its ONNX file.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        precision: str,
        device: str,
        outputs: tuple[str, ...],
        options: dict[str, str] | None = None,
    ) -> None:
        """Raises ModelError for a file that cannot be loaded, or a provider that does not start."""
        require_provider(kind)
        self.name, self.precision, self.device = kind, precision, device
        self.outputs, self.path = outputs, path
        self._device = torch.device(device)
        self._session = _session(path, kind, self._device.index or 0, options or {})
        found = tuple(one.name for one in self._session.get_outputs())
        if found != outputs:
            raise ModelError(
                f"engine file {path} gives {', '.join(found)}, not {', '.join(outputs)}; delete it"
            )
        self._output_shapes: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {}
        self._buffers: dict[tuple[int, ...], tuple[Tensor, list[Tensor]]] = {}

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """As ``Engine.run``. Raises ModelError if ONNX Runtime fails."""
        try:
            return self._run(images)
        except Exception as error:  # ONNX Runtime raises a dozen kinds without a common base
            line = one_line(error)
            raise ModelError(f"engine {self.name} failed on {self.path.name}: {line}") from error

    def _run(self, images: Tensor) -> dict[str, Tensor]:
        shape = tuple(images.shape)
        if shape not in self._output_shapes:
            return self._first_run(images)
        if self._device.type == "cpu":
            results = [torch.empty(one) for one in self._output_shapes[shape]]
            self._run_bound(images.contiguous(), results)
            return dict(zip(self.outputs, results, strict=True))
        # Addresses that never change: a TensorRT engine may record its launches.
        static, results = self._buffers[shape]
        static.copy_(images)
        torch.cuda.current_stream(self._device).synchronize()
        self._run_bound(static, results)
        return {name: values.clone() for name, values in zip(self.outputs, results, strict=True)}

    def _first_run(self, images: Tensor) -> dict[str, Tensor]:
        """Learns the output shapes of this input shape."""
        import onnxruntime

        # The gate's batch of several images would else stay in ONNX Runtime's arena for good.
        shrinks = onnxruntime.RunOptions()
        if self._device.type == "cpu":
            shrinks.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        inputs = {"images": np.ascontiguousarray(images.cpu().numpy())}
        arrays = self._session.run(list(self.outputs), inputs, shrinks)
        shape = tuple(images.shape)
        self._output_shapes[shape] = tuple(array.shape for array in arrays)
        results = [torch.from_numpy(array).to(self._device) for array in arrays]
        if self._device.type != "cpu":
            self._buffers[shape] = images.clone().contiguous(), [torch.empty_like(one) for one in results]
        return dict(zip(self.outputs, results, strict=True))

    def _run_bound(self, images: Tensor, results: list[Tensor]) -> None:
        binding, index = self._session.io_binding(), self._device.index or 0
        kind = self._device.type
        binding.bind_input("images", kind, index, np.float32, tuple(images.shape), images.data_ptr())
        for name, values in zip(self.outputs, results, strict=True):
            binding.bind_output(name, kind, index, np.float32, tuple(values.shape), values.data_ptr())
        self._session.run_with_iobinding(binding)


def _session(path: Path, kind: str, index: int, options: dict[str, str]) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = threads()
    # A thread that spins while it waits would take the executor's share of the cores.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    name = PROVIDERS[kind]
    provider: Any = name if kind == "onnxruntime" else (name, {"device_id": str(index), **options})
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=[provider])
    except Exception as error:  # ONNX Runtime raises a dozen kinds without a common base
        line = one_line(error)
        raise EngineFileError(
            f"engine file {path} cannot be loaded: {line}; delete it and try again"
        ) from error
    if name not in session.get_providers():
        raise ModelError(f"ONNX Runtime's {name} did not start on this machine; check its CUDA libraries")
    return session


def build_ort_engine(
    graph: EncoderGraph,
    plan: Plan,
    size: tuple[int, int],
    device: str,
    *,
    keep: tuple[str, ...] = (),
    written: Callable[[Path], None] | None = None,
) -> OrtEngine:
    """Exports an encoder, or takes the file of an earlier start, and loads it.

    Args:
        graph: the encoder.
        plan: the engine's kind and precision.
        size: (height, width) of the images.
        device: where it runs.
        keep: for int8, parts of the names of nodes that stay in float32.
        written: told of a file before it is written.

    Raises:
        ModelError: the provider is missing, or the file cannot be written or loaded.
    """
    require_provider(plan.kind)
    options = _options(graph, plan, size, device)
    path = file_of(graph, size, plan.precision, keep="+".join(keep))

    def make(target: Path) -> None:
        _make(graph, target, plan.precision, size, keep)

    with engine_file(path, make, written) as there:
        return OrtEngine(there, plan.kind, plan.precision, device, graph.names, options)


def _make(
    graph: EncoderGraph, path: Path, precision: str, size: tuple[int, int], keep: tuple[str, ...]
) -> None:
    if precision != "int8":
        export_onnx(fold_layer_scale(graph), path, size, precision=precision)
        return
    with tempfile.TemporaryDirectory(prefix="perception_contrast_") as place:
        source = Path(place) / "smooth.onnx"
        export_onnx(quantize.smoothquant(fold_layer_scale(graph), size), source, size)
        quantize.quantize(source, path, keep)


def _options(graph: EncoderGraph, plan: Plan, size: tuple[int, int], device: str) -> dict[str, str]:
    if plan.kind == "onnxruntime":
        return {}
    if plan.kind == "onnxruntime-cuda":
        return {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
    # TensorRT's engines hold only for what made them, so all of that is in the folder's name.
    folder = (
        engines_dir() / "tensorrt" / key_of(graph, size, precision=plan.precision, **machine_facts(device))
    )
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "trt_fp16_enable": str(plan.precision == "fp16"),
        "trt_bf16_enable": str(plan.precision == "bf16"),
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
        "trt_layer_norm_fp32_fallback": "True",
    }
