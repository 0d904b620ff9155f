"""Builds the searcher of loaded models: their scorers, their calibrations, and the spaces of their grids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.base import FittedScores, LanguageModel
from perception_contrast.segmentation.calibration import Calibration
from perception_contrast.segmentation.calibration_files import (
    CONTRAST_SCORES,
    COSINE_SCORES,
    StoredCalibration,
    require_same_scores,
)
from perception_contrast.segmentation.regions.region_comparison import RegionComparer
from perception_contrast.segmentation.regions.region_scoring import RegionScorer
from perception_contrast.segmentation.regions.relevancy import Relevancy
from perception_contrast.segmentation.rescoring.rescoring_calibration import RescoringCalibration
from perception_contrast.segmentation.scoring.base import Scorer
from perception_contrast.segmentation.scoring.contrast_scorer import ContrastScorer
from perception_contrast.segmentation.scoring.exemplar_scorer import ExemplarScorer
from perception_contrast.segmentation.scoring.frame_contrast import OUTLINE_LOGIT
from perception_contrast.segmentation.scoring.name_bank import NameBank, first_names
from perception_contrast.segmentation.scoring.query_scorer import LogitMapping, QueryScorer
from perception_contrast.segmentation.scoring.sigmoid_scorer import SigmoidScorer
from perception_contrast.segmentation.searcher import Searcher

if TYPE_CHECKING:
    # Names of types alone: a file is searched without torch.
    from perception_contrast.encoders.load_encoders import Encoders
    from perception_contrast.segmentation.rescoring.crop_encoder import CropEncoder

# Neutral words of relevancy (Kerr et al., LERF, 2023).
NEUTRAL = ("object", "things", "stuff", "texture")

# Without a fitted calibration, a region's probability is the sigmoid of its peak: 0.5 where it stands out
# in its frame as far as few of the generic names do.
PEAK_LOGIT = Calibration(
    weights=(1.0, 0.0, 0.0, 0.0, 0.0, 0.0), seed=0.0, low=OUTLINE_LOGIT, mask=OUTLINE_LOGIT, detection=0.5
)
# Of exemplars without a fitted calibration it is the sigmoid of the peak less 1, not calibrated either.
EXEMPLAR_PEAK_LOGIT = Calibration(
    weights=(1.0, 0.0, 0.0, 0.0, 0.0, 0.0), offset=-1.0, seed=1.0, low=0.0, mask=0.0, detection=0.8
)
NO_VECTORS = np.zeros((0, 0), np.float32)


def build_searcher(
    encoders: Encoders,
    stored: StoredCalibration | None = None,
    crop_encoder: CropEncoder | None = None,
    *,
    whole_bank: bool = True,
) -> Searcher:
    """The searcher that fits the loaded models.

    Args:
        encoders: the loaded models.
        stored: a calibration of texts instead of the models' own.
        crop_encoder: for rescoring, of a language model that has a rescoring head.
        whole_bank: False begins with a part of the generic names where many have no vectors yet.

    Raises:
        ModelError: the models' own calibration is not readable, or ``stored`` is of other scores.
        SpaceError: ``stored`` is of another space than the language model.
    """
    spatial, language = encoders.spatial, encoders.language
    if stored is not None:
        space = language.space if language is not None else ""
        require_same_space(stored.space, space, "a calibration and the language model")
    if language is None:
        return exemplar_searcher(spatial.space)
    if stored is not None:
        require_same_scores(stored, scores_of(language))
    neutral = language.text.encode(NEUTRAL)
    if language.fitted is not None:
        return _fitted_searcher(spatial.space, language, language.fitted, neutral, stored, crop_encoder)
    names = None if whole_bank else first_names(language.text)
    return assemble_searcher(
        ContrastScorer(NameBank.encoded(language.text, names), language.logit_scale.scale),
        stored.words if stored is not None else PEAK_LOGIT,
        text_space=language.space,
        exemplar_space=spatial.space,
        neutral=neutral,
        exemplar_scorer=ExemplarScorer(),
        exemplar_calibration=EXEMPLAR_PEAK_LOGIT,
    )


def scores_of(language: LanguageModel) -> str:
    """The kind of scores that calibrations of a language model are fitted to."""
    return CONTRAST_SCORES if language.fitted is None else COSINE_SCORES


def exemplar_searcher(space: str) -> Searcher:
    """The searcher of a model without texts: it finds exemplars by embeddings of ``space``."""
    return assemble_searcher(
        None,
        EXEMPLAR_PEAK_LOGIT,
        text_space="",
        exemplar_space=space,
        exemplar_scorer=ExemplarScorer(),
    )


def assemble_searcher(
    text_scorer: Scorer | None,
    calibration: Calibration,
    *,
    text_space: str,
    exemplar_space: str,
    neutral: FloatArray = NO_VECTORS,
    neutral_scale: float = 10.0,
    known_names: FloatArray = NO_VECTORS,
    exemplar_scorer: ExemplarScorer | None = None,
    exemplar_calibration: Calibration | None = None,
    crop_encoder: CropEncoder | None = None,
    rescoring_calibration: RescoringCalibration | None = None,
) -> Searcher:
    """A searcher of the given parts.

    Args:
        text_scorer: of texts; None without a language model.
        calibration: of queries with texts.
        text_space: of the grid that texts are compared with.
        exemplar_space: of the grid that exemplars are compared with; may be ``text_space``.
        neutral: (k, c) embeddings of neutral words for relevancy.
        neutral_scale: of cosines, for relevancy and for the margins of known names.
        known_names: (k, c) embeddings; a region that is more like another name is less probable.
        exemplar_scorer: of exemplars; None where ``text_scorer`` scores them too.
        exemplar_calibration: of queries with exemplars alone; None: ``calibration``.
        crop_encoder: for rescoring; None: regions are not rescored.
        rescoring_calibration: of rescored regions; None: the default.
    """
    query_scorer = QueryScorer(
        text_scorer,
        exemplar_scorer,
        text_space=text_space,
        exemplar_space=exemplar_space,
        beside_texts=_between_levels(exemplar_calibration or calibration, calibration),
    )
    comparer = RegionComparer(query_scorer, known_names)
    region_scorer = RegionScorer(
        query_scorer, comparer, calibration, exemplar_calibration or calibration, neutral_scale
    )
    rescorer = None
    if crop_encoder is not None:
        from perception_contrast.segmentation.rescoring.rescorer import Rescorer

        rescorer = Rescorer(crop_encoder, rescoring_calibration or RescoringCalibration(), comparer)
    return Searcher(query_scorer, region_scorer, Relevancy(neutral, neutral_scale, text_space), rescorer)


def _between_levels(source: Calibration, target: Calibration) -> LogitMapping:
    """Takes the seed and the low level of one calibration to those of another."""
    if target.seed <= target.low or source.seed <= source.low:
        return LogitMapping(offset=target.low - source.low)
    slope = (target.seed - target.low) / (source.seed - source.low)
    return LogitMapping(slope, target.low - slope * source.low)


def _fitted_searcher(
    spatial_space: str,
    language: LanguageModel,
    fitted: FittedScores,
    neutral: FloatArray,
    stored: StoredCalibration | None,
    crop_encoder: CropEncoder | None,
) -> Searcher:
    """The calibration, scales and known names are stored with the model's head.

    Exemplars are compared in the image encoder's own space: a head that learned names brings things of one
    name together, also where one of them was shown.
    """
    stored_text = fitted.facts.get("calibration")
    calibration = Calibration() if stored_text is None else Calibration.loaded(stored_text)
    # The rescoring calibration was fitted to the model's own calibration, and holds for no other.
    rescores = stored is None and crop_encoder is not None and language.rescoring is not None
    return assemble_searcher(
        SigmoidScorer((fitted.text_scale,) * 2, (fitted.text_bias,) * 2),
        stored.words if stored is not None else calibration,
        text_space=language.space,
        exemplar_space=spatial_space,
        neutral=neutral,
        neutral_scale=fitted.text_scale,
        known_names=_known_names(language, fitted),
        exemplar_scorer=ExemplarScorer(),
        exemplar_calibration=EXEMPLAR_PEAK_LOGIT,
        crop_encoder=crop_encoder if rescores else None,
        rescoring_calibration=_rescoring_calibration(language) if rescores else None,
    )


def _rescoring_calibration(language: LanguageModel) -> RescoringCalibration:
    facts = language.rescoring.facts if language.rescoring is not None else {}
    if "calibration" not in facts:
        return RescoringCalibration()
    return RescoringCalibration.loaded(facts["calibration"])


def _known_names(language: LanguageModel, fitted: FittedScores) -> FloatArray:
    """(k, c) embeddings of the names that the head was trained with, as stored with it."""
    try:
        names = json.loads(fitted.facts.get("names", "[]"))
    except ValueError as error:
        raise ModelError(f"the names stored with {language.model} are not readable ({error})") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError(f"the names stored with {language.model} are not a list of words")
    return language.text.encode(names) if names else np.zeros((0, language.dim), np.float32)
