"""Encoders that a student learns from: any model of the registry, a folder of an export, several at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from perception_contrast.core.errors import ModelError, RecipeError
from perception_contrast.encoders.base import EncoderOutput, ImageEncoder, Role
from perception_contrast.encoders.clip import load_clip
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.encoders.load_image_encoder import load_image_encoder
from perception_contrast.models.registry import LIT_TOWER, model_spec
from perception_contrast_training.distillation.feature_cache import FeatureCache, Features
from perception_contrast_training.views.pixels import normalised, to_float

DENSE = (Role.SPATIAL, Role.LANGUAGE)
POOLED = (Role.SPATIAL_POOLED, Role.LANGUAGE_POOLED)
_MOST = float(torch.finfo(torch.float16).max)


@dataclass(frozen=True)
class Target:
    """An output of a teacher that a student learns.

    Attributes:
        teacher: The teacher's name, as the recipe has it.
        output: What the teacher declares of it.
        dim: Channels.
    """

    teacher: str
    output: EncoderOutput
    dim: int

    @property
    def dense(self) -> bool:
        """Whether it is a grid, and not a vector of the whole image."""
        return any(role in DENSE for role in self.output.roles)

    @property
    def language(self) -> bool:
        """Whether it is compared with words."""
        return any(role in (Role.LANGUAGE, Role.LANGUAGE_POOLED) for role in self.output.roles)

    @property
    def label(self) -> str:
        """For figures and messages."""
        return f"{self.teacher}/{self.output.name}"


class Teacher:
    """An encoder that is asked, never changed. No ``nn.Module``: checkpoints of a student leave it out.

    Args:
        name: As the recipe has it.
        encoder: In evaluation mode, without gradients.
        known: Spaces of outputs that an earlier teacher gives already.
    """

    def __init__(self, name: str, encoder: ImageEncoder, known: frozenset[tuple[str, str]]) -> None:
        self.name, self._encoder = name, encoder
        side = 2 * encoder.patch
        with torch.no_grad():
            shapes = [one.shape for one in encoder.encode(torch.zeros(1, 3, side, side))]
        self._indices: list[int] = []
        targets: list[Target] = []
        for index, output in enumerate(encoder.outputs):
            if not set(output.roles) & {*DENSE, *POOLED} or (output.space, output.name) in known:
                continue
            self._indices.append(index)
            targets.append(Target(name, output, int(shapes[index][-1])))
        self.targets = tuple(targets)

    @property
    def space(self) -> str:
        """Identity of what it says: the spaces of its outputs."""
        said = "\n".join(f"{one.output.name} {one.output.space}" for one in self.targets)
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()

    def side_for(self, pixels: int) -> int:
        """The multiple of its patch that is nearest to a view's side."""
        patch = self._encoder.patch
        return max(1, round(pixels / patch)) * patch

    @torch.no_grad()
    def features(self, views: Tensor) -> list[Features]:
        """What it says of each view (n, 3, s, s) uint8 RGB: by output, float16 on the CPU.

        On the CPU each view goes alone, so that its features do not depend on which others are new: with
        other batches matrix products are rounded otherwise, and a run that went on would end elsewhere.
        """
        if isinstance(self._encoder, nn.Module):
            self._encoder.to(views.device)
        side = self.side_for(views.shape[-1])
        found: list[Features] = []
        for part in torch.split(views, 1 if views.device.type == "cpu" else len(views)):
            if part.shape[-1] != side:
                part = tv.resize(part, [side, side], InterpolationMode.BICUBIC, antialias=True)
            images = normalised(to_float(part), self._encoder.mean, self._encoder.std)
            given = self._encoder.encode(images)
            halves = [given[index].clamp(-_MOST, _MOST).half().cpu() for index in self._indices]
            found += [
                {one.output.name: half[row] for one, half in zip(self.targets, halves, strict=True)}
                for row in range(len(part))
            ]
        return found

    def of_views(self, views: Tensor, keys: Sequence[str], cache: FeatureCache) -> Features:
        """As ``features``, from the cache where it has them; stacked, (n, h, w, c) or (n, c) float32.

        Args:
            views: (n, 3, s, s) uint8 RGB.
            keys: Name each view by what it shows.
            cache: Gets what is new.
        """
        space, side = self.space, self.side_for(views.shape[-1])
        named = [f"{key}-{side}" for key in keys]
        found = [cache.get(space, one) for one in named]
        missing = [index for index, one in enumerate(found) if one is None]
        if missing:
            made = self.features(views[missing])
            for index, one in zip(missing, made, strict=True):
                cache.put(space, named[index], one)
                found[index] = one
        rows = cast(list[Features], found)
        return {
            one.output.name: torch.stack([row[one.output.name] for row in rows]).float().to(views.device)
            for one in self.targets
        }


def load_teachers(names: Sequence[str]) -> tuple[Teacher, ...]:
    """Teachers by name: of the registry, ``timm:...``, added ones, or folders of exports.

    What two of them share, as household-lit shares DINOv2 with dinov2-s14, is learned once.

    Raises:
        RecipeError: None is named, or one twice.
        ModelError: A name or its weights cannot be had.
    """
    if not names:
        raise RecipeError("distillation needs a teacher: set options.teachers, such as '[dinov2-s14]'")
    if len(set(names)) < len(names):
        raise RecipeError(f"options.teachers names one twice: {', '.join(names)}")
    teachers: list[Teacher] = []
    for name in names:
        for encoder in _encoders_of(name):
            known = frozenset(
                (one.output.space, one.output.name) for teacher in teachers for one in teacher.targets
            )
            teacher = Teacher(name, encoder, known)
            if teacher.targets:
                teachers.append(teacher)
    return tuple(teachers)


def _encoders_of(name: str) -> list[ImageEncoder]:
    spec = model_spec(name)
    if spec.family == "text":
        raise ModelError(f"'{name}' sees no images, so it can be no teacher")
    if spec.family == "lit":
        language = load_encoders(LIT_TOWER, name).language
        assert language is not None
        return [language.image_encoder]
    encoders: list[ImageEncoder] = [load_image_encoder(spec)] if spec.spatial else []
    if spec.knows_words and spec.family != "student":  # a student's own outputs have its words' side
        encoders.append(load_clip(spec))
    return encoders
