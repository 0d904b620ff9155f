"""MAE (He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from torch import nn

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.losses.full_precision import at_least_float32, full_precision
from perception_contrast_training.losses.mae import mae_loss
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.methods.scaling import SMALL, Scale, change_sentence
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.networks.mae_decoder import MaeDecoder, start_vit_as_mae
from perception_contrast_training.views.mae import MaeViewSettings


@dataclass(frozen=True)
class MaeSettings:
    """ratio: of patches that are hidden. width, depth, heads: of the decoder. norm_pix: whether each patch's
    pixels are normalised by themselves before they are compared. start: "mae" begins a backbone from
    scratch as its authors do, "own" leaves it as it is (weights that are there are always left)."""

    ratio: float = 0.75
    width: int = 512
    depth: int = 8
    heads: int = 16
    norm_pix: bool = True
    start: str = "mae"
    layer_decay: float = 1.0
    views: MaeViewSettings = field(default_factory=MaeViewSettings)


class Mae(nn.Module):
    """Hidden patches are painted from those that are seen.

    Batch: image (n, 3, h, w), noise (n, patches): the patches of least noise are seen.
    """

    def __init__(self, backbone: Backbone, settings: MaeSettings) -> None:
        super().__init__()
        backbone.require_vit("mae")
        if getattr(backbone.network, "rope", None) is not None:
            raise RecipeError("mae drops patches, which rotary positions cannot follow; choose a plain ViT")
        self.settings, self.backbone = settings, backbone
        if settings.start == "mae" and not backbone.space:
            start_vit_as_mae(backbone.network)
        side = backbone.size // backbone.patch
        self.decoder = MaeDecoder(
            backbone.dim,
            (side, side),
            backbone.patch,
            width=settings.width,
            depth=settings.depth,
            heads=settings.heads,
            prefix=backbone.network.cls_token is not None,
        )

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        image, noise = batch["image"], batch["noise"]
        shuffled = noise.argsort(dim=1)
        order = shuffled.argsort(dim=1)
        seen_count = int(noise.shape[1] * (1 - self.settings.ratio))
        seen = self.backbone(image, kept=shuffled[:, :seen_count])
        painted = at_least_float32(self.decoder(seen.pooled, seen.tokens, order))
        hidden = order >= seen_count
        with full_precision(painted):
            total = mae_loss(painted, image, hidden, self.backbone.patch, self.settings.norm_pix)
        return Losses(total, {"mae": total.detach()}, {"embedding": seen.pooled.detach()})

    def groups(self) -> Iterable[Group]:
        return grouped({"backbone": self.backbone, "decoder": self.decoder}, self.settings.layer_decay)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out."""

    def after_step(self, progress: Progress) -> None:
        """Nothing follows."""

    def exported(self) -> Backbone:
        """The encoder without the decoder."""
        return self.backbone


def fit_to_data(settings: MaeSettings, scale: Scale) -> tuple[MaeSettings, list[str]]:
    """A smaller decoder for small images, whose few patches do not fill 512 channels."""
    if scale.size > SMALL:
        return settings, []
    new = replace(settings, width=min(settings.width, 128), depth=min(settings.depth, 4), heads=4)
    why = f"images have {scale.size} pixels"
    return new, [
        *change_sentence("width", settings.width, new.width, why),
        *change_sentence("depth", settings.depth, new.depth, why),
        *change_sentence("heads", settings.heads, new.heads, why),
    ]
