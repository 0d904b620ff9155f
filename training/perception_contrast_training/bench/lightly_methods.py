"""Methods from lightly's heads and losses, on the same backbone and views: something to compare with."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from perception_contrast_training.evaluation.libraries import evaluation_library
from perception_contrast_training.methods.base import Batch, Group, Losses, Method, Progress
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.networks.backbones import Backbone

THERE = ("simclr", "byol", "dino", "mae")


def lightly_method(name: str, backbone: Backbone, settings: Any) -> Method:
    """settings: of our method of that name. Raises PerceptionError where lightly is not installed."""
    made: dict[str, Any] = {
        "simclr": LightlySimclr,
        "byol": LightlyByol,
        "dino": LightlyDino,
        "mae": LightlyMae,
    }
    method: Method = made[name](backbone, settings)
    return method


class _Lightly(nn.Module):
    def __init__(self, backbone: Backbone, settings: Any) -> None:
        super().__init__()
        self.backbone, self.settings = backbone, settings
        self._heads: Any = evaluation_library("lightly.models.modules.heads")
        self._losses: Any = evaluation_library("lightly.loss")
        self._follow: Any = evaluation_library("lightly.models.utils").update_momentum

    def groups(self) -> Iterable[Group]:
        learned = {name: part for name, part in self.named_children() if "target" not in name}
        return grouped(learned)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out."""

    def after_step(self, progress: Progress) -> None:
        """Nothing follows."""

    def exported(self) -> Backbone:
        return self.backbone


def _still(module: nn.Module) -> Any:
    return copy.deepcopy(module).requires_grad_(False)


class LightlySimclr(_Lightly):
    def __init__(self, backbone: Backbone, settings: Any) -> None:
        super().__init__(backbone, settings)
        dim = backbone.dim
        self.head = self._heads.SimCLRProjectionHead(dim, settings.hidden or dim, settings.dim)
        self.criterion = self._losses.NTXentLoss(temperature=settings.temperature)

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        first, second = self.head(self.backbone(batch["views"].flatten(0, 1)).pooled).chunk(2)
        return Losses(self.criterion(first, second))


class LightlyByol(_Lightly):
    def __init__(self, backbone: Backbone, settings: Any) -> None:
        super().__init__(backbone, settings)
        self.projector = self._heads.BYOLProjectionHead(backbone.dim, settings.hidden, settings.dim)
        self.predictor = self._heads.BYOLPredictionHead(settings.dim, settings.hidden, settings.dim)
        self.target_backbone, self.target_projector = _still(backbone), _still(self.projector)
        self.criterion = self._losses.NegativeCosineSimilarity()

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        predicted = [self.predictor(self.projector(self.backbone(view).pooled)) for view in batch["views"]]
        with torch.no_grad():
            target = [self.target_projector(self.target_backbone(view).pooled) for view in batch["views"]]
        total: Tensor = self.criterion(predicted[0], target[1]) + self.criterion(predicted[1], target[0])
        # lightly's -cos has half the gradient of the paper's 2 - 2 cos, and would be clipped half as often.
        return Losses(4 + 2 * total)

    def after_step(self, progress: Progress) -> None:
        momentum = 1 - (1 - self.settings.momentum) * (math.cos(math.pi * progress.share) + 1) / 2
        self._follow(self.backbone, self.target_backbone, momentum)
        self._follow(self.projector, self.target_projector, momentum)


class LightlyDino(_Lightly):
    def __init__(self, backbone: Backbone, settings: Any) -> None:
        super().__init__(backbone, settings)
        sizes = (backbone.dim, settings.hidden, settings.bottleneck, settings.prototypes)
        self.head = self._heads.DINOProjectionHead(*sizes, freeze_last_layer=-1)
        self.target_backbone = _still(backbone)
        # Weight norm cannot be copied.
        self.target_head = self._heads.DINOProjectionHead(*sizes, freeze_last_layer=-1)
        self.target_head.load_state_dict(self.head.state_dict())
        self.target_head.requires_grad_(False)
        self.criterion = self._losses.DINOLoss(
            settings.prototypes,
            warmup_teacher_temp=settings.teacher_temperature_start,
            teacher_temp=settings.teacher_temperature,
            warmup_teacher_temp_epochs=max(1, math.ceil(settings.warm_up_epochs)),
            student_temp=settings.student_temperature,
            center_momentum=settings.center_momentum,
        )

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        large, small = batch["globals"], batch["locals"]
        with torch.no_grad():
            said = self.target_head(self.target_backbone(large.flatten(0, 1)).pooled).chunk(len(large))
        seen = torch.cat([self.backbone(views.flatten(0, 1)).pooled for views in (large, small)])
        guesses = self.head(seen).split(large.shape[1])
        return Losses(self.criterion(list(said), list(guesses), epoch=int(progress.epoch)))

    def after_step(self, progress: Progress) -> None:
        momentum = 1 - (1 - self.settings.momentum) * (math.cos(math.pi * progress.share) + 1) / 2
        self._follow(self.backbone, self.target_backbone, momentum)
        self._follow(self.head, self.target_head, momentum)

    def exported(self) -> Backbone:
        found: Backbone = self.target_backbone
        return found


class LightlyMae(_Lightly):
    def __init__(self, backbone: Backbone, settings: Any) -> None:
        super().__init__(backbone, settings)
        modules = evaluation_library("lightly.models.modules")
        self._tools: Any = evaluation_library("lightly.models.utils")
        # It shares the backbone's network, and starts it as MAE's authors do.
        self.encoder = modules.MaskedVisionTransformerTIMM(vit=backbone.network)
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
        self.criterion = nn.MSELoss()

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
        return grouped({"backbone": self.backbone, "decoder": self.decoder})
