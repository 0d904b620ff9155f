"""dino.txt against timm's DINO and torch's own transformers: published files, images, patches, texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dinotxt_files import (
    WIDTH,
    image_tokens,
    random_dino,
    random_heads,
    small_dino,
    small_dinotxt,
    text_vectors,
    write_heads,
)
from safetensors.torch import save_file
from shared_pass import shared_pass
from torch.nn.functional import normalize

from perception_contrast.cli.main import main
from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.text.clip_text_encoder import text_preprocessing
from perception_contrast.text.prompt_templates import PLAIN

CLOSE: Any = {"atol": 1e-4, "rtol": 0.0}
NAMES = ["dinotxt-v2-l14", "dinotxt-v3-l16"]
TEXTS = ["a red mug", "floor", "a very " + "very " * 90 + "long text"]


class Published:
    """Random files of one version, DINO's in the cache, and timm's DINO that wrote it."""

    def __init__(self, name: str, folder: Path) -> None:
        torch.manual_seed(0)
        self.name, self.dino, self.heads = name, random_dino(name), random_heads(name)
        self.file = write_heads(name, self.heads, folder)
        save_file(self.dino.state_dict(), folder / "dino.safetensors")
        assert main(["models", "add", model_spec(name).companion, str(folder / "dino.safetensors")]) == 0

    def tokens(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the reference gives: DINO's tokens, and those of the head; class token and registers first."""
        dino: Any = self.dino
        plain = dino.forward_features(images)
        return plain, image_tokens(self.name, self.heads, plain)


