"""How each kind of model is searched: its scorer, its calibration, where its examples live."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import ModelError
from perception_contrast.core.spaces import require_same_space
from perception_contrast.encoders.base import FittedScores, LanguageModel
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.encoders.rescoring_head import Rescoring
from perception_contrast.segmentation.calibration import Calibration
from perception_contrast.segmentation.calibration_files import StoredCalibration
from perception_contrast.segmentation.rescoring.crop_encoder import CropEncoder
from perception_contrast.segmentation.rescoring.rescorer import Rescorer, RescoringCalibration
from perception_contrast.segmentation.scoring import ExampleScorer, SigmoidScorer, SoftmaxScorer
from perception_contrast.segmentation.search import Searcher

# Neutral words of relevancy (Kerr et al., LERF, 2023) and what else rooms and streets are made of.
NEUTRAL = ("object", "things", "stuff", "texture")
BACKGROUND = (
    "background", "wall", "floor", "ceiling", "ground", "sky", "window", "furniture", "cloth", "paper",
    "shadow", "blurry picture", "plant", "building", "person",
)  # fmt: skip

# Uncalibrated: a region's probability is the mean of its pixels'.
BY_SHARE = Calibration(weights=(0.0, 1.0, 0.0, 0.0, 0.0), seed=0.4, low=0.0, mask=0.0, detection=0.55)
BY_EXAMPLE = Calibration(weights=(0.0, 1.0, 0.0, 0.0, 0.0), seed=1.0, low=0.0, mask=0.0, detection=0.6)


def searcher_of(
    encoders: Encoders, stored: StoredCalibration | None = None, crop_encoder: CropEncoder | None = None
) -> Searcher:
    """The searcher that fits the loaded models. stored: a calibration of words instead of the models' own.

    crop_encoder: of the models, where they have one.

    Raises ModelError for an unreadable calibration of the models', SpaceError for one of another space.
    """
    spatial, language = encoders.spatial, encoders.language
    if stored is not None:
        space = language.space if language is not None else ""
        require_same_space(stored.space, space, "a calibration and the language model")
    if language is None:
        return example_searcher(spatial.space)
    neutral = language.text.encode(NEUTRAL)
    fitted = language.fitted
    if fitted is not None:
        calibrations = [
            Calibration.loaded(fitted.facts[key]) if key in fitted.facts else Calibration()
            for key in ("calibration", "example_calibration")
        ]
        return Searcher(
            SigmoidScorer(
                (fitted.text_scale, fitted.exemplar_scale), (fitted.text_bias, fitted.exemplar_bias)
            ),
            stored.words if stored is not None else calibrations[0],
            word_space=language.space,
            example_space=language.space,
            neutral=neutral,
            neutral_scale=fitted.text_scale,
            bank=_bank(language, fitted),
            example_calibration=calibrations[1],
            # What a second look adds was fitted to the model's own first look.
            rescorer=_second_look(language.rescoring, crop_encoder) if stored is None else None,
        )
    return Searcher(
        SoftmaxScorer(language.text.encode([*NEUTRAL, *BACKGROUND])),
        stored.words if stored is not None else BY_SHARE,
        word_space=language.space,
        example_space=spatial.space,
        neutral=neutral,
        example_scorer=ExampleScorer(),
        example_calibration=BY_EXAMPLE,
    )


def example_searcher(space: str) -> Searcher:
    """The searcher of a model that knows no words: it finds what it was shown, by vectors of ``space``."""
    return Searcher(
        None,
        BY_EXAMPLE,
        word_space="",
        example_space=space,
        neutral=np.zeros((0, 0), np.float32),
        example_scorer=ExampleScorer(),
    )


def _second_look(rescoring: Rescoring | None, crop_encoder: CropEncoder | None) -> Rescorer | None:
    if crop_encoder is None or rescoring is None:
        return None
    facts = rescoring.facts
    fitted = (
        RescoringCalibration.loaded(facts["calibration"])
        if "calibration" in facts
        else RescoringCalibration()
    )
    return Rescorer(crop_encoder, fitted)


def _bank(language: LanguageModel, fitted: FittedScores) -> NDArray[np.float32]:
    """Vectors of the names that the head was fitted with, as stored with it."""
    try:
        names = json.loads(fitted.facts.get("names", "[]"))
    except ValueError as error:
        raise ModelError(f"the names stored with {language.model} are not readable ({error})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError(f"the names stored with {language.model} are not a list of words")
    return language.text.encode(names) if names else np.zeros((0, language.dim), np.float32)
