"""Backbones, low-rank additions, twins, what learns how fast, and settings for few data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import timm
import torch
from small_methods import (
    FIRST,
    PATCHES,
    SIZE,
    WIDTH,
    moved,
    small_vit,
    step,
    timms_own,
)
from small_methods import (
    images as source_images,
)
from tiny_teachers import know_a_tiny_teacher
from torch import nn

from perception_contrast.core.errors import ModelError, RecipeError
from perception_contrast.encoders.dinov2 import DinoTower
from perception_contrast.models.registry import model_spec
from perception_contrast_training.methods.base import Progress
from perception_contrast_training.methods.byol import Byol, ByolSettings
from perception_contrast_training.methods.dino import Dino, DinoSettings
from perception_contrast_training.methods.dinov2 import Dinov2, Dinov2Settings
from perception_contrast_training.methods.mae import Mae, MaeSettings
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.methods.registry import METHODS, make_method, method_kind
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.networks import backbones
from perception_contrast_training.networks.backbones import BackboneSettings, make_backbone
from perception_contrast_training.networks.batch_norm import BatchNorm
from perception_contrast_training.networks.ema_teacher import (
    cosine_schedule,
    linear_warmup,
    linspace_warmup,
    make_ema_teacher,
    update_ema,
)
from perception_contrast_training.networks.heads import DinoHead
from perception_contrast_training.networks.lora import LoraSettings, adapt, merged
from perception_contrast_training.views.dino import DinoViewSettings

HEAD = {"prototypes": 16, "hidden": 16, "bottleneck": 8}


@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("sides", [(16, 16), (8, 24)])
def test_a_backbone_gives_what_the_robot_is_served(registers: int, sides: tuple[int, int]) -> None:
    backbone = small_vit(registers=registers).eval()
    moved(backbone)
    spec = model_spec("timm:vit_tiny_patch16_224")
    tower = DinoTower(backbone.network, _with(spec, patch=4, dim=WIDTH), "x@1").eval()
    images = source_images(2, 3, *sides).float()
    with torch.no_grad():
        served, seen = tower(images), backbone(images)
    assert torch.allclose(served.cls, seen.pooled, atol=1e-6)
    assert torch.allclose(served.tokens.flatten(1, 2), seen.tokens, atol=1e-6)


def _with(spec: Any, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(spec, **changes)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"cifar_stem": True, "size": 32}),
        ("resnet10t", {"size": 64}),
        ("convnext_atto", {"size": 64}),
        ("eva02_tiny_patch14_224", {"size": 28, "depth": 2}),
        ("vit_base_patch16_siglip_224", {"size": 32, "depth": 1, "width": 24, "heads": 2}),
    ],
)
def test_backbones_are_timms(name: str, options: dict[str, Any]) -> None:
    """Vectors are those of timm's own forward pass; the architecture builds the network again."""
    torch.manual_seed(0)
    backbone = make_backbone(BackboneSettings(name, **options)).eval()
    images = source_images(2, 3, backbone.size, backbone.size).float()
    again = backbone.architecture.build().eval()
    again.load_state_dict(backbone.network.state_dict())
    with torch.no_grad():
        seen, tokens = backbone(images), again.forward_features(images)
        # What stands for the image is the class token where there is one, as on the robot.
        expected = tokens[:, 0] if name.startswith("eva") else again(images)
    assert torch.allclose(seen.pooled, expected, atol=1e-5)
    cells = backbone.size // backbone.patch
    assert seen.tokens.shape == (2, cells**2, backbone.dim)


def test_a_cifar_stem_keeps_small_images_large() -> None:
    stem = make_backbone(BackboneSettings("resnet18", size=32, cifar_stem=True))
    assert stem.patch == 8 and isinstance(stem.network.maxpool, nn.Identity)
    assert stem.network.conv1.stride == (1, 1)
    with pytest.raises(RecipeError, match="is none"):
        make_backbone(BackboneSettings("vit_tiny_patch16_224", cifar_stem=True))


def test_batch_norms_are_over_processes() -> None:
    backbone = make_backbone(BackboneSettings("resnet10t", size=32))
    norms = [m for m in backbone.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms and all(type(m) is BatchNorm for m in norms)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        (BackboneSettings("vit_smal_patch16_224"), ModelError, "unknown model"),
        (BackboneSettings("resnet18", depth=3), RecipeError, "no vision transformer"),
        (BackboneSettings("dinov2-s14", pretrained=True, registers=4), RecipeError, "its own registers"),
        (BackboneSettings("c-radiov3-b16"), RecipeError, "crops its positions"),
        (BackboneSettings("c-radiov3-b16", pretrained=True), RecipeError, "crops its positions"),
        (BackboneSettings("vit_tiny_patch16_224", width=25, heads=3), RecipeError, "cannot be made"),
    ],
)
def test_backbones_that_cannot_be(settings: BackboneSettings, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        make_backbone(settings)


def test_a_backbone_is_made_of_weights_in_a_file(tmp_path: Any) -> None:
    from safetensors.torch import save_file

    network = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path)
    settings = BackboneSettings("vit_tiny_patch16_224", weights=str(path), size=32, drop_path=0.2)
    backbone = make_backbone(settings)
    state = backbone.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert backbone.size == 32 and backbone.space.startswith("timm:vit_tiny_patch16_224@")
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert backbone.network.blocks[-1].drop_path1.drop_prob == pytest.approx(0.2)
    assert "drop_path_rate" not in backbone.architecture.options


