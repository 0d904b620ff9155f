"""Feature extraction: which features a request needs, and running the image encoders for those alone."""

from __future__ import annotations

from collections.abc import Sequence

from perception_contrast.core.frame import Frame
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.engines.graph_sequence import Stage
from perception_contrast.engines.query_matrix import QueryMatrix
from perception_contrast.pipeline.image_encoder_runner import ImageEncoderRunner
from perception_contrast.pipeline.image_features import FeatureRequest, ImageFeatures, PendingFeatures
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.pipeline.stage_timer import StageTimer
from perception_contrast.segmentation.prepared_queries import PreparedQueries

ALL_BUT_EMBEDDING = FeatureRequest(features=True, semantic=True, instance_cues=True, class_token=True)


class FeatureExtractor:
    """The image encoders of a model pair, asked for no more than is needed. Any thread may call."""

    def __init__(self, encoders: Encoders, image_encoder: ImageEncoderRunner, exemplar_space: str) -> None:
        """Takes models that are loaded and the engines that run them.

        Args:
            encoders: The loaded models.
            image_encoder: Runs their image sides.
            exemplar_space: Space that exemplars are compared in.
        """
        self._encoders, self._image_encoder = encoders, image_encoder
        self._exemplars_are_spatial = exemplar_space == encoders.spatial.space
        language = encoders.language
        self._watches = language is not None and language.training_images is not None

    def needed(
        self, request: OutputRequest, prepared: PreparedQueries, settings: PipelineSettings
    ) -> FeatureRequest:
        """The features that the results of a request are computed from.

        Args:
            request: Of one frame.
            prepared: The queries that the frame is searched for.
            settings: Of the frame.

        Returns:
            What has to come back from the device.
        """
        queries = prepared.vocabulary.queries
        has_exemplars = any(query.exemplars or query.negative_exemplars for query in queries)
        by_exemplars = request.searches and has_exemplars and self._exemplars_are_spatial
        without_language = request.searches and self._encoders.language is None
        split = request.searches and settings.split_instances
        # Where one pass gives both, features cost nothing and help to tell instances apart.
        for_splitting = split and self._encoders.shared_backbone
        shown = request.features or request.pca or request.region_features
        features = shown or by_exemplars or without_language or for_splitting
        semantic = request.semantic_features or request.searches
        return FeatureRequest(
            features, semantic, request.embedding, split, request.searches and self._watches
        )

    def start(
        self, frames: Sequence[Frame], needed: FeatureRequest, settings: PipelineSettings, stage: Stage
    ) -> list[PendingFeatures]:
        """Sends frames to the encoders, those of one input size together, and waits for none of them.

        Args:
            frames: Of any sizes.
            needed: Of all frames.
            settings: Of all frames.
            stage: Times what is done.

        Returns:
            One function for each frame: it waits for the features or raises what went wrong.
        """
        return self._image_encoder.encode(frames, needed, settings, stage)

    def extract(
        self,
        frame: Frame,
        settings: PipelineSettings,
        needed: FeatureRequest = ALL_BUT_EMBEDDING,
        queries: QueryMatrix | None = None,
    ) -> ImageFeatures:
        """The features of one frame.

        Args:
            frame: The frame.
            settings: Of the frame.
            needed: Which features; if left out all but the language model's vector of the whole image.
            queries: Vectors to compare every cell of the language model's grid with.

        Returns:
            The features; what is not needed may be None.

        Raises:
            FrameError: For a frame without pixels.
        """
        return self._image_encoder.encode([frame], needed, settings, StageTimer().stage, queries)[0]()
