"""Trained heads of a pipeline: what they say of a frame joins what its queries found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perception_contrast.core.errors import ModelError
from perception_contrast.core.vocabulary import UNLABELLED, Vocabulary
from perception_contrast.heads.head_runner import NONE, HeadRunner
from perception_contrast.pipeline.image_features import FeatureRequest, ImageFeatures
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.segmentation.search_result import SearchResult


class FrameHeads:
    """Some heads that see the same features. Any thread may call.

    Attributes:
        labels: Of all classes, in the order of the heads.
        needed: The features that the heads see.
    """

    def __init__(self, heads: Sequence[HeadRunner] = ()) -> None:
        """Takes heads of different classes.

        Args:
            heads: Of one encoder.

        Raises:
            ModelError: Two of them have one class.
        """
        owners: dict[str, str] = {}
        for head in heads:
            for label in head.card.classes:
                if label in owners:
                    raise ModelError(
                        f"heads '{owners[label]}' and '{head.name}' both have the class '{label}'; "
                        "serve one of them"
                    )
                owners[label] = head.name
        self._heads, self.labels = tuple(heads), tuple(owners)
        self.needed = FeatureRequest(
            features=any(head.card.source == "spatial" for head in heads),
            semantic=any(head.card.source == "language" for head in heads),
            instance_cues=any(head.card.cues for head in heads),
            pooled=any(head.pools for head in heads),
        )

    def __len__(self) -> int:
        return len(self._heads)

    def join(
        self, found: SearchResult, features: ImageFeatures, vocabulary: Vocabulary, settings: PipelineSettings
    ) -> SearchResult:
        """What queries found, and what the heads say of the same frame, in one result.

        A query with the label of a trained class is answered by the head, from the query's threshold on if
        it has one. Where both label a pixel, it is the head's.

        Args:
            found: By the queries.
            features: Of the frame, with what is ``needed``.
            vocabulary: With the classes of the heads.
            settings: With the threshold and the most detections.

        Raises:
            SpaceError: A head was trained on another encoder.
        """
        asked = {query.label: query.threshold for query in vocabulary.queries}
        masks = found.masks
        replaced = [vocabulary.ids[label] for label in self.labels if label in asked]
        if replaced:
            masks = np.where(np.isin(masks, replaced), UNLABELLED, masks).astype(np.uint16)
        detections = [one for one in found.detections if one.label not in self.labels]
        for head in self._heads:
            usual = settings.detection_threshold or head.card.threshold
            thresholds = [asked.get(label) or usual for label in head.card.classes]
            grid = features.semantic if head.card.source == "language" else features.features
            if grid is None:
                raise ValueError("heads need the features of the frame")
            said = head(
                grid,
                features.pooled,
                features.instance_cues,
                np.array(thresholds, np.float32),
                settings.max_detections,
            )
            detections += said.detections
            if said.labelled is not None:
                numbers = np.array([vocabulary.ids[label] for label in head.card.classes], np.uint16)
                masks = np.where(said.labelled == NONE, masks, numbers[said.labelled])
        detections.sort(key=lambda one: -one.scores.probability)
        return replace(found, masks=masks, detections=tuple(detections[: settings.max_detections]))
