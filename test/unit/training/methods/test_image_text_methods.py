"""A pair of towers goes on learning from captions: against open_clip, whole, in part, by additions."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.loss import ClipLoss, SigLipLoss
from small_methods import gradients, largest_difference, step
from tiny_pairs import (
    CAPTIONS,
    RUNS,
    TINY,
    colour_table,
    finished,
    know_tiny_models,
    settings,
    weights_of,
)
from tiny_pairs import (
    images as source_images,
)

from perception_contrast.core.errors import ModelError, RecipeError
from perception_contrast_training.config.pretraining_recipe import recipe_of
from perception_contrast_training.engine import pretraining
from perception_contrast_training.engine.checkpoint import Checkpoints, read_snapshot
from perception_contrast_training.engine.journal import read_log
from perception_contrast_training.engine.pretraining import check, resume
from perception_contrast_training.methods.registry import make_method
from perception_contrast_training.networks.backbones import BackboneSettings
from perception_contrast_training.networks.lora import LoraSettings
from perception_contrast_training.networks.packed_attention import PlainAttention, pack, unpack
from perception_contrast_training.networks.text import TextSettings

OWN = TextSettings(tower="own")
OPEN_CLIP = ("tiny-clip", "tiny-siglip")  # whose networks are open_clip's own


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    know_tiny_models(monkeypatch)
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_table(tmp_path_factory.mktemp("colours"))


def own_method(name: str, folder: Path, lora: LoraSettings | None = None, **more: Any) -> Any:
    method = "siglip" if "siglip" in name else "clip"
    settings = {"clip": "clip.ClipSettings", "siglip": "siglip.SiglipSettings"}[method]
    module, _, kind = settings.partition(".")
    made = getattr(__import__(f"perception_contrast_training.methods.{module}", fromlist=[kind]), kind)
    backbone = BackboneSettings(name, weights=str(weights_of(name, folder)), **more)
    return make_method(method, made(text=OWN), backbone, lora)[0]


# Learning.


@pytest.mark.parametrize("name", OPEN_CLIP)
def test_a_step_is_open_clips(name: str, tmp_path: Path) -> None:
    """Loss and every gradient, temperature's and bias's too, on shared weights; in float64."""
    method = own_method(name, tmp_path).double()
    theirs = copy.deepcopy(method.pair.backbone.network).double().requires_grad_(True)
    tokens = method.pair.backbone.tokens(CAPTIONS)
    image = source_images().double()
    seen = theirs(image, tokens)
    loss = SigLipLoss()(*seen) if "siglip" in name else ClipLoss()(*seen)
    loss.backward()
    losses = step(method, {"image": image, "text": tokens})
    assert float(losses.total.detach()) == pytest.approx(float(loss.detach()), rel=1e-12)
    ours = gradients(method, "pair.backbone.tower.network.")
    ours |= {"logit_scale": method.log_scale.grad}
    ours |= {"logit_bias": method.bias.grad} if "siglip" in name else {}
    assert largest_difference(ours, gradients(theirs)) < 1e-12


@pytest.mark.parametrize("name", TINY)
def test_blocks_that_are_computed_again_give_the_same_gradients(name: str, tmp_path: Path) -> None:
    found = []
    for again in (False, True):
        method = own_method(name, tmp_path, checkpointing=again).double()
        step(method, {"image": source_images(side=48).double(), "text": CAPTIONS})
        found.append(gradients(method))
    assert largest_difference(*found) < 1e-12


@pytest.mark.parametrize("name", TINY)
def test_early_blocks_of_both_towers_learn_slower(name: str, tmp_path: Path) -> None:
    """As BEiT's layer-wise decay: block i of d by decay^(d - i), what comes before by decay^(d + 1)."""
    method = own_method(name, tmp_path)
    method.settings = replace(method.settings, layer_decay=0.5)
    rates = {id(p): group.rate for group in method.groups() for p in group.parameters}
    found = {n: rates[id(p)] for n, p in method.pair.backbone.network.named_parameters() if id(p) in rates}
    blocks = {n: rate for n, rate in found.items() if "blocks.1." in n}
    assert set(blocks.values()) == {0.5} and {n.startswith("visual.") for n in blocks} == {True, False}
    assert {rate for n, rate in found.items() if "blocks.0." in n} == {0.25}
    first = (
        "conv1", "patch_embed", "pos_embed", "class_emb", "positional_emb", "token_emb", "ln_pre",
        "cls_token", "reg_token",
    )  # fmt: skip
    before = {n: rate for n, rate in found.items() if any(part in n for part in first)}
    assert set(before.values()) == {0.125} and {n.startswith("visual.") for n in before} == {True, False}
    last = {n: rate for n, rate in found.items() if n not in before and "blocks" not in n}
    assert set(last.values()) == {1.0}


