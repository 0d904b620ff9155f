"""Every model that can be named: entries agree with timm and open_clip, towers compute what theirs do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from perception_contrast.cli.main import EXIT_ERROR, main
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.encoders.dinov2 import DinoTower, load_dino
from perception_contrast.encoders.encoder_graph import graph_of
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.models.licences import PERMISSIVE, RESTRICTIONS, licence_of_timm
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.models.specs import ModelSpec

CLOSE: Any = {"atol": 2e-5, "rtol": 1e-5}
# Of C-RADIO the authors' own repositories are named, see test_radio.py.
SPATIAL = [spec for spec in MODELS.values() if spec.spatial and spec.family != "radio"]
OPEN_CLIP = ("clip", "siglip", "mobileclip", "pe-core")
# open_clip knows those that lie in its own names; tests of its own compare the others with transformers.
LANGUAGE = [
    spec
    for spec in MODELS.values()
    if spec.family in OPEN_CLIP
    or (spec.family == "metaclip2" and spec.hub is not None and spec.hub.repo.startswith("timm/"))
]
# Another patch, another way with prefix tokens, positions or pooling each.
COMPUTED = [
    "dinov2-s14", "dinov2-s14-reg", "dinov3-s16", "dino-s8", "mae-b16", "pe-spatial-t16",
    "timm:vit_small_patch16_224", "timm:eva02_tiny_patch14_224",
    "timm:vit_base_patch16_siglip_224", "timm:vit_small_patch16_rope_mixed_224",
    "timm:vit_small_patch16_dinov3_qkvb.eupe_lvd1689m", "timm:vit_medium_patch16_gap_256",
]  # fmt: skip


def by_name(spec: ModelSpec) -> str:
    return spec.name


def tagged(spec: ModelSpec) -> str:
    assert spec.hub is not None
    return spec.hub.repo.removeprefix("timm/")


# --- entries


@pytest.mark.parametrize("spec", SPATIAL, ids=by_name)
def test_spatial_entry_agrees_with_timm(spec: ModelSpec) -> None:
    config = timm.get_pretrained_cfg(tagged(spec))
    assert config is not None and spec.hub is not None and config.hf_hub_id == spec.hub.repo
    assert config.architecture == spec.arch
    assert (config.mean, config.std) == (spec.mean, spec.std)
    assert licence_of_timm(config.license) == spec.licence
    assert config.input_size[1:] == (spec.size, spec.size) and config.interpolation == spec.interpolation
    with torch.device("meta"):
        network: Any = timm.create_model(spec.arch, num_classes=0)
    assert network.num_features == spec.dim
    patch = network.patch_embed.patch_size if hasattr(network, "patch_embed") else (32, 32)
    assert patch == (spec.patch, spec.patch)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(spec.millions, abs=0.06)


@pytest.mark.parametrize("spec", LANGUAGE, ids=by_name)
def test_language_entry_agrees_with_open_clip(spec: ModelSpec) -> None:
    assert spec.hub is not None
    tags = open_clip.list_pretrained_tags_by_model(spec.arch)
    known = [open_clip.get_pretrained_cfg(spec.arch, tag) for tag in tags]
    match = [c for c in known if c.get("hf_hub", "").rstrip("/") == spec.hub.repo]
    assert match, f"open_clip knows no {spec.hub.repo} for {spec.arch}"
    assert (match[0]["mean"], match[0]["std"]) == (spec.mean, spec.std)
    assert match[0]["interpolation"] == spec.interpolation
    config = open_clip.get_model_config(spec.arch)
    assert (config["embed_dim"], config["vision_cfg"]["image_size"]) == (spec.dim, spec.size)
    assert bool(config.get("quick_gelu")) == bool(match[0].get("quick_gelu"))


@pytest.mark.slow
@pytest.mark.parametrize("spec", LANGUAGE, ids=by_name)
def test_language_entry_counts_its_parameters(spec: ModelSpec) -> None:
    config = open_clip.get_model_config(spec.arch)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    with torch.device("meta"):
        network = kind(**config)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(spec.millions, abs=0.06)


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("metaclip-b16", "vit_base_patch16_clip_224.metaclip_2pt5b"),
        ("dfn-b16", "vit_base_patch16_clip_224.dfn2b"),
        ("dfn-h14-378", "vit_huge_patch14_clip_378.dfn5b"),
        ("mobileclip2-s0", "fastvit_mci0.apple_mclip2_dfndr2b"),
        ("mobileclip2-s4", "fastvit_mci4.apple_mclip2_dfndr2b"),
        ("pe-core-l14-336", "vit_pe_core_large_patch14_336.fb"),
        ("siglip2-so400m16-384", "vit_so400m_patch16_siglip_384.v2_webli"),
    ],
)
def test_language_licences_are_those_that_timm_records(name: str, tag: str) -> None:
    recorded = timm.get_pretrained_cfg(tag)
    assert recorded is not None
    assert licence_of_timm(recorded.license).lower() == model_spec(name).licence.lower()


def test_every_licence_is_permissive_or_warned_of_and_in_the_docs() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "models.md").read_text("utf-8")
    for spec in MODELS.values():
        assert spec.licence in PERMISSIVE or spec.licence in RESTRICTIONS, spec.name
        assert spec.licence in text and bool(spec.warning) != spec.permissive, spec.name
        assert f"`{spec.name}`" in text, f"docs/models.md does not name {spec.name}"
    assert "forbids commercial use" in model_spec("mae-b16").warning
    assert "DINOv3 License" in model_spec("dinov3-s16").warning


# --- towers of images alone


def tower_of(name: str, depth: int = 2) -> tuple[DinoTower, Any]:
    """A tower of a few blocks, and timm's own network with the same weights that takes one size alone."""
    spec = model_spec(name)
    torch.manual_seed(0)
    options: dict[str, Any] = {"num_classes": 0, "depth": depth, "img_size": spec.size}
    fixed: Any = timm.create_model(spec.arch, **options)
    with torch.no_grad():
        for parameter in fixed.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    free: Any = timm.create_model(spec.arch, **options, dynamic_img_size=True)
    free.load_state_dict(fixed.state_dict())
    tower = DinoTower(free, spec, "tried@0").eval().requires_grad_(False)
    return tower, fixed.eval().requires_grad_(False)


