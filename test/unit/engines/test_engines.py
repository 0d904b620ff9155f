"""Engines give what float32 torch gives, or do not serve."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from small_models import encoders_of
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.encoders.encoder_graph import EncoderGraph, graph_of
from perception_contrast.engines import accuracy_gate as gate
from perception_contrast.engines import base as seam
from perception_contrast.engines import choice as choose
from perception_contrast.engines import engine_cache as files
from perception_contrast.engines import engine_trial as trial
from perception_contrast.engines import onnxruntime_engine as ort
from perception_contrast.engines import openvino_engine as ov
from perception_contrast.engines import quantization as quantize
from perception_contrast.engines import torch_engine
from perception_contrast.engines import weight_folding as fold
from perception_contrast.engines.choice import (
    ChoiceRequest,
    candidates,
    choose_engine,
    faster_engines,
    remembered_engine,
)
from perception_contrast.engines.cuda_graph import CudaGraphEngine
from perception_contrast.engines.engine_search import SearchCancelled
from perception_contrast.engines.engine_trial import plan_of
from perception_contrast.engines.torch_engine import TorchEngine
from perception_contrast.images.files import load_image
from perception_contrast.preprocessing.to_tensor import image_tensor

SQUARE, WIDE = (56, 56), (42, 84)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "cache_dir", lambda: tmp_path)
    return tmp_path


def graph_named(kind: str) -> EncoderGraph:
    if kind == "lit":
        encoders = encoders_of("lit")
        return graph_of(encoders.language.image_encoder)
    return graph_of(encoders_of("clip" if kind == "clip" else "none").spatial)


def size_for(graph: EncoderGraph, size: tuple[int, int]) -> tuple[int, int]:
    return size[0] // 14 * graph.patch, size[1] // 14 * graph.patch


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("kind", ["lit", "clip", "dino"])
@pytest.mark.parametrize("size", [SQUARE, WIDE])
def test_an_exported_encoder_gives_what_torch_gives(engine: str, kind: str, size: tuple[int, int]) -> None:
    graph = graph_named(kind)
    size = size_for(graph, size)
    chosen = choose_engine(graph, size, kind=engine, precision="fp32")
    assert (chosen.engine.name, chosen.engine.precision) == (engine, "fp32")
    for batch in (1, 3, 1):
        images = torch.randn(batch, 3, *size)
        with torch.inference_mode():
            expected = dict(zip(graph.names, graph(images), strict=True))
        seen = chosen.engine.run(images)
        assert set(seen) == set(expected)
        for name, values in expected.items():
            torch.testing.assert_close(seen[name], values, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["onnxruntime", "openvino"])
def test_results_stay_when_the_next_image_comes(kind: str) -> None:
    graph = graph_named("dino")
    engine = choose_engine(graph, SQUARE, kind=kind, precision="fp32").engine
    first = [engine.run(torch.full((1, 3, *SQUARE), value))["tokens"] for value in (0.1, 0.2, 0.3)]
    kept = [values.clone() for values in first]
    engine.run(torch.randn(1, 3, *SQUARE))
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))
    assert not torch.equal(first[1], first[2])


def test_smoothing_changes_nothing_in_float32() -> None:
    for kind in ("dino", "clip"):
        graph = graph_named(kind)
        size = size_for(graph, SQUARE)
        even = quantize.smoothquant(graph, size)
        images = torch.randn(1, 3, *size)
        with torch.inference_mode():
            for left, right in zip(graph(images), even(images), strict=True):
                torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-3)
        norms = [m for m in even.modules() if isinstance(m, torch.nn.LayerNorm)]
        before = [m for m in graph.modules() if isinstance(m, torch.nn.LayerNorm)]
        assert any(not torch.equal(a.weight, b.weight) for a, b in zip(before, norms, strict=True))


def test_folding_a_layer_scale_changes_nothing_but_the_number_of_passes() -> None:
    graph = copy.deepcopy(graph_named("dino"))
    for block in graph.encoder.vit.blocks:
        torch.nn.init.normal_(block.ls1.gamma)
        torch.nn.init.normal_(block.ls2.gamma)
    lean = fold.fold_layer_scale(graph)
    assert not [name for name, _ in lean.named_parameters() if name.endswith("gamma")]
    assert [name for name, _ in graph.named_parameters() if name.endswith("gamma")], "the original stays"
    images = torch.randn(2, 3, *WIDE)
    with torch.inference_mode():
        for left, right in zip(graph(images), lean(images), strict=True):
            torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("fused", [True, False])
def test_attention_is_taken_apart_only_where_that_is_faster(
    fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_named("dino")
    monkeypatch.setattr(torch_engine, "fused_attention_is_faster", lambda dtype: fused)
    made = torch_engine.cast_whole(graph, torch.bfloat16)
    assert all(block.attn.fused_attn == fused for block in made.encoder.vit.blocks)
    assert all(block.attn.fused_attn for block in graph.encoder.vit.blocks), "the original stays"
    assert {parameter.dtype for parameter in made.parameters()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in graph.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", ["dino", "clip", "lit"])
def test_bfloat16_passes_the_gate_and_gives_unit_vectors(kind: str) -> None:
    graph = graph_named(kind)
    engine = choose_engine(graph, size_for(graph, WIDE), kind="torch", precision="bf16").engine
    seen = engine.run(torch.randn(1, 3, *size_for(graph, WIDE)))
    for name in graph.unit_names:
        norms = torch.linalg.vector_norm(seen[name], dim=-1)
        torch.testing.assert_close(norms, torch.ones_like(norms), atol=1e-5, rtol=0)


def test_int8_multiplies_the_tower_in_eight_bits_and_the_head_in_float() -> None:
    graph = graph_named("lit")
    engine = ort.build_ort_engine(graph, seam.Plan("onnxruntime", "int8"), SQUARE, "cpu")
    nodes = onnx.load(str(engine.path)).graph.node
    whole = {node.name for node in nodes if node.op_type == "MatMulInteger"}
    assert len(whole) >= 4 * 4, "qkv, proj, fc1 and fc2 of four blocks"
    assert all("/encoder/" in name for name in whole)


# The gate.


class Altered:
    """An engine that does something to what torch gives."""

    name, precision, device = "torch", "fp32", "cpu"

    def __init__(self, graph: EncoderGraph, change: Any) -> None:
        self._exact, self._change = TorchEngine(graph, "fp32", "cpu"), change
        self.outputs = graph.names

    def run(self, images: Tensor) -> dict[str, Tensor]:
        return {name: self._change(values.clone()) for name, values in self._exact.run(images).items()}


def one_token_turned(values: Tensor) -> Tensor:
    if values.ndim == 4:
        values[0, 1, 2] = -values[0, 1, 2]
    return values


def mixed_in_batch(values: Tensor) -> Tensor:
    return values if len(values) == 1 else values.roll(1, 0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (one_token_turned, "worst vector"),
        (mixed_in_batch, "batch"),
        (lambda values: values[..., :-1], "shape"),
        (lambda values: values * float("nan"), "worst vector"),
    ],
)
def test_the_gate_refuses(change: Any, problem: str) -> None:
    graph = graph_named("dino")
    images = gate.gate_images(graph, WIDE)
    expected = [TorchEngine(graph, "fp32", "cpu").run(image) for image in images]
    assert gate.check(Altered(graph, lambda values: values), expected, images).passed
    verdict = gate.check(Altered(graph, change), expected, images)
    assert problem in verdict.problem


def test_the_gate_refuses_what_is_not_finite_on_plain_images() -> None:
    graph = graph_named("dino")
    images = gate.gate_images(graph, SQUARE)
    exact = TorchEngine(graph, "fp32", "cpu")

    class Dividing(Altered):
        def run(self, images: Tensor) -> dict[str, Tensor]:
            flat = float(images.std()) == 0.0
            return {n: v / 0.0 if flat else v for n, v in exact.run(images).items()}

    verdict = gate.check(Dividing(graph, None), [exact.run(i) for i in images], images)
    assert "not finite" in verdict.problem


def test_cosines_are_those_of_torch() -> None:
    left, right = torch.randn(2, 3, 4, 8), torch.randn(2, 3, 4, 8)
    expected = torch.cosine_similarity(left.double(), right.double(), dim=-1).min()
    assert gate.compare({"x": left}, {"x": right.numpy()})["x"] == pytest.approx(float(expected))
    assert gate.compare({"x": np.zeros((2, 3))}, {"x": np.zeros((2, 3))})["x"] == 1.0


def test_gate_images_are_photographs_of_different_shapes() -> None:
    shapes = [image.shape for image in gate.gate_photographs()]
    assert len(shapes) >= 3 and any(h == w for h, w, _ in shapes) and any(h != w for h, w, _ in shapes)
    assert all(image.std() > 20 for image in gate.gate_photographs())


# The choice.


def test_a_damaged_file_is_refused_and_the_next_engine_serves(own_cache: Path) -> None:
    graph = graph_named("dino")
    path = files.file_of(graph, SQUARE, "fp32", keep="")
    choose_engine(graph, SQUARE, kind="onnxruntime", precision="fp32")
    model = onnx.load(str(path))
    largest = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    values = np.frombuffer(largest.raw_data, np.float32).copy()
    values[: len(values) // 2] *= -1
    largest.raw_data = values.tobytes()
    onnx.save(model, str(path))
    damaged = path.read_bytes()
    with pytest.raises(ModelError, match="worst vector"):
        choose_engine(graph, SQUARE, kind="onnxruntime", precision="fp32")
    chosen = choose_engine(graph, SQUARE, precision="fp32")
    assert chosen.engine.name == "torch"
    assert path.read_bytes() == damaged
    assert any("onnxruntime fp32" in reason for reason in chosen.refused)
    path.write_bytes(damaged[: len(damaged) // 2])
    with pytest.raises(ModelError, match="delete it"):
        choose_engine(graph, SQUARE, kind="onnxruntime", precision="fp32")
    assert path.read_bytes() == damaged[: len(damaged) // 2], "it is left as it was"


def takes(**milliseconds: float) -> Any:
    """Stands in for measure: so many milliseconds for each kind of engine, whatever it runs."""

    def took(engines: Any, images: Tensor, turn: Any = None) -> dict[str, float]:
        return {str(plan_of(engine)): milliseconds[engine.name] for engine in engines}

    return took


def test_the_fastest_is_taken_and_remembered(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_named("dino")
    monkeypatch.setattr(choose, "measure", takes(torch=9.0, onnxruntime=7.0, openvino=8.0))
    first = choose_engine(graph, SQUARE, precision="fp32")
    tried = {"torch fp32", "onnxruntime fp32", "openvino fp32"}
    assert (first.engine.name, set(first.measured_ms)) == ("onnxruntime", tried)
    monkeypatch.setattr(choose, "measure", None)
    again = choose_engine(graph, SQUARE, precision="fp32")
    assert again.engine.name == "onnxruntime" and "when measured" in again.why
    note = next(own_cache.rglob("choice-*.json"))
    note.write_text("{broken")
    monkeypatch.setattr(choose, "measure", takes(torch=1.0, onnxruntime=2.0, openvino=3.0))
    assert choose_engine(graph, SQUARE, precision="fp32").engine.name == "torch"
    assert json.loads(note.read_text())["kind"] == "torch"


def test_files_of_engines_that_lost_do_not_fill_the_disk(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "measure", takes(torch=1.0, onnxruntime=2.0, openvino=2.0))
    assert choose_engine(graph_named("dino"), SQUARE, precision="fp32").engine.name == "torch"
    assert not list(own_cache.rglob("*.onnx"))
    monkeypatch.setattr(choose, "measure", takes(torch=9.0, onnxruntime=8.0, openvino=7.0))
    chosen = choose_engine(graph_named("dino"), WIDE, precision="fp32").engine
    kept = {chosen.path, chosen.path.with_suffix(".bin")}  # type: ignore[attr-defined]
    assert kept == {path for path in (own_cache / "engines").iterdir() if path.suffix != ".json"}


# One candidate at a time.


def test_a_candidate_that_is_faster_takes_over_and_is_remembered(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, runs = graph_named("dino"), []
    request = ChoiceRequest(graph, SQUARE, precision="fp32")
    assert remembered_engine(request) is None
    monkeypatch.setattr(trial, "measure", takes(torch=9.0, onnxruntime=3.0, openvino=5.0))

    def turn(run: Any) -> Any:
        runs.append(1)
        return run()

    tried: list[str] = []
    serving = TorchEngine(graph, "fp32", "cpu")
    better = list(faster_engines(request, serving, lambda plan: tried.append(str(plan)), turn))
    assert [choice.engine.name for choice in better] == ["openvino", "onnxruntime", "onnxruntime"]
    assert better[1].engine is better[2].engine and tried == ["openvino fp32", "onnxruntime fp32"]
    assert "onnxruntime fp32 3.0 ms, openvino fp32 5.0 ms" in better[-1].why
    assert len(runs) >= 9, "the gate's runs too take turns with those that serve"
    again = remembered_engine(request)
    assert again is not None and again.engine.name == "onnxruntime"


@pytest.mark.parametrize("slower", [9.0, 8.9])
def test_a_candidate_that_is_not_clearly_faster_leaves_the_one_that_serves(
    slower: float, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "measure", takes(torch=9.0, onnxruntime=slower, openvino=slower))
    graph = graph_named("dino")
    serving = TorchEngine(graph, "fp32", "cpu")
    (stays,) = faster_engines(ChoiceRequest(graph, SQUARE, precision="fp32"), serving)
    assert stays.engine is serving and not list(own_cache.rglob("*.onnx"))


def test_a_candidate_that_fails_leaves_the_one_that_serves(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_named("dino")

    def fails(*_: Any, **__: Any) -> Any:
        raise ModelError("it cannot be built")

    monkeypatch.setattr(ort, "build_ort_engine", fails)
    monkeypatch.setattr(ov, "build_openvino_engine", fails)
    serving = TorchEngine(graph, "fp32", "cpu")
    request = ChoiceRequest(graph, SQUARE, precision="fp32")
    (stays,) = faster_engines(request, serving)
    assert stays.engine is serving and len(stays.refused) == 2
    assert all("it cannot be built" in refused for refused in stays.refused)
    assert remembered_engine(request) is None, "it is tried again at the next start"
    with pytest.raises(ModelError, match="cannot be built"):
        list(faster_engines(ChoiceRequest(graph, SQUARE, "cpu", "onnxruntime", "fp32"), serving))


def test_a_choice_that_is_called_off_leaves_no_file(own_cache: Path) -> None:
    graph, runs = graph_named("dino"), []

    def turn(run: Any) -> Any:
        runs.append(1)
        if len(runs) > 5:
            raise SearchCancelled("off")
        return run()

    with pytest.raises(SearchCancelled):
        list(
            faster_engines(
                ChoiceRequest(graph, SQUARE, precision="fp32"), TorchEngine(graph, "fp32", "cpu"), turn=turn
            )
        )
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("wish", "precision", "message"),
    [
        ("tensorflow", "auto", "unknown engine"),
        ("auto", "fp8", "unknown precision"),
        ("captured", "auto", "does not run"),
        ("torch", "int8", "does not run"),
    ],
)
def test_what_does_not_exist_or_fit_is_refused(wish: str, precision: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        candidates("cpu", wish, precision)


def test_a_missing_provider_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ModelError, match=r"Tensorrt.*has CPUExecutionProvider.*onnxruntime-gpu"):
        ort.require_provider("tensorrt")


def test_cuda_tries_graphs_and_tensorrt_first() -> None:
    assert [str(plan) for plan in candidates("cuda")][:2] == ["tensorrt fp16", "captured fp16"]
    assert str(candidates("cuda")[-1]) == "torch fp32"


def test_a_size_that_does_not_fit_the_patch_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 14"):
        choose_engine(graph_named("dino"), (56, 57))


# On the embedded model, over real images that are not the gate's.


@pytest.fixture(scope="module")
def dinov2() -> Iterator[EncoderGraph]:
    try:
        yield graph_of(load_dino("dinov2-s14", offline=True, pinned=True))
    except ModelError as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "precision", "size"),
    [
        ("torch", "bf16", (224, 294)),
        ("onnxruntime", "fp32", (224, 224)),
        ("onnxruntime", "int8", (224, 294)),
    ],
)
def test_other_images_pass_as_the_gates_do(
    kind: str, precision: str, size: tuple[int, int], dinov2: EncoderGraph, shared: Path
) -> None:
    engine = choose_engine(dinov2, size, kind=kind, precision=precision).engine
    exact = TorchEngine(dinov2, "fp32", "cpu")
    source_images = sorted((shared / "data" / "bedroom_video").glob("*.jpg"))[::30][:3]
    assert source_images
    for path in source_images:
        images = image_tensor(load_image(path), size, dinov2.mean, dinov2.std)
        worst = gate.compare(exact.run(images), engine.run(images))
        limit = 0.999 if precision == "fp32" else 0.98
        assert min(worst.values()) > limit, worst


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_recording_gives_what_torch_gives(precision: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    graph = graph_named("lit").to("cuda")
    engine = CudaGraphEngine(graph, precision, "cuda")
    images = [torch.randn(1, 3, *SQUARE, device="cuda") for _ in range(3)]
    seen = [engine.run(one) for one in images]
    exact = TorchEngine(graph, "fp32", "cuda")
    for one, values in zip(images, seen, strict=True):
        assert min(gate.compare(exact.run(one), values, graph.map_names).values()) > gate.LIMITS[precision]


def test_a_recording_needs_a_gpu() -> None:
    with pytest.raises(ModelError, match="CUDA"):
        CudaGraphEngine(graph_named("dino"), "fp16", "cpu")
