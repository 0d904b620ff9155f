"""Words for a distilled encoder: the texts of the teacher whose space it learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.base import FittedScores, ImageEncoder, LanguageModel, Role, output_with
from perception_contrast.encoders.student import StudentTower
from perception_contrast.models.logit_scale import LogitScale
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import ModelSpec
from perception_contrast.text.base import TextEncoder

IN_FOLDER = "./teacher"
"""The teacher of a student whose folder holds it: one that was no model of the registry."""


@dataclass(frozen=True)
class TeacherTexts:
    """What a student takes over from the teacher of its words.

    Attributes:
        text: Of dense features.
        image_text: Of whole images, where they have a space of their own; else ``text``.
        logit_scale: Of whole images with texts.
        fitted: As of ``LanguageModel``. It was fitted to the teacher's cosines.
        trained_absent: As of ``LanguageModel``.
    """

    text: TextEncoder
    image_text: TextEncoder
    logit_scale: LogitScale
    fitted: FittedScores | None = None
    trained_absent: frozenset[str] = frozenset()


class TakenOverTexts(TextEncoder):
    """A teacher's vectors of texts under the name of its student's space."""

    def __init__(self, texts: TextEncoder, model: str, space: str) -> None:
        self._texts, self.model, self.space, self.dim = texts, model, space, texts.dim
        self.wording, self.sentences_per_text = texts.wording, texts.sentences_per_text

    def canonical(self, text: str) -> str:
        """The teacher's."""
        return self._texts.canonical(text)

    def unknown(self, texts: Sequence[str]) -> tuple[str, ...]:
        """The teacher's."""
        return self._texts.unknown(texts)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, unit rows."""
        return self._texts.encode(texts)

    def with_templates(self, templates: tuple[str, ...]) -> TextEncoder:
        """The teacher's with other templates."""
        return TakenOverTexts(self._texts.with_templates(templates), self.model, self.space)


class StudentLanguage(LanguageModel):
    """A student's images and its teacher's texts.

    Raises:
        ModelError: The student learned nothing that is compared with words.
    """

    def __init__(self, tower: StudentTower, teacher: TeacherTexts) -> None:
        dense, pooled = (output_with(tower.outputs, role) for role in (Role.LANGUAGE, Role.LANGUAGE_POOLED))
        if dense is None or pooled is None:
            raise ModelError(f"'{tower.model}' learned nothing that could be compared with words")
        self.image_encoder: ImageEncoder = tower
        self.model, self.space = tower.model, dense.space
        self.text: TextEncoder = TakenOverTexts(teacher.text, tower.model, dense.space)
        self.dim = self.text.dim
        self._image_text = (
            self.text
            if pooled.space == dense.space
            else TakenOverTexts(teacher.image_text, tower.model, pooled.space)
        )
        self._teacher = teacher

    @property
    def image_text(self) -> TextEncoder:
        return self._image_text

    @property
    def logit_scale(self) -> LogitScale:
        return self._teacher.logit_scale

    @property
    def fitted(self) -> FittedScores | None:
        return self._teacher.fitted

    @property
    def trained_absent(self) -> frozenset[str]:
        return self._teacher.trained_absent


def teacher_of(spec: ModelSpec) -> str:
    """The name of the model whose texts a student's images are compared with.

    Raises:
        ModelError: The student has no words.
    """
    if spec.words is None or not spec.words.teacher:
        raise ModelError(f"'{spec.name}' was taught no words; name another language_model, or none")
    if spec.words.teacher == IN_FOLDER:
        return str(Path(spec.file).parent / IN_FOLDER)
    return spec.words.teacher


def require_teacher(spec: ModelSpec, space: str) -> None:
    """Raises SpaceError unless the teacher has the very weights that the student learned from."""
    assert spec.words is not None
    name = model_spec(teacher_of(spec)).name
    require_same_space(
        spec.words.teacher_space, space, f"'{spec.name}' and the texts of its teacher '{name}'"
    )
