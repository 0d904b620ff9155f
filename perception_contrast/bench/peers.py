"""Other libraries' forward passes, each in the precisions it has, sent through our gate."""

from __future__ import annotations

import copy
import inspect
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perception_contrast.bench.bench_models import Size
from perception_contrast.bench.other_libraries import LibraryModule, library_modules
from perception_contrast.bench.timing import timed
from perception_contrast.core.errors import ModelError, one_line
from perception_contrast.core.process.usage_reports import forbid_usage_reports
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.accuracy_gate import LIMITS, compare, gate_images
from perception_contrast.engines.openvino_model import openvino_core

OPSET = 17
# A reduced precision that takes this many times float32's time is no library's best.
MUCH_SLOWER = 1.5
_OPENVINO_NAMES = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}
_IN_BFLOAT16 = ("timm", "open_clip")


@dataclass(frozen=True)
class Peer:
    """A forward pass of another library.

    Attributes:
        name: of the peer, such as "timm" or "timm bf16".
        what: the call that is timed, in words.
        run: takes images (B, 3, H, W) of ``dtype``; gives a tensor, an array, or what holds them.
        precision: of its matrix products, one of the gate's.
        dtype: of the images that it is given.
        worst: its smallest cosine with the float32 torch module that it was made of, on the gate's
            photographs.
        same_weights: whether the module has the weights of the model that it is compared with.
    """

    name: str
    what: str
    run: Callable[[Tensor], object]
    precision: str = "fp32"
    dtype: torch.dtype = torch.float32
    worst: float = 1.0
    same_weights: bool = False


@dataclass
class Peers:
    """passed: those that count. skipped: name to the reason for the others."""

    passed: list[Peer] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Gate:
    """Photographs in batches of the shape that is timed, and that timed batch."""

    photographs: Sequence[Tensor]
    images: Tensor

    def judged(self, peer: Peer, module: nn.Module) -> Peer:
        """The peer with its smallest cosine. Raises ModelError if that is below its precision's limit."""
        exact = _eager(module)
        cosines = []
        for images in self.photographs:
            reference, seen = _values(exact(images)), _values(peer.run(images.to(peer.dtype)))
            cosines.append(compare({"features": reference}, {"features": seen})["features"])
        worst, limit = min(cosines), LIMITS[peer.precision]
        if worst < limit:
            raise ModelError(
                f"left out in {peer.precision}: the cosine of its worst vector with its own float32 is "
                f"{worst:.4f}, below {limit}"
            )
        return replace(peer, worst=worst)

    def require_fast(self, peer: Peer, module: nn.Module) -> None:
        """Raises ModelError for a precision that this machine only emulates."""
        took = [
            min(timed(partial(run, x), _finish(x))() for _ in range(2))
            for run, x in ((_eager(module), self.images), (peer.run, self.images.to(peer.dtype)))
        ]
        if took[1] > MUCH_SLOWER * took[0]:
            raise ModelError(
                f"{peer.precision} takes {took[1]:.0f} ms here and float32 {took[0]:.0f}: not its best"
            )


def build_peers(tower: EncoderGraph, size: Size, images: Tensor, threads: int, stack: ExitStack) -> Peers:
    """The peers of a model that can be built here and pass the gate, and why others do not count.

    Args:
        tower: the model as we run it.
        size: (height, width) of the images.
        images: (B, 3, H, W) float32 on the device, as they will be timed.
        threads: of every library.
        stack: keeps their files.
    """
    modules, skipped = library_modules(tower, size)
    peers = Peers(skipped=skipped)
    photographs = [one.expand(len(images), -1, -1, -1).to(images.device) for one in gate_images(tower, size)]
    gate = _Gate(photographs, images)
    for source in modules:
        _add(peers, gate, source.name, source.module, partial(_eager_peer, source))
        if source.name in _IN_BFLOAT16:
            name = f"{source.name} bf16"
            _add(peers, gate, name, source.module, partial(_bfloat16_peer, source, gate))
    if not modules:
        reason = "no module of another library to export"
        peers.skipped |= dict.fromkeys(("onnxruntime", "openvino"), reason)
        return peers
    first = modules[0]
    path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perception_contrast_"))) / "peer.onnx"
    try:
        _export(first.module, images, path)
    except Exception as error:  # the exporter raises a dozen kinds
        peers.skipped |= dict.fromkeys(("onnxruntime", "openvino"), f"export failed: {one_line(error)}")
        return peers
    _add(peers, gate, "onnxruntime", first.module, partial(_onnxruntime, first, images, threads, path))
    _add(peers, gate, "openvino", first.module, partial(_openvino, first, images, threads, path))
    return peers


