"""Encoders of the registry, as they give one vector an image, and their words."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.encoders.base import LanguageModel, Role, name_of_output
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.models.registry import LIT_TOWER, model_spec
from perception_contrast_training.evaluation.encoder_adapters import encoder_adapter
from perception_contrast_training.evaluation.encoding import EncoderAdapter

Report = Callable[[float, str], None]
_SIDE = 224


@functools.lru_cache(maxsize=1)
def load_image_side(model: str, offline: bool = False) -> EncoderAdapter:
    """An encoder of whole images.

    Raises:
        ModelError: There is none of that name, or its weights cannot be had.
    """
    if model_spec(model).family != "lit":
        return encoder_adapter(model, offline=offline)
    language = _language(model, offline)
    encoder = language.image_encoder
    wanted = name_of_output(encoder.outputs, Role.LANGUAGE_POOLED, model)
    number = [one.name for one in encoder.outputs].index(wanted)
    return EncoderAdapter(
        model,
        language.space,
        lambda images: encoder.encode(images)[number],
        _SIDE // encoder.patch * encoder.patch,
        encoder.mean,
        encoder.std,
    )


def encode_words(report: Report, texts: Sequence[str], model: str, space: str) -> FloatArray:
    """Texts as (m, c) float32 unit vectors of the space of a model's images.

    Raises:
        ModelError: The model cannot be had.
        SpaceError: Its words are of another space, as with other weights.
    """
    report(0.2, f"loading the words of {model}")
    language = _language(model, False)
    require_same_space(language.image_text.space, space, "words and images")
    report(0.8, "encoding")
    return np.asarray(language.image_text.encode(list(texts)), np.float32)


@functools.lru_cache(maxsize=1)
def _language(model: str, offline: bool) -> LanguageModel:
    tower = LIT_TOWER if model_spec(model).family == "lit" else model
    language = load_encoders(tower, model, offline=offline).language
    assert language is not None
    return language
