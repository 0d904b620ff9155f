"""C-RADIO with words against transformers' tower, torch's layers and open_clip's texts, from such files."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from radio_towers import small_radio
from safetensors.torch import save_file
from shared_pass import shared_pass
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, linear, normalize

from perception_contrast.cli.main import main
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.models.specs import ModelSpec
from perception_contrast.models.weight_loading import load_tensors
from perception_contrast.models.weights import add_weights

CLOSE: Any = {"atol": 1e-4, "rtol": 0.0}
WIDTH, HIDDEN, DIM, HEADS, DEPTH = 64, 40, 48, 4, 3
NAME, TEACHER = "c-radiov4-h16-siglip2", "siglip2-g16-384"
ADAPTOR = "_heads.siglip2-g."


def small_spec() -> ModelSpec:
    sizes = {"depth": DEPTH, "embed_dim": WIDTH, "num_heads": HEADS}
    # The adaptor's sizes are the file's, whatever stands here.
    options = (*sizes.items(), ("adaptor_hidden", 8), ("adaptor_blocks", 1), ("width", WIDTH))
    return replace(model_spec(NAME), dim=DIM, size=64, options=options)


def tower_of_transformers() -> Any:
    made = small_radio(WIDTH, DEPTH, HEADS)
    for _, value in made.named_parameters():
        value.copy_(value.half())  # what a checkpoint in half precision keeps
    return made


def small_teacher(folder: Path) -> Any:
    """open_clip's SigLIP 2 with a small text tower, registered under a name of its own."""
    config = open_clip.get_model_config("ViT-gopt-16-SigLIP2-384")
    config["embed_dim"] = DIM
    config["vision_cfg"] |= {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token"}
    config["vision_cfg"] |= {"timm_proj": "linear", "image_size": 224}
    config["text_cfg"] |= {"vocab_size": 500, "width": 32, "heads": 4, "layers": 2}
    (folder / "small-siglip2-teacher.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "small-siglip2-teacher.json")
    config.pop("custom_text")
    made: Any = open_clip.CustomTextCLIP(**config).eval().requires_grad_(False)
    for value in made.text.parameters():
        value.add_(torch.randn_like(value) * 0.05)
    made.logit_scale.fill_(2.0)
    made.logit_bias.fill_(-3.0)
    return made


def tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "<unk>": 2, "mug": 3, "red": 4}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>", "eos_token": "<eos>"}))


class Published:
    """A checkpoint as the authors save it, in half precision, and what it was written from."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.radio, self.teacher = tower_of_transformers(), small_teacher(folder)
        self.radio.save_pretrained(folder / "hub")
        hub = load_tensors(folder / "hub" / "model.safetensors")
        tower = {
            name.replace("radio_model.model.", "base_model."): value
            for name, value in hub.items()
            if "layer_scale" not in name
        }
        self.adaptor = {
            "fc1.weight": (HIDDEN, WIDTH), "fc1.bias": (HIDDEN,),
            **{
                f"{at}.{number}.{kind}": (HIDDEN, HIDDEN) if (number, kind) == (2, "weight") else (HIDDEN,)
                for at in ("blocks.0", "blocks.1") for number in (0, 2) for kind in ("weight", "bias")
            },
            "final.0.weight": (HIDDEN,), "final.0.bias": (HIDDEN,),
            "final.2.weight": (DIM, HIDDEN), "final.2.bias": (DIM,),
        }  # fmt: skip
        self.adaptor = {
            name: (torch.randn(shape) * 0.3).half().float() for name, shape in self.adaptor.items()
        }
        state = {
            **tower,
            **{f"{ADAPTOR}{name}": value for name, value in self.adaptor.items()},
            "_heads.sam3.fc1.weight": torch.zeros(3, WIDTH),
            "_feature_projections.siglip2-g.mlp.fc1.weight": torch.zeros(3, WIDTH),
        }
        self.file = folder / "c-radio_v4-h_half.pth.tar"
        settings = Namespace(teachers=[{"name": "siglip2-g", "token_slot": 0}], dtype=torch.float16, lr=0.1)
        held = {name: value.half() for name, value in state.items()}
        torch.save({"arch": "vit", "epoch": 3, "state_dict": held, "args": settings}, self.file)
        self.state, words = held, folder / "teacher"
        words.mkdir()
        save_file({k: v.contiguous() for k, v in self.teacher.state_dict().items()}, words / "t.safetensors")
        tokenizer(words)
        add_weights(model_spec(TEACHER), words / "t.safetensors")

    def mapped(self, tokens: Tensor) -> Tensor:
        """C-RADIO's vectors through the adaptor, as described: residual blocks of norm, GELU, linear."""
        a = self.adaptor
        x = linear(tokens, a["fc1.weight"], a["fc1.bias"])
        for at in ("blocks.0", "blocks.1"):
            x = x + self._layer(x, at)
        return self._layer(x, "final")

    def _layer(self, x: Tensor, at: str) -> Tensor:
        a = self.adaptor
        normed = layer_norm(x, (HIDDEN,), a[f"{at}.0.weight"], a[f"{at}.0.bias"])
        return linear(gelu(normed), a[f"{at}.2.weight"], a[f"{at}.2.bias"])


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(MODELS, TEACHER, replace(model_spec(TEACHER), arch="small-siglip2-teacher", dim=DIM))
    monkeypatch.setitem(MODELS, NAME, small_spec())
    return Published(tmp_path)


def normalised(tower: ClipTower, images: Tensor) -> Tensor:
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in (tower.mean, tower.std))
    return (images - mean) / std


