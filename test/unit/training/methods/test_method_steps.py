"""One full training step of each method against another library on the same weights and inputs.

Loss, all gradients, the weights after a step of gradient descent, teachers and centres. The networks are
timm's own forward passes, the heads and losses those of lightly, transformers and open_clip.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_methods import (
    FIRST,
    PATCH,
    PATCHES,
    SIZE,
    WIDTH,
    gradients,
    images,
    largest_difference,
    moved,
    small_vit,
    step,
    timms_own,
    values,
)
from torch import Tensor, nn

from perception_contrast_training.methods.base import Progress
from perception_contrast_training.methods.byol import Byol, ByolSettings
from perception_contrast_training.methods.clip import Clip, ClipSettings
from perception_contrast_training.methods.dino import Dino, DinoSettings
from perception_contrast_training.methods.dinov2 import Dinov2, Dinov2Settings
from perception_contrast_training.methods.lit import LitSettings, make_lit
from perception_contrast_training.methods.mae import Mae, MaeSettings
from perception_contrast_training.methods.pairs import Pair
from perception_contrast_training.methods.siglip import Siglip, SiglipSettings
from perception_contrast_training.methods.simclr import Simclr, SimclrSettings
from perception_contrast_training.networks.text import TextSettings, make_text

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
RATE = 0.1
EXACT = 1e-10  # of float64
Record = Callable[[str, object], None]


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """lightly keeps temperatures as tensors of the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def compare(
    record: Record, what: str, ours: dict[str, Tensor | None], theirs: dict[str, Tensor | None]
) -> None:
    difference = largest_difference(ours, theirs)
    record(f"{what}, largest difference", difference)
    assert difference < EXACT, (what, difference)


def close(record: Record, what: str, ours: Tensor, theirs: Tensor) -> None:
    compare(record, what, {"": ours.detach()}, {"": theirs.detach()})


def descended(*modules: nn.Module) -> None:
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    torch.optim.SGD(parameters, lr=RATE).step()


def renamed(state: dict[str, Any], *pairs: tuple[str, str]) -> dict[str, Any]:
    found = {}
    for name, value in state.items():
        for old, new in pairs:
            name = name.replace(old, new)
        found[name] = value
    return found


@pytest.mark.parametrize("batch_norm", [True, False])
def test_simclr_steps_as_lightly_does(batch_norm: bool, record_property: Record) -> None:
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead

    ours = Simclr(small_vit(), SimclrSettings(hidden=20, dim=12, batch_norm=batch_norm)).double()
    net = timms_own(ours.backbone)
    head = SimCLRProjectionHead(WIDTH, 20, 12, num_layers=2, batch_norm=batch_norm).double()
    head.layers.load_state_dict(ours.head.state_dict())
    views = images(2, 6, 3, SIZE, SIZE)
    losses = step(ours, {"views": views}, rate=RATE)
    first, second = head(net(views.flatten(0, 1))).chunk(2)
    loss = NTXentLoss(temperature=0.1)(first, second)
    loss.backward()
    close(record_property, "loss", losses.total, loss)
    compare(record_property, "backbone gradients", gradients(ours.backbone.network), gradients(net))
    compare(record_property, "head gradients", gradients(ours.head), gradients(head.layers))
    descended(net, head)
    compare(record_property, "weights", values(ours.backbone.network), values(net))