def test_recomputed_blocks_give_the_same_gradients() -> None:
    found = []
    for checkpointing in (False, True):
        backbone = small_vit(checkpointing=checkpointing, drop_path=0.5).double().train()
        torch.manual_seed(3)
        backbone(source_images(6, 3, SIZE, SIZE)).pooled.square().sum().backward()
        found.append([p.grad for p in backbone.parameters() if p.grad is not None])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_hidden_patch_is_not_seen() -> None:
    backbone = small_vit().double().eval()
    images = source_images(2, 3, SIZE, SIZE)
    other = images.clone()
    other[:, :, :4, 4:8] = 7.0  # patch number 1
    masked = torch.zeros(2, PATCHES, dtype=torch.bool)
    masked[:, 1] = True
    with torch.no_grad():
        assert torch.equal(backbone(images, masked=masked).tokens, backbone(other, masked=masked).tokens)
        kept = torch.tensor([[0, 2, 5], [3, 4, 15]])
        seen = backbone(images, kept=kept)
        assert torch.equal(seen.tokens, backbone(other, kept=kept).tokens) and seen.tokens.shape[1] == 3


# Low-rank additions.


def test_lora_starts_as_the_network_and_merges_into_it() -> None:
    backbone = small_vit().eval()
    images, names = source_images(2, 3, SIZE, SIZE).float(), set(backbone.network.state_dict())
    plain = backbone(images).pooled.detach()
    adapt(
        backbone.network, LoraSettings(rank=4, modules=("attn.qkv", "attn.proj", "mlp.fc1"), also=("norm",))
    )
    assert torch.allclose(backbone(images).pooled, plain, atol=1e-6)
    learning = {name for name, p in backbone.network.named_parameters() if p.requires_grad}
    assert all("lora_" in name or "norm" in name for name in learning) and len(learning) == 2 * 6 + 10
    with torch.no_grad():
        for name, parameter in backbone.network.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.05)
    adapted, whole = backbone(images).pooled, merged(backbone)
    assert (adapted - plain).abs().max() > 0.01
    assert set(whole.network.state_dict()) == names
    assert (whole(images).pooled - adapted).abs().max() < 1e-5
    # What is merged can go on: the original still has its additions.
    assert any("lora_" in name for name, _ in backbone.network.named_parameters())


def test_lora_learns_in_a_method_and_nothing_else_of_the_backbone_does() -> None:
    torch.manual_seed(0)
    method, _ = make_method("dino", DinoSettings(**HEAD), small_vit(), LoraSettings(rank=2))
    before = {n: p.clone() for n, p in method.backbone.named_parameters()}
    twin = {n: p.clone() for n, p in method.teacher.named_parameters()}
    for _ in range(2):
        step(method, {"globals": source_images(2, 4, 3, SIZE, SIZE).float()}, rate=1.0)
    changed = {n for n, p in method.backbone.named_parameters() if not torch.equal(p, before[n])}
    assert changed and all("lora_" in name or name == "mask_token" for name in changed)
    followed = {n for n, p in method.teacher.named_parameters() if not torch.equal(p, twin[n])}
    assert followed == changed


def test_lora_says_which_layers_there_are() -> None:
    with pytest.raises(RecipeError, match=r"no layer attention\.query.*attn\.qkv"):
        adapt(small_vit().network, LoraSettings(rank=2, modules=("attention.query",)))


# Twins and schedules.


def test_a_twin_follows_as_the_papers_have_it() -> None:
    """BYOL, section 3: xi = tau xi + (1 - tau) theta."""
    student = nn.Linear(3, 2).double()
    teacher = make_ema_teacher(student)
    before = teacher.weight.clone()
    moved(student)
    update_ema(teacher, student, 0.9)
    assert torch.allclose(teacher.weight, 0.9 * before + 0.1 * student.weight, rtol=1e-15)
    assert not any(p.requires_grad for p in teacher.parameters())


