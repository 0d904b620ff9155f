"""A method of ours with open_clip's loss in place of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch.nn.functional as F
from torch import nn

from perception_contrast_training.methods.base import Batch, Group, Losses, Progress


class OpenClipLoss(nn.Module):
    """Towers, scale and bias of a method of ours (CLIP, SigLIP, LiT) that meet in open_clip's loss."""

    def __init__(self, method: Any) -> None:
        super().__init__()
        from open_clip.loss import ClipLoss, SigLipLoss

        self.method = method
        self.criterion: Any = SigLipLoss() if hasattr(method, "bias") else ClipLoss()

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        seen = self.method.embed(batch)
        image, text = (F.normalize(seen[name], dim=-1) for name in ("image", "text"))
        more = [self.method.bias] if hasattr(self.method, "bias") else []
        return Losses(self.criterion(image, text, self.method.log_scale.exp(), *more))

    def groups(self) -> Iterable[Group]:
        found: Iterable[Group] = self.method.groups()
        return found

    def before_step(self, progress: Progress) -> None:
        self.method.before_step(progress)

    def after_step(self, progress: Progress) -> None:
        self.method.after_step(progress)

    def exported(self) -> nn.Module:
        found: nn.Module = self.method.exported()
        return found
