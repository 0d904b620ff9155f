"""Where thresholds on probability are applied: to regions that are published, and to pixels of masks."""

from __future__ import annotations

from collections.abc import Iterable

from scipy.special import logit

from perception_contrast.core.vocabulary import Query
from perception_contrast.segmentation.calibration import Calibration
from perception_contrast.segmentation.regions.candidate import Candidate
from perception_contrast.segmentation.search_context import SearchContext
from perception_contrast.segmentation.search_settings import SearchSettings


def probability_to_logit(probability: float) -> float:
    """log(p / (1 - p)) of a threshold in [0, 1], finite at both ends."""
    p = min(max(probability, 1e-6), 1 - 1e-6)
    return float(logit(p))


def detection_threshold(query: Query, settings: SearchSettings, calibrated: float) -> float:
    """Probability from which a region is published: the query's own, else the settings', else calibrated."""
    if query.threshold is not None:
        return query.threshold
    return calibrated if settings.detection_threshold is None else settings.detection_threshold


def published_from(
    candidate: Candidate, context: SearchContext, settings: SearchSettings, place_level: float | None = None
) -> float:
    """Probability from which a candidate is published.

    place_level: instead of the calibrated threshold of queries with texts; None keeps that.
    """
    prepared, calibrated = context.prepared, candidate.calibrated_threshold
    if place_level is not None and prepared.has_texts(candidate.query):
        calibrated = place_level
    return detection_threshold(prepared.vocabulary.queries[candidate.query], settings, calibrated)


def above_detection_threshold(
    candidates: Iterable[Candidate],
    context: SearchContext,
    settings: SearchSettings,
    place_level: float | None = None,
) -> list[Candidate]:
    """The candidates that are published, in the order given. place_level: as of ``published_from``."""
    return [
        one for one in candidates if one.probability >= published_from(one, context, settings, place_level)
    ]


def mask_logit(settings: SearchSettings, calibration: Calibration) -> float:
    """Logit from which a pixel belongs to a label."""
    if settings.mask_threshold is None:
        return calibration.mask
    return probability_to_logit(settings.mask_threshold)