def _add(peers: Peers, gate: _Gate, name: str, module: nn.Module, make: Callable[[], Peer]) -> None:
    """Makes a peer and takes it in where the gate lets it pass."""
    try:
        peers.passed.append(gate.judged(make(), module))
    except Exception as error:  # each library has kinds of its own
        peers.skipped[name] = one_line(error)


def _eager(module: nn.Module) -> Callable[[Tensor], object]:
    def run(images: Tensor) -> object:
        with torch.inference_mode():
            return module(images)

    return run


def _eager_peer(source: LibraryModule) -> Peer:
    return Peer(source.name, source.what, _eager(source.module), same_weights=source.same_weights)


def _bfloat16_peer(source: LibraryModule, gate: _Gate) -> Peer:
    """Weights and images in bfloat16. Raises ModelError where that is much slower than float32."""
    made = copy.deepcopy(source.module).to(torch.bfloat16)
    peer = Peer(
        f"{source.name} bf16",
        f"{source.what}, weights and images in bfloat16",
        _eager(made),
        "bf16",
        torch.bfloat16,
        same_weights=source.same_weights,
    )
    gate.require_fast(peer, source.module)
    return peer


def _finish(images: Tensor) -> Callable[[], None]:
    return (lambda: torch.cuda.synchronize(images.device)) if images.is_cuda else (lambda: None)


def _values(result: Any) -> Tensor:
    """The first tensor of a library's result, on the host."""
    if isinstance(result, Tensor):
        return result.float().cpu()
    if isinstance(result, np.ndarray):
        return torch.from_numpy(result)
    if hasattr(result, "numpy"):  # an OrtValue
        return torch.from_numpy(np.asarray(result.numpy()))
    return _values(next(iter(result.values() if hasattr(result, "values") else result)))


def _export(module: nn.Module, images: Tensor, path: Path) -> None:
    """A library's module as torch.onnx.export writes it, for the shape of these images alone."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the exporter has no name for the fused operator
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a trace that knows one size only, which is what is wanted
            torch.onnx.export(
                module, (images,), str(path), input_names=["images"], output_names=["features"],
                opset_version=OPSET, **_exporter(),
            )  # fmt: skip
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _exporter() -> dict[str, Any]:
    return {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}


def _openvino(source: LibraryModule, images: Tensor, threads: int, path: Path) -> Peer:
    """The export in OpenVINO with nothing set but the threads: the precision is what it chooses itself."""
    if images.is_cuda:
        raise ModelError("OpenVINO has no device of CUDA")
    forbid_usage_reports()
    try:
        import openvino
    except ImportError as error:
        raise ModelError("openvino is not installed; `pip install openvino` adds this peer") from error
    core = openvino_core("openvino")
    compiled = core.compile_model(core.read_model(str(path)), "CPU", {"INFERENCE_NUM_THREADS": threads})
    told = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    precision = _OPENVINO_NAMES.get(told)
    if precision is None:
        raise ModelError(f"OpenVINO chose the precision '{told}', which has no gate here")
    request = compiled.create_infer_request()

    def run(images: Tensor) -> object:
        return request.infer([images.numpy()], share_inputs=True, share_outputs=True)

    what = f"OpenVINO {openvino.__version__.split('-')[0]} on the CPU, {source.name}'s torch.onnx.export"
    return Peer("openvino", what, run, precision, same_weights=source.same_weights)


def _onnxruntime(source: LibraryModule, images: Tensor, threads: int, path: Path) -> Peer:
    """The export in a session with nothing set but the threads."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = threads
    on_gpu = images.is_cuda
    provider: Any = "CPUExecutionProvider"
    if on_gpu:
        provider = ("CUDAExecutionProvider", {"device_id": str(images.device.index or 0), "use_tf32": "0"})
    session = onnxruntime.InferenceSession(str(path), settings, providers=[provider])
    if on_gpu and "CUDAExecutionProvider" not in session.get_providers():
        raise ModelError("ONNX Runtime's CUDAExecutionProvider did not start on this machine")
    what = f"onnxruntime, {source.name}'s torch.onnx.export"
    return Peer("onnxruntime", what, _session(session, on_gpu), same_weights=source.same_weights)


def _session(session: Any, on_gpu: bool) -> Callable[[Tensor], object]:
    def on_host(images: Tensor) -> object:
        return session.run(None, {"images": images.numpy()})

    def on_device(images: Tensor) -> object:
        binding, index = session.io_binding(), images.device.index or 0
        # The session works on a stream of its own.
        torch.cuda.current_stream(images.device).synchronize()
        binding.bind_input("images", "cuda", index, np.float32, tuple(images.shape), images.data_ptr())
        binding.bind_output("features", "cuda", index)
        session.run_with_iobinding(binding)
        return binding.get_outputs()

    return on_device if on_gpu else on_host
