"""TIPSv2 against transformers: published names, images, patches, texts, tokens; one pass for both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clip_towers import small_tips_spec
from shared_pass import shared_pass
from tips_words import CORPUS, write_words
from torch.nn.functional import normalize

from perception_contrast.cli.main import main
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.models.specs import ModelSpec
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.text.clip_text_encoder import ClipTextEncoder
from perception_contrast.text.sentencepiece_model import bpe_tokenizer, read_sentencepiece_model
from perception_contrast.text.tokenizers import TipsTokenizer

CLOSE: Any = {"atol": 1e-4, "rtol": 0.0}
TEXTS = ("A red mug on the table!", "floor", "Zwei Hunde, ein Ball", "naïve ﬁsh №5 \U0001f916", "")


def transformers_model(spec: ModelSpec, *, gated: bool = False) -> Any:
    """transformers' Tipsv2Model of a spec's sizes, at weights so large that mistakes show."""
    from transformers import Tipsv2Config, Tipsv2Model

    sizes = dict(spec.options)
    config = Tipsv2Config(
        vision_config={
            "hidden_size": spec.dim, "num_hidden_layers": sizes["depth"],
            "num_attention_heads": sizes["num_heads"], "patch_size": spec.patch, "image_size": spec.size,
            "use_swiglu_ffn": gated,
        },
        text_config={
            "hidden_size": spec.dim, "num_hidden_layers": sizes["text_depth"],
            "num_attention_heads": sizes["text_heads"], "intermediate_size": sizes["text_hidden"],
            "vocab_size": 32000, "max_position_embeddings": 64,
        },
        temperature_init_value=sizes["temperature"],
    )  # fmt: skip
    torch.manual_seed(0)
    theirs: Any = Tipsv2Model(config).eval().requires_grad_(False)
    for name, value in theirs.named_parameters():
        if name != "temperature":
            value.add_(torch.randn_like(value) * 0.05)
    return theirs


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A file in the names of the published ones, which transformers writes, and its own model."""
    folder = tmp_path_factory.mktemp("tips")
    theirs = transformers_model(small_tips_spec())
    theirs.save_pretrained(folder)
    write_words(folder)
    return folder / "model.safetensors", theirs


@pytest.fixture
def tower(published: tuple[Path, Any]) -> ClipTower:
    return load_clip(small_tips_spec(), weights=published[0])


# --- as transformers computes it


@pytest.mark.parametrize("grid", [(4, 4), (3, 7), (6, 2)])
def test_images_and_patches_equal_transformers(
    tower: ClipTower, published: tuple[Path, Any], grid: tuple[int, int]
) -> None:
    images = torch.rand(2, 3, grid[0] * 16, grid[1] * 16)
    seen = published[1].vision_model(pixel_values=images)
    ours = dict(zip([one.name for one in tower.outputs], tower.encode(images), strict=True))
    torch.testing.assert_close(ours["image"], normalize(seen.pooler_output, dim=-1), **CLOSE)
    patches = seen.last_hidden_state[:, 2:].reshape(2, *grid, -1)
    torch.testing.assert_close(ours["tokens"], patches, **CLOSE)
    stock = ClipTower(tower.network, tower.spec, "tried@0", method="stock")
    torch.testing.assert_close(stock.dense(images), normalize(patches, dim=-1), **CLOSE)
    assert (patches[0, 0, 0] - patches[0, -1, -1]).abs().max() > 0.1, "patches must not look alike"
    assert (ours["dense"] - stock.dense(images)).abs().max() > 1e-2, "the published method changes them"


def test_texts_equal_transformers(tower: ClipTower, published: tuple[Path, Any]) -> None:
    ids = torch.zeros(3, 64, dtype=torch.long)
    ids[0, :5], ids[1, :1], ids[2] = torch.tensor([17, 230, 44, 1, 9]), 31999, torch.arange(100, 164)
    theirs = published[1].text_model(input_ids=ids, attention_mask=(ids != 0).long()).pooler_output
    torch.testing.assert_close(tower.text_embedding(ids), normalize(theirs, dim=-1), **CLOSE)
    short = tower.text_embedding(ids[:2, :5])
    torch.testing.assert_close(short, tower.text_embedding(ids[:2]), atol=1e-6, rtol=0)
    empty = tower.text_embedding(torch.zeros(1, 64, dtype=torch.long))
    torch.testing.assert_close(empty.norm(dim=-1), torch.ones(1))


def test_logits_equal_transformers(tower: ClipTower, published: tuple[Path, Any]) -> None:
    images, ids = torch.rand(2, 3, 64, 64), torch.randint(1, 400, (3, 64))
    theirs = published[1](pixel_values=images, input_ids=ids, attention_mask=torch.ones_like(ids))
    scale = tower.logit_scale
    assert scale.bias is None and scale.scale == pytest.approx(50.0, rel=1e-4)
    logits = scale.scale * tower.image_embedding(images) @ tower.text_embedding(ids).T
    torch.testing.assert_close(logits, theirs.logits_per_image, atol=50 * 1e-4, rtol=0)


