"""Other libraries' forward passes for comparison: same image, size, number format and threads."""

from __future__ import annotations

import inspect
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perception_contrast.bench.bench_models import Size
from perception_contrast.core.errors import ModelError
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import ModelSpec

OPSET = 17


@dataclass(frozen=True)
class OtherLibrary:
    """what: the call that is timed, in words. run: takes images (B, 3, H, W) float32."""

    name: str
    what: str
    run: Callable[[Tensor], object]


@dataclass(frozen=True)
class _Source:
    """A library's own module for images of a size, at random initialisation."""

    name: str
    what: str
    module: nn.Module


class _Features(nn.Module):
    """timm's forward_features as a module, to be exported."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network.forward_features(images)
        return features


def build_other_libraries(
    model: str, size: Size, images: Tensor, threads: int, stack: ExitStack
) -> tuple[list[OtherLibrary], dict[str, str]]:
    """The peers that can be built here, and name to reason for the others. stack: keeps their files."""
    spec, device = model_spec(model), images.device
    built, skipped = [], {}
    first: _Source | None = None
    for name, make in (("timm", _timm), ("open_clip", _open_clip), ("transformers", _transformers)):
        try:
            source = make(spec, size)
            module = source.module.eval().requires_grad_(False).to(device)
            peer = OtherLibrary(name, source.what, _eager(module))
            peer.run(images)
        except Exception as error:  # three libraries, each with kinds of its own
            skipped[name] = _line(error)
            continue
        built.append(peer)
        first = first or source
    if first is None:
        skipped["onnxruntime"] = "no module of another library to export"
        return built, skipped
    try:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perception_contrast_")))
        built.append(_onnxruntime(first, images, threads, folder))
    except Exception as error:  # the exporter and ONNX Runtime raise a dozen kinds
        skipped["onnxruntime"] = _line(error)
    return built, skipped


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _eager(module: nn.Module) -> Callable[[Tensor], object]:
    def run(images: Tensor) -> object:
        with torch.inference_mode():
            return module(images)

    return run


def _open_clip_config(spec: ModelSpec) -> dict[str, Any] | None:
    import open_clip

    config: dict[str, Any] | None = open_clip.get_model_config(spec.arch)
    return config


def _timm(spec: ModelSpec, size: Size) -> _Source:
    import timm

    if _open_clip_config(spec) is not None:
        raise ModelError("open_clip is the library that this model comes from")
    try:
        network = timm.create_model(spec.arch, pretrained=False, num_classes=0, img_size=size)
    except TypeError:  # convolutions take any size and are not asked for one
        network = timm.create_model(spec.arch, pretrained=False, num_classes=0)
    return _Source("timm", f"timm {spec.arch}: forward_features", _Features(network))


def _open_clip(spec: ModelSpec, size: Size) -> _Source:
    import open_clip

    config = _open_clip_config(spec)
    if config is None:
        raise ModelError("open_clip has no such architecture")
    config["vision_cfg"]["image_size"] = size
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    network = kind(**config)
    # ``encode_image`` is this module's forward; the tower of words would only take memory.
    return _Source("open_clip", f"open_clip {spec.arch}: encode_image", network.visual)


def _transformers(spec: ModelSpec, size: Size) -> _Source:
    if spec.family == "dinov2":
        return _Source("transformers", "transformers Dinov2Model", _dinov2_of_transformers(spec, size))
    if spec.family == "clip" and (config := _open_clip_config(spec)) is not None:
        return _Source(
            "transformers", "transformers CLIPVisionModelWithProjection", _clip_of_transformers(config, size)
        )
    raise ModelError("transformers' counterpart of this family is not built here")


class _Resampled(nn.Module):
    """A model of transformers whose positions are resampled where the size is not the one it was made for."""

    def __init__(self, network: Any, resample: bool) -> None:
        super().__init__()
        self.network, self.options = network, {"interpolate_pos_encoding": True} if resample else {}

    def forward(self, images: Tensor) -> Any:
        return self.network(pixel_values=images, **self.options)


def _dinov2_of_transformers(spec: ModelSpec, size: Size) -> nn.Module:
    import timm
    import transformers

    with torch.device("meta"):
        vit: Any = timm.create_model(spec.arch, pretrained=False, num_classes=0)
    options: dict[str, Any] = {
        "hidden_size": vit.embed_dim,
        "num_hidden_layers": len(vit.blocks),
        "num_attention_heads": vit.blocks[0].attn.num_heads,
        "image_size": size[0] if size[0] == size[1] else spec.size,
        "patch_size": spec.patch,
        "use_swiglu_ffn": "giant" in spec.arch,
    }
    if vit.reg_token is None:
        return _Resampled(transformers.Dinov2Model(transformers.Dinov2Config(**options)), False)
    config = transformers.Dinov2WithRegistersConfig(num_register_tokens=vit.reg_token.shape[1], **options)
    return _Resampled(transformers.Dinov2WithRegistersModel(config), False)


def _clip_of_transformers(config: dict[str, Any], size: Size) -> nn.Module:
    import transformers

    vision = config["vision_cfg"]
    if not isinstance(vision["layers"], int):
        raise ModelError("transformers has no CLIP of convolutions")
    width = vision["width"]
    square = size[0] == size[1]
    made = transformers.CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=int(width * vision.get("mlp_ratio", 4.0)),
        projection_dim=config["embed_dim"],
        num_hidden_layers=vision["layers"],
        num_attention_heads=width // vision.get("head_width", 64),
        image_size=size[0] if square else vision["image_size"],
        patch_size=vision["patch_size"],
        hidden_act="quick_gelu" if config.get("quick_gelu") else "gelu",
    )
    return _Resampled(transformers.CLIPVisionModelWithProjection(made), not square)


def _onnxruntime(source: _Source, images: Tensor, threads: int, folder: Path) -> OtherLibrary:
    """The other library's module as torch exports it, in a session with nothing set but the threads."""
    import onnxruntime

    path = folder / "peer.onnx"
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the exporter has no name for the fused operator
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a trace that knows one size only, which is what is wanted
            torch.onnx.export(
                source.module, (images,), str(path), input_names=["images"], output_names=["features"],
                opset_version=OPSET, **_exporter(),
            )  # fmt: skip
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
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
    peer = OtherLibrary(
        "onnxruntime", f"onnxruntime, {source.name}'s torch.onnx.export", _session(session, on_gpu)
    )
    peer.run(images)
    return peer


def _exporter() -> dict[str, Any]:
    return {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}


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