@pytest.mark.parametrize("name", COMPUTED)
def test_tower_is_timms_at_its_own_size(name: str) -> None:
    tower, theirs = tower_of(name)
    side = model_spec(name).size
    images = torch.randn(1, 3, side, side)
    ours = tower(images, layers=(0,))
    with torch.inference_mode():
        expected = theirs.forward_features(images)
        block = theirs.forward_intermediates(images, indices=[0], intermediates_only=True)[0]
    patches = expected[:, theirs.num_prefix_tokens :]
    torch.testing.assert_close(ours.tokens.flatten(1, 2), patches, **CLOSE)
    torch.testing.assert_close(ours.layers[0], block.permute(0, 2, 3, 1), **CLOSE)
    if theirs.attn_pool is not None:
        image = theirs.attn_pool(expected)
    else:
        image = patches.mean(1) if theirs.cls_token is None else expected[:, 0]
    torch.testing.assert_close(ours.cls, image, **CLOSE)
    assert ours.tokens.shape[-1] == tower.dim and ours.tokens.std() > 0.05


@pytest.mark.parametrize("name", [n for n in COMPUTED if not n.startswith("dinov2")])
def test_tower_is_timms_on_a_grid_that_is_not_square(name: str) -> None:
    """DINOv2, whose positions timm resamples in another way than its authors, has tests of its own."""
    tower, _ = tower_of(name)
    images = torch.randn(2, 3, 3 * tower.patch, 5 * tower.patch)
    with torch.inference_mode():
        ours = tower(images)
        again = tower(images)  # what was kept for the grid is used
        expected, maps = tower.vit.forward_intermediates(images, indices=[1])
    assert ours.tokens.shape == (2, 3, 5, tower.dim) and maps[0].shape[-2:] == (3, 5)
    torch.testing.assert_close(ours.tokens.flatten(1, 2), expected[:, tower.vit.num_prefix_tokens :], **CLOSE)
    assert torch.equal(ours.tokens, again.tokens)
    graph = graph_of(tower)
    assert graph.names == ("tokens", "cls") and torch.equal(graph(images)[1], ours.cls)