def test_the_momentum_is_byols() -> None:
    """1 - (1 - tau) (cos(pi k / K) + 1) / 2, which ends at 1 at k = K and not before."""
    for k in range(101):
        expected = 1 - (1 - 0.996) * (math.cos(math.pi * k / 100) + 1) / 2
        assert cosine_schedule(0.996, k / 100) == pytest.approx(expected, abs=1e-15)
    assert (
        cosine_schedule(0.996, 0.0) == 0.996
        and cosine_schedule(0.996, 1.0) == 1.0
        and cosine_schedule(0.996, 0.99) < 1.0
    )


def temperatures(warm_up: int, count: int) -> list[float]:
    """The schedule of DINO's authors: linspace over the warm-up, then ones."""
    return [
        float(x) for x in np.concatenate((np.linspace(0.04, 0.07, warm_up), np.ones(count - warm_up) * 0.07))
    ]


@pytest.mark.parametrize("warm_up", [0, 1, 2, 3, 30])
def test_dinos_temperature_warms_up_by_epochs_as_its_authors_have_it(warm_up: int) -> None:
    dino = Dino(small_vit(), DinoSettings(**HEAD, warm_up_epochs=warm_up))
    for place in (0, 9):  # the first and the last step of each epoch
        found = [dino.teacher_temperature(Progress(10 * e + place, 1000, 10)) for e in range(100)]
        assert found == pytest.approx(temperatures(warm_up, 100), abs=1e-12)


@pytest.mark.parametrize("epochs", [0.1, 0.6, 1.5, 2.4])
def test_a_warm_up_within_epochs_is_the_same_line_over_steps(epochs: float) -> None:
    """Of short runs, whose warm-up is a fraction of epochs."""
    dino = Dino(small_vit(), DinoSettings(**HEAD, warm_up_epochs=epochs))
    expected = temperatures(round(10 * epochs), 80)
    found = [dino.teacher_temperature(Progress(step, 80, 10)) for step in range(80)]
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_line_of_no_steps_is_at_its_end() -> None:
    assert linspace_warmup(1.0, 2.0, 0, 0) == 2.0 and linspace_warmup(1.0, 2.0, 1, 5) == 1.25
    assert linear_warmup(1.0, 2.0, 0, 0) == 2.0 and linear_warmup(1.0, 2.0, 1, 4) == 1.25


def test_teachers_drop_nothing_and_get_no_gradient() -> None:
    from timm.layers import DropPath

    method = Dinov2(small_vit(drop_path=0.3), Dinov2Settings(**HEAD))
    rates = [m.drop_prob for m in method.teacher.modules() if isinstance(m, DropPath)]
    assert rates and not any(rates)
    assert any(m.drop_prob for m in method.backbone.modules() if isinstance(m, DropPath))
    masks = torch.rand(2, 4, PATCHES) < 0.4
    step(method, {"globals": source_images(2, 4, 3, SIZE, SIZE).float(), "masks": masks})
    taught = [n for n, p in method.named_parameters() if n.startswith("teacher")]
    assert taught and all(method.get_parameter(n).grad is None for n in taught)
    inside = {id(p) for group in method.groups() for p in group.parameters}
    assert not any(id(method.get_parameter(n)) in inside for n in taught)


