"""Tiny models of images and words as entries of the list, and captioned images for them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from timm.models.vision_transformer import VisionTransformer
from tips_words import write_words
from tokenizers import Tokenizer, models, pre_tokenizers

from perception_contrast.encoders import clip
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.text.base import TextEncoder
from perception_contrast_training.config.pretraining_recipe import recipe_of
from perception_contrast_training.engine.pretraining import start

SIZE = 32
COLOURS = ("red", "green", "blue")
WORDS = ("<pad>", "</s>", "<unk>", "a", "wall", "floor", "number", "photo", "of", *COLOURS)
TINY = ("tiny-clip", "tiny-siglip", "tiny-tips")
CAPTIONS = ["A red wall.", "a  GREEN floor", "a blue wall", "a green wall"]


def _clip() -> Any:
    return open_clip.CLIP(
        embed_dim=16,
        vision_cfg={"image_size": SIZE, "layers": 2, "width": 32, "patch_size": 8, "head_width": 8},
        text_cfg={"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
        quick_gelu=True,
    )


def _siglip() -> Any:
    config = open_clip.get_model_config("ViT-B-16-SigLIP2")
    config["embed_dim"] = 32
    config["text_cfg"] |= {"vocab_size": len(WORDS), "width": 32, "heads": 2, "layers": 2}
    config["vision_cfg"] |= {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token"}
    config.pop("custom_text")
    network = open_clip.CustomTextCLIP(**config)
    network.visual.trunk = VisionTransformer(
        img_size=SIZE, patch_size=8, embed_dim=32, depth=2, num_heads=4, class_token=False,
        global_pool="map", num_classes=0, act_layer=partial(torch.nn.GELU, approximate="tanh"),
    )  # fmt: skip
    return network


def know_tiny_models(patch: pytest.MonkeyPatch) -> None:
    """Those of ``TINY`` are models of the list, without weights that could be fetched."""
    made = {"Tiny-CLIP": _clip, "Tiny-SigLIP": _siglip}
    own = clip._network
    patch.setattr(clip, "_network", lambda arch: made[arch]() if arch in made else own(arch))
    for name, like, arch, dim in (
        ("tiny-clip", "clip-vit-b16", "Tiny-CLIP", 16),
        ("tiny-siglip", "siglip2-b16", "Tiny-SigLIP", 32),
    ):
        spec = replace(
            model_spec(like), name=name, arch=arch, dim=dim, patch=8, size=SIZE, hub=None, millions=0.1
        )
        patch.setitem(MODELS, name, spec)
    sizes = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
    words = {"temperature": 0.05, "text_depth": 2, "text_heads": 2, "text_hidden": 48}
    tips = replace(
        model_spec("tipsv2-b14"), name="tiny-tips", dim=32, patch=8, size=SIZE, hub=None,
        options=tuple(sorted((sizes | words).items())),
    )  # fmt: skip
    patch.setitem(MODELS, tips.name, tips)


def weights_of(name: str, folder: Path) -> Path:
    """A file of weights that are large enough for a mistake to show, with the tokenizer that it needs."""
    from safetensors.torch import save_file

    torch.manual_seed(5)
    network = clip._network_of(model_spec(name))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, str(path))
    write_tokenizer(folder)
    write_words(folder)
    return path


def write_tokenizer(folder: Path) -> None:
    """In the layout of SigLIP 2's."""
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def colour_table(folder: Path, count: int = 36, side: int = SIZE) -> Path:
    """Noise in three colours, with captions and classes."""
    chance = np.random.default_rng(0)
    with (folder / "table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "caption", "class"])
        for number in range(count):
            noise = chance.integers(0, 100, (side, side, 3), np.uint8)
            noise[..., number % 3] += 150
            Image.fromarray(noise).save(folder / f"{number}.png")
            place = ("wall", "floor")[number // 3 % 2]
            rows.writerow([f"{number}.png", f"A {COLOURS[number % 3]} {place}.", COLOURS[number % 3]])
    return folder / "table.csv"


class Sentences(TextEncoder):
    """In place of minilm-l6: 384 numbers that follow from the phrase's bytes."""

    model, space, dim, wording = "minilm-l6", "minilm-l6@tiny", 384, ""

    def canonical(self, text: str) -> str:
        return " ".join(text.lower().split())

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        forms = [list(self.canonical(text).encode()) for text in texts]
        rows = [np.random.default_rng(form).standard_normal(384) for form in forms]
        stacked = np.array(rows, np.float32).reshape(-1, 384)
        return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)


def images(count: int = 4, side: int = SIZE) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(3))


def settings(method: str, backbone: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"method": method, "backbone": backbone, "options": options}


VIT = {"name": "vit_tiny_patch16_224", "size": SIZE, "patch": 8, "width": 48, "depth": 2, "heads": 3}
SCRATCH = {"width": 16, "depth": 1, "heads": 2, "context": 12}
RUNS: dict[str, dict[str, Any]] = {
    "clip": settings("clip", {"name": "tiny-clip"}, text={"tower": "own"}),
    "clip lora": settings("clip", {"name": "tiny-clip"}, text={"tower": "own"}) | {"lora": {"rank": 2}},
    "siglip lora": settings("siglip", {"name": "tiny-siglip"}, text={"tower": "own"})
    | {"lora": {"rank": 2}},
    "tips": settings("clip", {"name": "tiny-tips"}, text={"tower": "own"}),
    "lit": settings("lit", {"name": "tiny-clip"}, text={"tower": "own"}),
    "scratch": settings("clip", VIT, dim=16, text=SCRATCH),
    "scratch siglip, registers": settings("siglip", VIT | {"registers": 2}, dim=16, text=SCRATCH),
    "sentences, mean": settings("lit", {"name": "convnext_atto", "size": 64}, text={"tower": "minilm"}),
    "sentences, hidden": settings(
        "clip", {"name": "resnet10t", "size": 64}, dim=16, text={"tower": "minilm", "hidden": 8}
    ),
}  # fmt: skip


def finished(
    stored: dict[str, Any],
    table: Path,
    place: Path,
    steps: int = 3,
    optimise: dict[str, Any] | None = None,
    **more: Any,
) -> Path:
    """A run that has come to its end. Of a model of the list it begins with weights of a file."""
    optimisation = {"steps": steps, "batch": 8, "learning_rate": 1e-2, "warm_up": 0, "clip": 1.0}
    name = stored["backbone"]["name"]
    backbone = dict(stored["backbone"])
    if name in TINY:
        backbone |= {"weights": str(weights_of(name, place)), "pretrained": True}
    recipe = recipe_of(
        {
            **stored, "backbone": backbone, "name": "mine", "output": str(place / "run"),
            "tensorboard": False,
            "data": {"path": str(table), "workers": 0, "held_out": 0.25}, "as_written": True,
            "optimisation": optimisation | (optimise or {}),
            "checkpoints": {"every": 100}, "measure": {"every": 0}, "monitors": {"alarms": "none"}, **more,
        }
    )  # fmt: skip
    assert start(recipe) == "finished"
    return place / "run"
