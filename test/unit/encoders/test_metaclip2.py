"""MetaCLIP 2 against transformers and open_clip: both kinds of files, images, texts, tokens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from perception_contrast.encoders import metaclip2
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.text.clip_text_encoder import ClipTextEncoder, text_preprocessing
from perception_contrast.text.prompt_templates import PLAIN
from perception_contrast.text.tokenizers import XlmTokenizer

CLOSE: Any = {"atol": 1e-4, "rtol": 0.0}
VOCABULARY, DIM, WIDTH = 500, 32, 64
SMALL = [spec for spec in MODELS.values() if spec.family == "metaclip2" and "facebook" in str(spec.hub)]
TEXTS = ["a red mug", "eine rote Tasse auf dem Tisch", "红色杯子", "чашка " * 90, ""]


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """transformers' model in a small size, and ours built alike."""
    from transformers import MetaClip2Config, MetaClip2Model

    monkeypatch.setitem(metaclip2._SMALL, "ViT-B-16-worldwide", (DIM, WIDTH, 16, 4))
    monkeypatch.setattr(metaclip2, "_VOCABULARY", VOCABULARY)
    blocks = {"num_hidden_layers": 12, "hidden_act": "gelu", "projection_dim": DIM}
    config = MetaClip2Config(
        vision_config={
            "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": 1,
            "image_size": 224, "patch_size": 16, **blocks,
        },
        text_config={
            "hidden_size": DIM, "intermediate_size": 4 * DIM, "num_attention_heads": 4,
            "vocab_size": VOCABULARY, "max_position_embeddings": 77, "eos_token_id": 2, **blocks,
        },
        projection_dim=DIM,
    )  # fmt: skip
    torch.manual_seed(0)
    made: Any = MetaClip2Model(config).eval().requires_grad_(False)
    for value in made.parameters():
        value.add_(torch.randn_like(value) * 0.03)
    return made


def ids_of_two_texts() -> torch.Tensor:
    """The end token is neither the highest id, as CLIP's is, nor the last."""
    ids = torch.ones(2, 77, dtype=torch.long)
    ids[0, :5], ids[1, :3] = torch.tensor([0, 17, 499, 44, 2]), torch.tensor([0, 9, 2])
    return ids


def check(tower: ClipTower, twin: Any) -> None:
    images, ids = torch.randn(2, 3, 224, 224), ids_of_two_texts()
    seen = twin(pixel_values=images, input_ids=ids)
    torch.testing.assert_close(tower.image_embedding(images), normalize(seen.image_embeds, dim=-1), **CLOSE)
    torch.testing.assert_close(tower.text_embedding(ids), normalize(seen.text_embeds, dim=-1), **CLOSE)
    assert tower.logit_scale.scale == pytest.approx(twin.logit_scale.exp().item(), rel=1e-5)
    assert (seen.text_embeds[0] - seen.text_embeds[1]).abs().max() > 1e-2


def test_a_file_of_transformers_gives_what_transformers_gives(twin: Any, tmp_path: Path) -> None:
    twin.save_pretrained(tmp_path)
    spec = replace(model_spec("metaclip2-b16"), dim=DIM)
    check(load_clip(spec, weights=tmp_path / "model.safetensors"), twin)


def test_a_file_in_open_clips_names_gives_the_same(twin: Any, tmp_path: Path) -> None:
    named = metaclip2.metaclip2_names(twin.state_dict(), twin)
    path = tmp_path / "open_clip_model.safetensors"
    save_file({name: value.clone().contiguous() for name, value in named.items()}, path)
    tower = load_clip(replace(model_spec("metaclip2-b16"), dim=DIM), weights=path)
    check(tower, twin)
    images = torch.randn(1, 3, 48, 80)
    assert tower.method == "naclip" and tower.dense(images).shape == (1, 3, 5, DIM)


@pytest.mark.parametrize("spec", SMALL, ids=lambda spec: spec.name)
def test_small_entries_count_their_parameters(spec: Any) -> None:
    with torch.device("meta"):
        network: Any = metaclip2.metaclip2_network(spec.arch)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(spec.millions, abs=0.06)
    assert (
        network.visual.patch_size == (spec.patch, spec.patch) and network.text_projection.shape[1] == spec.dim
    )


def words(folder: Path) -> Any:
    """A small tokenizer in XLM-V's layout, as transformers' fast tokenizer; its files lie in ``folder``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = sorted(set("".join(TEXTS)) - {" "})
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -3.0)]
    pieces += [("\u2581red", -1.0), ("Tasse", -1.5), ("杯子", -1.0), *((letter, -4.0) for letter in letters)]
    made = Tokenizer(models.Unigram(pieces, unk_id=3))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(special))
    return PreTrainedTokenizerFast(tokenizer_object=made, **special)


def test_tokens_equal_transformers(tmp_path: Path) -> None:
    theirs = words(tmp_path)
    expected = theirs(TEXTS, max_length=77, padding="max_length", truncation=True)["input_ids"]
    ours = XlmTokenizer(tmp_path / "tokenizer.json")(TEXTS)
    assert torch.equal(ours, torch.tensor(expected))
    assert ours[3, -1] == 2 and ours[0, -1] == 1, (
        "a long text ends with the end token, a short one with padding"
    )


def test_words_keep_their_case_and_their_language(twin: Any, tmp_path: Path) -> None:
    twin.save_pretrained(tmp_path)
    words(tmp_path)
    tower = load_clip(replace(model_spec("metaclip2-b16"), dim=DIM), weights=tmp_path / "model.safetensors")
    assert text_preprocessing(tower).canonical("  Rote\n Tasse ") == "Rote Tasse"
    vectors = ClipTextEncoder(tower, PLAIN).encode(["red mug", "红色杯子"])
    assert vectors.shape == (2, DIM) and abs(vectors[0] - vectors[1]).max() > 1e-3