@pytest.mark.parametrize("grid", [(4, 4), (3, 7), (9, 2)])
def test_images_and_patches_equal_the_reference(published: Published, grid: tuple[int, int]) -> None:
    tower = load_clip(NAME, weights=published.file, offline=True)
    images = torch.rand(2, 3, grid[0] * 16, grid[1] * 16)
    seen = published.radio(images)
    ours = dict(
        zip([one.name for one in tower.outputs], tower.encode(normalised(tower, images)), strict=True)
    )
    # The first class token is SigLIP 2's.
    image = normalize(published.mapped(seen.last_hidden_state[:, 0]), dim=-1)
    torch.testing.assert_close(ours["image"], image, **CLOSE)
    torch.testing.assert_close(ours["tokens"], seen.features.reshape(2, *grid, WIDTH), **CLOSE)
    stock = ClipTower(tower.network, tower.spec, "tried@0", method="stock")
    patches = normalize(published.mapped(seen.features), dim=-1).reshape(2, *grid, DIM)
    torch.testing.assert_close(stock.dense(normalised(tower, images)), patches, **CLOSE)
    assert tower.method == "naradio" and (ours["dense"] - patches).abs().max() > 1e-3


def test_texts_and_scores_equal_open_clips(published: Published) -> None:
    tower = load_clip(NAME, weights=published.file, offline=True)
    ids = torch.randint(1, 499, (3, 64))
    expected = published.teacher.encode_text(ids, normalize=True)
    torch.testing.assert_close(tower.text_embedding(ids), expected, **CLOSE)
    assert tower.logit_scale.scale == pytest.approx(np.exp(2.0), rel=1e-5)
    assert tower.logit_scale.bias == pytest.approx(-3.0)
    assert tower.of_images is tower, "patches and images share the space of the texts"


def test_the_adaptor_is_read_from_a_file_of_the_hubs_model_as_well(
    published: Published, tmp_path: Path
) -> None:
    hub = {
        name.replace("base_model.", "radio_model.model.").replace(
            ADAPTOR, "radio_model.adaptors.siglip2-g.head_mlp."
        ): value.clone().contiguous()
        for name, value in published.state.items()
    }
    save_file(hub, tmp_path / "model.safetensors")
    images = torch.rand(1, 3, 64, 64)
    one = load_clip(NAME, weights=tmp_path / "model.safetensors", offline=True)
    other = load_clip(NAME, weights=published.file, offline=True)
    assert torch.equal(one.image_embedding(images), other.image_embedding(images))
    assert one.space != other.space


def test_a_checkpoint_without_the_adaptor_is_refused(published: Published, tmp_path: Path) -> None:
    state = {name: value for name, value in published.state.items() if not name.startswith(ADAPTOR)}
    torch.save({"state_dict": state}, tmp_path / "plain.pth.tar")
    with pytest.raises(ModelError, match=r"plain\.pth\.tar does not fit"):
        load_clip(NAME, weights=tmp_path / "plain.pth.tar", offline=True)


def test_settings_of_training_are_read_and_other_objects_are_not(
    published: Published, tmp_path: Path
) -> None:
    assert load_tensors(published.file).keys() == published.state.keys()
    torch.save({"state_dict": published.state, "args": Namespace(net=nn.ReLU())}, tmp_path / "net.pth.tar")
    with pytest.raises(ModelError, match=r"net\.pth\.tar is no plain tensor checkpoint"):
        load_tensors(tmp_path / "net.pth.tar")


@pytest.mark.parametrize("name", ["c-radiov4-so400m16-siglip2", "c-radiov4-h16-siglip2"])
def test_entry_agrees_with_the_tower_and_the_teacher(name: str) -> None:
    from perception_contrast.encoders.radio_words import radio_words_network

    spec, plain, teacher = model_spec(name), model_spec(name.removesuffix("-siglip2")), model_spec(TEACHER)
    assert (spec.arch, spec.patch, spec.mean, spec.std) == (plain.arch, plain.patch, plain.mean, plain.std)
    assert (spec.resampling, spec.licence, spec.dim) == (plain.resampling, plain.licence, teacher.dim)
    with torch.device("meta"):
        network: Any = radio_words_network(spec)
    assert network.visual.trunk.num_features == plain.dim == network.visual.head.fc1.in_features
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(spec.millions, abs=0.06)


def test_one_pass_gives_features_and_words(published: Published) -> None:
    """Added by the command, named as ``model`` and ``language_model``: C-RADIO runs once a frame."""
    assert main(["models", "add", NAME, str(published.file)]) == 0
    encoders = load_encoders(NAME, NAME, offline=True)
    assert encoders.language is not None and encoders.shared_backbone
    tower: Any = encoders.language.image_encoder
    seen_once = shared_pass(encoders, words=("red mug", "mug"))
    frame, result = seen_once.frame, seen_once.result
    assert result.features is not None and result.semantic_features is not None
    images = torch.from_numpy(frame.image).permute(2, 0, 1)[None] / 255
    seen = published.radio(images).features[0].numpy()
    np.testing.assert_allclose(result.features.values.reshape(-1, WIDTH), seen, atol=5e-3)
    assert result.features.space == f"{tower.space}/tokens"
    assert result.semantic_features.space == tower.space
    assert result.semantic_features.values.shape[-1] == DIM