@pytest.mark.parametrize("name", OPEN_CLIP)
def test_low_rank_additions_reach_both_towers_and_are_worked_in(name: str, tmp_path: Path) -> None:
    method = own_method(name, tmp_path, LoraSettings(rank=2))
    plain = own_method(name, tmp_path)
    images, said = source_images(), CAPTIONS
    with torch.no_grad():
        torch.testing.assert_close(method.pair.image_vectors(images), plain.pair.image_vectors(images))
        torch.testing.assert_close(method.pair.text_vectors(said), plain.pair.text_vectors(said))
    learning = {n.rpartition(".lora_")[0] for n, p in method.pair.named_parameters() if p.requires_grad}
    assert any("visual." in one for one in learning) and any("visual." not in one for one in learning)
    for _ in range(3):
        step(method, {"image": images, "text": said}, rate=1.0)
    method.eval()
    towers = method.pair.backbone
    served = towers.served(method.log_scale, getattr(method, "bias", None))
    assert served.state_dict().keys() == plain.pair.backbone.network.state_dict().keys()
    with torch.no_grad():
        close = {"rtol": 0, "atol": 1e-5}
        torch.testing.assert_close(served.encode_image(images), method.pair.image_vectors(images), **close)
        ids = towers.tokens(said)
        torch.testing.assert_close(served.encode_text(ids), method.pair.text_vectors(ids), **close)
        assert (plain.pair.text_vectors(said) - method.pair.text_vectors(said)).abs().max() > 1e-3
        assert (plain.pair.image_vectors(images) - method.pair.image_vectors(images)).abs().max() > 1e-3


def test_attention_taken_apart_is_what_it_was(tmp_path: Path) -> None:
    """torch's own multi-head attention, with a mask that hides what follows."""
    torch.manual_seed(0)
    whole = torch.nn.ModuleDict({"attn": torch.nn.MultiheadAttention(16, 4, batch_first=True)}).eval()
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    x, mask = torch.randn(2, 5, 16), torch.full((5, 5), -torch.inf).triu(1)
    expected = whole["attn"](x, x, x, need_weights=False, attn_mask=mask)[0]
    unpack(whole)
    got = whole["attn"](x, x, x, need_weights=False, attn_mask=mask)[0]
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    pack(whole)
    assert largest_difference(before, whole.state_dict()) == 0


@pytest.mark.parametrize("locked", ["pictures", "words"])
@pytest.mark.parametrize("rank", [0, 2])
def test_a_locked_tower_stays(locked: str, rank: int, tmp_path: Path) -> None:
    from perception_contrast_training.methods.clip import ClipSettings

    backbone = BackboneSettings(
        "tiny-clip", weights=str(weights_of("tiny-clip", tmp_path)), frozen=locked == "pictures"
    )
    text = TextSettings(tower="own", frozen=locked == "words")
    method: Any = make_method("clip", ClipSettings(text=text), backbone, LoraSettings(rank=rank))[0]
    before = copy.deepcopy(method).eval()
    step(method, {"image": source_images(), "text": CAPTIONS}, rate=1.0)
    step(method, {"image": source_images(), "text": CAPTIONS}, rate=1.0)
    method.eval()
    with torch.no_grad():
        image = (
            (before.pair.image_vectors(source_images()) - method.pair.image_vectors(source_images()))
            .abs()
            .max()
        )
        words = (before.pair.text_vectors(CAPTIONS) - method.pair.text_vectors(CAPTIONS)).abs().max()
    stays, moves = (image, words) if locked == "pictures" else (words, image)
    assert stays == 0 and moves > 1e-4


def test_positions_that_learn_are_not_remembered_between_looks(tmp_path: Path) -> None:
    """At a size that is not the model's own they are resampled, without gradients too."""
    method = own_method("tiny-clip", tmp_path)
    with torch.inference_mode():
        first = method.pair.image_vectors(source_images(side=48))
        method.pair.backbone.network.visual.positional_embedding.mul_(-1)  # adding is lost in the norm
        assert (method.pair.image_vectors(source_images(side=48)) - first).abs().max() > 1e-4


