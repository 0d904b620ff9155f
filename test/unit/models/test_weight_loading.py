"""Networks that are made for weights that follow, and weights that are put there when they are needed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from clip_towers import small_clip, small_tips, small_tips_spec
from safetensors.torch import save_file
from torch import nn

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.clip import load_clip
from perception_contrast.models import weight_loading
from perception_contrast.models.weight_loading import load_in_two_steps, uninitialised


def a_network() -> nn.Module:
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=0, depth=1, reg_tokens=1)
    network.add_module("more", nn.Linear(64, 64))
    return network


def test_a_network_for_weights_that_follow_draws_no_numbers_and_has_its_buffers() -> None:
    with uninitialised():
        before = torch.get_rng_state()
        nn.Linear(64, 64, bias=False)
        timm.layers.trunc_normal_(nn.Parameter(torch.empty(64, 64)))
        assert torch.equal(torch.get_rng_state(), before)
        made, scale = a_network(), nn.Parameter(torch.zeros(()))
        nn.init.constant_(scale, 3.0)
    assert scale.item() == 3.0
    weights = a_network().state_dict()
    made.load_state_dict(weights)
    images = torch.rand(1, 3, 32, 32)
    plain = a_network()
    plain.load_state_dict(weights)
    assert torch.equal(made.eval()(images), plain.eval()(images))
    assert nn.Linear(64, 64).weight.std() > 0.01, "outside of it networks are made as always"


@pytest.fixture
def tips_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(dict(small_tips().network.state_dict()), str(path))
    return path


@pytest.fixture
def cached(tips_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file lies in the cache, whose files nobody writes to."""
    monkeypatch.setattr(weight_loading, "cache_dir", lambda: tips_file.parent)


def test_texts_of_a_file_that_may_be_written_to_are_read_at_once(tips_file: Path) -> None:
    tower = load_clip(small_tips_spec(), weights=tips_file, defer_texts=True)
    assert not tower._deferred_texts.waiting


@pytest.mark.usefixtures("cached")
def test_texts_of_a_tower_are_read_when_the_first_one_comes(tips_file: Path) -> None:
    whole = load_clip(small_tips_spec(), weights=tips_file)
    tower = load_clip(small_tips_spec(), weights=tips_file, defer_texts=True)
    ids, images = torch.randint(3, 490, (2, 9)), torch.rand(1, 3, 64, 64)
    assert tower._deferred_texts.waiting and not whole._deferred_texts.waiting
    assert tower.space == whole.space and tower.logit_scale == whole.logit_scale
    assert torch.equal(tower.dense(images), whole.dense(images))
    assert tower._deferred_texts.waiting, "images need no words"
    assert torch.equal(tower.text_embedding(ids), whole.text_embedding(ids))
    assert not tower._deferred_texts.waiting


@pytest.mark.usefixtures("cached")
def test_a_copy_of_a_tower_has_its_words(tips_file: Path) -> None:
    tower = load_clip(small_tips_spec(), weights=tips_file, defer_texts=True)
    ids = torch.randint(3, 490, (2, 9))
    copied = copy.deepcopy(tower)
    expected = load_clip(small_tips_spec(), weights=tips_file).text_embedding(ids)
    assert torch.equal(copied.text_embedding(ids), expected)
    assert tower._deferred_texts.waiting, "the other one still waits"
    assert torch.equal(tower.text_embedding(ids), expected)


def damaged(state: dict[str, Any], how: str) -> dict[str, Any]:
    name = "text.token_embedding.weight"
    if how == "missing":
        state.pop(name)
    elif how == "left over":
        state["text.more"] = torch.zeros(3)
    else:
        state[name] = state[name][:-1].contiguous()
    return state


@pytest.mark.parametrize("how", ["missing", "left over", "misshapen"])
def test_words_that_do_not_fit_are_told_at_once(tmp_path: Path, how: str) -> None:
    path = tmp_path / "model.safetensors"
    save_file(damaged(dict(small_tips().network.state_dict()), how), str(path))
    with pytest.raises(ModelError, match="does not fit the model"):
        load_clip(small_tips_spec(), weights=path, defer_texts=True)


def test_weights_wait_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_loading, "cache_dir", Path)
    source, target = small_clip().network, small_clip().network
    with torch.no_grad():
        for parameter in target.parameters():
            parameter.zero_()
    waiting = load_in_two_steps(
        target, dict(source.state_dict()), Path("file"), lambda name: name.startswith("token")
    )
    assert not target.token_embedding.weight.any()
    assert torch.equal(target.positional_embedding, source.positional_embedding)
    waiting.load(target)
    assert torch.equal(target.token_embedding.weight, source.token_embedding.weight)
