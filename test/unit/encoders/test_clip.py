"""CLIP and SigLIP towers against open_clip and transformers; dense features against plain transcriptions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from clip_towers import small_clip, small_siglip
from clip_twins import clip_twin, siglip_twin
from torch.nn.functional import normalize

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.encoders.dense.naclip import neighbourhood_bias
from perception_contrast.models.registry import MODELS

CLOSE = {"atol": 1e-4, "rtol": 0.0}


TOWERS = {"clip": small_clip, "siglip": small_siglip}


@pytest.fixture(params=sorted(TOWERS))
def tower(request: pytest.FixtureRequest) -> ClipTower:
    made: ClipTower = TOWERS[request.param]()
    return made


def twin_of(tower: ClipTower, folder: Path) -> Any:
    return (siglip_twin if tower.spec.family == "siglip" else clip_twin)(tower.network, folder)


def tokens_for(tower: ClipTower) -> torch.Tensor:
    """Two texts as ids, of different length."""
    if tower.spec.family == "clip":
        ids: torch.Tensor = open_clip.SimpleTokenizer()(["a red mug on the table", "floor"])
        return ids
    ids = torch.zeros(2, 64, dtype=torch.long)
    ids[0, :4], ids[1, :2] = torch.tensor([17, 230, 44, 1]), torch.tensor([9, 1])
    return ids


def check_against_both(tower: ClipTower, folder: Path) -> dict[str, float]:
    """Largest differences of unit embeddings from open_clip's and from transformers'."""
    twin = twin_of(tower, folder)
    images, ids = torch.randn(2, 3, tower.spec.size, tower.spec.size), tokens_for(tower)
    with torch.no_grad():
        ours = tower.image_embedding(images), tower.text_embedding(ids)
        open_clips = [
            normalize(f, dim=-1) for f in (tower.network.encode_image(images), tower.network.encode_text(ids))
        ]
        image = twin.vision_model(pixel_values=images).pooler_output
        text = twin.text_model(input_ids=ids).pooler_output
        if tower.spec.family == "clip":
            image, text = twin.visual_projection(image), twin.text_projection(text)
    theirs = [normalize(f, dim=-1) for f in (image, text)]
    assert all((a[0] - a[1]).abs().max() > 5e-3 for a in ours), "two inputs must not look alike"
    return {
        f"{what} against {who}": (a - b).abs().max().item()
        for who, others in (("open_clip", open_clips), ("transformers", theirs))
        for what, a, b in zip(("image", "text"), ours, others, strict=True)
    }


def test_embeddings_equal_open_clip_and_transformers(tower: ClipTower, tmp_path: Path) -> None:
    for what, difference in check_against_both(tower, tmp_path).items():
        assert difference < 1e-4, what


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip-vit-b16", "siglip2-b16"])
def test_full_size_embeddings_equal_open_clip_and_transformers(name: str, tmp_path: Path) -> None:
    for what, difference in check_against_both(load_clip(name, random_init=True), tmp_path).items():
        print(f"{name}, {what}: largest difference {difference:.1e}")
        assert difference < 1e-4, what


def gaussian_by_hand(rows: int, columns: int) -> torch.Tensor:
    places = [(r, c) for r in range(rows) for c in range(columns)]
    return torch.tensor(
        [[math.exp(-((a - p) ** 2 + (b - q) ** 2) / (2 * 5.0**2)) for p, q in places] for a, b in places]
    )


def test_nearness_is_the_papers_gaussian_on_grids_that_are_not_square() -> None:
    torch.testing.assert_close(neighbourhood_bias(3, 5), gaussian_by_hand(3, 5))
    assert neighbourhood_bias(2, 30)[0, 29] < neighbourhood_bias(2, 30)[0, 30], (
        "the patch below is nearer than the row's end"
    )


def naclip_by_hand(tower: ClipTower, images: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Hajimiri et al. 2025, head by head, row by row, for the native grid (open_clip embeds it)."""
    visual = tower.network.visual
    x = visual._embeds(images)
    for block in list(visual.transformer.resblocks)[:-1]:
        x = block(x)
    block = visual.transformer.resblocks[-1]
    y = block.ln_1(x)
    width, heads = y.shape[-1], block.attn.num_heads
    each = width // heads
    near = torch.zeros(1 + rows * columns, 1 + rows * columns)
    near[1:, 1:] = gaussian_by_hand(rows, columns)
    results = []
    for sample in y:
        parts = []
        for h in range(heads):
            at = slice(width + h * each, width + (h + 1) * each)
            key = sample @ block.attn.in_proj_weight[at].T + block.attn.in_proj_bias[at]
            at = slice(2 * width + h * each, 2 * width + (h + 1) * each)
            value = sample @ block.attn.in_proj_weight[at].T + block.attn.in_proj_bias[at]
            weights = torch.softmax(key @ key.T / math.sqrt(each) + near, dim=-1)
            parts.append(weights @ value)
        mixed = torch.cat(parts, dim=-1) @ block.attn.out_proj.weight.T + block.attn.out_proj.bias
        results.append(normalize(visual.ln_post(mixed[1:]) @ visual.proj, dim=-1))
    return torch.stack(results).reshape(len(images), rows, columns, -1)


def test_dense_clip_is_naclip() -> None:
    tower = small_clip()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(tower.dense(images), naclip_by_hand(tower, images, 4, 4), **CLOSE)