# What cannot be.


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (settings("clip", {"name": "dinov2-s14"}, text={"tower": "own"}),
         "'dinov2-s14' has no words of its own; as backbone.name choose one of clip-"),
        (settings("clip", {"name": "household-lit"}, text={"tower": "own"}), "has no words of its own"),
        (settings("clip", {"name": "tiny-clip"}), "set options.text.tower: own"),
        (settings("simclr", {"name": "tiny-clip"}), "methods clip, siglip and lit go on from it"),
        (settings("clip", {"name": "tiny-siglip"}, text={"tower": "own"}),
         "in place of method clip use siglip"),
        (settings("siglip", {"name": "tiny-clip"}, text={"tower": "own"}), "method siglip use clip"),
        (settings("lit", {"name": "tiny-clip"}, text={"tower": "own", "frozen": True}),
         "both towers are locked"),
        (settings("clip", {"name": "tiny-clip", "depth": 3}, text={"tower": "own", "width": 8}),
         "leave out backbone.depth, options.text.width"),
        (settings("clip", {"name": "tiny-clip"}, text={"tower": "own"}, dim=8),
         "options.dim is the model's own"),
        (settings("clip", {"name": "tiny-clip", "size": 33}, text={"tower": "own"}), "use 32"),
        (settings("clip", {"name": "vit_tiny_patch16_224"}, text={"frozen": True}),
         "text.frozen is for words"),
        (settings("clip", {"name": "tiny-clip", "pretrained": True}, text={"tower": "own"})
         | {"lora": {"rank": 2, "modules": ["qvk"]}}, "LoRA finds no layer qvk"),
        (settings("siglip", {"name": "tiny-siglip", "pretrained": True}, text={"tower": "own"})
         | {"lora": {"rank": 2, "modules": ["mlp.c_fc"]}}, "in the tower of images of 'tiny-siglip'"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(
    stored: dict[str, Any], said: str, table: Path, tmp_path: Path
) -> None:
    name = stored["backbone"]["name"]
    if name in TINY:
        stored["backbone"]["weights"] = str(weights_of(name, tmp_path))
    stored |= {"data": {"path": str(table)}, "optimisation": {"batch": 8}}
    with pytest.raises(RecipeError) as refusal:
        check(recipe_of(stored))
    assert said in str(refusal.value)


def test_a_model_without_its_tokenizer_says_so(table: Path) -> None:
    stored = settings("siglip", {"name": "tiny-siglip"}, text={"tower": "own"})
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        check(recipe_of(stored | {"data": {"path": str(table)}}))


# Runs.


@pytest.mark.parametrize("kind", ["clip", "siglip lora"])
def test_a_run_in_parts_or_in_half_precision_is_the_same_run(
    kind: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradient caching to rounding; bfloat16 to what it can hold."""
    # Whatever this processor has instructions for.
    monkeypatch.setattr(pretraining, "has_bfloat16", lambda: True)
    losses = []
    for name, more in (("whole", {}), ("parts", {"micro_batch": 2}), ("half", {"precision": "bfloat16"})):
        (tmp_path / name).mkdir()
        run = finished(RUNS[kind], table, tmp_path / name, optimise=more)
        losses.append([line["loss"] for line in read_log(run / "log.jsonl")])
    whole, parts, half = losses
    assert parts == pytest.approx(whole, rel=1e-4)
    # Later steps go apart: what is rounded in the first moves what Adam makes of it.
    assert half[0] == pytest.approx(whole[0], rel=0.02) and half[0] != whole[0] and np.isfinite(half).all()


def test_a_run_that_went_on_is_one_that_never_stopped(table: Path, tmp_path: Path) -> None:
    """Bit for bit, also of additions with dropout."""
    stored = RUNS["siglip lora"] | {"lora": {"rank": 2, "dropout": 0.2}}
    run = finished(stored, table, tmp_path, steps=4, checkpoints={"every": 2, "keep": 3})
    last = Checkpoints(run / "checkpoints", 3).path_of(4)
    whole = read_snapshot(last)
    last.unlink()
    assert resume(run) == "finished"
    assert largest_difference(read_snapshot(last).method, whole.method) == 0


def test_an_attention_in_two_layers_takes_a_mask_for_each_text() -> None:
    """As TIPSv2's text tower gives it, which hides the padding of every text."""
    torch.manual_seed(3)
    packed = torch.nn.MultiheadAttention(16, 4, batch_first=True).double()
    texts = torch.randn(3, 5, 16, dtype=torch.float64)
    hidden = torch.zeros(3, 1, 1, 5, dtype=torch.float64)
    hidden[0, ..., 3:], hidden[2, ..., 1:] = -torch.inf, -torch.inf
    mask = hidden.expand(-1, 4, 5, -1).flatten(0, 1)
    expected, _ = packed(texts, texts, texts, need_weights=False, attn_mask=mask)
    found, _ = PlainAttention(packed)(texts, texts, texts, need_weights=False, attn_mask=mask)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
