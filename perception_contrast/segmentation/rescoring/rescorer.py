"""Crop rescoring: probable regions are cropped, enlarged, encoded and scored again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from perception_contrast.segmentation.regions.candidate import Candidate
from perception_contrast.segmentation.regions.region_comparison import RegionComparer
from perception_contrast.segmentation.rescoring.crop_encoder import CropEncoder, RegionCrop
from perception_contrast.segmentation.rescoring.rescoring_calibration import (
    RescoringCalibration,
    rescoring_features,
)
from perception_contrast.segmentation.scoring.sigmoid_scorer import SigmoidScorer
from perception_contrast.segmentation.search_context import SearchContext

MIN_PROBABILITY = 0.01  # regions below it are not worth encoding: rescoring would not publish them


@dataclass(frozen=True)
class _Selected:
    """The index of a candidate, and its crop."""

    index: int
    crop: RegionCrop


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
        self, candidates: Sequence[Candidate], context: SearchContext, max_views: int
    ) -> list[Candidate]:
        """The same candidates in the same order, those that were encoded again with new probabilities.

        Args:
            candidates: in any order; only those of queries with texts alone are rescored.
            context: of the image.
            max_views: most enlarged views; crops that share a place share a view.
        """
        rescored = list(candidates)
        for index, features in self.features(candidates, context, max_views).items():
            rescored[index] = replace(
                rescored[index],
                probability=self.calibration.probability(features),
                calibrated_threshold=self.calibration.detection,
            )
        return rescored

    def features(
        self, candidates: Sequence[Candidate], context: SearchContext, max_views: int
    ) -> dict[int, tuple[float, ...]]:
        """Inputs of the rescoring calibration, by the index of the candidate that was encoded again."""
        selected = list(_within_budget(_selected(candidates, context), max_views))
        if not selected:
            return {}
        vectors = self._crop_encoder.vectors(context.image, [one.crop for one in selected])
        compared = self._comparer.compare(
            vectors,
            [candidates[one.index].query for one in selected],
            context.prepared,
            scorer=self._scorer,
            scale=self._crop_encoder.scale,
        )
        return {
            one.index: rescoring_features(
                candidates[one.index].probability,
                float(logit or 0.0),
                margin,
                candidates[one.index].region.share,
            )
            for one, logit, margin in zip(selected, compared.logits, compared.name_margins, strict=True)
        }


def _selected(candidates: Sequence[Candidate], context: SearchContext) -> Iterator[_Selected]:
    """Candidates of texts that are probable enough, most probable first."""
    probable = [
        (-one.probability, index)
        for index, one in enumerate(candidates)
        if context.prepared.is_text_only(one.query) and one.probability >= MIN_PROBABILITY
    ]
    for _, index in sorted(probable):
        region = candidates[index].region
        yield _Selected(index, RegionCrop.of_region(region, context.map_size, context.image.shape))


def _within_budget(selected: Iterator[_Selected], max_views: int) -> Iterator[_Selected]:
    """The first ones, as long as their crops need at most ``max_views`` distinct views."""
    views = set()
    for one in selected:
        views.add(one.crop.view)
        if len(views) > max_views:
            return
        yield one