@pytest.mark.parametrize("separate", [False, True])
def test_last_layers_are_frozen_for_an_epoch(separate: bool) -> None:
    method = Dinov2(small_vit(), Dinov2Settings(**HEAD, separate_head=separate))
    masks = torch.rand(2, 4, PATCHES) < 0.4
    batch = {"globals": source_images(2, 4, 3, SIZE, SIZE).float(), "masks": masks}
    before = method.patch_head.prototypes.weight.clone(), method.head.prototypes.weight.clone()
    step(method, batch, Progress(9, 100, 10))
    after = method.patch_head.prototypes.weight, method.head.prototypes.weight
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    step(method, batch, Progress(10, 100, 10))
    assert not any(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_dinos_head_starts_as_published() -> None:
    torch.manual_seed(0)
    head = DinoHead(64, 128, 256, 32)
    for layer in (m for m in head.mlp if isinstance(m, nn.Linear)):
        assert float(layer.weight.std()) == pytest.approx(0.02, rel=0.1) and not layer.bias.any()
    logits = head(torch.randn(5, 64))
    assert logits.abs().max() <= 1.0, "cosines with prototypes of unit length"


# What learns how fast.


def test_layers_decay_as_dinov2s() -> None:
    """decay^(depth + 1 - layer), embeddings being layer 0, heads and the norm the last one (their utils)."""
    backbone = small_vit(registers=1)
    rates = {
        id(p): (group.rate, group.decay)
        for group in grouped({"backbone": backbone, "head": nn.Linear(2, 2)}, 0.9, 0.2)
        for p in group.parameters
    }
    named = {n: rates[id(p)] for n, p in backbone.network.named_parameters()}
    assert named["blocks.0.attn.qkv.weight"] == pytest.approx((0.9**2, 1.0))
    assert named["blocks.1.mlp.fc1.weight"] == pytest.approx((0.9, 1.0))
    assert named["patch_embed.proj.weight"] == pytest.approx((0.2 * 0.9**3, 1.0))
    assert named["pos_embed"] == named["cls_token"] == named["reg_token"] == pytest.approx((0.9**3, 0.0))
    assert named["norm.weight"] == (1.0, 0.0)
    biases = [value for name, value in named.items() if name.endswith("bias") or "norm" in name]
    assert all(decay == 0.0 for _, decay in biases)


@pytest.mark.parametrize("name", METHODS)
def test_all_that_learns_is_moved_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    know_a_tiny_teacher(monkeypatch)
    kind = method_kind(name)
    settings, _ = kind.fit_to_data(kind.settings(), Scale(1000, 16, 2, 32))
    method, _ = make_method(name, settings, small_vit())
    inside = [id(p) for group in method.groups() for p in group.parameters]
    assert len(inside) == len(set(inside))
    assert set(inside) == {id(p) for p in method.parameters() if p.requires_grad}


@pytest.mark.parametrize("name", ["dino", "dinov2", "byol", "simclr", "mae"])
def test_what_is_exported_is_what_the_authors_evaluate(name: str) -> None:
    kind = method_kind(name)
    settings, _ = kind.fit_to_data(kind.settings(), Scale(1000, 16, 2, 32))
    method, _ = make_method(name, settings, small_vit())
    expected = method.teacher if name.startswith("dino") else method.backbone
    assert method.exported() is expected


# Settings.


def test_settings_for_few_data_say_what_they_chose() -> None:
    large, said = METHODS["dino"].fit_to_data(DinoSettings(), Scale(1_281_167, 1024, 100))
    assert large == DinoSettings() and said == []
    small, said = METHODS["dino"].fit_to_data(DinoSettings(), Scale(8000, 128, 20, 32))
    assert small.prototypes == 512 and small.warm_up_epochs == 6 and small.momentum < 0.996
    assert (
        len(said) == 4
        and small.views.blur == (0.0, 0.0, 0.0)
        and said[0].startswith("prototypes is 512 in place of 65536: there are 8000")
    )
    changed, said = METHODS["siglip"].fit_to_data(METHODS["siglip"].settings(), Scale(5000, 128, 20, 32))
    assert changed.bias == pytest.approx(math.log((1 / 128) / (127 / 128)), abs=1e-3)
    assert any("one of 128 pairs" in sentence for sentence in said)


@pytest.mark.parametrize("name", METHODS)
def test_large_data_keep_the_published_settings(name: str) -> None:
    kind = METHODS[name]
    settings, said = kind.fit_to_data(kind.settings(), Scale(50_000_000, 16384, 100))
    assert settings == kind.settings() and said == []


def test_methods_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RecipeError, match="did you mean 'dinov2'"):
        method_kind("dinov3")
    with pytest.raises(RecipeError, match="takes DinoSettings"):
        make_method("dino", ByolSettings(), small_vit())
    with pytest.raises(RecipeError, match="choose a ViT"):
        make_method("mae", MaeSettings(), BackboneSettings("resnet10t", size=32))
    crops = DinoSettings(prototypes=8, hidden=8, views=DinoViewSettings(local_size=16))
    with pytest.raises(RecipeError, match=r"views of 16 pixels .* set options\.views\.local_size"):
        make_method("dino", crops, BackboneSettings("convnext_atto", size=64))
    with pytest.raises(RecipeError, match="lora"):
        make_method("lit", METHODS["lit"].settings(), small_vit(), LoraSettings(rank=2))


def test_mae_leaves_weights_that_are_there() -> None:
    backbone = small_vit()
    backbone.space = "some@weights"
    before = {n: p.clone() for n, p in backbone.named_parameters()}
    Mae(backbone, MaeSettings(width=16, depth=1, heads=4))
    assert all(torch.equal(p, before[n]) and p.requires_grad for n, p in backbone.named_parameters())


def test_the_target_of_byol_normalises_by_its_own_batches() -> None:
    method = Byol(small_vit(), ByolSettings(hidden=16, dim=8))
    step(method, {"views": source_images(2, 4, 3, SIZE, SIZE).float()}, FIRST)
    assert int(method.target_projector[1].num_batches_tracked) == 2


def test_the_network_alone_is_timms(tmp_path: Any) -> None:
    backbone = small_vit().double().eval()
    images = source_images(3, 3, SIZE, SIZE)
    assert torch.allclose(timms_own(backbone).eval()(images), backbone(images).pooled, atol=1e-12)
    assert backbones.Architecture(**vars(backbone.architecture)).build() is not None
