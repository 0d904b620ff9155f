"""C-RADIO against transformers and timm: published names, the crop of its positions, any grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from radio_towers import small_radio
from safetensors.torch import load_file, save_file

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.dinov2 import DinoTower, load_dino
from perception_contrast.encoders.encoder_graph import graph_of
from perception_contrast.encoders.position_embedding import resampled
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.models.specs import ModelSpec, Resampling

CLOSE: Any = {"atol": 1e-4, "rtol": 0.0}
WIDTH, DEPTH, HEADS = 64, 3, 4
RADIO = [spec for spec in MODELS.values() if spec.family == "radio"]


def small_spec(name: str) -> ModelSpec:
    sizes = (("depth", DEPTH), ("embed_dim", WIDTH), ("num_heads", HEADS))
    return replace(model_spec(name), dim=WIDTH, options=sizes)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A file in the names of the published ones, which transformers writes, and its own model."""
    folder = tmp_path_factory.mktemp("radio")
    torch.manual_seed(0)
    theirs = small_radio(WIDTH, DEPTH, HEADS)
    theirs.save_pretrained(folder)
    path = folder / "model.safetensors"
    # Without the scales of 1 that transformers adds to every block, and with a part that is not served.
    state = {name: value for name, value in load_file(path).items() if "layer_scale" not in name}
    state["radio_model.adaptors.siglip2-g.head_mlp.fc1.weight"] = torch.zeros(4, WIDTH)
    save_file(state, path)
    return path, theirs


@pytest.mark.parametrize("grid", [(32, 32), (6, 11), (9, 4), (1, 1), (128, 2)])
def test_tokens_equal_transformers_at_any_size(published: tuple[Path, Any], grid: tuple[int, int]) -> None:
    tower = load_dino(small_spec("c-radiov4-h16"), weights=published[0])
    images = torch.rand(1, 3, grid[0] * 16, grid[1] * 16)
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in (tower.mean, tower.std))
    seen = published[1](images)
    ours = tower((images - mean) / std)
    torch.testing.assert_close(ours.tokens, seen.features.reshape(1, *grid, WIDTH), **CLOSE)
    torch.testing.assert_close(ours.cls, seen.last_hidden_state[:, 0], **CLOSE)
    assert ours.tokens.std() > 0.1
    graph = graph_of(tower)
    assert graph.names == ("tokens", "cls")


@pytest.mark.parametrize("corners", [False, True])
def test_positions_are_timms(corners: bool) -> None:
    """timm's flexible transformer has both ways of the published code; it adds them to patches of zeros."""
    theirs: Any = timm.create_model(
        "naflexvit_base_patch16_radio_v3", embed_dim=WIDTH, depth=1, num_heads=HEADS, num_classes=0,
        pos_embed_align_corners=corners,
    )  # fmt: skip
    table = torch.randn(1, 128, 128, WIDTH)
    theirs.embeds.pos_embed.data.copy_(table)
    rule = Resampling("bilinear", antialias=False, square=True, corners=corners)
    for grid in ((5, 5), (3, 8), (9, 2), (128, 128)):
        expected = torch.zeros(1, grid[0] * grid[1], WIDTH)
        with torch.no_grad():
            theirs.embeds._apply_learned_pos_embed(expected, list(grid))
        ours = resampled(table.flatten(1, 2), *grid, rule)
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_which_models_keep_the_corners_is_what_timm_records() -> None:
    from timm.models.vision_transformer import _RADIO_ALIGN_CORNERS

    for spec in RADIO:
        assert spec.resampling.corners == any(spec.arch.endswith(name) for name in _RADIO_ALIGN_CORNERS)


@pytest.mark.parametrize("spec", RADIO, ids=lambda spec: spec.name)
def test_entry_agrees_with_timm(spec: ModelSpec) -> None:
    from perception_contrast.encoders.timm_backbones import create_network

    config = timm.get_pretrained_cfg(spec.arch)
    assert config is not None and config.license == "nvidia-open-model-license" and not spec.permissive
    assert (config.mean, config.std, config.input_size) == (spec.mean, spec.std, (3, spec.size, spec.size))
    with torch.device("meta"):
        network: Any = create_network(spec.arch, spec.size)
    assert network.num_features == spec.dim and network.patch_embed.patch_size == (spec.patch, spec.patch)
    assert network.pos_embed.shape[1] == 128 * 128
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(spec.millions, abs=0.06)


def test_scales_of_blocks_are_read_under_their_published_name(
    published: tuple[Path, Any], tmp_path: Path
) -> None:
    spec = small_spec("c-radiov3-b16")
    state = load_file(published[0])
    token = "radio_model.model.patch_generator.cls_token.token"
    state[token] = state[token][:8].clone()
    blocks = {f"radio_model.model.blocks.{i}.ls{n}.grandma" for i in range(DEPTH) for n in (1, 2)}
    save_file({**state, **{name: torch.full((WIDTH,), 0.5) for name in blocks}}, tmp_path / "b.safetensors")
    tower: DinoTower = load_dino(spec, weights=tmp_path / "b.safetensors")
    assert (tower.vit.blocks[2].ls2.gamma == 0.5).all()
    with pytest.raises(ModelError, match="does not fit"):
        load_dino(spec, weights=published[0])
