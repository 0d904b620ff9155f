"""Which way to dense features is taken, how a wrong wish is told, and that engines and files know the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from clip_towers import TOWERS, small_clip, small_siglip
from small_models import small_dino

from perception_contrast.cli.main import main
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders import load_encoders as load
from perception_contrast.encoders.clip import load_clip
from perception_contrast.encoders.dense.method_names import EDITS, METHODS, PROXY, dense_method
from perception_contrast.encoders.encoder_graph import graph_of
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.engines.accuracy_gate import compare
from perception_contrast.engines.engine_cache import key_of
from perception_contrast.engines.export.exported_encoder import Facts
from perception_contrast.engines.export.onnx_export import export_onnx

EVERY = ("stock", *EDITS, PROXY)


@pytest.mark.parametrize(
    ("wish", "model", "language", "method"),
    [
        ("auto", "dinov2-s14", "clip-vit-b16", "proxyclip"),
        ("auto", "dino-b8", "siglip2-b16", "proxyclip"),
        ("auto", "dinov3-s16", "pe-core-b16", "proxyclip"),
        ("auto", "clip-vit-b16", "clip-vit-b16", "naclip"),
        ("auto", "siglip2-b16", "siglip2-b16", "naclip"),
        ("auto", "clip-vit-b32", "siglip2-b16", "naclip"),
        ("auto", "resnet50", "clip-vit-b16", "naclip"),
        ("auto", "dinov2-s14", "mobileclip2-s0", "stock"),
        ("auto", "dinov2-s14", "household-lit", "lit"),
        ("auto", "tipsv2-b14", "tipsv2-b14", "maskclip"),
        ("auto", "dinov2-s14", "tipsv2-l14", "maskclip"),
        ("auto", "tipsv2-b14", "clip-vit-b16", "naclip"),
        ("auto", "dinov2-s14", "dinotxt-v2-l14", "stock"),
        ("auto", "dinov2-s14", "c-radiov4-h16-siglip2", "naradio"),
        ("naclip", "dinotxt-v3-l16", "dinotxt-v3-l16", "naclip"),
        ("proxyclip", "dinov2-s14", "tipsv2-b14", "proxyclip"),
        ("lit", "dinov2-b14", "household-lit", "lit"),
        ("auto", "dinov2-s14", "none", "stock"),
        ("sclip", "dinov2-s14", "clip-vit-b16", "sclip"),
        ("maskclip", "clip-vit-b16", "clip-vit-b16", "maskclip"),
        ("clearclip", "dinov2-s14", "pe-core-b16", "clearclip"),
        ("proxyclip", "mae-b16", "clip-vit-b16", "proxyclip"),
        ("stock", "dinov2-s14", "mobileclip2-s0", "stock"),
    ],
)
def test_a_wish_comes_to_a_method(wish: str, model: str, language: str, method: str) -> None:
    assert dense_method(wish, model, language) == method


@pytest.mark.parametrize(
    ("wish", "model", "language", "message"),
    [
        ("best", "dinov2-s14", "clip-vit-b16", "use auto, stock, maskclip"),
        ("lit", "dinov2-s14", "clip-vit-b16", "clip-vit-b16.*dense can be auto, stock, .*proxyclip$"),
        ("sclip", "dinov2-s14", "household-lit", "use auto or lit"),
        ("naclip", "dinov2-s14", "mobileclip2-s2", "mobileclip2-s2.*dense can be auto, stock$"),
        ("proxyclip", "dinov2-s14", "mobileclip2-s0", "dense can be auto, stock$"),
        ("proxyclip", "clip-vit-b16", "clip-vit-b16", "as model choose one of dinov2-"),
        ("proxyclip", "siglip2-b16", "clip-vit-b16", "as model choose one of dinov2-"),
        ("naclip", "clip-vit-b16", "none", "without a language model .*use auto"),
    ],
)
def test_a_wish_that_cannot_be_names_what_can(wish: str, model: str, language: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_encoders(model, language, dense=wish, offline=True)
    assert "\n" not in str(caught.value)


def test_a_convolutional_tower_is_refused_a_method_before_anything_is_built() -> None:
    with pytest.raises(ModelError, match="dense can be auto, stock"):
        load_clip("mobileclip2-s0", random_init=True, method="naclip")


def test_features_by_proxy_are_not_to_be_had_of_one_tower() -> None:
    with pytest.raises(ModelError, match="by_proxy"):
        small_clip(PROXY).dense(torch.zeros(1, 3, 64, 64))


def test_the_method_reaches_the_language_tower_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def clip(name: str, *, method: str, **_: Any) -> Any:
        asked.append((name, method))
        return small_clip(method)

    monkeypatch.setattr(load, "load_clip", clip)
    monkeypatch.setattr(load, "load_image_encoder", lambda *_, **__: small_dino())
    monkeypatch.setattr(load, "ClipTextEncoder", lambda tower: tower)
    monkeypatch.setattr(load, "_cached", lambda tower: tower)
    load_encoders("dinov2-s14", "clip-vit-b16")
    load_encoders("clip-vit-b32", "clip-vit-b16", dense="sclip")
    load_encoders("clip-vit-b16", "clip-vit-b16", dense="clearclip")
    assert asked == [
        ("clip-vit-b16", "proxyclip"),
        ("clip-vit-b32", "auto"),
        ("clip-vit-b16", "sclip"),
        ("clip-vit-b16", "clearclip"),
    ]


def test_engine_files_of_two_methods_never_mix() -> None:
    graphs = [graph_of(small_clip(method)) for method in EVERY]
    assert len({key_of(graph, (64, 64)) for graph in graphs}) == len(EVERY)
    assert {graph.space for graph in graphs} == {"small@0"}, "words are compared with all of them"
    assert key_of(graph_of(small_clip()), (64, 64)) == key_of(graph_of(small_clip("naclip")), (64, 64))


@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("method", EVERY)
def test_an_exported_tower_gives_what_torch_gives(kind: str, method: str, tmp_path: Path) -> None:
    graph, path = graph_of(TOWERS[kind](method)), tmp_path / "m.onnx"
    export_onnx(graph, path, (48, 80))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        images = torch.randn(batch, 3, 48, 80)
        expected = dict(zip(graph.names, graph(images), strict=True))
        found = dict(
            zip(graph.names, session.run(list(graph.names), {"images": images.numpy()}), strict=True)
        )
        assert min(compare(expected, found).values()) > 0.999999
    metadata = session.get_modelmeta().custom_metadata_map
    facts = Facts.of(metadata, path)
    assert metadata["dense"] == method
    grid = "values" if method == PROXY else "dense"
    alone = ("tokens",) if kind in ("tips", "dinotxt") else ()
    assert facts.outputs == (grid, "image", *alone)
    assert facts.spaces["image"] == (f"{facts.space}/image" if kind == "dinotxt" else facts.space)
    assert (facts.spaces[grid] == facts.space) == (method != PROXY), (
        "values are not to be compared with words"
    )


def test_the_command_writes_the_method_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from perception_contrast.engines.export import export_check

    monkeypatch.setattr(export_check, "load_clip", lambda *_, method, **__: small_siglip(method))
    words = [
        "export",
        "siglip2-b16",
        "--size",
        "48x80",
        "--random-init",
        "--output",
        str(tmp_path / "m.onnx"),
    ]
    assert main([*words, "--dense", "clearclip"]) == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["dense"] == "clearclip"
    capsys.readouterr()
    assert main(["export", "dinov2-s14", "--size", "28x28", "--random-init", "--dense", "sclip"]) == 2
    assert "one way" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--dense", "proxyclip"])


def test_the_node_offers_every_method(repository: Path) -> None:
    parameters = pytest.importorskip("perception_contrast.ros.parameters.node_parameters")
    spec = next(one for one in parameters.SPECS if one.name == "dense")
    assert spec.choices == ("auto", *METHODS) and spec.change == "reload"
    assert "not one of" in spec.problem("best")
    text = (repository / "docs/ros_interface.md").read_text()
    assert f"auto, {', '.join(METHODS)}" in text
