"""Zero-shot classification: a whole image against texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import QueryError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import MAX_QUERIES, checked_text, require_list
from perception_contrast.pipeline.feature_extraction import FeatureExtractor
from perception_contrast.pipeline.image_features import FeatureRequest
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.pipeline.queries.query_encoder import QueryEncoder
from perception_contrast.text.prompt_templates import PLAIN
from perception_contrast.text.zero_shot import Classification, ImageTextSimilarity, probabilities


class ZeroShotClassifier:
    """Compares the embedding of a whole image with texts. Any thread may call any method."""

    def __init__(self, query_encoder: QueryEncoder, features: FeatureExtractor) -> None:
        """Takes the two sides of a language model.

        Args:
            query_encoder: Embeds the texts.
            features: Embeds the images.
        """
        self._query_encoder, self._features = query_encoder, features

    def classify(
        self,
        frame: Frame,
        labels: Sequence[str],
        settings: PipelineSettings,
        templates: Sequence[str] | None = None,
    ) -> Classification:
        """Which of some labels an image shows, by the model's own scale and bias.

        Args:
            frame: The image.
            labels: 1 to MAX_QUERIES.
            settings: Of the network input.
            templates: As ``QueryEncoder.embed_texts`` takes them.

        Returns:
            A probability and a cosine for each label.

        Raises:
            QueryError: For labels that are empty or too many, or without a language model.
            ModelError: For templates that do not fit the model.
        """
        vectors = self._embedded(labels, "a label", templates)
        language = self._query_encoder.language
        cosines = vectors @ self._image_embedding(frame, settings)
        shares = probabilities(cosines, language.logit_scale)
        independent = language.logit_scale.bias is not None
        space = self._query_encoder.image_space
        return Classification(tuple(labels), shares, cosines, independent, space)

    def image_text_similarity(
        self, frame: Frame, texts: Sequence[str], settings: PipelineSettings
    ) -> ImageTextSimilarity:
        """How well each text, without a template around it, describes an image.

        Args:
            frame: The image.
            texts: 1 to MAX_QUERIES.
            settings: Of the network input.

        Returns:
            A cosine and a CLIPScore for each text.

        Raises:
            QueryError: For texts that are empty or too many, or without a language model.
        """
        vectors = self._embedded(texts, "a text", PLAIN)
        cosines = vectors @ self._image_embedding(frame, settings)
        return ImageTextSimilarity(tuple(texts), cosines, self._query_encoder.image_space)

    def _embedded(
        self, texts: Sequence[str], kind: str, templates: Sequence[str] | None
    ) -> NDArray[np.float32]:
        """(n, c) float32 unit rows."""
        require_list(texts, kind)
        if not 0 < len(texts) <= MAX_QUERIES:
            raise QueryError(f"{len(texts)} texts; give 1 to {MAX_QUERIES}")
        checked = [checked_text(text, kind) for text in texts]
        return self._query_encoder.embed_texts(checked, templates, for_images=True)

    def _image_embedding(self, frame: Frame, settings: PipelineSettings) -> NDArray[np.float32]:
        """(c,) float32 unit vector of the whole frame in ``QueryEncoder.image_space``."""
        embedding = self._features.extract(frame, settings, FeatureRequest(embedding=True)).embedding
        assert embedding is not None
        return embedding
