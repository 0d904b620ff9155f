"""Crop rescoring: probable regions are cropped, enlarged, encoded and scored again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from perception_contrast.segmentation.regions.candidate import Candidate
from perception_contrast.segmentation.regions.region_comparison import RegionComparer
from perception_contrast.segmentation.rescoring.crop_encoder import CropEncoder, RegionCrop
from perception_contrast.segmentation.rescoring.rescoring_calibration import (
    RescoringCalibration,
    rescoring_features,
)
from perception_contrast.segmentation.rescoring.rescoring_limits import RescoringCounts, RescoringLimits
from perception_contrast.segmentation.scoring.sigmoid_scorer import SigmoidScorer
from perception_contrast.segmentation.search_context import SearchContext

MIN_PROBABILITY = 0.01  # regions below it are not worth encoding: rescoring would not publish them


class Rescored(NamedTuple):
    """Candidates after rescoring, and what became of the enlarged views."""

    candidates: list[Candidate]
    counts: RescoringCounts


class _Features(NamedTuple):
    """Inputs of the calibration, by the index of the candidate."""

    by_index: dict[int, tuple[float, ...]]
    counts: RescoringCounts


class Rescorer:
    """Scores the most probable regions again, by the vectors of their enlarged crops."""

    def __init__(
        self, crop_encoder: CropEncoder, calibration: RescoringCalibration, comparer: RegionComparer
    ) -> None:
        """comparer: compares the crops' vectors with queries, as it does those of regions."""
        self.calibration = calibration
        self._crop_encoder, self._comparer = crop_encoder, comparer
        scale, bias = crop_encoder.scale, crop_encoder.bias
        self._scorer = SigmoidScorer((scale, scale), (bias, bias))

    def rescore(
        self,
        candidates: Sequence[Candidate],
        context: SearchContext,
        limits: RescoringLimits,
        published_from: Callable[[Candidate], float],
        stream: str = "",
    ) -> Rescored:
        """The same candidates in the same order, those that were encoded again with new probabilities.

        A candidate that no crop could lift to its threshold is not encoded, and gets the highest
        probability that it could have.

        Args:
            candidates: in any order; only those of queries with texts alone are rescored.
            context: of the image.
            limits: of this frame; crops that share a place share a view.
            published_from: the probability from which a candidate is published.
            stream: as of ``CropEncoder.encode``.
        """
        rescored, open_ = list(candidates), []
        for index in _probable(candidates, context):
            one = replace(candidates[index], calibrated_threshold=self.calibration.detection)
            highest = self.calibration.highest_probability(one.probability, one.region.share)
            if highest >= published_from(one):
                open_.append(index)
            else:
                rescored[index] = replace(one, probability=min(one.probability, highest))
        found = self._features(candidates, context, open_, limits, stream)
        for index, features in found.by_index.items():
            rescored[index] = replace(
                rescored[index],
                probability=self.calibration.probability(features),
                calibrated_threshold=self.calibration.detection,
            )
        return Rescored(rescored, found.counts)

    def features(
        self, candidates: Sequence[Candidate], context: SearchContext, max_views: int
    ) -> dict[int, tuple[float, ...]]:
        """Inputs of the rescoring calibration, by the index of the candidate that was encoded again.

        Args:
            candidates: as ``rescore`` takes them; all that are probable count, whatever their thresholds.
            context: of the image.
            max_views: most enlarged views; crops that share a place share a view.
        """
        probable = _probable(candidates, context)
        return self._features(candidates, context, probable, RescoringLimits(max_views)).by_index

    def _features(
        self,
        candidates: Sequence[Candidate],
        context: SearchContext,
        chosen: Sequence[int],
        limits: RescoringLimits,
        stream: str = "",
    ) -> _Features:
        """chosen: indices of the candidates that are to be encoded again, most probable first."""
        if not chosen:
            return _Features({}, RescoringCounts())
        crops = [
            RegionCrop.of_region(candidates[index].region, context.map_size, context.image.shape)
            for index in chosen
        ]
        encoded = self._crop_encoder.encode(context.image, crops, limits, stream)
        indices = [chosen[number] for number in encoded.indices]
        if not indices:
            return _Features({}, encoded.counts)
        compared = self._comparer.compare(
            encoded.vectors,
            [candidates[index].query for index in indices],
            context.prepared,
            scorer=self._scorer,
            scale=self._crop_encoder.scale,
        )
        by_index = {
            index: rescoring_features(
                candidates[index].probability, float(logit or 0.0), margin, candidates[index].region.share
            )
            for index, logit, margin in zip(indices, compared.logits, compared.name_margins, strict=True)
        }
        return _Features(by_index, encoded.counts)


def _probable(candidates: Sequence[Candidate], context: SearchContext) -> list[int]:
    """Indices of candidates of texts that are probable enough, most probable first."""
    probable = [
        (-one.probability, index)
        for index, one in enumerate(candidates)
        if context.prepared.is_text_only(one.query) and one.probability >= MIN_PROBABILITY
    ]
    return [index for _, index in sorted(probable)]