def test_the_largest_ones_gated_mlp_equals_transformers(tmp_path: Path) -> None:
    """transformers makes the gated MLP of 64 channels 176 wide: two thirds of 256, rounded up to eights."""
    spec = replace(
        small_tips_spec(), arch="vit_giant_patch14_reg1_tipsv2",
        options=(*small_tips_spec().options, ("mlp_ratio", 2 * 176 / 64)),
    )  # fmt: skip
    theirs = transformers_model(spec, gated=True)
    theirs.save_pretrained(tmp_path)
    tower = load_clip(spec, weights=tmp_path / "model.safetensors")
    images = torch.rand(1, 3, 48, 64)
    seen = theirs.vision_model(pixel_values=images)
    torch.testing.assert_close(tower.image_embedding(images), normalize(seen.pooler_output, dim=-1), **CLOSE)


@pytest.mark.parametrize("name", ["tipsv2-b14", "tipsv2-l14", "tipsv2-so400m14", "tipsv2-g14"])
def test_entry_agrees_with_timm_and_counts_its_parameters(name: str) -> None:
    import timm

    from perception_contrast.encoders.tips import tips_network

    spec = model_spec(name)
    config = timm.get_pretrained_cfg(spec.arch)
    assert config is not None and config.license == spec.licence.lower()
    assert (config.mean, config.std, config.input_size) == (spec.mean, spec.std, (3, spec.size, spec.size))
    with torch.device("meta"):
        network = tips_network(spec)
    trunk = network.visual.trunk
    assert (trunk.embed_dim, trunk.patch_embed.patch_size) == (spec.dim, (spec.patch, spec.patch))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(spec.millions, abs=0.06)


def test_a_file_that_lacks_a_tower_is_refused(published: tuple[Path, Any], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = {k: v for k, v in load_file(published[0]).items() if not k.startswith("text_encoder.")}
    save_file(state, tmp_path / "images.safetensors")
    with pytest.raises(ModelError, match=r"images\.safetensors does not fit"):
        load_clip(small_tips_spec(), weights=tmp_path / "images.safetensors")


# --- words


def test_tokens_equal_transformers(tmp_path: Path) -> None:
    from transformers import Tipsv2Tokenizer
    from transformers.tokenization_utils_base import generate_merges

    path = write_words(tmp_path)
    pieces = read_sentencepiece_model(path).pieces
    vocabulary = {piece.text: number for number, piece in enumerate(pieces)}
    theirs = Tipsv2Tokenizer(vocab=vocabulary, merges=generate_merges(vocabulary))
    texts = [text.lower() for text in (*CORPUS, *TEXTS)]
    expected = theirs(texts, padding="max_length", max_length=64, truncation=True, add_special_tokens=False)
    ours = TipsTokenizer(path)(texts)
    assert torch.equal(ours, torch.tensor(expected["input_ids"]))
    assert len({tuple(row) for row in ours.tolist()}) == len(texts)
    assert max(len(piece.text) for piece in pieces) > 8, "some words must be one token"
    words = bpe_tokenizer(path, lower_case=True).encode("The KITCHEN")
    assert words.tokens[-1].endswith("kitchen") or len(words.tokens) < 9


@pytest.mark.parametrize("data", [b"", b"\x0a\xff\xff\xff\xff\x0f", b"not a model", b"\x0a\x02\x0a\x05"])
def test_a_damaged_tokenizer_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"tokenizer\.model"):
        TipsTokenizer(path)


def test_without_its_tokenizer_the_file_to_put_there_is_named(
    published: tuple[Path, Any], tmp_path: Path
) -> None:
    alone = tmp_path / "model.safetensors"
    alone.write_bytes(published[0].read_bytes())
    with pytest.raises(ModelError, match=r"put tokenizer\.model beside"):
        ClipTextEncoder(load_clip(small_tips_spec(), weights=alone))


# --- one pass serves both


def test_one_pass_gives_features_and_words(
    published: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Added by the command, named as ``model`` and ``language_model``: the image tower runs once a frame."""
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path))
    monkeypatch.setitem(MODELS, "tipsv2-b14", small_tips_spec())
    assert main(["models", "add", "tipsv2-b14", str(published[0])]) == 0
    encoders = load_encoders("tipsv2-b14", "tipsv2-b14", offline=True)
    assert encoders.language is not None and encoders.shared_backbone
    tower: Any = encoders.language.image_encoder
    assert tower.method == "maskclip"
    seen_once = shared_pass(encoders)
    pipeline, frame, result = seen_once.pipeline, seen_once.frame, seen_once.result
    assert result.features is not None and result.semantic_features is not None
    images = torch.from_numpy(frame.image).permute(2, 0, 1)[None] / 255
    seen = published[1].vision_model(pixel_values=images)
    np.testing.assert_allclose(
        result.features.values.reshape(-1, 64), seen.last_hidden_state[0, 2:].numpy(), atol=2e-3
    )
    assert result.features.space == encoders.spatial.space == f"{tower.space}/tokens"
    assert result.semantic_features.space == tower.space
    alone = pipeline.process(frame, OutputRequest(features=True)).features
    assert alone is not None
    np.testing.assert_allclose(alone.values, result.features.values, atol=1e-5)
    shown = pipeline.similarity(frame, point=(20.0, 30.0))
    assert shown.space == encoders.spatial.space and len(seen_once.passes) == 3
