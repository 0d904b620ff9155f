"""The models that a pipeline works with, loaded by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from perception_contrast.core.cache import cache_dir
from perception_contrast.core.embedding_spaces import space_name
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.alignment_head import CAPTIONS, AlignmentHead, load_alignment
from perception_contrast.encoders.base import ImageEncoder, LanguageModel
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.encoders.dense.method_names import AUTO, dense_method
from perception_contrast.encoders.household_lit import (
    PACKAGED,
    AlignedTextEncoder,
    HouseholdLit,
    fitted_scores,
    load_household_lit,
    trained_absent_names,
)
from perception_contrast.encoders.load_image_encoder import load_image_encoder
from perception_contrast.encoders.student import StudentTower
from perception_contrast.encoders.student_language import (
    StudentLanguage,
    TeacherTexts,
    require_teacher,
    teacher_of,
)
from perception_contrast.models.download import Progress
from perception_contrast.models.logit_scale import LogitScale
from perception_contrast.models.registry import IMAGE_TEXT_NAMES, LIT_TOWER, model_spec
from perception_contrast.models.specs import ModelSpec
from perception_contrast.text.base import TextEncoder
from perception_contrast.text.clip_text_encoder import ClipTextEncoder
from perception_contrast.text.sentence_encoder import deferred_minilm
from perception_contrast.text.shipped_vectors import ShippedTextEncoder, read_shipped_vectors
from perception_contrast.text.text_cache import CachedTextEncoder


class ClipLanguage(LanguageModel):
    """A CLIP or SigLIP as a language model."""

    def __init__(
        self, image_encoder: ClipTower, text: TextEncoder, image_text: TextEncoder | None = None
    ) -> None:
        self.image_encoder: ImageEncoder = image_encoder
        self.text, self._image_text = text, image_text or text
        self.model, self.space, self.dim = image_encoder.model, image_encoder.space, image_encoder.dim
        self._logit_scale = image_encoder.logit_scale

    @property
    def image_text(self) -> TextEncoder:
        return self._image_text

    @property
    def logit_scale(self) -> LogitScale:
        return self._logit_scale


@dataclass(frozen=True)
class Encoders:
    """The models that a pipeline works with.

    Attributes:
        spatial: gives dense features of the image alone.
        language: gives features comparable with text; None without a language model.
        device: where both are.
    """

    spatial: ImageEncoder
    language: LanguageModel | None
    device: str

    @property
    def same_encoder(self) -> bool:
        """Whether one encoder is the spatial one and the language model's, as with a CLIP alone."""
        return self.language is not None and self.language.image_encoder is self.spatial

    @property
    def shared_backbone(self) -> bool:
        """Whether the language model is a head on the spatial encoder, so that one pass serves both."""
        if self.language is None or self.same_encoder:
            return False
        return self.language.image_encoder.backbone is self.spatial


def load_encoders(
    model: str,
    language_model: str,
    *,
    device: str = "cpu",
    offline: bool = False,
    weights: Path | None = None,
    language_weights: Path | None = None,
    dense: str = AUTO,
    progress: Progress | None = None,
) -> Encoders:
    """Loads an image encoder and a language model.

    Args:
        model: Any model except household-lit.
        language_model: household-lit, a model that knows words, or "none".
        device: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one.
        offline: Never ask a model hub.
        weights: A local file of the image encoder, instead of that of a hub or a package.
        language_weights: A local file of the language model, likewise.
        dense: Method of dense language features, as ``dense_method``.
        progress: Is called with lines about downloads.

    Returns:
        The loaded models.

    Raises:
        ModelError: A name, a device, a method or weights do not fit or are not available.
        SpaceError: household-lit's head was fitted to other encoders.
    """
    device = _device(device)
    language = language_model.strip() or "none"
    _require_language(language)
    if model_spec(model).family == "lit":
        raise ModelError(f"'{model}' is a language model; name {LIT_TOWER} as model and it as language_model")
    method = dense_method(dense, model, language)
    loader = _Loader(device, offline, progress)
    # The head was fitted to the weights whose sha256 is fixed, so an encoder that serves both has those.
    lit = language != "none" and model_spec(language).family == "lit"
    shared = model == LIT_TOWER and lit and weights is None
    if language == model and language_weights in (None, weights) and not model_spec(model).spatial:
        return loader.one_for_both(model, weights, method)
    spatial = loader.image_encoder(model, weights, pinned=shared)
    if language == "none":
        return Encoders(spatial, None, device)
    if model_spec(language).family == "student":
        tower = spatial if language == model else loader.image_encoder(language, language_weights)
        return Encoders(spatial, loader.student(language, tower), device)
    if lit:
        head = loader.lit(language, spatial if shared else None, language_weights)
        return Encoders(spatial, head, device)
    clip = loader.clip(language, language_weights, method=method)
    return Encoders(spatial, _clip_language(clip), device)