def test_byol_steps_as_lightly_does(record_property: Record) -> None:
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    ours = Byol(small_vit(), ByolSettings(hidden=20, dim=12)).double()
    moved(ours.target_backbone), moved(ours.target_projector)
    net, target_net = timms_own(ours.backbone), timms_own(ours.target_backbone)
    projector, predictor = BYOLProjectionHead(WIDTH, 20, 12), BYOLPredictionHead(12, 20, 12)
    target_projector = copy.deepcopy(projector)
    for theirs, own in (
        (projector, ours.projector),
        (predictor, ours.predictor),
        (target_projector, ours.target_projector),
    ):
        theirs.double().layers.load_state_dict(own.state_dict(), strict=False)
        nn.init.zeros_(theirs.layers[3].bias).requires_grad_(False)
    deactivate_requires_grad(target_net)
    deactivate_requires_grad(target_projector)
    views = images(2, 6, 3, SIZE, SIZE)
    losses = step(ours, {"views": views}, rate=RATE)
    with torch.no_grad():
        targets = [target_projector(target_net(view)) for view in views]
    guesses = [predictor(projector(net(view))) for view in views]
    criterion = NegativeCosineSimilarity()
    # 2 - 2 cos of each side; lightly's is -cos.
    loss = 4 + 2 * (criterion(guesses[0], targets[1]) + criterion(guesses[1], targets[0]))
    loss.backward()
    close(record_property, "loss", losses.total, loss)
    compare(record_property, "backbone gradients", gradients(ours.backbone.network), gradients(net))
    for name, own, other in (
        ("projector", ours.projector, projector),
        ("predictor", ours.predictor, predictor),
    ):
        theirs = {k: v for k, v in gradients(other.layers).items() if k != "3.bias"}
        compare(record_property, f"{name} gradients", gradients(own), theirs)
    descended(net, projector, predictor)
    momentum = 1 - (1 - 0.996) * (math.cos(math.pi * FIRST.step / FIRST.steps) + 1) / 2
    update_momentum(net, target_net, momentum)
    update_momentum(projector, target_projector, momentum)
    compare(record_property, "target", values(ours.target_backbone.network), values(target_net))
    theirs = {k: v for k, v in values(target_projector.layers).items() if k != "3.bias"}
    compare(record_property, "target projector", values(ours.target_projector), theirs)


DINO_HEAD = {"hidden": 20, "bottleneck": 8, "prototypes": 32}


def lightlys_dino_head(head: nn.Module, frozen: int = 1) -> Any:
    from lightly.models.modules import DINOProjectionHead

    theirs = DINOProjectionHead(WIDTH, 20, 8, 32, freeze_last_layer=frozen).double()
    state = renamed(head.mlp.state_dict(), ("", ""))
    theirs.layers.load_state_dict(state)
    with torch.no_grad():
        # Weight norm splits a weight in direction and length, which stays at one.
        theirs.last_layer.weight_v.copy_(head.prototypes.weight)
    return theirs


def dino_head_tensors(
    head: Any, of: Callable[[nn.Module], dict[str, Tensor | None]]
) -> dict[str, Tensor | None]:
    found = of(head)
    return {
        name.replace("layers.", "mlp.").replace("last_layer.weight_v", "prototypes.weight"): value
        for name, value in found.items()
        if not name.endswith("weight_g")
    }


@pytest.mark.parametrize("epoch", [0, 4])
def test_dino_steps_as_lightly_does(epoch: int, record_property: Record) -> None:
    from lightly.loss import DINOLoss
    from lightly.models.utils import update_momentum
    from lightly.utils.scheduler import cosine_schedule

    progress = Progress(step=10 * epoch, steps=100, epoch_steps=10)
    settings = DinoSettings(**DINO_HEAD, warm_up_epochs=10)
    ours = Dino(small_vit(), settings).double()
    moved(ours.teacher), moved(ours.teacher_head)
    ours.centre.center.normal_(0, 0.1)
    student, teacher = timms_own(ours.backbone), timms_own(ours.teacher)
    head, teacher_head = lightlys_dino_head(ours.head), lightlys_dino_head(ours.teacher_head)
    criterion = DINOLoss(32, warmup_teacher_temp=0.04, teacher_temp=0.07, warmup_teacher_temp_epochs=10)
    criterion.double().center.copy_(ours.centre.center.reshape(1, 1, -1))
    batch = {"globals": images(2, 5, 3, SIZE, SIZE), "locals": images(3, 5, 3, 8, 8, seed=2)}
    losses = step(ours, batch, progress, RATE)
    with torch.no_grad():
        targets = [teacher_head(teacher(view)) for view in batch["globals"]]
    # Positions are resampled in float32, so all crops of one size go together as ours do.
    crops = [student(batch[name].flatten(0, 1)).split(5) for name in ("globals", "locals")]
    guesses = [head(view) for views in crops for view in views]
    loss = criterion(targets, guesses, epoch=epoch)
    loss.backward()
    head.cancel_last_layer_gradients(epoch)
    close(record_property, "loss", losses.total, loss)
    compare(record_property, "backbone gradients", gradients(ours.backbone.network), gradients(student))
    compare(record_property, "head gradients", gradients(ours.head), dino_head_tensors(head, gradients))
    assert (ours.head.prototypes.weight.grad is None) == (epoch == 0)
    descended(student, head)
    # lightly's schedule ends at T - 1, DINO's at T.
    momentum = cosine_schedule(progress.step, progress.steps + 1, 0.996, 1)
    update_momentum(student, teacher, momentum)
    update_momentum(head, teacher_head, momentum)
    compare(record_property, "teacher", values(ours.teacher.network), values(teacher))
    compare(
        record_property, "teacher head", values(ours.teacher_head), dino_head_tensors(teacher_head, values)
    )
    close(record_property, "centre", ours.centre.center, criterion.center.flatten())


