"""OpenVINO serves what torch gives, on whatever of it this machine has, or says why it does not."""

from __future__ import annotations

import copy
import gc
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import torch
from small_models import encoders_of

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.encoder_graph import EncoderGraph, graph_of
from perception_contrast.engines import choice, cpu_features, engine_cache, openvino_model
from perception_contrast.engines import openvino_engine as ov
from perception_contrast.engines import static_quantization as static
from perception_contrast.engines.base import Plan
from perception_contrast.engines.choice import ChoiceRequest, candidates, choose_engine
from perception_contrast.engines.export.exported_encoder import ExportedEncoder
from perception_contrast.engines.export.onnx_export import export_onnx

openvino = pytest.importorskip("openvino")
SQUARE = (56, 56)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engine_cache, "cache_dir", lambda: tmp_path)
    return tmp_path


def graph() -> EncoderGraph:
    return graph_of(encoders_of("none").spatial)


def engine(of: EncoderGraph, precision: str = "fp32") -> ov.OpenVinoEngine:
    return ov.build_openvino_engine(of, Plan("openvino", precision), SQUARE)  # type: ignore[arg-type]


# Batches.


@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_images_of_a_batch_are_shared_out_and_come_back_in_order(
    streams: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = graph()
    monkeypatch.setattr(openvino_model, "SMALL", 0)
    built = engine(of)
    model: Any = built._model
    compiled = model._compiled(-1, "THROUGHPUT")
    model._many = [compiled.create_infer_request() for _ in range(streams)]
    images = torch.randn(count, 3, *SQUARE)
    together = built.run(images)
    for index in range(count):
        for name, values in built.run(images[index : index + 1]).items():
            torch.testing.assert_close(together[name][index : index + 1], values, atol=1e-4, rtol=1e-3)


def test_one_of_two_networks_is_kept_after_the_gate_and_the_other_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crops: Any = choose_engine(graph(), SQUARE, kind="openvino", precision="fp32").engine
    assert crops._model._many and crops._model._single is None, "crops come in batches"
    images = torch.randn(2, 3, *SQUARE)
    expected = crops.run(images)["tokens"]
    torch.testing.assert_close(crops.run(images[:1])["tokens"], expected[:1], atol=1e-4, rtol=1e-3)
    monkeypatch.setattr(openvino_model, "SMALL", 0)
    whole: Any = choose_engine(graph(), SQUARE, kind="openvino", precision="fp32").engine
    assert not whole._model._many, "the gate ran a batch"
    torch.testing.assert_close(whole.run(images)["tokens"], expected, atol=1e-4, rtol=1e-3)
    assert whole._model._many and whole._model._single is not None


def test_images_that_are_no_block_of_memory_are_read_rightly() -> None:
    built = engine(graph())
    images = torch.randn(1, *SQUARE, 3).permute(0, 3, 1, 2)
    for name, values in built.run(images).items():
        torch.testing.assert_close(values, built.run(images.contiguous())[name])


def exported(path: Path) -> tuple[ExportedEncoder, ExportedEncoder]:
    """One file in OpenVINO and in ONNX Runtime."""
    export_onnx(graph(), path, SQUARE)
    return ExportedEncoder(path, engine="openvino"), ExportedEncoder(path)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_arrays_of_any_layout_are_read_rightly(count: int, tmp_path: Path) -> None:
    ours, exact = exported(tmp_path / "m.onnx")
    for seed in range(5):
        images = np.random.default_rng(seed).normal(size=(count, *SQUARE, 3)).astype(np.float32)
        turned = images.transpose(0, 3, 1, 2)
        seen = ours.run(turned)["tokens"]
        assert len(seen) == count
        if count:
            expected = exact.run(np.ascontiguousarray(turned))["tokens"]
            np.testing.assert_allclose(seen, expected, atol=1e-3, rtol=1e-2)


def test_threads_that_share_a_file_get_their_own_results(tmp_path: Path) -> None:
    ours, exact = exported(tmp_path / "m.onnx")
    images = np.random.default_rng(0).normal(size=(4, 3, *SQUARE)).astype(np.float32)
    expected = exact.run(images)["tokens"]
    wrong: list[int] = []

    def ask(index: int) -> None:
        for _ in range(40):
            seen = ours.run(images[index : index + 1])["tokens"][0]
            if not np.allclose(seen, expected[index], atol=1e-3, rtol=1e-2):
                wrong.append(index)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_signal_is_survived_after_engines_have_gone() -> None:
    seen: list[int] = []
    first, second = engine(graph()), engine(graph())
    del first
    gc.collect()
    del second
    gc.collect()
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]


# Formats.