@pytest.mark.parametrize("name", ["resnet50", "timm:resnet18"])
def test_resnet_gives_its_last_stage_and_its_mean(name: str) -> None:
    spec = model_spec(name)
    torch.manual_seed(0)
    network: Any = timm.create_model(spec.arch, num_classes=0)
    tower = DinoTower(network, spec, "tried@0").eval().requires_grad_(False)
    images = torch.randn(2, 3, 96, 160)
    ours = tower(images, layers=(1,))
    torch.testing.assert_close(ours.tokens.permute(0, 3, 1, 2), network.forward_features(images), **CLOSE)
    torch.testing.assert_close(ours.cls, network(images), **CLOSE)
    assert ours.tokens.shape == (2, 3, 5, spec.dim) and ours.layers[0].shape[1:3] == (12, 20)
    with pytest.raises(ValueError, match="multiples of 32"):
        tower(torch.zeros(1, 3, 96, 150))


# --- weights in, classifiers out


def test_a_timm_classifiers_weights_load_without_the_classifier(tmp_path: Path) -> None:
    network: Any = timm.create_model("vit_tiny_patch16_224", num_classes=10)
    save_file(network.state_dict(), tmp_path / "tiny.safetensors")
    tower = load_dino("timm:vit_tiny_patch16_224", weights=tmp_path / "tiny.safetensors")
    images = torch.randn(1, 3, 224, 224)
    expected = network.eval().forward_features(images).detach()
    torch.testing.assert_close(tower(images).cls, expected[:, 0], **CLOSE)
    assert tower.space.startswith("timm:vit_tiny_patch16_224@")


def test_an_own_model_is_served_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    network: Any = timm.create_model("resnet50", num_classes=0)
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "simclr.pth")
    added = ["models", "add", "kitchen-simclr", str(tmp_path / "simclr.pth"), "--like", "resnet50"]
    assert main([*added, "--licence", "MIT"]) == 0
    encoders = load_encoders("kitchen-simclr", "none", offline=True)
    assert encoders.spatial.space.startswith("kitchen-simclr@")
    images = torch.randn(1, 3, 64, 96)
    assert isinstance(encoders.spatial, DinoTower)
    torch.testing.assert_close(encoders.spatial(images).cls, network.eval()(images).detach(), **CLOSE)
    capsys.readouterr()
    assert main(["models", "list"]) == 0
    assert "kitchen-simclr" in capsys.readouterr().out
    assert main(["models", "info", "kitchen-simclr"]) == 0
    assert "MIT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "like", "message"),
    [
        ("mine", "dinov2-s14", "does not fit"),
        ("mine", "no-such-thing-at-all", "models list"),
        ("../mine", "resnet50", "cannot name a model"),
        ("dinov2-s14", "resnet50", "is a model already"),
        ("mine", "household-lit", "made of other models"),
    ],
)
def test_an_own_model_that_cannot_be_leaves_nothing(
    name: str,
    like: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    assert main(["models", "add", name, str(tmp_path / "x.safetensors"), "--like", like]) == EXIT_ERROR
    assert message in capsys.readouterr().err
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


# --- names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:vit_smal_patch16_224", "did you mean .*timm:vit_small_patch16_224"),
        ("timm:vit_base_patch16_224.nothing", r"it knows .*timm:vit_base_patch16_224\.mae"),
        ("timm:swin_tiny_patch4_window7_224", "no plain vision transformer"),
        ("timm:vit_base_patch16_radio_v3", "no plain vision transformer.*choose one of c-radiov3-"),
        ("timm:vit_base_r50_s16_224", "no plain vision transformer"),
        ("dinov2-s15", "did you mean dinov2-s14"),
        ("????", "`perception-contrast models list` names them all"),
    ],
)
def test_unknown_names_are_one_line_with_a_remedy(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        model_spec(name)
    assert "\n" not in str(caught.value)


def test_a_model_whose_licence_nobody_recorded_says_so() -> None:
    spec = model_spec("timm:vit_base_patch16_224.bamboo")
    assert spec.licence == "unknown" and "not known" in spec.warning
    assert model_spec("timm:vit_base_patch16_224.mae").licence == "CC-BY-NC-4.0"


# --- towers of images and words


def language_tower(name: str) -> tuple[ClipTower, Any]:
    """A tower at random initialisation, and open_clip's network with the same weights."""
    torch.manual_seed(0)
    tower = load_clip(name, random_init=True)
    with torch.no_grad():
        for value in tower.network.visual.parameters():
            if value.ndim > 1:
                value.add_(torch.randn_like(value) * 0.03)
    config = open_clip.get_model_config(tower.spec.arch)
    config.pop("custom_text")
    theirs: Any = open_clip.CustomTextCLIP(**config)
    theirs.load_state_dict(tower.network.state_dict())
    return tower, theirs.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["mobileclip2-s0", "pe-core-t16-384"])