@pytest.fixture(params=NAMES)
def published(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    name: str = request.param
    monkeypatch.setitem(MODELS, model_spec(name).companion, small_dino(name))
    monkeypatch.setitem(MODELS, name, small_dinotxt(name))
    return Published(name, tmp_path)


@pytest.fixture
def tower(published: Published) -> ClipTower:
    return load_clip(published.name, weights=published.file, offline=True)


# --- as published


@pytest.mark.parametrize("grid", [(16, 16), (3, 7), (9, 2)])
def test_images_and_patches_equal_the_reference(
    published: Published, tower: ClipTower, grid: tuple[int, int]
) -> None:
    images = torch.randn(2, 3, grid[0] * tower.patch, grid[1] * tower.patch)
    plain, seen = published.tokens(images)
    ours = dict(zip([one.name for one in tower.outputs], tower.encode(images), strict=True))
    whole = torch.cat([seen[:, 0], seen[:, 5:].mean(1)], dim=-1)
    torch.testing.assert_close(ours["image"], normalize(whole, dim=-1), **CLOSE)
    patches = seen[:, 5:].reshape(2, *grid, WIDTH)
    torch.testing.assert_close(ours["dense"], normalize(patches, dim=-1), **CLOSE)
    torch.testing.assert_close(ours["tokens"], plain[:, 5:].reshape(2, *grid, WIDTH), **CLOSE)
    tokens, image = tower.backbone.encode(images)
    torch.testing.assert_close(tokens, ours["tokens"], atol=1e-5, rtol=0)
    torch.testing.assert_close(image, plain[:, 0], **CLOSE)
    assert (normalize(patches, dim=-1)[0, 0, 0] - ours["dense"][0, -1, -1]).abs().max() > 0.1
    assert (ours["tokens"] - patches).abs().max() > 0.1, "the blocks of dino.txt change the patches"


def test_texts_equal_the_reference(published: Published, tower: ClipTower) -> None:
    ids = text_preprocessing(tower).tokenize(TEXTS)
    expected = text_vectors(published.name, published.heads, ids)
    whole: Any = tower.of_images
    torch.testing.assert_close(whole.text_embedding(ids), normalize(expected, dim=-1), **CLOSE)
    torch.testing.assert_close(tower.text_embedding(ids), normalize(expected[:, WIDTH:], dim=-1), **CLOSE)
    assert (whole.dim, tower.dim, tower.spec.image_dim) == (2 * WIDTH, WIDTH, 2 * WIDTH)
    assert (expected[0] - expected[1]).abs().max() > 0.1


def test_the_scale_is_the_files_or_that_of_the_authors_example(tower: ClipTower) -> None:
    expected = 100.0 if "v2" in tower.model else float(np.exp(3.5))
    assert tower.logit_scale.bias is None and tower.logit_scale.scale == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_entry_agrees_with_timm_and_counts_its_parameters(name: str) -> None:
    from perception_contrast.encoders.dinotxt import dinotxt_network

    spec, dino = model_spec(name), model_spec(model_spec(name).companion)
    assert (spec.arch, spec.patch, spec.dim) == (dino.arch, dino.patch, dino.dim)
    assert (spec.mean, spec.std, spec.licence) == (dino.mean, dino.std, dino.licence)
    with torch.device("meta"):
        network: Any = dinotxt_network(spec)
    assert network.visual.trunk.num_prefix_tokens == 5
    assert network.text.text_projection.shape == (1280, 2048)
    assert network.visual.head.blocks[0].mlp.fc1_g.out_features == 2752
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(spec.millions, abs=0.06)


# --- files


def test_a_model_of_two_files_names_the_one_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    name = "dinotxt-v2-l14"
    monkeypatch.setitem(MODELS, model_spec(name).companion, small_dino(name))
    made = Published(name, tmp_path)
    (tmp_path / "dinov2_vitl14_reg4_dinotxt_tet1280d20h24l_text_encoder.pth").unlink()
    with pytest.raises(ModelError, match=r"put dinov2_vitl14_reg4_dinotxt\w*_text_encoder\.pth beside"):
        load_clip(small_dinotxt(name), weights=made.file, offline=True)


def test_without_dino_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    name = "dinotxt-v3-l16"
    file = write_heads(name, random_heads(name), tmp_path)
    with pytest.raises(ModelError, match="weights of 'dinov3-l16' are not in"):
        load_clip(small_dinotxt(name), weights=file, offline=True)


def test_the_space_depends_on_every_file(published: Published, tower: ClipTower, tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = random_dino(published.name)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    assert main(["models", "add", tower.spec.companion, str(tmp_path / "other.safetensors")]) == 0
    again = load_clip(published.name, weights=published.file, offline=True)
    assert again.space != tower.space and again.space.startswith(f"{published.name}@")


# --- one pass serves both; patches and images have spaces of their own


def test_one_pass_gives_features_and_words(published: Published) -> None:
    """Added by the command, named as ``model`` and ``language_model``: DINO runs once a frame."""
    assert main(["models", "add", published.name, str(published.file)]) == 0
    encoders = load_encoders(published.name, published.name, offline=True)
    language = encoders.language
    assert language is not None and encoders.shared_backbone
    tower: Any = language.image_encoder
    assert tower.method == "stock"
    seen_once = shared_pass(encoders, side=4 * tower.patch)
    pipeline, frame, result = seen_once.pipeline, seen_once.frame, seen_once.result
    assert result.features is not None and result.semantic_features is not None
    pixels = torch.from_numpy(frame.image).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in (tower.mean, tower.std))
    plain, seen = published.tokens((pixels - mean) / std)
    np.testing.assert_allclose(result.features.values.reshape(-1, WIDTH), plain[0, 5:].numpy(), atol=5e-3)
    dense = result.semantic_features.values.reshape(-1, WIDTH).astype(np.float32)
    np.testing.assert_allclose(dense, normalize(seen[0, 5:], dim=-1).numpy(), atol=2e-3)
    assert result.features.space == encoders.spatial.space == f"{tower.space}/tokens"
    assert result.semantic_features.space == tower.space == language.text.space
    words = pipeline.query_encoder.embed_texts(["red mug"])
    assert words.shape == (1, WIDTH)
    shown = pipeline.similarity(frame, point=(20.0, 30.0))
    assert shown.space == encoders.spatial.space


def test_whole_images_are_compared_with_whole_texts(published: Published) -> None:
    assert main(["models", "add", published.name, str(published.file)]) == 0
    encoders = load_encoders(published.name, published.name, offline=True)
    tower: Any = encoders.language.image_encoder if encoders.language else None
    pipeline = Pipeline(encoders, PipelineSettings(short_side=64), engine="torch", precision="fp32")
    rng = np.random.default_rng(1)
    frame = Frame(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8))
    embedding = pipeline.process(frame, OutputRequest(embedding=True))
    assert embedding.embedding is not None and embedding.embedding.shape == (2 * WIDTH,)
    assert embedding.embedding_space == f"{tower.space}/image"
    found = pipeline.image_text_similarity(frame, ["a red mug", "floor"])
    assert found.space == f"{tower.space}/image"
    pixels = torch.from_numpy(frame.image).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in (tower.mean, tower.std))
    _, seen = published.tokens((pixels - mean) / std)
    whole = normalize(torch.cat([seen[:, 0], seen[:, 5:].mean(1)], dim=-1), dim=-1)
    ids = text_preprocessing(tower).tokenize(["a red mug", "floor"])
    texts = normalize(text_vectors(published.name, published.heads, ids), dim=-1)
    np.testing.assert_allclose(found.cosines, (texts @ whole[0]).numpy(), atol=1e-3)
    classes = pipeline.classify(frame, ["a red mug", "floor"], templates=PLAIN)
    np.testing.assert_allclose(classes.cosines, found.cosines, atol=1e-5)
    assert classes.space == found.space