def test_eight_bits_multiply_the_tower_alone_and_are_near(own_cache: Path) -> None:
    pytest.importorskip("nncf")
    of = graph_of(encoders_of("lit").language.image_encoder)
    path = own_cache / "int8.onnx"
    images = [np.random.default_rng(seed).integers(0, 255, (60, 70, 3), np.uint8) for seed in range(3)]
    static.write_int8(of, path, SQUARE, images=images, licence="Apache-2.0")
    nodes = onnx.load(str(path)).graph.node
    rounded = {name for node in nodes if node.op_type == "DequantizeLinear" for name in node.output}
    products = [node for node in nodes if node.op_type in ("MatMul", "Gemm")]
    eight = [node.name for node in products if rounded.issuperset(node.input[:2])]
    assert len(eight) >= 4 * 4, "qkv, proj, fc1 and fc2 of four blocks"
    assert all("/encoder/" in name for name in eight)
    encoder = ExportedEncoder(path)
    assert (encoder.facts.precision, encoder.facts.licence) == ("int8", "Apache-2.0")
    pixels = torch.randn(1, 3, *SQUARE)
    seen = encoder.run(pixels.numpy())
    with torch.inference_mode():
        exact = dict(zip(of.names, of(pixels), strict=True))
    for name, values in exact.items():
        cosine = torch.cosine_similarity(values.flatten(), torch.from_numpy(seen[name]).flatten(), dim=0)
        assert cosine > 0.9
    assert not np.allclose(exact["tokens"].numpy(), seen["tokens"], atol=1e-4), "some digits are lost"


