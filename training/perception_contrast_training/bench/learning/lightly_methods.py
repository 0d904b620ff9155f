"""Methods of lightly's heads, losses and momentum updates that start as ours: something to compare with."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from perception_contrast_training.evaluation.libraries import evaluation_library
from perception_contrast_training.methods.base import Batch, Group, Losses, Method, Progress
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.networks.backbones import Backbone


def lightly_method(name: str, ours: Any) -> Method:
    """lightly's counterpart of a method of ours: the same backbone, the same initial weights of its heads.

    Args:
        name: Of METHODS: "simclr", "byol", "dino", "dinov2" or "mae".
        ours: Our method; its backbone is taken over, so one of the two can be trained.

    Raises:
        PerceptionError: lightly is not installed.
    """
    made: dict[str, Callable[[Any], Any]] = {
        "simclr": LightlySimclr,
        "byol": LightlyByol,
        "dino": LightlyDino,
        "dinov2": LightlyDinov2,
        "mae": LightlyMae,
    }
    method: Method = made[name](ours)
    return method


class _Lightly(nn.Module):
    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.backbone: Backbone = ours.backbone
        self.settings: Any = ours.settings
        self._heads: Any = evaluation_library("lightly.models.modules.heads")
        self._losses: Any = evaluation_library("lightly.loss")
        self._follow: Any = evaluation_library("lightly.models.utils").update_momentum

    def _learned(self) -> Mapping[str, nn.Module]:
        return {name: part for name, part in self.named_children() if "target" not in name}

    def groups(self) -> Iterable[Group]:
        return grouped(self._learned(), self.settings.layer_decay)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out."""

    def after_step(self, progress: Progress) -> None:
        """Nothing follows."""

    def exported(self) -> Backbone:
        return self.backbone

    def _momentum(self, progress: Progress) -> float:
        share: float = (math.cos(math.pi * progress.share) + 1) / 2
        return 1 - (1 - float(self.settings.momentum)) * share


def _still(module: nn.Module) -> Any:
    return copy.deepcopy(module).requires_grad_(False)


class LightlySimclr(_Lightly):
    def __init__(self, ours: Any) -> None:
        super().__init__(ours)
        settings, dim = self.settings, self.backbone.dim
        self.head = self._heads.SimCLRProjectionHead(dim, settings.hidden or dim, settings.dim)
        self.head.layers.load_state_dict(ours.head.state_dict())
        self.criterion = self._losses.NTXentLoss(temperature=settings.temperature)

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        first, second = self.head(self.backbone(batch["views"].flatten(0, 1)).pooled).chunk(2)
        return Losses(self.criterion(first, second))


class LightlyByol(_Lightly):
    def __init__(self, ours: Any) -> None:
        super().__init__(ours)
        settings = self.settings
        self.projector = self._heads.BYOLProjectionHead(self.backbone.dim, settings.hidden, settings.dim)
        self.predictor = self._heads.BYOLPredictionHead(settings.dim, settings.hidden, settings.dim)
        for name in ("projector", "predictor"):
            layers = getattr(self, name).layers
            # Its last layer has a bias, ours has none.
            layers.load_state_dict(getattr(ours, name).state_dict(), strict=False)
            nn.init.zeros_(layers[3].bias)
        self.target_backbone, self.target_projector = _still(self.backbone), _still(self.projector)
        self.criterion = self._losses.NegativeCosineSimilarity()

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        predicted = [self.predictor(self.projector(self.backbone(view).pooled)) for view in batch["views"]]
        with torch.no_grad():
            target = [self.target_projector(self.target_backbone(view).pooled) for view in batch["views"]]
        total: Tensor = self.criterion(predicted[0], target[1]) + self.criterion(predicted[1], target[0])
        # lightly's -cos has half the gradient of the paper's 2 - 2 cos, and would be clipped half as often.
        return Losses(4 + 2 * total)

    def after_step(self, progress: Progress) -> None:
        momentum = self._momentum(progress)
        self._follow(self.backbone, self.target_backbone, momentum)
        self._follow(self.projector, self.target_projector, momentum)


class LightlyDino(_Lightly):
    def __init__(self, ours: Any) -> None:
        super().__init__(ours)
        self._temperature: Callable[[Progress], float] = ours.teacher_temperature
        self.head, self.target_head = self._head_as(ours.head), self._head_as(ours.head)
        self.target_head.requires_grad_(False)
        self.target_backbone = _still(self.backbone)
        self.criterion = self._losses.DINOLoss(
            self.settings.prototypes,
            student_temp=self.settings.student_temperature,
            center_momentum=self.settings.center_momentum,
        )

    def _head_as(self, ours: Any) -> Any:
        one = self.settings
        made = self._heads.DINOProjectionHead(
            self.backbone.dim, one.hidden, one.bottleneck, one.prototypes, freeze_last_layer=one.frozen_epochs
        )
        made.layers.load_state_dict(ours.mlp.state_dict())
        with torch.no_grad():
            made.last_layer.weight_v.copy_(ours.prototypes.weight)
        return made

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        large, small = batch["globals"], batch["locals"]
        with torch.no_grad():
            said = self.target_head(self.target_backbone(large.flatten(0, 1)).pooled).chunk(len(large))
        seen = torch.cat([self.backbone(views.flatten(0, 1)).pooled for views in (large, small)])
        guesses = self.head(seen).split(large.shape[1])
        return Losses(self.criterion(list(said), list(guesses), teacher_temp=self._temperature(progress)))

    def before_step(self, progress: Progress) -> None:
        self.head.cancel_last_layer_gradients(progress.epoch)

    def after_step(self, progress: Progress) -> None:
        momentum = self._momentum(progress)
        self._follow(self.backbone, self.target_backbone, momentum)
        self._follow(self.head, self.target_head, momentum)

    def exported(self) -> Backbone:
        found: Backbone = self.target_backbone
        return found


