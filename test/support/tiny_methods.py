"""Learning methods that fit in a blink, for tests of what runs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from perception_contrast_training.data.datasets.samples import Sample
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress

SIDE = 8


class Colours:
    """Images of one colour with noise; their label is the colour."""

    classes = ("red", "green", "blue")

    def __init__(self, count: int = 64, side: int = SIDE) -> None:
        self._count, self._side = count, side

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        chance = torch.Generator().manual_seed(index)
        image = torch.randint(0, 120, (3, self._side, self._side), generator=chance, dtype=torch.uint8)
        image[index % 3] += 120
        return Sample(
            image=image, text=f"a {self.classes[index % 3]} thing", stamp=index, group=index // 16,
            pose=torch.full((7,), torch.nan, dtype=torch.float64), label=index % 3, index=index,
            key=str(index),
        )  # fmt: skip


class TwoViews:
    """Two noisy copies of an image."""

    def __call__(self, image: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        seen = image.float() / 255
        noise = torch.randn(2, *seen.shape, generator=generator)
        return {"views": seen + 0.05 * noise}


class Backbone(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(3 * SIDE * SIDE, width)
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, width)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(images.flatten(1)))))


class TinyContrast(nn.Module):
    """Two views attract, the others repel; with a dropout, a running statistic and a slow copy."""

    def __init__(self, *, repel: bool = True, dropout: float = 0.1, batch_norm: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = Backbone()
        head = [nn.BatchNorm1d(16)] if batch_norm else []
        self.head = nn.Sequential(*head, nn.Dropout(dropout), nn.Linear(16, 8))
        self.teacher = Backbone()
        self.teacher.load_state_dict(self.backbone.state_dict())
        self.teacher.requires_grad_(False)
        self.repel = repel

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        first, second = (
            nn.functional.normalize(self.head(self.backbone(view)), dim=-1) for view in batch["views"]
        )
        first, second = first.float(), second.float()
        attract = (first - second).pow(2).sum(-1).mean()
        repel = torch.pdist(first).pow(2).mul(-2).exp().mean().log() if self.repel else first.new_zeros(())
        parts = {"attract": attract.detach(), "repel": repel.detach()}
        watched = {"embedding": first.detach(), "positive": second.detach()}
        return Losses(attract + repel, parts, watched)

    def groups(self) -> Iterable[Group]:
        yield Group("backbone", list(self.backbone.parameters()))
        yield Group("head", list(self.head.parameters()), rate=2.0, decay=0.0)

    def before_step(self, progress: Progress) -> None:
        pass

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        for slow, fast in zip(self.teacher.parameters(), self.backbone.parameters(), strict=True):
            slow.lerp_(fast, 0.1)

    def exported(self) -> nn.Module:
        return self.teacher


class Separable(TinyContrast):
    """As ``Contrastive`` methods: vectors and their comparison apart, nothing random in between."""

    def __init__(self) -> None:
        super().__init__(dropout=0.0, batch_norm=False)

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        first, second = (self.head(self.backbone(view)) for view in batch["views"])
        return {"first": first, "second": second}

    def compare(self, embedded: Mapping[str, Tensor]) -> Losses:
        a, b = (nn.functional.normalize(embedded[name], dim=-1) for name in ("first", "second"))
        logits = 5 * a @ b.T
        total = nn.functional.cross_entropy(logits, torch.arange(len(a)))
        return Losses(total, {}, {"embedding": a.detach()})

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        return self.compare(self.embed(batch))
