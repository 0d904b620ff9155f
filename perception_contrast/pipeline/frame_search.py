"""Search of one frame: queries are scored, masks and detections cut out, and masks refined by a SAM."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

from perception_contrast.core.frame import Frame
from perception_contrast.core.running_median import RunningMedian
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.engines.graph_sequence import Stage
from perception_contrast.pipeline.image_features import ImageFeatures
from perception_contrast.pipeline.pipeline_settings import AS_LONG_AS_ENCODING, PipelineSettings
from perception_contrast.pipeline.stage_timer import StageTimer
from perception_contrast.segmentation.instances.split_cues import SplitCues
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.rescoring.crop_encoder import CropEncoder
from perception_contrast.segmentation.sam.base import MaskProposer
from perception_contrast.segmentation.sam.mask_refinement import MaskRefiner
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast.segmentation.search_settings import SearchSettings
from perception_contrast.segmentation.searcher import Searcher

# Over which the usual time of the encoders is taken.
FRAMES = 15


class FrameSearch:
    """Searches features for queries, by pipeline settings. Any thread may call any method.

    Attributes:
        searcher: Turns feature grids and queries into masks and detections.
        crop_encoder: Encodes enlarged crops for rescoring; None where the language model has no head for it.
    """

    def __init__(
        self,
        searcher: Searcher,
        crop_encoder: CropEncoder | None = None,
        proposer: MaskProposer | None = None,
        *,
        alike: bool = False,
    ) -> None:
        """Takes the parts of a search.

        Args:
            searcher: For the loaded models.
            crop_encoder: Of the loaded models, where they rescore.
            proposer: A model of the SAM family that draws masks again.
            alike: Each run over the same frames is alike: rescoring neither watches the clock nor remembers
                earlier frames.
        """
        self.searcher, self.crop_encoder = searcher, crop_encoder
        self._refiner = MaskRefiner(proposer) if proposer is not None else None
        self._alike, self._encoding_ms = alike, RunningMedian(FRAMES)

    @property
    def refines_masks(self) -> bool:
        """Whether a SAM was given."""
        return self._refiner is not None

    @property
    def engines(self) -> dict[str, str]:
        """The engine of the crop encoder and why it was chosen, by its role."""
        return {} if self.crop_encoder is None else {"zoom": self.crop_encoder.served.describes}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was given up while serving, and why."""
        others = [one.warnings for one in (self.crop_encoder, self._refiner) if one is not None]
        return tuple(itertools.chain(*others))

    def detection_threshold(self, settings: PipelineSettings, vocabulary: Vocabulary | None = None) -> float:
        """Probability from which detections are reported, as ``Searcher.detection_threshold``.

        Args:
            settings: In force.
            vocabulary: In force; None for queries in words.
        """
        return self.searcher.detection_threshold(_search_settings(settings), vocabulary or Vocabulary())

    def threshold_of_texts(self, settings: PipelineSettings) -> float:
        """As ``Searcher.threshold_of_texts``. settings: in force."""
        return self.searcher.threshold_of_texts(_search_settings(settings))

    def prepare_engines(
        self,
        settings: PipelineSettings,
        progress: Callable[[str], None] | None = None,
        *,
        wait: bool = True,
    ) -> None:
        """Chooses the engine of the crop encoder, where the settings use it.

        Args:
            settings: In force.
            progress: Called with a line for each step.
            wait: False lets the search choose where the engine is "auto", while torch serves.

        Raises:
            ModelError: Where an engine that was asked for by name cannot serve.
        """
        if self.crop_encoder is not None and settings.max_rescored:
            self.crop_encoder.prepare(progress, wait=wait)

    def warm_up_refinement(self, size: tuple[int, int]) -> None:
        """Runs the SAM once, for what its first pass allocates. size: (height, width) of the images."""
        if self._refiner is not None:
            self._refiner.warm_up(size)

    def search(
        self,
        frame: Frame,
        features: ImageFeatures,
        prepared: PreparedQueries,
        settings: PipelineSettings,
        stage: Stage | None = None,
        encoding_ms: float | None = None,
    ) -> SearchResult:
        """Masks and detections of queries, not yet refined by a SAM.

        Each image is searched by itself, unless ``encoding_ms`` says that it is a frame of a stream.

        Args:
            frame: The frame.
            features: Of the frame.
            prepared: The queries with their vectors.
            settings: Thresholds and limits.
            stage: Times what is done.
            encoding_ms: Milliseconds that the features of this frame of a stream took. Then rescoring keeps
                to the time of the settings, and crops that look as in earlier frames are not encoded.

        Returns:
            Masks (H, W) uint16 and detections, best first.

        Raises:
            SpaceError: For queries of another space than the features.
        """
        limit, stream = math.inf, ""
        if encoding_ms is not None and not self._alike:
            self._encoding_ms.add(encoding_ms)
            limit, stream = self._rescoring_ms(settings), frame.stream or frame.frame_id
        return self.searcher.find(
            frame.image,
            features.semantic,
            features.features,
            prepared,
            replace(_search_settings(settings), rescoring_ms=limit),
            SplitCues(features.instance_cues, frame.depth, features.features)
            if settings.split_instances
            else None,
            stage or StageTimer().stage,
            stream,
        )

    def _rescoring_ms(self, settings: PipelineSettings) -> float:
        usual = self._encoding_ms.value
        if settings.rescoring_ms == AS_LONG_AS_ENCODING and usual is not None:
            return usual
        return settings.rescoring_ms

    def refine_masks(
        self, frame: Frame, found: SearchResult, vocabulary: Vocabulary, settings: PipelineSettings
    ) -> SearchResult:
        """Lets the SAM draw the best detections again, where one was given.

        Args:
            frame: The frame.
            found: Its masks and detections.
            vocabulary: That was searched for.
            settings: With the most detections to draw.

        Returns:
            The same detections with refined masks, duplicates of one thing left out.
        """
        if self._refiner is None:
            return found
        return self._refiner(frame.image, found, vocabulary.ids, settings.max_refined_masks)


def _search_settings(settings: PipelineSettings) -> SearchSettings:
    return SearchSettings(
        settings.mask_threshold,
        settings.detection_threshold,
        settings.max_detections,
        refine=settings.refine,
        rescoring_views=settings.max_rescored,
    )