class LightlyDinov2(LightlyDino):
    """As lightly's example has it: both teachers are centred, where ours goes by Sinkhorn-Knopp."""

    def __init__(self, ours: Any) -> None:
        super().__init__(ours)
        self.patch_head, self.target_patch_head = (
            self._head_as(ours.patch_head),
            self._head_as(ours.patch_head),
        )
        self.target_patch_head.requires_grad_(False)
        self.patch_criterion = self._losses.IBOTPatchLoss(
            self.settings.prototypes,
            student_temp=self.settings.student_temperature,
            center_momentum=self.settings.center_momentum,
        )
        self.spread = self._losses.KoLeoLoss()

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        large, masks = batch["globals"], batch["masks"].flatten(0, 1)
        temperature = self._temperature(progress)
        with torch.no_grad():
            known = self.target_backbone(large.flatten(0, 1))
            said = self.target_head(known.pooled).chunk(len(large))
            hidden = self.target_patch_head(known.tokens[masks])
        seen = self.backbone(large.flatten(0, 1), masked=masks)
        local = self.backbone(batch["locals"].flatten(0, 1)).pooled
        guesses = self.head(torch.cat([seen.pooled, local])).split(large.shape[1])
        side = self.backbone.size // self.backbone.patch
        parts = {
            "dino": self.criterion(list(said), list(guesses), teacher_temp=temperature),
            "ibot": self.patch_criterion(
                hidden, self.patch_head(seen.tokens[masks]), masks.view(-1, side, side), temperature
            ),
            "koleo": torch.stack([self.spread(crop) for crop in seen.pooled.chunk(len(large))]).sum(),
        }
        one = self.settings
        total = parts["dino"] + one.ibot_weight * parts["ibot"] + one.koleo_weight * parts["koleo"]
        return Losses(total, {name: part.detach() for name, part in parts.items()})

    def groups(self) -> Iterable[Group]:
        return grouped(self._learned(), self.settings.layer_decay, self.settings.patch_rate)

    def before_step(self, progress: Progress) -> None:
        super().before_step(progress)
        self.patch_head.cancel_last_layer_gradients(progress.epoch)

    def after_step(self, progress: Progress) -> None:
        super().after_step(progress)
        self._follow(self.patch_head, self.target_patch_head, self._momentum(progress))


class LightlyMae(_Lightly):
    _RENAMED: Mapping[str, str] = {
        "embed": "decoder_embed",
        "blocks": "decoder_blocks",
        "norm": "decoder_norm",
        "pixels": "decoder_pred",
        "mask_token": "mask_token",
    }

    def __init__(self, ours: Any) -> None:
        super().__init__(ours)
        settings, backbone = self.settings, self.backbone
        modules = evaluation_library("lightly.models.modules")
        self._tools: Any = evaluation_library("lightly.models.utils")
        started = copy.deepcopy(backbone.state_dict())
        # It shares the backbone's network, and would start it anew.
        self.encoder = modules.MaskedVisionTransformerTIMM(vit=backbone.network)
        backbone.load_state_dict(started)
        with warnings.catch_warnings():
            # Its successor is for other methods: it paints no pixels.
            warnings.simplefilter("ignore")
            self.decoder = modules.MAEDecoderTIMM(
                num_patches=(backbone.size // backbone.patch) ** 2,
                patch_size=backbone.patch,
                embed_dim=backbone.dim,
                decoder_embed_dim=settings.width,
                decoder_depth=settings.depth,
                decoder_num_heads=settings.heads,
            )
        self._start_as(ours.decoder)
        self.criterion = nn.MSELoss()

    def _start_as(self, decoder: nn.Module) -> None:
        there = dict(self.decoder.named_parameters())
        with torch.no_grad():
            for name, value in decoder.named_parameters():
                first, *rest = name.split(".")
                target = there[".".join([self._RENAMED[first], *rest])]
                target.copy_(value.view_as(target))

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        image, tools = batch["image"], self._tools
        # The first token is the image's own; it is always seen.
        shuffled = batch["noise"].argsort(dim=1) + 1
        count = int(shuffled.shape[1] * (1 - self.settings.ratio))
        kept = torch.cat([torch.zeros_like(shuffled[:, :1]), shuffled[:, :count]], dim=1)
        hidden = shuffled[:, count:]
        seen = self.decoder.embed(self.encoder.encode(images=image, idx_keep=kept))
        row = tools.repeat_token(self.decoder.mask_token, (len(image), shuffled.shape[1] + 1))
        decoded = self.decoder.decode(tools.set_at_index(row, kept, seen.type_as(row)))
        painted = self.decoder.predict(tools.get_at_index(decoded, hidden))
        target = tools.get_at_index(tools.patchify(image, self.backbone.patch), hidden - 1)
        if self.settings.norm_pix:
            target = tools.normalize_mean_var(target, dim=-1)
        return Losses(self.criterion(painted, target))

    def groups(self) -> Iterable[Group]:
        return grouped({"backbone": self.backbone, "decoder": self.decoder}, self.settings.layer_decay)
