"""Distilled encoders: a small network and an adaptor for each teacher's output that it learned to repeat.

A student serves as any encoder of images, in spaces of its own. What it learned of a teacher with words is
compared with that teacher's texts, whose vectors are taken into the student's space unchanged (as AM-RADIO's
adaptor to SigLIP does, Ranzinger et al., CVPR 2024).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from perception_contrast.core.cache import sha256_of
from perception_contrast.core.embedding_spaces import space_name
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.base import EncoderOutput, Role, output_with
from perception_contrast.encoders.dense.method_names import STOCK
from perception_contrast.encoders.dinov2 import DinoOutput, DinoTower
from perception_contrast.encoders.position_embedding import grid_of
from perception_contrast.encoders.radio_words import TeacherAdaptor
from perception_contrast.encoders.timm_backbones import create_network
from perception_contrast.models.specs import ModelSpec
from perception_contrast.models.weight_loading import load_strictly, load_tensors, uninitialised

OUTPUTS = "outputs"  # in the weights' metadata, so that the space's name stands for it too
_OF_CELLS = (Role.SPATIAL, Role.LANGUAGE)
_MOST = 1 << 16


@dataclass(frozen=True)
class LearnedOutput:
    """An output of a student, as its file describes it.

    Attributes:
        name: Of the output.
        roles: Values of ``Role``.
        dim: Channels.
        hidden: Channels within its adaptor; 0 for a linear one.
        unit: Whether vectors have length 1.
        suffix: Of its space, behind the student's: "" for images alone.
    """

    name: str
    roles: tuple[str, ...]
    dim: int
    hidden: int = 0
    unit: bool = False
    suffix: str = ""

    def declared(self, space: str) -> EncoderOutput:
        """space: the student's."""
        return EncoderOutput(self.name, tuple(map(Role, self.roles)), f"{space}{self.suffix}", self.unit)

    @property
    def dense(self) -> bool:
        """Whether it is a grid."""
        return any(Role(role) in _OF_CELLS for role in self.roles)


def adaptor_of(width: int, dim: int, hidden: int) -> nn.Module:
    """From ``width`` channels of a student to ``dim`` of a teacher; ``hidden`` 0: a linear layer."""
    return TeacherAdaptor(width, hidden, dim, 1) if hidden else nn.Linear(width, dim)


class StudentTower(DinoTower):
    """A network of timm and its adaptors; the first spatial output is its main one.

    Args:
        vit: timm's network.
        learned: its outputs.
        adaptors: one for each of them.
        spec: patch, normalisation.
        space: identity of the weights.
    """

    def __init__(
        self,
        vit: nn.Module,
        learned: Sequence[LearnedOutput],
        adaptors: Sequence[nn.Module],
        spec: ModelSpec,
        space: str,
    ) -> None:
        super().__init__(vit, spec, space)
        self.adaptors = nn.ModuleList(adaptors)
        self.learned = tuple(learned)
        self._outputs = tuple(one.declared(space) for one in learned)
        self.depth = 0
        main = output_with(self._outputs, Role.SPATIAL)
        if main is None:
            raise ModelError(f"'{spec.name}' learned no dense features, so it cannot be served")
        self.space = main.space
        self.dim = next(one.dim for one in learned if Role.SPATIAL.value in one.roles)
        self.method = STOCK if output_with(self._outputs, Role.LANGUAGE) else ""

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        """What it learned of its teachers."""
        return self._outputs

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        """As ``ImageEncoder.encode``; gives no ``layers``."""
        rows, columns = grid_of(images, self.patch, self.model)
        tokens, image, _ = self._trunk.run(images, rows, columns, ())
        given: list[Tensor] = []
        for one, adaptor in zip(self.learned, self.adaptors, strict=True):
            vectors: Tensor = adaptor(tokens if one.dense else image)
            given.append(functional.normalize(vectors.float(), dim=-1) if one.unit else vectors)
        return tuple(given)

    def forward(self, images: Tensor, layers: Sequence[int] = ()) -> DinoOutput:
        """Its dense features and the image's vector."""
        given = self.encode(images)
        found = [self._index(role) for role in (Role.SPATIAL, Role.SPATIAL_POOLED)]
        return DinoOutput(given[found[0]], given[found[1]])

    def _index(self, role: Role) -> int:
        return next(index for index, one in enumerate(self._outputs) if role in one.roles)


def load_student(spec: ModelSpec, path: Path) -> StudentTower:
    """A distilled encoder of its weights file, on the CPU, in training mode.

    Raises:
        ModelError: The file does not say what it holds, or does not fit the card.
    """
    state = load_tensors(path)
    learned = _learned_of(path)
    options = {key: value for key, value in spec.options if key != "antialias"}
    with uninitialised():
        network: Any = create_network(spec.arch, spec.size, options)
        adaptors = [adaptor_of(int(network.num_features), one.dim, one.hidden) for one in learned]
        tower = StudentTower(network, learned, adaptors, spec, space_name(spec.name, sha256_of(path)))
    load_strictly(tower, state, path)
    return tower


def described(learned: Sequence[LearnedOutput]) -> dict[str, str]:
    """The metadata of a student's weights file."""
    return {OUTPUTS: json.dumps([asdict(one) for one in learned])}


def _learned_of(path: Path) -> tuple[LearnedOutput, ...]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            stored = json.loads((file.metadata() or {})[OUTPUTS])
        found = tuple(LearnedOutput(**{**one, "roles": tuple(one["roles"])}) for one in stored)
        for one in found:
            one.declared("")
            if not (0 < one.dim <= _MOST and 0 <= one.hidden <= _MOST):
                raise ValueError(f"'{one.name}' has {one.dim} channels")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} does not say what a student learned ({error}); export the student again"
        ) from error
    return found