@dataclass(frozen=True)
class _Loader:
    device: str
    offline: bool
    progress: Progress | None

    def image_encoder(self, name: str, weights: Path | None, *, pinned: bool = False) -> ImageEncoder:
        if not model_spec(name).spatial:
            return self.clip(name, weights, method=AUTO).backbone
        return load_image_encoder(
            name,
            device=self.device,
            offline=self.offline,
            weights=weights,
            pinned=pinned,
            progress=self.progress,
        )

    def clip(self, name: str, weights: Path | None, *, method: str) -> ClipTower:
        return load_clip(
            name,
            device=self.device,
            offline=self.offline,
            weights=weights,
            method=method,
            progress=self.progress,
            defer_texts=True,
        )

    def one_for_both(self, name: str, weights: Path | None, method: str) -> Encoders:
        clip = self.clip(name, weights, method=method)
        return Encoders(clip.backbone, _clip_language(clip), self.device)

    def lit(self, name: str, spatial: ImageEncoder | None, head: Path | None) -> HouseholdLit:
        tower = spatial or self.image_encoder(LIT_TOWER, None, pinned=True)
        return load_household_lit(tower, self.sentences(), device=self.device, path=head, name=name)

    def student(self, name: str, tower: ImageEncoder) -> StudentLanguage:
        assert isinstance(tower, StudentTower)
        spec = model_spec(name)
        return StudentLanguage(tower, self._texts_of(spec))

    def _texts_of(self, student: ModelSpec) -> TeacherTexts:
        """The texts of a student's teacher, without that one's images."""
        teacher = teacher_of(student)
        if model_spec(teacher).family == "lit":
            head, facts, sha256 = load_alignment(PACKAGED[teacher].alignment)
            space = space_name(teacher, sha256)
            require_teacher(student, space)
            return lit_texts(head.to(self.device), facts, self.sentences(), space, teacher)
        if model_spec(teacher).family == "student":
            other = self.student(teacher, self.image_encoder(teacher, None))
            require_teacher(student, other.space)
            return TeacherTexts(
                other.text, other.image_text, other.logit_scale, other.fitted, other.trained_absent
            )
        clip = self.clip(teacher, None, method=AUTO)
        require_teacher(student, clip.space)
        language = _clip_language(clip)
        return TeacherTexts(language.text, language.image_text, language.logit_scale)

    def sentences(self) -> TextEncoder:
        """MiniLM, with the vectors of common names shipped."""
        sentences = deferred_minilm(device=self.device, offline=self.offline, progress=self.progress)
        return ShippedTextEncoder(_cached(sentences), read_shipped_vectors())


def lit_texts(
    head: AlignmentHead, facts: Mapping[str, str], sentences: TextEncoder, space: str, model: str
) -> TeacherTexts:
    """The texts of household-lit by themselves."""
    # Its towers of images are not needed: the model is made around the head alone.
    texts = AlignedTextEncoder(sentences, head.eval().requires_grad_(False), space, model)
    return TeacherTexts(
        texts, texts, LogitScale(head.log_scale[CAPTIONS].exp().item()), fitted_scores(head, facts),
        trained_absent_names(facts),
    )  # fmt: skip


def _clip_language(clip: ClipTower) -> ClipLanguage:
    text, of_images = _cached(ClipTextEncoder(clip)), clip.of_images
    return ClipLanguage(clip, text, None if of_images is clip else _cached(ClipTextEncoder(of_images)))


def _cached(encoder: TextEncoder) -> CachedTextEncoder:
    return CachedTextEncoder(encoder, _text_folder())


def _text_folder() -> Path:
    return cache_dir() / "text"


def _require_language(name: str) -> None:
    if name != "none" and not model_spec(name).knows_words:
        raise ModelError(
            f"'{name}' knows no words; as language_model choose household-lit, one of {IMAGE_TEXT_NAMES}, "
            "the folder of a pair that was trained, or none"
        )


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"device '{name}' was asked for, but torch sees no GPU; use cpu or auto")
    try:
        torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"unknown device '{name}'; use cpu, cuda, cuda:N or auto") from error
    return name