def pair(request: pytest.FixtureRequest) -> tuple[ClipTower, Any]:
    return language_tower(request.param)


def test_embeddings_are_open_clips(pair: tuple[ClipTower, Any]) -> None:
    tower, theirs = pair
    images = torch.randn(2, 3, tower.spec.size, tower.spec.size)
    expected = normalize(theirs.encode_image(images), dim=-1)
    torch.testing.assert_close(tower.image_embedding(images), expected, atol=1e-5, rtol=1e-4)
    texts = ["a mug", "a photo of a " + "very " * 90 + "long text"]
    length = theirs.text.context_length
    ids = open_clip.SimpleTokenizer(context_length=length)(texts)
    expected = normalize(theirs.encode_text(ids), dim=-1)
    ours = tower.text_embedding(open_clip.SimpleTokenizer()(texts))
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_each_cell_is_what_the_pooling_makes_of_it_alone(pair: tuple[ClipTower, Any]) -> None:
    tower = ClipTower(pair[0].network, pair[0].spec, "own@0", method="stock")
    trunk = tower.network.visual.trunk
    images = torch.randn(1, 3, 3 * tower.patch, 5 * tower.patch)
    dense = tower.dense(images)
    assert dense.shape == (1, 3, 5, tower.dim)
    if tower.spec.family == "mobileclip":
        cells = trunk.forward_features(images)
        alone = [trunk.forward_head(cells[:, :, r : r + 1, c : c + 1]) for r in range(3) for c in range(5)]
    else:
        trunk.dynamic_img_size = trunk.patch_embed.flatten = trunk.patch_embed.strict_img_size = False
        tokens = tower.visual._trunk.sequence(images, 3, 5)[0]  # type: ignore[union-attr]
        alone = [trunk.forward_head(tokens[:, 1 + i : 2 + i]) for i in range(15)]
    expected = normalize(torch.cat(alone), dim=-1).reshape(1, 3, 5, -1)
    torch.testing.assert_close(dense, expected, atol=1e-5, rtol=1e-4)
    assert (dense[0, 0, 0] - dense[0, 2, 4]).abs().max() > 1e-3, "cells must not look alike"


def test_perception_encoder_is_timms_on_a_grid_that_is_not_square() -> None:
    tower, theirs = language_tower("pe-core-t16-384")
    free: Any = timm.create_model(
        "vit_pe_core_tiny_patch16_384", num_classes=512, dynamic_img_size=True
    ).eval()
    free.load_state_dict(theirs.visual.trunk.state_dict())
    images = torch.randn(1, 3, 48, 112)
    expected = normalize(free(images), dim=-1)
    torch.testing.assert_close(tower.image_embedding(images), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["dinov3-s16", "resnet50", "household-lit"])
def test_models_without_words_are_refused_as_towers_of_words(name: str) -> None:
    with pytest.raises(ModelError, match=name):
        load_clip(name, random_init=True)
    if name != "household-lit":
        with pytest.raises(ModelError, match="knows no words"):
            load_encoders("dinov2-s14", name)
