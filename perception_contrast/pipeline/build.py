"""Builds a pipeline from the names of its models."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.engines.engine_names import AUTO
from perception_contrast.heads.head_runner import HeadRunner
from perception_contrast.heads.registered_heads import named_head
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.segmentation.calibration_files import calibration_for
from perception_contrast.segmentation.place_level import no_place_level, place_level_for
from perception_contrast.segmentation.sam.load_mask_proposer import load_mask_proposer
from perception_contrast.segmentation.searcher_factory import scores_of

if TYPE_CHECKING:
    from perception_contrast.encoders.base import LanguageModel
    from perception_contrast.pipeline.pipeline import Pipeline
    from perception_contrast.segmentation.place_level import PlaceLevel

logger = logging.getLogger(__name__)


def build(
    model: str = "dinov2-s14",
    language_model: str = "household-lit",
    device: str = "auto",
    offline: bool = False,
    settings: PipelineSettings | None = None,
    progress: Callable[[str], None] | None = None,
    engine: str = "torch",
    precision: str = AUTO,
    background: bool = True,
    background_texts: bool = False,
    dense: str = AUTO,
    track_numbers: Iterator[int] | None = None,
    calibration: Path | None = None,
    proposals: Path | tuple[Path, ...] | None = None,
    place: str = "",
    place_needed: bool = False,
    heads: Sequence[str] = (),
) -> Pipeline:
    """Loads models by name and makes a pipeline of them.

    Args:
        model: Of the dense features: a name of `perception-contrast models list` or a folder.
        language_model: Of texts; "none" for none.
        device: "auto", "cpu", "cuda" or "cuda:N".
        offline: Download nothing.
        settings: How frames are processed; None for the defaults.
        progress: Called with a line for each step.
        engine: As ``choose_engine`` takes it.
        precision: As ``choose_engine`` takes it.
        background: As ``Pipeline`` takes it.
        background_texts: As ``Pipeline`` takes it.
        dense: How a CLIP gives dense features, as ``load_encoders`` takes it.
        track_numbers: Of the tracks' ids; share one iterator among pipelines that must not repeat them.
        calibration: A file of `perception-contrast calibrate`; None takes the one that the cache has for
            the language model's space, if any.
        proposals: One or two ONNX files of the SAM family that draw masks again.
        place: Name of a place whose level `perception-contrast calibrate --unlabelled` measured; "" for
            none.
        place_needed: As of ``take_place_level``.
        heads: Trained heads, by the names that they were added under or by their paths.

    Returns:
        A pipeline with an empty vocabulary.

    Raises:
        ModelError: For a model that is unknown or cannot be loaded, or a level that cannot be read or had
            to be there; for a head that is not there, or no head.
        SpaceError: For a calibration of another space than the language model's, or a head of another
            encoder.
    """
    # Here, because that module re-exports this function.
    from perception_contrast.pipeline.pipeline import Pipeline

    encoders = load_encoders(
        model, language_model, device=device, offline=offline, dense=dense, progress=progress
    )
    space = encoders.language.space if encoders.language is not None else ""
    stored = calibration_for(space, calibration)
    if stored is not None:
        logger.info("words are calibrated by the %s fit stored for %s", stored.method, stored.space)
    pipeline = Pipeline(
        encoders,
        settings,
        engine=engine,
        precision=precision,
        background=background,
        background_texts=background_texts,
        track_numbers=track_numbers,
        calibration=stored,
        proposer=None if proposals is None else load_mask_proposer(proposals, encoders.device),
        heads=[HeadRunner(named_head(name), encoders.device) for name in heads],
    )
    take_place_level(pipeline, encoders.language, place, needed=place_needed)
    return pipeline


def take_place_level(
    pipeline: Pipeline, language: LanguageModel | None, place: str, *, needed: bool
) -> PlaceLevel | None:
    """Lets texts be reported from the level on that was measured in a place.

    Args:
        pipeline: Whose texts these are.
        language: Its language model; without one nothing is looked for.
        place: The place's name, "" for none.
        needed: Whether a place without a level is an error; else the log names it, and the model's own
            threshold holds, as for a node that is about to measure it.

    Returns:
        What was measured, if anything.

    Raises:
        ModelError: For a level that cannot be read, or that is needed and was never measured.
    """
    if not place or language is None:
        return None
    level = place_level_for(language.space, place, scores_of(language))
    if level is None:
        if needed:
            raise ModelError(no_place_level(language.space, place))
        logger.warning("%s; the model's own threshold holds", no_place_level(language.space, place))
        return None
    logger.info("texts are reported from %.3f on, as measured in '%s'", level.detection, place)
    pipeline.frame_search.searcher.place_level = level.detection
    return level
