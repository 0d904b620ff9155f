"""Distillation: a small network learns to say what large ones say of the same image.

AM-RADIO (Ranzinger et al., CVPR 2024): one student for several teachers, an adaptor for each of their
outputs, losses on vectors of cells and of whole images. Scales are balanced as in PHI-S (Ranzinger et al.,
2024). No labels are needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isqrt
from pathlib import Path

import torch
from torch import Tensor, nn

from perception_contrast.core.errors import RecipeError
from perception_contrast.encoders.radio_words import TeacherAdaptor
from perception_contrast_training.distillation.feature_cache import FeatureCache, default_folder
from perception_contrast_training.distillation.standardisation import Moments, Normalisation, Standardisation
from perception_contrast_training.distillation.teachers import Target, Teacher, load_teachers
from perception_contrast_training.engine import gather
from perception_contrast_training.losses.distillation import angular_error, on_cells, squared_error
from perception_contrast_training.losses.full_precision import at_least_float32, full_precision
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.views.distill import DistillViewSettings, view_names


@dataclass(frozen=True)
class CacheSettings:
    """folder: of the teachers' features, "" for one in the package's cache. gigabytes: that they may take
    there, 0 for no cache."""

    folder: str = ""
    gigabytes: float = 10.0


@dataclass(frozen=True)
class DistillSettings:
    """teachers: models of the registry or folders of exports. hidden: channels of the adaptors, 0 for linear
    ones. normalisation: of the teachers' features, ``phi-s``, ``channel`` or ``none``. statistics: images
    that it is fitted to, before the first step. dense_weight, global_weight: of cells' and whole images'
    losses. angle_weight: of directions beside squared errors."""

    teachers: tuple[str, ...] = ()
    hidden: int = 0
    normalisation: Normalisation = "phi-s"
    statistics: int = 256
    dense_weight: float = 1.0
    global_weight: float = 1.0
    angle_weight: float = 1.0
    layer_decay: float = 1.0
    cache: CacheSettings = field(default_factory=CacheSettings)
    views: DistillViewSettings = field(default_factory=DistillViewSettings)


class Adaptor(nn.Module):
    """What a student gives, (..., width), to a teacher's output, (..., dim).

    head: learns. standard: what the teacher's vectors are scaled by; fitted once, before the first step.
    """

    def __init__(self, width: int, target: Target, hidden: int) -> None:
        super().__init__()
        self.target = target
        self.head: nn.Module = nn.Linear(width, target.dim)
        if hidden:
            self.head = TeacherAdaptor(width, hidden, target.dim, 1)
        self.standard = Standardisation(target.dim)

    def losses(self, given: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
        """Squared error of standardised vectors, and one minus the cosine of the teacher's own.

        Args:
            given: The student's cells (n, h, w, width), or vectors (n, width).
            said: The teacher's (n, H, W, dim), or (n, dim).
        """
        predicted = at_least_float32(self.head(given))
        with full_precision(predicted):
            if said.dim() == 4:
                predicted = on_cells(predicted, said.shape[1], said.shape[2])
            error = squared_error(predicted, self.standard.standardised(said))
            return error, angular_error(self.standard.restored(predicted), said)


class Distill(nn.Module):
    """Batch: image (n, 3, h, w) for the student, view (n, 3, s, s) uint8 for the teachers, view_id (n, 2)."""

    def __init__(self, backbone: Backbone, settings: DistillSettings, teachers: tuple[Teacher, ...]) -> None:
        super().__init__()
        if settings.dense_weight + settings.global_weight <= 0:
            raise RecipeError("options.dense_weight and options.global_weight are both 0: nothing is learned")
        self.settings, self.backbone = settings, backbone
        self.teachers = teachers
        self.adaptors = nn.ModuleDict(
            {
                f"{index}_{target.output.name}": Adaptor(backbone.dim, target, settings.hidden)
                for index, teacher in enumerate(teachers)
                for target in teacher.targets
            }
        )
        cache = settings.cache
        folder = Path(cache.folder).expanduser() if cache.folder else default_folder()
        self._cache_place = (folder, cache.gigabytes)
        self._opened: FeatureCache | None = None

    @property
    def cache(self) -> FeatureCache:
        """Opened at its first use: who only exports a student needs none."""
        if self._opened is None:
            self._opened = FeatureCache(*self._cache_place, gather.processes())
        return self._opened

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Fits the scales of the teachers' features; before the first step of a new run alone."""
        moments = {key: Moments(self._adaptor(key).target.dim) for key in self.adaptors}
        for batch in batches:
            for key, said in self._said(batch).items():
                moments[key].add(said)
        for key, seen in moments.items():
            self._adaptor(key).standard.fit(seen, self.settings.normalisation)

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        said = self._said(batch)
        seen = self.backbone(batch["image"])
        count, cells, width = seen.tokens.shape
        side = isqrt(cells)
        grid = seen.tokens.reshape(count, side, side, width)
        parts: dict[str, Tensor] = {}
        sums: dict[bool, list[Tensor]] = {True: [], False: []}
        for key, value in said.items():
            adaptor = self._adaptor(key)
            dense = adaptor.target.dense
            error, angle = adaptor.losses(grid if dense else seen.pooled, value)
            sums[dense].append(error + self.settings.angle_weight * angle)
            label = adaptor.target.label
            parts |= {f"{label} error": error.detach(), f"{label} angle": angle.detach()}
        weights = {True: self.settings.dense_weight, False: self.settings.global_weight}
        terms = [weights[dense] * torch.stack(found).mean() for dense, found in sums.items() if found]
        return Losses(torch.stack(terms).sum(), parts, {"embedding": seen.pooled.detach()})

    def groups(self) -> Iterable[Group]:
        return grouped({"backbone": self.backbone, "adaptors": self.adaptors}, self.settings.layer_decay)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out."""

    def after_step(self, progress: Progress) -> None:
        """Nothing follows."""

    def exported(self) -> Backbone:
        """The student without its adaptors; ``learned`` are those."""
        return self.backbone

    @property
    def learned(self) -> list[Adaptor]:
        """In the order of the teachers and their outputs."""
        return [self._adaptor(key) for key in self.adaptors]

    def _adaptor(self, key: str) -> Adaptor:
        found = self.adaptors[key]
        assert isinstance(found, Adaptor)
        return found

    def _said(self, batch: Batch) -> dict[str, Tensor]:
        """By adaptor, float32."""
        names = view_names(batch["view_id"])
        with full_precision(batch["view"]):
            return {
                f"{index}_{name}": value
                for index, teacher in enumerate(self.teachers)
                for name, value in teacher.of_views(batch["view"], names, self.cache).items()
            }


def make_distill(backbone: Backbone, settings: DistillSettings) -> Distill:
    """Raises RecipeError for teachers that do not fit, ModelError for those that cannot be had."""
    return Distill(backbone, settings, load_teachers(settings.teachers))


def fit_to_data(settings: DistillSettings, scale: Scale) -> tuple[DistillSettings, list[str]]:
    """Nothing follows from the number of images."""
    return settings, []
