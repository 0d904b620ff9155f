"""The recipe of docs/add_an_encoder.md on a small encoder: declared, served, exported and read back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.core.plugins import ENCODERS
from perception_contrast.encoders.base import EncoderOutput, ImageEncoder, Role
from perception_contrast.encoders.encoder_graph import graph_of
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.engines.choice import choose_engine
from perception_contrast.engines.export.export_check import check_export
from perception_contrast.engines.export.exported_encoder import ExportedEncoder
from perception_contrast.engines.export.onnx_export import export_onnx
from perception_contrast.engines.export.onnx_image_encoder import OnnxImageEncoder
from perception_contrast.models.encoder_kind import EncoderRequest
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings

SIZE = (48, 64)


def module_of(recipe: Path, folder: Path) -> ModuleType:
    """The first Python block of a document, imported."""
    found = re.search(r"```python\n(.*?)```", recipe.read_text("utf-8"), re.DOTALL)
    assert found is not None
    path = folder / "tiny_encoder.py"
    path.write_text(found[1], "utf-8")
    spec = spec_from_file_location("tiny_encoder", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def encoder(repository: Path, tmp_path: Path) -> ImageEncoder:
    module = module_of(repository / "docs" / "add_an_encoder.md", tmp_path)
    torch.manual_seed(0)
    made: ImageEncoder = module.TinyEncoder("tiny@0123456789ab")
    return made


def test_the_page_registers_it_as_a_package_of_its_own(repository: Path) -> None:
    page = (repository / "docs" / "add_an_encoder.md").read_text("utf-8")
    declared, _, registered = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"__name__": "tiny_encoder"}
    exec(declared + registered, names)
    kind = names["KIND"]
    entry = f'{kind.spec.name} = "tiny_encoder:KIND"'
    assert f'[project.entry-points."{ENCODERS}"]\n{entry}\n' in page
    loaded = kind.load(EncoderRequest(kind.spec))
    assert loaded.space == "tiny@0123456789ab" and not loaded.training
    assert (loaded.model, loaded.patch, loaded.dim) == (kind.spec.name, kind.spec.patch, kind.spec.dim)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def settings() -> PipelineSettings:
    return PipelineSettings(short_side=48)


def test_a_pipeline_serves_it_by_its_declared_roles(encoder: ImageEncoder) -> None:
    pipeline = Pipeline(Encoders(encoder, None, "cpu"), settings(), precision="fp32")
    result = pipeline.process(Frame(noise()), OutputRequest(features=True, embedding=True))
    assert result.features.values.shape == (3, 4, 32) and result.features.space == encoder.space
    assert result.embedding.shape == (32,) and np.linalg.norm(result.embedding) == pytest.approx(1, abs=1e-5)
    halves = noise() // 8
    halves[:, 40:, 0] += 200
    alike = pipeline.similarity(Frame(halves), point=(70.0, 30.0)).values
    assert alike[:, 60:].mean() > alike[:, :20].mean() + 0.1


def test_engines_and_exports_need_nothing_more(encoder: ImageEncoder, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path))
    graph, path = graph_of(encoder), tmp_path / "tiny.onnx"
    assert choose_engine(graph, SIZE, kind="onnxruntime", precision="fp32").worst["grid"] > 0.9999
    export_onnx(graph, path, SIZE)
    assert min(check_export(graph, path, SIZE).values()) > 0.9999
    assert ExportedEncoder(path).outputs == encoder.outputs


def test_its_exported_file_is_an_encoder_too(encoder: ImageEncoder, tmp_path: Path) -> None:
    export_onnx(graph_of(encoder), tmp_path / "tiny.onnx", SIZE)
    exported = OnnxImageEncoder(ExportedEncoder(tmp_path / "tiny.onnx"))
    for fact in ("model", "family", "space", "dim", "patch", "mean", "std", "method", "outputs"):
        assert getattr(exported, fact) == getattr(encoder, fact), fact
    images = torch.randn(2, 3, *SIZE)
    with torch.inference_mode():
        for ours, theirs in zip(exported.encode(images), encoder.encode(images), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    frame, request = Frame(noise()[:48, :64]), OutputRequest(features=True)
    left, right = (
        Pipeline(Encoders(one, None, "cpu"), settings(), precision="fp32").process(frame, request).features
        for one in (exported, encoder)
    )
    np.testing.assert_allclose(left.values, right.values, atol=1e-5)


class Blind(ImageEncoder):
    """Declares nothing that a pipeline could use."""

    model, family, space, dim, patch = "blind", "timm", "blind@0", 4, 16
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    outputs = (EncoderOutput("blocks", (Role.BLOCKS,), "blind@0"),)

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        return (torch.zeros(len(images), 3, 4, 4),)


def test_a_role_that_nothing_has_is_named() -> None:
    pipeline = Pipeline(Encoders(Blind(), None, "cpu"), settings(), precision="fp32")
    with pytest.raises(ModelError, match="'blind' gives no output with the role spatial"):
        pipeline.process(Frame(noise()), OutputRequest(features=True))
    with pytest.raises(ModelError, match="role spatial_pooled"):
        Blind().image_embedding(torch.zeros(1, 3, *SIZE))
