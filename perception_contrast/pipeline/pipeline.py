"""Pipeline: one model pair and one vocabulary; frames to features, masks, detections and tracks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from perception_contrast.core.arrays import BoolMask
from perception_contrast.core.errors import QueryError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary
from perception_contrast.encoders.familiarity.stream_monitor import StreamMonitor
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.engines.engine_names import AUTO
from perception_contrast.engines.engine_search import EngineSearch
from perception_contrast.heads.head_card import Source
from perception_contrast.heads.head_runner import HeadRunner, require_space
from perception_contrast.pipeline.build import build as build
from perception_contrast.pipeline.classification import ZeroShotClassifier
from perception_contrast.pipeline.feature_extraction import ALL_BUT_EMBEDDING, FeatureExtractor
from perception_contrast.pipeline.frame_computation import FrameComputation
from perception_contrast.pipeline.frame_drawing import FrameDrawing
from perception_contrast.pipeline.frame_heads import FrameHeads
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.frame_search import FrameSearch
from perception_contrast.pipeline.frame_tracking import FrameTracking
from perception_contrast.pipeline.image_encoder_runner import ImageEncoderRunner
from perception_contrast.pipeline.image_features import FeatureRequest, ImageFeatures
from perception_contrast.pipeline.loaded_models import ModelSpace, loaded_models
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pending_result import PendingResult
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.pipeline.queries.active_vocabulary import ActiveVocabulary
from perception_contrast.pipeline.queries.name_bank_completion import NameBankCompletion
from perception_contrast.pipeline.queries.query_encoder import QueryEncoder
from perception_contrast.pipeline.self_calibration import SelfCalibration
from perception_contrast.pipeline.similarity import SimilarityMap, SimilarityMaps
from perception_contrast.segmentation.calibration_files import StoredCalibration
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.rescoring.crop_encoder import build_crop_encoder
from perception_contrast.segmentation.sam.base import MaskProposer
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast.segmentation.searcher_factory import build_searcher
from perception_contrast.text.zero_shot import Classification, ImageTextSimilarity

Box = tuple[float, float, float, float]
Point = tuple[float, float]

logger = logging.getLogger(__name__)


class Pipeline:
    """A model pair, a vocabulary and settings, applied to frames. Any thread may call any method.

    Attributes:
        query_encoder: Texts and exemplars to vectors.
        frame_search: Features and queries to masks and detections.
        spaces: Of the grids, by their source.

    Example:
        >>> pipeline = build()
        >>> vocabulary = pipeline.set_queries([Query("mug"), Query("chair")])
        >>> result = pipeline.process(Frame(image), OutputRequest(detections=True))
    """

    def __init__(
        self,
        encoders: Encoders,
        settings: PipelineSettings | None = None,
        *,
        engine: str = "torch",
        precision: str = AUTO,
        background: bool = True,
        background_texts: bool = False,
        image_encoder: ImageEncoderRunner | None = None,
        track_numbers: Iterator[int] | None = None,
        calibration: StoredCalibration | None = None,
        proposer: MaskProposer | None = None,
        heads: Sequence[HeadRunner] = (),
    ) -> None:
        """Makes a pipeline of loaded models.

        Args:
            encoders: The loaded models.
            settings: How frames are processed; None for the defaults.
            engine: As ``choose_engine`` takes it.
            precision: As ``choose_engine`` takes it.
            background: Whether engines for image sizes that keep coming are chosen while frames go on; False
                does so between two frames, so that each run over the same frames is alike; then rescoring
                has no limit in time and encodes every crop anew.
            background_texts: Whether many new texts are encoded while frames go on, which see a part of the
                queries and of the generic names until then; False waits for all of them.
            image_encoder: Runs the image sides of the models; None makes one by the three above.
            track_numbers: Of the tracks' ids; share one iterator among pipelines that must not repeat them.
            calibration: Of texts, instead of the models' own.
            proposer: A model of the SAM family that draws masks again.
            heads: Trained heads, whose classes are reported beside the queries.

        Raises:
            ModelError: For an engine or a precision that does not fit, and for two heads with one class.
            SpaceError: For a calibration of another space, or a head of another encoder.
        """
        self._settings = settings or PipelineSettings()
        self._self_calibration: SelfCalibration | None = None
        self._models = loaded_models(encoders)
        self._image_encoder = image_encoder or ImageEncoderRunner(
            encoders, engine, precision, EngineSearch(background=background)
        )
        self._engine_search = self._image_encoder.search
        crop_encoder = build_crop_encoder(encoders, engine, precision, self._engine_search)
        searcher = build_searcher(encoders, calibration, crop_encoder, whole_bank=not background_texts)
        self.frame_search = FrameSearch(searcher, crop_encoder, proposer, alike=not background)
        self.query_encoder = QueryEncoder(encoders, searcher.exemplar_space)
        self._active = ActiveVocabulary(self.query_encoder, background=background_texts)
        self._name_bank = NameBankCompletion(searcher.text_scorer, self.query_encoder, self._active)
        self._features = FeatureExtractor(encoders, self._image_encoder, searcher.exemplar_space)
        self._computation = FrameComputation(
            self._features,
            self.frame_search,
            FrameTracking(track_numbers),
            FrameDrawing(),
            self._models["semantic"]._replace(space=self.query_encoder.image_space),
            _stream_monitor(encoders),
        )
        self.spaces: dict[Source, str] = {"spatial": encoders.spatial.space}
        if encoders.language is not None:
            self.spaces["language"] = encoders.language.space
        if heads:
            self.set_heads(heads)
        self._classifier = ZeroShotClassifier(self.query_encoder, self._features)
        self._maps = SimilarityMaps(self.query_encoder, self._features, searcher, encoders.device)

    @property
    def models(self) -> dict[str, ModelSpace]:
        """Role to (model, space); "semantic" is the space that queries are compared in."""
        return dict(self._models)

    @property
    def engines(self) -> dict[str, str]:
        """Role to the engine in use and why it was chosen."""
        return {**self._image_encoder.engines, **self.frame_search.engines}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was given up while serving: engines, a SAM, image sizes that do not fit the GPU."""
        return (*self._image_encoder.warnings, *self.frame_search.warnings)

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary in force."""
        return self._active.vocabulary

    @property
    def encoding_texts(self) -> str:
        """How far the texts are that are encoded beside the frames, in one line; "" where none is."""
        return self._active.encoding or self._name_bank.encoding

    @property
    def text_failures(self) -> tuple[str, ...]:
        """What lacks vectors that could not be made, with the remedy, in a line each."""
        return tuple(line for line in (self._active.failure, self._name_bank.failure) if line)

    @property
    def trained_absent(self) -> tuple[str, ...]:
        """Labels in force that the language model was trained to call absent."""
        return self._active.trained_absent

    @property
    def settings(self) -> PipelineSettings:
        """The settings in force."""
        return self._settings

    def configure(self, settings: PipelineSettings) -> None:
        """Replaces the settings from the next frame on.

        Args:
            settings: The new ones.
        """
        self._settings = settings

    def warm_up(
        self,
        size: tuple[int, int],
        progress: Callable[[str], None] | None = None,
        *,
        budget: float | None = None,
    ) -> None:
        """Chooses the engines for images of one size and runs each stage once.

        Args:
            size: (height, width) of the images.
            progress: Called with a line for each step.
            budget: Seconds that an engine "auto" may take. Within them engines that an earlier choice
                remembered are built and checked. What is not ready then is chosen while frames are
                processed, by torch until then. None waits for the choice.

        Raises:
            ModelError: Where an engine that was asked for by name cannot serve.
        """
        wait = budget is None
        self._image_encoder.prepare(size, self._settings, progress, wait=wait)
        self.frame_search.prepare_engines(self._settings, progress, wait=wait)
        if budget is not None:
            self._engine_search.wait_for_first(budget)
        blank = Frame(np.zeros((*size, 3), np.uint8))
        self.process(blank, OutputRequest(features=True, semantic_features=True, masks=True))
        self.frame_search.warm_up_refinement(size)

    def expect_size(self, size: tuple[int, int], settings: PipelineSettings) -> None:
        """Looks for engines for images that may come, while frames go on.

        Args:
            size: (height, width) of the images.
            settings: With the size of the network's input.
        """
        self._image_encoder.expect(size, settings)

    def pause(self) -> None:
        """Stops what runs in the background until ``resume``."""
        self._engine_search.hold()
        self._active.hold()

    def resume(self) -> None:
        """Lets what runs in the background go on."""
        self._engine_search.go_on()
        self._active.go_on()

    def close(self) -> None:
        """Ends what runs in the background."""
        if self._self_calibration is not None:
            self._self_calibration.close()
        self._active.close()
        self._engine_search.close()

    def calibrate_itself(self, place: str, frames: int, interval: float = 2.0) -> None:
        """Measures the level of a place by the frames to come, beside their processing.

        When enough were measured the level holds for texts and is stored for the place.

        Args:
            place: Its name; "" stores nothing.
            frames: How many to measure.
            interval: Least seconds between two of them.

        Raises:
            QueryError: Without a language model.
            ModelError: For what is no name of a place.
        """
        if self._self_calibration is not None:
            self._self_calibration.close()
        self._self_calibration = SelfCalibration(self, place, frames, interval)

    @property
    def self_calibration(self) -> str:
        """How the measurement of ``calibrate_itself`` stands, in one line; "" where none was asked for."""
        return "" if self._self_calibration is None else self._self_calibration.status

    def set_queries(self, queries: Iterable[Query], distractors: Iterable[str] = ()) -> Vocabulary:
        """Replaces the queries and distractors; labels keep their mask ids.

        Args:
            queries: With phrases, exemplars or both.
            distractors: Names that compete with every query and are never reported.

        Returns:
            The new vocabulary.

        Raises:
            QueryError: For queries that are malformed or cannot be encoded; the old ones stay.
            SpaceError: For an exemplar of another space; the old ones stay.
        """
        return self._active.set_queries(queries, distractors)

    def set_heads(self, heads: Sequence[HeadRunner]) -> Vocabulary:
        """Replaces the trained heads from the next frame on.

        Args:
            heads: Of the encoder of images; none ends them.

        Returns:
            The new vocabulary, with their classes.

        Raises:
            SpaceError: For a head of another encoder; the old ones stay.
            ModelError: For two heads with one class; the old ones stay.
        """
        for head in heads:
            require_space(head.card, head.name, self.spaces)
            if head.card.short_side != self.settings.short_side:
                logger.warning(
                    "head '%s' was trained at a short side of %d pixels and is served at %d, where it sees "
                    "other features: set short_side to %d, or train it with --short-side %d",
                    head.name,
                    *(head.card.short_side, self.settings.short_side) * 2,
                )
        chosen = FrameHeads(heads)
        vocabulary = self._active.set_trained(chosen.labels)
        self._computation.heads = chosen
        return vocabulary

    def adopt_vocabulary(self, vocabulary: Vocabulary) -> tuple[str, ...]:
        """Takes over the vocabulary of another pipeline; exemplars of another space are left out.

        Args:
            vocabulary: Of the other pipeline; its version and mask ids go on.

        Returns:
            One line for each label that lost exemplars.

        Raises:
            QueryError: For texts where no language model is loaded; the old vocabulary stays.
        """
        return self._active.adopt(vocabulary)

    def add_exemplar(
        self,
        label: str,
        frame: Frame,
        *,
        box: Box | None = None,
        point: Point | None = None,
        mask: BoolMask | None = None,
        negative: bool = False,
    ) -> tuple[Vocabulary, Exemplar]:
        """Learns a thing from one image: what a mask marks, a box holds, is under a point, or all of it.

        Args:
            label: Of the query that the exemplar is added to; it is made where there is none.
            frame: The image.
            box: (x0, y0, x1, y1) in pixels of the frame.
            point: (x, y) in pixels of the frame.
            mask: (H, W) of the frame, True on the thing; instead of a box or a point.
            negative: The thing is not what the query of that label looks for; what is nearer to it than to
                the query's phrases and exemplars is no longer found. The query must be there.

        Returns:
            The new vocabulary and the exemplar.

        Raises:
            QueryError: For a box or point that is not in the image, a mask that does not fit it, or a
                negative of a label that no query has; the old vocabulary stays.
            FrameError: For a frame without pixels.
        """
        features = self.extract_features(frame)
        exemplar = self.query_encoder.encode_exemplar(features, box=box, point=point, mask=mask)
        return self._active.add_exemplar(label, exemplar, negative=negative), exemplar

    def prepare(self, vocabulary: Vocabulary) -> PreparedQueries:
        """Encodes a vocabulary for ``search``; the one in force stays.

        Args:
            vocabulary: With texts, exemplars or both.

        Returns:
            The vocabulary with its vectors.

        Raises:
            QueryError: For texts where no language model is loaded, and for exemplars of another length.
            SpaceError: For exemplars of another space.
        """
        return self.query_encoder.prepare(vocabulary)

    def process(self, frame: Frame, request: OutputRequest) -> FrameResult:
        """Computes the requested results of one frame.

        Args:
            frame: The frame.
            request: Which results.

        Returns:
            The results; the rest is None.

        Raises:
            FrameError: For a frame without pixels.
        """
        return self.submit(frame, request).result()

    def process_batch(
        self, frames: Sequence[Frame], request: OutputRequest | Sequence[OutputRequest]
    ) -> list[FrameResult | Exception]:
        """As ``process`` for each frame, of several cameras say; those of one input size go together.

        Args:
            frames: Of any sizes.
            request: For all frames, or one for each.

        Returns:
            In the order of the frames; in the place of a frame that failed is what it raised.

        Raises:
            ValueError: For another number of requests than of frames.
        """
        outcomes: list[FrameResult | Exception] = []
        for pending in self.submit_batch(frames, request):
            try:
                outcomes.append(pending.result())
            except Exception as error:
                outcomes.append(error)
        return outcomes

    def submit(self, frame: Frame, request: OutputRequest) -> PendingResult:
        """Starts a frame. On a GPU this returns before the frame is computed.

        So the next frame can be submitted before the result of this one is asked for.

        Args:
            frame: The frame; the vocabulary and settings of now hold for it.
            request: Which results.

        Returns:
            The result to wait for.
        """
        return self.submit_batch([frame], [request])[0]

    def submit_batch(
        self,
        frames: Sequence[Frame],
        request: OutputRequest | Sequence[OutputRequest],
        settings: PipelineSettings | None = None,
    ) -> list[PendingResult]:
        """As ``submit`` for each frame.

        Args:
            frames: Of any sizes; those of one input size go together.
            request: For all frames, or one for each.
            settings: Others than those in force, for these frames.

        Returns:
            The results to wait for, in the order of the frames. Timings of what is done for all at once
            are of all.

        Raises:
            ValueError: For another number of requests than of frames.
        """
        each = [request] * len(frames) if isinstance(request, OutputRequest) else list(request)
        pending = self._computation.submit(frames, each, self._active.prepared, settings or self._settings)
        if self._self_calibration is not None and frames:
            self._self_calibration.offer(frames[0])
        return pending

    def extract_features(
        self,
        frame: Frame,
        needed: FeatureRequest = ALL_BUT_EMBEDDING,
        settings: PipelineSettings | None = None,
    ) -> ImageFeatures:
        """The features of a frame, to be searched more than once.

        Args:
            frame: The frame.
            needed: Which features; if left out all feature grids and the class token.
            settings: Others than those in force.

        Returns:
            The features; the language model's vector of the whole image is a result of ``process``.

        Raises:
            FrameError: For a frame without pixels.
        """
        return self._features.extract(frame, settings or self._settings, needed)

    def search(
        self,
        frame: Frame,
        features: ImageFeatures,
        prepared: PreparedQueries,
        settings: PipelineSettings | None = None,
    ) -> SearchResult:
        """Searches the features of a frame; masks are not refined by a SAM, nor detections tracked.

        Args:
            frame: The frame.
            features: Of the frame, by ``extract_features``.
            prepared: Queries, by ``prepare``.
            settings: Others than those in force.

        Returns:
            Masks (H, W) uint16 and detections, best first.

        Raises:
            SpaceError: For queries of another space than the features.
        """
        return self.frame_search.search(frame, features, prepared, settings or self._settings)

    def classify(
        self, frame: Frame, labels: Sequence[str], *, templates: Sequence[str] | None = None
    ) -> Classification:
        """Which of some labels a whole image shows, by the model's own scale and bias.

        Args:
            frame: The image.
            labels: 1 to MAX_QUERIES.
            templates: As ``QueryEncoder.embed_texts`` takes them.

        Returns:
            A probability and a cosine for each label.

        Raises:
            QueryError: For labels that are empty or too many, or without a language model.
            ModelError: For templates that do not fit the model.
        """
        return self._classifier.classify(frame, labels, self._settings, templates)

    def image_text_similarity(self, frame: Frame, texts: Sequence[str]) -> ImageTextSimilarity:
        """How well each text, as it is, describes a whole image.

        Args:
            frame: The image.
            texts: 1 to MAX_QUERIES.

        Returns:
            A cosine and a CLIPScore for each text.

        Raises:
            QueryError: For texts that are empty or too many, or without a language model.
        """
        return self._classifier.image_text_similarity(frame, texts, self._settings)

    def similarity(
        self,
        frame: Frame,
        *,
        point: Point | None = None,
        text: str | None = None,
        label: str | None = None,
    ) -> SimilarityMap:
        """Every pixel's cosine with a point or a text, or its probability of a label of the vocabulary.

        Args:
            frame: The frame.
            point: (x, y) in pixels of the frame, compared by the spatial features.
            text: Compared by the features of the language model.
            label: Of a query in force; whether or not a detection would be reported.

        Returns:
            (H, W) float32 values and the space that was compared in.

        Raises:
            QueryError: Unless exactly one of point, text and label is given; for a point outside the image,
                an empty text, an unknown label, and for a text without a language model.
        """
        if sum(one is not None for one in (point, text, label)) == 1:
            if point is not None:
                return self._maps.of_point(frame, point, self._settings)
            if text is not None:
                return self._maps.of_text(frame, text, self._settings)
            if label is not None:
                return self._maps.of_label(frame, label, self.vocabulary, self._settings)
        raise QueryError("give either a point, a text or a label")


def _stream_monitor(encoders: Encoders) -> StreamMonitor | None:
    language = encoders.language
    if language is None or language.training_images is None:
        return None
    return StreamMonitor(language.training_images, language.model)