def test_dense_clip_is_naclip_on_a_grid_that_is_not_square() -> None:
    """open_clip takes a grid of another shape if the network is built for it; positions resampled by timm."""
    from timm.layers import resample_abs_pos_embed

    tower = small_clip()
    images = torch.randn(1, 3, 48, 96)
    ours = tower.dense(images)
    position = tower.network.visual.positional_embedding
    moved = resample_abs_pos_embed(position.detach()[None], [3, 6], [4, 4], num_prefix_tokens=1)[0]
    tower.network.visual.positional_embedding = torch.nn.Parameter(moved, requires_grad=False)
    torch.testing.assert_close(ours, naclip_by_hand(tower, images, 3, 6), **CLOSE)


def test_dense_siglip_of_one_patch_is_the_whole_embedding() -> None:
    """Attention over a single token can only take that token, so the value path is the pooling head."""
    tower = small_siglip("stock")
    images = torch.randn(3, 3, 16, 16)
    torch.testing.assert_close(tower.dense(images)[:, 0, 0], tower.image_embedding(images), **CLOSE)


def test_dense_does_not_depend_on_batch_mates(tower: ClipTower) -> None:
    images = torch.stack([torch.randn(3, 48, 80), 5 * torch.randn(3, 48, 80), torch.zeros(3, 48, 80)])
    together = tower.dense(images)
    alone = torch.cat([tower.dense(image[None]) for image in images])
    assert together.shape == (3, 3, 5, tower.dim)
    torch.testing.assert_close(together, alone, **CLOSE)


@pytest.mark.parametrize("value", [0.0, -2.0, 2.7])
def test_blank_frames_give_finite_unit_vectors(tower: ClipTower, value: float) -> None:
    dense = tower.dense(torch.full((1, 3, 32, 64), value))
    torch.testing.assert_close(dense.norm(dim=-1), torch.ones(1, 2, 4))


def test_both_outputs_of_one_pass_are_those_of_two(tower: ClipTower) -> None:
    images = torch.randn(1, 3, 64, 32)
    both = tower(images)
    torch.testing.assert_close(both.dense, tower.dense(images))
    torch.testing.assert_close(both.image, tower.image_embedding(images))


def test_refuses_a_size_that_is_no_multiple(tower: ClipTower) -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        tower.dense(torch.zeros(1, 3, 60, 64))


def test_checkpoint_with_the_prefix_of_distributed_training_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perception_contrast.encoders import clip

    source = small_clip()
    state = {f"module.{name}": value for name, value in source.network.state_dict().items()}
    path = tmp_path / "epoch_1.pt"
    torch.save({"epoch": 1, "state_dict": state}, path)
    monkeypatch.setattr(clip, "_network", lambda arch: small_clip().network)
    loaded = load_clip("clip-vit-b16", weights=path)
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(loaded.image_embedding(images), source.image_embedding(images))
    del state["module.visual.proj"]
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"visual\.proj"):
        load_clip("clip-vit-b16", weights=path)


def test_spaces_of_two_random_towers_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    from perception_contrast.encoders import clip

    networks = iter([small_clip().network, small_siglip().network, small_clip().network])
    monkeypatch.setattr(clip, "_network", lambda arch: next(networks))
    spaces = [load_clip("clip-vit-b16", random_init=True).space]
    spaces += [
        load_clip("siglip2-b16", random_init=True).space,
        load_clip("clip-vit-b16", random_init=True).space,
    ]
    assert spaces[0] != spaces[1] and spaces[0] == spaces[2]


@pytest.mark.parametrize(
    "spec", [s for s in MODELS.values() if s.family in ("clip", "siglip")], ids=lambda s: s.name
)
def test_registry_agrees_with_open_clip(spec: Any) -> None:
    assert spec.hub is not None
    known = [
        open_clip.get_pretrained_cfg(spec.arch, tag)
        for tag in open_clip.list_pretrained_tags_by_model(spec.arch)
    ]
    match = [c for c in known if c.get("hf_hub", "").rstrip("/") == spec.hub.repo]
    assert match, f"open_clip knows no {spec.hub.repo} for {spec.arch}"
    assert match[0]["mean"] == spec.mean and match[0]["std"] == spec.std
    config = open_clip.get_model_config(spec.arch)
    assert config["embed_dim"] == spec.dim and config["vision_cfg"]["image_size"] == spec.size
    assert bool(config.get("quick_gelu")) == bool(match[0].get("quick_gelu"))
    assert int(spec.arch.split("-")[2]) == spec.patch


@pytest.mark.parametrize("spec", [s for s in MODELS.values() if s.family == "dinov2"], ids=lambda s: s.name)
def test_registry_agrees_with_timm(spec: Any) -> None:
    import timm

    assert spec.hub is not None
    config = timm.get_pretrained_cfg(f"{spec.arch}.lvd142m")
    assert config is not None and config.hf_hub_id == spec.hub.repo
    assert (config.mean, config.std) == (spec.mean, spec.std)
    assert config.license == spec.licence.lower() and config.input_size == (3, spec.size, spec.size)
    with torch.device("meta"):
        vit = timm.create_model(spec.arch)
    assert vit.embed_dim == spec.dim and vit.patch_embed.patch_size == (spec.patch, spec.patch)
