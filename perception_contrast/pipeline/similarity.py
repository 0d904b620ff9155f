"""Maps of one frame: every pixel's similarity with a point or a text, or its probability of a label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from perception_contrast.core.errors import QueryError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.engines.query_matrix import QueryMatrix
from perception_contrast.pipeline.feature_extraction import FeatureExtractor
from perception_contrast.pipeline.image_features import FeatureRequest
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.pipeline.queries.query_encoder import QueryEncoder
from perception_contrast.segmentation.exemplars import exemplar_of
from perception_contrast.segmentation.searcher import Searcher
from perception_contrast.segmentation.upsampling.bilinear import upsample_bilinear

# No neighbour is that similar: the cell under the point speaks for itself.
POINT_ALONE = 2.0


@dataclass(frozen=True)
class SimilarityMap:
    """One value for each pixel of a frame.

    Attributes:
        values: (H, W) float32; cosines in [-1, 1], or probabilities in [0, 1] of a label.
        space: Space of the vectors that were compared.
    """

    values: NDArray[np.float32]
    space: str


class SimilarityMaps:
    """Makes maps of single frames. Any thread may call any method."""

    def __init__(
        self, query_encoder: QueryEncoder, features: FeatureExtractor, searcher: Searcher, device: str
    ) -> None:
        """Takes what the maps are computed with.

        Args:
            query_encoder: Embeds texts.
            features: Extracts the features of frames.
            searcher: Scores labels.
            device: Torch device that texts are compared on.
        """
        self._query_encoder, self._features = query_encoder, features
        self._searcher, self._device = searcher, device

    def of_text(self, frame: Frame, text: str, settings: PipelineSettings) -> SimilarityMap:
        """Cosine of every pixel with a text, by the features of the language model.

        Args:
            frame: The frame.
            text: In any script.
            settings: Of the network input.

        Returns:
            (H, W) cosines.

        Raises:
            QueryError: For an empty text, or without a language model.
        """
        queries = QueryMatrix.from_groups([self._query_encoder.embed_texts([text])], self._device)
        best = self._features.extract(frame, settings, FeatureRequest(), queries).best
        assert best is not None
        return SimilarityMap(_cosine_map(best[0], frame), self._query_encoder.text_space)

    def of_point(self, frame: Frame, point: tuple[float, float], settings: PipelineSettings) -> SimilarityMap:
        """Cosine of every pixel with the cell under a point, by the features of the spatial model.

        Args:
            frame: The frame.
            point: (x, y) in pixels of the frame.
            settings: Of the network input.

        Returns:
            (H, W) cosines.

        Raises:
            QueryError: For a point outside the image.
        """
        grid = self._features.extract(frame, settings, FeatureRequest(features=True)).features
        assert grid is not None
        cosines = grid.unit().values @ exemplar_of(grid, None, point, POINT_ALONE).vector
        return SimilarityMap(_cosine_map(cosines, frame), grid.space)

    def of_label(
        self, frame: Frame, label: str, vocabulary: Vocabulary, settings: PipelineSettings
    ) -> SimilarityMap:
        """Probability of every pixel that it shows a label, whether or not a detection would be reported.

        Args:
            frame: The frame.
            label: Of a query of the vocabulary.
            vocabulary: In force; its distractors compete.
            settings: Of the network input.

        Returns:
            (H, W) probabilities.

        Raises:
            QueryError: For a label that the vocabulary does not have.
        """
        chosen = [query for query in vocabulary.queries if query.label == label]
        if not chosen:
            labels = ", ".join(query.label for query in vocabulary.queries) or "none"
            raise QueryError(f"'{label}' is not in the vocabulary; its labels are: {labels}")
        prepared = self._query_encoder.prepare(Vocabulary().with_queries(chosen, vocabulary.distractors))
        features = self._features.extract(frame, settings)
        coarse = self._searcher.refined_logits(frame.image, features.semantic, features.features, prepared)
        # Logits are upsampled, not probabilities: their edges stay where they are.
        probabilities = np.asarray(expit(upsample_bilinear(coarse, frame.size)), np.float32)
        return SimilarityMap(probabilities, self._query_encoder.semantic_space)


def _cosine_map(cosines: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    """(h, w) cosines of cells to (H, W) of pixels; rounding beyond -1 and 1 is clipped."""
    return np.clip(upsample_bilinear(cosines, frame.size), -1, 1)