def masks_of(images_: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    masks = torch.rand(2, images_, PATCHES, generator=generator) < 0.4
    masks[0, 1] = False
    return masks


@pytest.mark.parametrize("separate", [True, False])
@pytest.mark.parametrize("registers", [0, 4])
def test_dinov2_steps_as_lightly_does(separate: bool, registers: int, record_property: Record) -> None:
    from lightly.loss import DINOLoss, IBOTPatchLoss, KoLeoLoss
    from lightly.models.modules import MaskedVisionTransformerTIMM
    from lightly.models.utils import update_momentum

    settings = Dinov2Settings(**DINO_HEAD, sinkhorn=0, separate_head=separate, warm_up_epochs=10)
    ours = Dinov2(small_vit(registers=registers), settings).double()
    moved(ours), moved(ours.teacher, 4)
    ours.centre.center.normal_(0, 0.1), ours.patch_centre.center.normal_(0, 0.1)
    student, teacher = (
        MaskedVisionTransformerTIMM(
            timms_own(own), weight_initialization="skip", pos_embed_initialization="skip"
        ).double()
        for own in (ours.backbone, ours.teacher)
    )
    with torch.no_grad():
        student.mask_token.copy_(ours.backbone.mask_token.reshape(1, 1, -1))
    heads = {name: lightlys_dino_head(getattr(ours, name)) for name in ("head", "teacher_head")}
    if separate:
        for name in ("patch_head", "teacher_patch_head"):
            heads[name] = lightlys_dino_head(getattr(ours, name))
    patch_head = heads.get("patch_head", heads["head"])
    teacher_patch_head = heads.get("teacher_patch_head", heads["teacher_head"])
    dino, ibot = DINOLoss(32).double(), IBOTPatchLoss(32).double()
    dino.center.copy_(ours.centre.center.reshape(1, 1, -1))
    ibot.center.center.copy_(ours.patch_centre.center.reshape(1, -1))
    masks = masks_of(5)
    batch = {
        "globals": images(2, 5, 3, SIZE, SIZE),
        "locals": images(3, 5, 3, 8, 8, seed=2),
        "masks": masks,
    }
    losses = step(ours, batch, FIRST, RATE)
    temperature = 0.04 + (0.07 - 0.04) * 0.4
    prefix = 1 + registers
    flat = masks.flatten(0, 1)
    with torch.no_grad():
        seen = teacher.encode(batch["globals"].flatten(0, 1))
        cls_targets = heads["teacher_head"](seen[:, 0]).chunk(2)
        patch_targets = teacher_patch_head(seen[:, prefix:][flat])
    padded = torch.cat([torch.zeros(10, prefix, dtype=torch.bool), flat], dim=1)
    seen = student.encode(batch["globals"].flatten(0, 1), mask=padded)
    small = student.encode(batch["locals"].flatten(0, 1))[:, 0].split(5)
    guesses = [heads["head"](x) for x in (*seen[:, 0].chunk(2), *small)]
    loss = dino(list(cls_targets), guesses, teacher_temp=temperature)
    patches = patch_head(seen[:, prefix:][flat])
    loss = loss + ibot(patch_targets, patches, flat.reshape(10, 4, 4), teacher_temp=temperature)
    loss = loss + 0.1 * sum(KoLeoLoss()(x) for x in seen[:, 0].chunk(2))
    loss.backward()
    close(record_property, "loss", losses.total, loss)
    compare(record_property, "backbone gradients", gradients(ours.backbone.network), gradients(student.vit))
    close(
        record_property,
        "mask token gradient",
        ours.backbone.mask_token.grad,
        student.mask_token.grad.flatten(),
    )
    for name, head in heads.items():
        if not name.startswith("teacher"):
            compare(
                record_property,
                f"{name} gradients",
                gradients(getattr(ours, name)),
                dino_head_tensors(head, gradients),
            )
    descended(student, heads["head"], *([patch_head] if separate else []))
    momentum = 1 - (1 - 0.992) * (math.cos(math.pi * 0.4) + 1) / 2
    update_momentum(student.vit, teacher.vit, momentum)
    update_momentum(heads["head"], heads["teacher_head"], momentum)
    compare(record_property, "teacher", values(ours.teacher.network), values(teacher.vit))
    theirs = dino_head_tensors(heads["teacher_head"], values)
    compare(record_property, "teacher head", values(ours.teacher_head), theirs)
    close(record_property, "centre", ours.centre.center, dino.center.flatten())
    close(record_property, "patch centre", ours.patch_centre.center, ibot.center.center.flatten())


def test_dinov2_spreads_its_teacher_as_swavs_sinkhorn_in_lightly(record_property: Record) -> None:
    from lightly.loss.swav_loss import sinkhorn

    ours = Dinov2(small_vit(), Dinov2Settings(**DINO_HEAD, warm_up_epochs=0)).double()
    batch = {"globals": images(2, 5, 3, SIZE, SIZE), "masks": masks_of(5)}
    watched = step(ours, batch).watched["teacher"]
    teacher, head = timms_own(ours.teacher), ours.teacher_head
    # The twin has moved since: compare with what it says now.
    said = head(teacher(batch["globals"].flatten(0, 1)))
    again = ours.loss(batch, FIRST).watched["teacher"]
    expected = sinkhorn(said.detach(), iterations=3, epsilon=0.07)[:5]
    close(record_property, "assignments", again, expected)
    assert torch.allclose(watched.sum(1), torch.ones(5).double())


def transformers_mae(ours: Mae) -> nn.Module:
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    config = ViTMAEConfig(
        image_size=SIZE, patch_size=PATCH, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=4 * WIDTH, decoder_hidden_size=16, decoder_num_hidden_layers=2,
        decoder_num_attention_heads=4, decoder_intermediate_size=64, norm_pix_loss=True, layer_norm_eps=1e-6,
    )  # fmt: skip
    theirs = ViTMAEForPreTraining(config)
    # Not done by the constructor alone, and these are positions that they know by themselves.
    theirs.decoder.initialize_weights(PATCHES)
    theirs.vit.embeddings.initialize_weights()
    theirs.double()
    missing, unexpected = theirs.load_state_dict(in_transformers_names(values(ours)), strict=False)
    assert set(missing) == {"decoder.decoder_pos_embed"} and not unexpected
    return theirs


def in_transformers_names(tensors: dict[str, Tensor | None]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    pairs = (
        ("backbone.network.blocks.", "vit.layers."),
        ("decoder.blocks.", "decoder.decoder_layers."),
        ("backbone.network.norm.", "vit.layernorm."),
        ("backbone.network.cls_token", "vit.embeddings.cls_token"),
        ("backbone.network.pos_embed", "vit.embeddings.position_embeddings"),
        ("backbone.network.patch_embed.proj.", "vit.embeddings.patch_embeddings.projection."),
        ("decoder.embed.", "decoder.decoder_embed."),
        ("decoder.norm.", "decoder.decoder_norm."),
        ("decoder.pixels.", "decoder.decoder_pred."),
        ("attn.proj.", "attention.o_proj."),
        ("norm1", "layernorm_before"),
        ("norm2", "layernorm_after"),
    )
    for name, value in renamed(tensors, *pairs).items():
        if name == "backbone.mask_token":
            continue
        if name == "decoder.mask_token":
            value = None if value is None else value.reshape(1, 1, -1)
        if ".attn.qkv." in name:
            parts = [None] * 3 if value is None else value.chunk(3)
            for letter, part in zip("qkv", parts, strict=True):
                found[name.replace("attn.qkv", f"attention.{letter}_proj")] = part
        else:
            found[name] = value
    return found


def test_mae_steps_as_transformers_does(record_property: Record) -> None:
    ours = Mae(small_vit(), MaeSettings(width=16, depth=2, heads=4)).double()
    moved(ours)
    # Theirs makes its own positions in the decoder: they must be the same ones.
    theirs = transformers_mae(ours)
    close(
        record_property,
        "decoder positions",
        ours.decoder.positions,
        theirs.decoder.decoder_pos_embed[0, 1:].detach(),
    )
    image, noise = (
        images(4, 3, SIZE, SIZE),
        torch.rand(4, PATCHES, generator=torch.Generator().manual_seed(5)),
    )
    losses = step(ours, {"image": image, "noise": noise}, rate=RATE)
    loss = theirs(image, noise=noise).loss
    loss.backward()
    close(record_property, "loss", losses.total, loss)
    frozen = {"vit.embeddings.position_embeddings", "decoder.decoder_pos_embed"}
    own = {k: v for k, v in in_transformers_names(gradients(ours)).items() if k not in frozen}
    other = {k: v for k, v in gradients(theirs).items() if k not in frozen}
    compare(record_property, "gradients", own, other)
    descended(theirs)
    own = {k: v for k, v in in_transformers_names(values(ours)).items() if k not in frozen}
    compare(record_property, "weights", own, {k: v for k, v in values(theirs).items() if k not in frozen})


def test_mae_hides_three_quarters_and_starts_from_fixed_positions() -> None:
    ours = Mae(small_vit(), MaeSettings(width=16, depth=2, heads=4))
    theirs = transformers_mae(Mae(small_vit(), MaeSettings(width=16, depth=2, heads=4)).double())
    theirs.vit.embeddings.initialize_weights()
    position, expected = ours.backbone.network.pos_embed, theirs.vit.embeddings.position_embeddings
    assert not position.requires_grad and torch.allclose(position.double(), expected, atol=1e-6)
    calls = []
    ours.backbone.register_forward_pre_hook(lambda _, args, kwargs: calls.append(kwargs), with_kwargs=True)
    ours.loss({"image": images(2, 3, SIZE, SIZE), "noise": torch.rand(2, PATCHES)}, FIRST)
    assert calls[0]["kept"].shape == (2, PATCHES // 4)


TEXT = TextSettings(width=16, depth=2, heads=2, context=12)
CAPTIONS = ["a red mug", "two chairs at a table", "the door", "a lamp on the left", "nothing"]


def open_clips_pair(ours: Pair, dim: int, bias: float | None) -> Any:
    """open_clip's own model of both towers with our weights in it."""
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

    vision = CLIPVisionCfg(
        image_size=SIZE, timm_model_name="vit_tiny_patch16_224", timm_model_pretrained=False,
        timm_pool="token", timm_proj="linear",
    )  # fmt: skip
    text = CLIPTextCfg(context_length=12, vocab_size=49408, width=16, heads=2, layers=2)
    theirs = CustomTextCLIP(dim, vision, text, init_logit_bias=bias).double()
    theirs.visual.trunk.set_input_size(img_size=SIZE)
    theirs.visual.trunk.load_state_dict(ours.backbone.network.state_dict())
    theirs.visual.head.proj.load_state_dict(ours.head.state_dict())
    theirs.text.load_state_dict(ours.text.network.state_dict())
    return theirs


@pytest.fixture
def tiny() -> Any:
    """timm's smallest ViT, which open_clip makes too."""
    from perception_contrast_training.networks.backbones import BackboneSettings, make_backbone

    torch.manual_seed(0)
    return make_backbone(BackboneSettings(name="vit_tiny_patch16_224", size=SIZE)).double()


def tokens_of(pair: Pair) -> Tensor:
    import open_clip

    tokens = pair.text.tokens(CAPTIONS)
    assert torch.equal(tokens, open_clip.SimpleTokenizer(context_length=12)(CAPTIONS))
    return tokens


@pytest.mark.parametrize("scale", [1 / 0.07, 99.99])
def test_clip_steps_as_open_clip_does(scale: float, tiny: Any, record_property: Record) -> None:
    from open_clip.loss import ClipLoss

    settings = ClipSettings(dim=12, temperature=1 / scale, text=TEXT)
    ours = Clip(Pair(tiny, make_text(TEXT, 12).double(), 12), settings).double()
    theirs = open_clips_pair(ours.pair, 12, None)
    with torch.no_grad():
        theirs.logit_scale.copy_(ours.log_scale)
    image = images(5, 3, SIZE, SIZE)
    losses = step(ours, {"image": image, "text": CAPTIONS}, rate=RATE)
    seen = theirs(image, tokens_of(ours.pair))
    loss = ClipLoss()(*seen[:3])
    loss.backward()
    check_pair(record_property, ours, theirs, losses.total, loss)
    close(record_property, "temperature gradient", ours.log_scale.grad, theirs.logit_scale.grad)
    descended(theirs)
    with torch.no_grad():
        # As open_clip's training loop does.
        theirs.logit_scale.clamp_(0, math.log(100))
    close(record_property, "scale", ours.log_scale, theirs.logit_scale)
    compare(record_property, "weights", values(ours.pair.text.network), values(theirs.text))


def check_pair(record: Record, ours: Any, theirs: Any, total: Tensor, loss: Tensor) -> None:
    close(record, "loss", total, loss)
    trunk = gradients(theirs.visual.trunk)
    compare(record, "image gradients", gradients(ours.pair.backbone.network), trunk)
    compare(record, "head gradients", gradients(ours.pair.head), gradients(theirs.visual.head.proj))
    compare(record, "text gradients", gradients(ours.pair.text.network), gradients(theirs.text))


@pytest.mark.parametrize("table", [1 << 24, 10])
def test_siglip_steps_as_open_clip_does(table: int, tiny: Any, record_property: Record) -> None:
    from open_clip.loss import SigLipLoss

    settings = SiglipSettings(dim=12, table=table, text=TEXT)
    ours = Siglip(Pair(tiny, make_text(TEXT, 12).double(), 12), settings).double()
    theirs = open_clips_pair(ours.pair, 12, -10.0)
    with torch.no_grad():
        theirs.logit_scale.copy_(ours.log_scale)
    image = images(5, 3, SIZE, SIZE)
    losses = step(ours, {"image": image, "text": CAPTIONS}, rate=RATE)
    features = theirs(image, tokens_of(ours.pair))
    loss = SigLipLoss()(*features)
    loss.backward()
    check_pair(record_property, ours, theirs, losses.total, loss)
    close(record_property, "temperature gradient", ours.log_scale.grad, theirs.logit_scale.grad)
    close(record_property, "bias gradient", ours.bias.grad, theirs.logit_bias.grad)


def test_lit_steps_as_open_clip_with_a_locked_tower(tiny: Any, record_property: Record) -> None:
    from open_clip.loss import ClipLoss

    settings = LitSettings(dim=12, image_head=True, text=TEXT)
    ours = make_lit(tiny, settings).double()
    before = copy.deepcopy(ours.pair.backbone.state_dict())
    theirs = open_clips_pair(ours.pair, 12, None)
    theirs.visual.trunk.requires_grad_(False)
    with torch.no_grad():
        theirs.logit_scale.copy_(ours.log_scale)
    image = images(5, 3, SIZE, SIZE)
    losses = step(ours, {"image": image, "text": CAPTIONS}, rate=RATE)
    loss = ClipLoss()(*theirs(image, tokens_of(ours.pair))[:3])
    loss.backward()
    check_pair(record_property, ours, theirs, losses.total, loss)
    after = ours.pair.backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not ours.pair.backbone.training and ours.pair.text.training
    # Vectors that were made once give the same loss.
    with torch.no_grad():
        made = ours.pair.backbone(image).pooled
        whole = ours.loss({"image": image, "text": CAPTIONS}, FIRST).total
        kept = ours.loss({"image": made, "text": CAPTIONS}, FIRST).total
    assert float(whole) == pytest.approx(float(kept), rel=1e-12)


def test_lit_without_a_head_meets_the_backbones_own_vectors() -> None:
    backbone = small_vit()
    ours = make_lit(backbone, replace(LitSettings(), text=TEXT))
    vectors = ours.embed({"image": images(2, 3, SIZE, SIZE), "text": CAPTIONS[:2]})
    assert vectors["text"].shape == (2, WIDTH)
    assert torch.equal(vectors["image"], backbone(images(2, 3, SIZE, SIZE)).pooled)