def test_a_failure_of_the_quantizer_is_told_in_its_own_words(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nncf")
    of = graph()

    def broken(graph: EncoderGraph, path: Path, *_: Any, **__: Any) -> None:
        path.write_bytes(b"no model")

    monkeypatch.setattr(static, "export_onnx", broken)
    with pytest.raises(ModelError, match=r"NNCF did not quantize the model: .+"):
        static.write_int8(of, own_cache / "int8.onnx", SQUARE)
    assert not (own_cache / "int8.onnx").exists()


def test_a_format_that_the_processor_lacks_is_refused_by_name() -> None:
    core = openvino_model.openvino_core("openvino")
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "FP16" in able:
        pytest.skip("this processor computes float16")
    with pytest.raises(ModelError, match=r"no fp16 on this CPU; it has .*FP32"):
        engine(graph(), "fp16")


def test_auto_tries_eight_bits_only_with_scales_of_the_users_images(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags(monkeypatch, "avx512_vnni")
    of = graph()
    eight = Plan("openvino", "int8")
    assert eight not in ChoiceRequest(of, SQUARE).plans
    assert eight in ChoiceRequest(of, SQUARE, precision="int8").plans
    installed = ov.installed_int8(of, SQUARE)
    installed.parent.mkdir(parents=True)
    export_onnx(of, installed, SQUARE)
    assert ChoiceRequest(of, SQUARE).plans[0] == eight
    assert ov.build_openvino_engine(of, eight, SQUARE).path == installed


# What is not there, and what is wrong.


def test_without_openvino_the_others_are_chosen_from_and_the_remedy_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match="pip install openvino"):
        choose_engine(graph(), SQUARE, kind="openvino")
    chosen = choose_engine(graph(), SQUARE, precision="fp32")
    assert chosen.engine.name in ("torch", "onnxruntime")
    assert any("pip install openvino" in refused for refused in chosen.refused)


@pytest.mark.parametrize("kind", ["openvino-gpu", "openvino-npu"])
def test_a_device_that_is_not_there_is_named(kind: str) -> None:
    if {name.split(".")[0] for name in openvino_model.openvino_core("openvino").available_devices} != {"CPU"}:
        pytest.skip("this machine has such a device")
    with pytest.raises(ModelError, match=r"device (GPU|NPU); it sees CPU"):
        choose_engine(graph(), SQUARE, kind=kind)


def test_a_file_of_another_model_is_refused_by_the_gate(own_cache: Path) -> None:
    of = graph()
    other = copy.deepcopy(of)
    torch.manual_seed(1)
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = engine_cache.file_of(of, SQUARE, "fp32", keep="")
    path.parent.mkdir(parents=True)
    export_onnx(other, path, SQUARE)
    wrong = path.read_bytes()
    with pytest.raises(ModelError, match="worst vector"):
        choose_engine(of, SQUARE, kind="openvino", precision="fp32")
    assert path.read_bytes() == wrong, "it is left as it was"
    assert list(path.parent.iterdir()) == [path], "what was made of it is not"


def test_damaged_files_of_its_own_are_refused_and_left_as_they_are(own_cache: Path) -> None:
    of = graph()
    network = choose_engine(of, SQUARE, kind="openvino", precision="fp32").engine.path  # type: ignore[attr-defined]
    assert sorted(path.suffix for path in network.parent.iterdir()) == [".bin", ".xml"]
    weights = network.with_suffix(".bin")
    largest = max(of.parameters(), key=torch.numel).numel() * 4
    before = weights.read_bytes()
    # A weight's first half changes its sign; shapes, which lie among the weights, stay.
    place = _place_of_weights(network, largest)
    values = np.frombuffer(before[place : place + largest], np.float32).copy()
    values[: len(values) // 2] *= -1
    changed = before[:place] + values.tobytes() + before[place + largest :]
    weights.write_bytes(changed)
    with pytest.raises(ModelError, match="worst vector"):
        choose_engine(of, SQUARE, kind="openvino", precision="fp32")
    assert weights.read_bytes() == changed
    text = network.read_bytes()
    network.write_bytes(text[: len(text) // 2])
    with pytest.raises(ModelError, match="delete it"):
        choose_engine(of, SQUARE, kind="openvino", precision="fp32")
    assert network.read_bytes() == text[: len(text) // 2]
    assert choose_engine(of, SQUARE, precision="fp32").engine.name in ("torch", "onnxruntime")


def test_a_cache_that_cannot_be_written_costs_time_alone(
    own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (own_cache / "engines").write_text("a file where the folder should be")
    caplog.set_level(logging.WARNING)
    for kind in ("openvino", "onnxruntime"):
        built = choose_engine(graph(), SQUARE, kind=kind, precision="fp32").engine
        images = torch.randn(3, 3, *SQUARE)
        for one, values in zip(images, built.run(images)["tokens"], strict=True):
            torch.testing.assert_close(built.run(one[None])["tokens"][0], values, atol=1e-4, rtol=1e-3)
    assert "cannot be written" in caplog.text and "built anew at each start" in caplog.text
    assert [path.name for path in own_cache.iterdir()] == ["engines"]


def _place_of_weights(network: Path, size: int) -> int:
    """Where a constant of so many bytes begins in the file of weights."""
    for one in ElementTree.parse(network).iter("data"):
        if one.get("size") == str(size):
            return int(one.attrib["offset"])
    raise AssertionError(f"no constant of {size} bytes in {network}")


def test_an_installed_file_is_tried_though_a_choice_is_remembered(own_cache: Path) -> None:
    of = graph()
    before = ChoiceRequest(of, SQUARE).file
    installed = ov.installed_int8(of, SQUARE)
    installed.parent.mkdir(parents=True, exist_ok=True)
    export_onnx(of, installed, SQUARE)
    assert ChoiceRequest(of, SQUARE).file != before


def test_a_choice_without_a_damaged_file_is_not_remembered(own_cache: Path) -> None:
    of = graph()
    network: Path = choose_engine(of, SQUARE, kind="openvino", precision="fp32").engine.path  # type: ignore[attr-defined]
    network.with_suffix(".bin").write_bytes(b"")
    assert choose_engine(of, SQUARE, precision="fp32").engine.name != "openvino"
    assert not list(own_cache.rglob("choice-*.json"))
    engine_cache.remove(network)
    choose_engine(of, SQUARE, precision="fp32")
    assert list(own_cache.rglob("choice-*.json"))


def test_a_full_disk_leaves_the_other_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ov, "export_onnx", full)
    chosen = choose_engine(graph(), SQUARE, precision="fp32")
    assert chosen.engine.name in ("torch", "onnxruntime")
    assert any("No space left" in refused for refused in chosen.refused)


# The order in which engines are tried.


def flags(monkeypatch: pytest.MonkeyPatch, *names: str, machine: str = "x86_64") -> None:
    monkeypatch.setattr(cpu_features, "_processor", lambda: ("a processor", frozenset(names)))
    monkeypatch.setattr(cpu_features.platform, "machine", lambda: machine)
    monkeypatch.setattr(choice, "has_intel_gpu", lambda: False)
    monkeypatch.setattr(choice, "has_npu", lambda: False)


@pytest.mark.parametrize(
    ("names", "machine", "first", "last"),
    [
        ((), "x86_64", "openvino fp32", "torch fp32"),
        (("avx512_vnni",), "x86_64", "openvino int8", "torch fp32"),
        (("amx_bf16", "amx_int8", "avx512_vnni"), "x86_64", "openvino bf16", "torch fp32"),
        (("asimdhp", "asimddp"), "aarch64", "openvino fp16", "torch fp32"),
    ],
)
def test_the_processor_decides_what_is_tried_first(
    names: tuple[str, ...], machine: str, first: str, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags(monkeypatch, *names, machine=machine)
    plans = [str(plan) for plan in candidates("cpu")]
    assert (plans[0], plans[-1]) == (first, last)
    assert len(plans) == len(set(plans))


def test_devices_beside_the_processor_are_tried_where_linux_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = tmp_path / "drm" / "renderD128" / "device" / "vendor"
    vendor.parent.mkdir(parents=True)
    vendor.write_text("0x10de\n")
    assert not cpu_features.has_intel_gpu(tmp_path / "drm")
    vendor.write_text("0x8086\n")
    assert cpu_features.has_intel_gpu(tmp_path / "drm")
    assert not cpu_features.has_npu(tmp_path / "accel")
    flags(monkeypatch)
    monkeypatch.setattr(choice, "has_intel_gpu", lambda: True)
    assert "openvino-gpu fp16" in [str(plan) for plan in candidates("cpu", "openvino-gpu")]
    assert "openvino-gpu fp32" in [str(plan) for plan in candidates("cpu")]
