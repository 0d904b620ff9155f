"""What a distilled run gives to nodes: the student, its adaptors, and whose texts it is compared with."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.base import Role
from perception_contrast.encoders.student import LearnedOutput
from perception_contrast.encoders.student_language import IN_FOLDER
from perception_contrast.models.folder_models import CARD, is_folder_name
from perception_contrast.models.licences import UNKNOWN_LICENCE, is_permissive
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import ModelSpec, WordsSpec
from perception_contrast_training.methods.distill import Adaptor, Distill
from perception_contrast_training.networks.lora import merged

_NAMES = {
    Role.SPATIAL: "tokens", Role.SPATIAL_POOLED: "cls", Role.LANGUAGE: "dense", Role.LANGUAGE_POOLED: "image",
}  # fmt: skip
WORDS_SUFFIX, IMAGE_SUFFIX = "/words", "/words/image"


@dataclass(frozen=True)
class ServedStudent:
    """What goes into a student's folder.

    Attributes:
        learned: Its outputs, in order.
        weights: By the names of ``StudentTower``.
        words: Whose texts it is compared with; None without.
        teacher: The folder of that teacher, where it is no model of the registry.
    """

    learned: tuple[LearnedOutput, ...]
    weights: dict[str, Tensor]
    words: WordsSpec | None
    teacher: Path | None


def served_student(method: Distill) -> ServedStudent:
    """Raises ModelError for a student that learned no dense features."""
    chosen = _chosen(method.learned)
    learned = tuple(_described(adaptor, roles, method.settings.hidden, chosen) for adaptor, roles in chosen)
    weights = {f"vit.{name}": value for name, value in merged(method.backbone.network).state_dict().items()}
    for index, (adaptor, _) in enumerate(chosen):
        state = in_teachers_space(adaptor).state_dict()
        weights |= {f"adaptors.{index}.{name}": value for name, value in state.items()}
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    words, folder = _words(chosen)
    return ServedStudent(learned, plain, words, folder)


def student_spec(spec: ModelSpec, method: Distill, antialias: bool) -> ModelSpec:
    """The card of a student, of that of its network alone."""
    learned = [adaptor for adaptor, roles in _chosen(method.learned) if Role.SPATIAL in roles]
    options = dict(spec.options) | ({} if antialias else {"antialias": False})
    return replace(spec, family="student", dim=learned[0].target.dim, options=tuple(sorted(options.items())))


def licence_after(teachers: Sequence[str]) -> str:
    """Of what was learned from teachers: the first licence that restricts, else the first one."""
    known = [model_spec(name).licence for name in teachers]
    return next((one for one in known if not is_permissive(one)), known[0] if known else UNKNOWN_LICENCE)


def in_teachers_space(adaptor: Adaptor) -> nn.Module:
    """A copy of an adaptor's head that gives the teacher's own vectors: the scales are worked in."""
    head = copy.deepcopy(adaptor.head)
    last: Any = head if isinstance(head, nn.Linear) else head.get_submodule("final.2")
    standard = adaptor.standard
    with torch.no_grad():
        back = standard.back.double()
        weight, bias = last.weight.double(), last.bias.double()
        last.weight.copy_(back.T @ weight)
        last.bias.copy_(bias @ back + standard.mean.double())
    return head


def copy_teacher(source: Path, folder: Path) -> None:
    """The files of a teacher's folder that its texts need, into the folder of a student."""
    spec = model_spec(str(source))
    target = folder / IN_FOLDER
    target.mkdir(parents=True)
    for name in (CARD, Path(spec.file).name, *(name for name, _ in spec.beside)):
        shutil.copyfile(source / name, target / name)


Chosen = list[tuple[Adaptor, tuple[Role, ...]]]


def _chosen(learned: Sequence[Adaptor]) -> Chosen:
    """The outputs that are served, each with the roles it is served in."""
    spatial = _first(learned, Role.SPATIAL)
    if spatial is None:
        raise ModelError("none of the teachers gives dense features of images, so nothing can be served")
    dense = _first(learned, Role.LANGUAGE)
    roles: dict[Role, Adaptor | None] = {
        Role.SPATIAL: spatial,
        Role.SPATIAL_POOLED: _first(learned, Role.SPATIAL_POOLED, like=spatial),
        Role.LANGUAGE: dense,
        Role.LANGUAGE_POOLED: dense and _first(learned, Role.LANGUAGE_POOLED, like=dense),
    }
    if roles[Role.SPATIAL_POOLED] is None:
        raise ModelError("none of the teachers gives a vector of the whole image, so nothing can be served")
    if roles[Role.LANGUAGE_POOLED] is None:
        roles[Role.LANGUAGE] = None
    found: dict[int, tuple[Adaptor, list[Role]]] = {}
    for role, adaptor in roles.items():
        if adaptor is not None:
            found.setdefault(id(adaptor), (adaptor, []))[1].append(role)
    return [(adaptor, tuple(its)) for adaptor, its in found.values()]


def _first(learned: Sequence[Adaptor], role: Role, like: Adaptor | None = None) -> Adaptor | None:
    """Of the teacher of ``like`` first; for images alone, one that is not made for words first."""
    words = role in (Role.LANGUAGE, Role.LANGUAGE_POOLED)
    having = [one for one in learned if role in one.target.output.roles]
    if words and like is not None:  # texts of another teacher would mean other things
        having = [one for one in having if one.target.teacher == like.target.teacher]
    having.sort(
        key=lambda one: (
            one.target.language != words,
            like is not None and one.target.teacher != like.target.teacher,
        )
    )
    return having[0] if having else None


def _described(adaptor: Adaptor, roles: tuple[Role, ...], hidden: int, chosen: Chosen) -> LearnedOutput:
    suffix = ""
    if Role.LANGUAGE in roles or Role.LANGUAGE_POOLED in roles:
        dense = next(one for one, its in chosen if Role.LANGUAGE in its)
        same = adaptor.target.output.space == dense.target.output.space
        suffix = WORDS_SUFFIX if same else IMAGE_SUFFIX
    return LearnedOutput(
        _NAMES[roles[-1]],
        tuple(role.value for role in roles),
        adaptor.target.dim,
        hidden,
        adaptor.target.output.unit,
        suffix,
    )


def _words(chosen: Chosen) -> tuple[WordsSpec | None, Path | None]:
    target = next((one.target for one, roles in chosen if Role.LANGUAGE in roles), None)
    if target is None:
        return None, None
    folder = Path(target.teacher).expanduser() if is_folder_name(target.teacher) else None
    name = IN_FOLDER if folder else target.teacher
    spec = WordsSpec(
        "teacher", target.dim, "", attention=False, teacher=name, teacher_space=target.output.space
    )
    return spec, folder
