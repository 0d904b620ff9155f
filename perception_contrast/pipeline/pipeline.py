"""The walk of one frame: pixels to features, embeddings, masks, detections; only what is asked for."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial, reduce
from operator import or_
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from perception_contrast.core.errors import QueryError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import (
    MAX_QUERIES,
    Exemplar,
    Query,
    Vocabulary,
    checked_text,
    of_space,
)
from perception_contrast.encoders.load_encoders import Encoders, load_encoders
from perception_contrast.engines.engine_names import AUTO
from perception_contrast.engines.graph_sequence import Stage
from perception_contrast.engines.query_rows import QueryRows
from perception_contrast.engines.served_graph import ServedGraph
from perception_contrast.pipeline.image_encoder_runner import (
    FeatureRequest,
    ImageEncoderRunner,
    PendingFeatures,
)
from perception_contrast.pipeline.image_encoder_runner import ImageFeatures as ImageFeatures
from perception_contrast.pipeline.output_request import OutputRequest as OutputRequest
from perception_contrast.pipeline.output_request import Result as Result
from perception_contrast.pipeline.output_request import Settings as Settings
from perception_contrast.pipeline.query_encoder import QueryEncoder
from perception_contrast.segmentation.calibration_files import StoredCalibration, calibration_for
from perception_contrast.segmentation.exemplars import exemplar_of
from perception_contrast.segmentation.instances.split_cues import SplitCues
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.rescoring.crop_encoder import CropEncoder, build_crop_encoder
from perception_contrast.segmentation.sam.base import MaskProposer
from perception_contrast.segmentation.sam.load_mask_proposer import load_mask_proposer
from perception_contrast.segmentation.sam.mask_refinement import MaskRefiner
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast.segmentation.search_settings import SearchSettings
from perception_contrast.segmentation.searcher import Searcher
from perception_contrast.segmentation.searcher_factory import build_searcher
from perception_contrast.segmentation.upsampling.bilinear import upsample_bilinear
from perception_contrast.text.templates import PLAIN
from perception_contrast.text.zero_shot import Classification, ImageTextSimilarity, probabilities
from perception_contrast.tracking.multi_camera_tracker import MultiCameraTracker
from perception_contrast.tracking.tracker import TrackSettings
from perception_contrast.visualization.overlay import overlay
from perception_contrast.visualization.pca import PcaRenderer

logger = logging.getLogger(__name__)

EVERYTHING = FeatureRequest(features=True, semantic=True, embedding=True, things=True)


class StageTimer:
    """Milliseconds by stage; a stage within another is not counted as that other's too.

    timings: of stages before, which this clock goes on from.
    """

    def __init__(self, timings: Mapping[str, float] | None = None) -> None:
        self.timings: dict[str, float] = dict(timings or {})
        self._within: list[float] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        self._within.append(0.0)
        try:
            yield
        finally:
            took = 1e3 * (time.perf_counter() - began)
            self.timings[name] = self.timings.get(name, 0.0) + took - self._within.pop()
            if self._within:
                self._within[-1] += took


class PendingResult:
    """A frame on its way. Its result may be asked for by any thread, and more than once."""

    def __init__(self, finish: Callable[[], Result]) -> None:
        self._finish = finish
        self._result: Result | None = None
        self._lock = threading.Lock()

    def result(self) -> Result:
        """Waits for what was seen and searches it. Raises what went wrong with the frame."""
        with self._lock:
            if self._result is None:
                self._result = self._finish()
            return self._result


class Pipeline:
    """One model pair and one vocabulary; any thread may call any method."""

    def __init__(
        self,
        encoders: Encoders,
        settings: Settings | None = None,
        *,
        engine: str = "torch",
        precision: str = AUTO,
        towers: ImageEncoderRunner | None = None,
        track_numbers: Iterator[int] | None = None,
        calibration: StoredCalibration | None = None,
        proposer: MaskProposer | None = None,
    ) -> None:
        """engine, precision: as ``choose_engine`` takes them; towers: other ones than those make.

        calibration: of words, instead of the models' own. track_numbers: of the tracks' ids, for pipelines
        that follow each other and must not repeat them. proposer: of masks that are drawn anew. Raises
        ModelError for an engine or a precision that does not fit, SpaceError for a calibration of another
        space.
        """
        self._encoders = encoders
        self._towers = towers or ImageEncoderRunner(encoders, engine, precision)
        self._settings = settings or Settings()
        self._crop_encoder = build_crop_encoder(encoders, engine, precision)
        self._searcher = build_searcher(encoders, calibration, self._crop_encoder)
        self._query_encoder = QueryEncoder(encoders, self._searcher.exemplar_space)
        self._prepared = PreparedQueries(Vocabulary())
        self._colours = PcaRenderer()
        self._refiner = MaskRefiner(proposer) if proposer is not None else None
        self._trackers = MultiCameraTracker(track_numbers)
        self._vocabulary_lock = threading.Lock()

    # What is loaded.

    @property
    def models(self) -> dict[str, tuple[str, str]]:
        """Role to (model, space). "semantic" is the space that queries are compared in."""
        spatial, language = self._encoders.spatial, self._encoders.language
        semantic = language if language is not None else spatial
        return {"spatial": (spatial.model, spatial.space), "semantic": (semantic.model, semantic.space)}

    @property
    def vocabulary(self) -> Vocabulary:
        """The one in force."""
        return self._prepared.vocabulary

    @property
    def exemplar_space(self) -> str:
        """Space of the vectors of shown examples."""
        return self._searcher.exemplar_space

    @property
    def text_model(self) -> str:
        """Model that embeds words, "" without one."""
        return self._encoders.language.model if self._encoders.language else ""

    @property
    def text_space(self) -> str:
        """Space of embedded words, "" without a language model."""
        return self._encoders.language.space if self._encoders.language else ""

    @property
    def detection_threshold(self) -> float:
        """Probability from which detections are published."""
        chosen = self._settings.detection_threshold
        return self._searcher.calibration.detection if chosen is None else chosen

    @property
    def searcher(self) -> Searcher:
        """What turns features and queries into masks and detections."""
        return self._searcher

    @property
    def crop_encoder(self) -> CropEncoder | None:
        """What sees regions again, enlarged, where the language model can."""
        return self._crop_encoder

    @property
    def settings(self) -> Settings:
        return self._settings

    def configure(self, settings: Settings) -> None:
        """Replaces the settings from the next frame on."""
        self._settings = settings

    @property
    def engines(self) -> dict[str, str]:
        """Role to the engine in use and why, in words."""
        zoom = {} if self._crop_encoder is None else {"zoom": self._crop_encoder.served.describes}
        return {**self._towers.engines, **zoom}

    @property
    def served(self) -> tuple[ServedGraph, ...]:
        """What a frame with all its features runs through, in turn."""
        return self._towers.served

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was given up while serving: engines and proposals that failed, sizes too large for the GPU."""
        others = [one.warnings for one in (self._crop_encoder, self._refiner) if one is not None]
        return tuple(itertools.chain(self._towers.warnings, *others))

    def warm_up(self, size: tuple[int, int], progress: Callable[[str], None] | None = None) -> None:
        """Chooses the engines for images of size (height, width) and runs each stage once.

        Raises ModelError where an engine that was asked for by name cannot serve.
        """
        self._towers.prepare(size, self._settings, progress)
        if self._crop_encoder is not None and self._settings.zoom:
            self._crop_encoder.prepare(progress)
        blank = Frame(np.zeros((*size, 3), np.uint8))
        self.process(blank, OutputRequest(features=True, semantic_features=True, masks=True))
        if self._refiner is not None:
            self._refiner.warm_up(size)

    def close(self) -> None:
        """Ends what goes on in the background."""
        self._towers.close()
        if self._crop_encoder is not None:
            self._crop_encoder.close()

    # What is asked for.

    def set_queries(self, queries: Iterable[Query], distractors: Iterable[str] = ()) -> Vocabulary:
        """Replaces the vocabulary. Raises QueryError or SpaceError, and the old one stays."""
        with self._vocabulary_lock:
            return self._put_in_force(self.vocabulary.with_queries(queries, distractors))

    def adopt(self, vocabulary: Vocabulary) -> tuple[str, ...]:
        """Puts the vocabulary of another pipeline in force, its words embedded by this one.

        Its version and mask ids go on. Exemplars of another space are left out, and with them queries
        that had nothing else; one line for each label says so. Raises QueryError for words where no
        language model is loaded, and the old one stays.
        """
        kept, lines = of_space(vocabulary, self.exemplar_space)
        with self._vocabulary_lock:
            self._put_in_force(kept)
        return lines

    def add_exemplar(
        self,
        label: str,
        frame: Frame,
        *,
        box: tuple[float, float, float, float] | None = None,
        point: tuple[float, float] | None = None,
    ) -> tuple[Vocabulary, Exemplar]:
        """Learns a thing from one image: the inside of a box, what is under a point, or all of it.

        Pixels of the frame. Raises QueryError for what is not in the image.
        """
        seen = self.see(frame)
        exemplar = self.exemplar(seen, box=box, point=point)
        with self._vocabulary_lock:
            return self._put_in_force(self.vocabulary.with_exemplar(label, exemplar)), exemplar

    def exemplar(
        self,
        seen: ImageFeatures,
        *,
        box: tuple[float, float, float, float] | None = None,
        point: tuple[float, float] | None = None,
    ) -> Exemplar:
        """The vector of a thing in a frame that ``see`` has seen, ready to be searched for."""
        return self._query_encoder.exemplar(seen, box, point)

    def see(self, frame: Frame) -> ImageFeatures:
        """All features of a frame, to be searched more than once."""
        return self._look(frame, EVERYTHING)

    def _look(self, frame: Frame, look: FeatureRequest, rows: QueryRows | None = None) -> ImageFeatures:
        return self._towers.see([frame], look, self._settings, StageTimer().stage, rows)[0]()

    def find(
        self,
        frame: Frame,
        seen: ImageFeatures,
        prepared: PreparedQueries,
        settings: Settings | None = None,
        stage: Stage | None = None,
    ) -> SearchResult:
        """Masks and detections of prepared queries in a seen frame; settings: others than those in force.

        stage: told what is being done.
        """
        settings = settings or self._settings
        return self._searcher.find(
            frame.image,
            seen.semantic,
            seen.features,
            prepared,
            SearchSettings(
                settings.mask_threshold,
                settings.detection_threshold,
                settings.max_detections,
                refine=settings.refine,
                rescoring_views=settings.zoom,
            ),
            SplitCues(seen.things, frame.depth, seen.features) if settings.split else None,
            stage or StageTimer().stage,
        )

    def embed_texts(
        self, texts: Sequence[str], templates: Sequence[str] | None = None
    ) -> NDArray[np.float32]:
        """(n, c) float32 unit rows in ``text_space``.

        templates: sentences around each text, {a}, {the} or {} in its place; None takes the model's own.
        Raises QueryError without a language model, ModelError for templates that do not fit it.
        """
        return self._query_encoder.embed(texts, templates)

    def classify(
        self, frame: Frame, labels: Sequence[str], *, templates: Sequence[str] | None = None
    ) -> Classification:
        """Which of some labels a whole image shows, by the model's own scale and bias.

        templates: as ``embed_texts`` takes them. Raises QueryError, ModelError.
        """
        vectors = self._checked_texts(labels, "a label", templates)
        language = self._query_encoder.language
        cosines = vectors @ self._image(frame)
        shares = probabilities(cosines, language.logit_scale)
        return Classification(
            tuple(labels), shares, cosines, language.logit_scale.bias is not None, language.space
        )

    def image_text_similarity(self, frame: Frame, texts: Sequence[str]) -> ImageTextSimilarity:
        """How well each text, as it is, describes a whole image. Raises QueryError."""
        vectors = self._checked_texts(texts, "a text", PLAIN)
        return ImageTextSimilarity(tuple(texts), vectors @ self._image(frame), self.text_space)

    def _checked_texts(
        self, texts: Sequence[str], what: str, templates: Sequence[str] | None
    ) -> NDArray[np.float32]:
        if not 0 < len(texts) <= MAX_QUERIES:
            raise QueryError(f"{len(texts)} texts; give 1 to {MAX_QUERIES}")
        return self.embed_texts([checked_text(text, what) for text in texts], templates)

    def _image(self, frame: Frame) -> NDArray[np.float32]:
        """(c,) float32 unit vector of a whole frame in ``text_space``."""
        embedding = self._look(frame, FeatureRequest(embedding=True)).embedding
        assert embedding is not None
        return embedding

    def similarity(
        self, frame: Frame, *, point: tuple[float, float] | None = None, text: str | None = None
    ) -> tuple[NDArray[np.float32], str]:
        """Cosine of every pixel with one point of the frame or with a text: (H, W) and the space.

        A point is compared by the spatial features. Raises QueryError.
        """
        if (point is None) == (text is None):
            raise QueryError("give either a point or a text")
        if text is not None:
            rows = QueryRows.of([self.embed_texts([text])], self._encoders.device)
            best = self._look(frame, FeatureRequest(), rows).best
            assert best is not None
            cosines, space = best[0], self.text_space
        else:
            assert point is not None
            grid = self._look(frame, FeatureRequest(features=True)).features
            assert grid is not None
            cosines = grid.unit().values @ exemplar_of(grid, None, point, min_cosine=2.0).vector
            space = grid.space
        return np.clip(upsample_bilinear(cosines, frame.size), -1, 1), space

    def score_map(self, frame: Frame, label: str) -> tuple[NDArray[np.float32], str]:
        """Probability of every pixel, (H, W), of what a label of the vocabulary asks for, and the space.

        Soft, and whether or not a region would be published. Raises QueryError for another label.
        """
        vocabulary = self.vocabulary
        asked = [query for query in vocabulary.queries if query.label == label]
        if not asked:
            there = ", ".join(query.label for query in vocabulary.queries) or "none"
            raise QueryError(f"'{label}' is not in the vocabulary; its labels are: {there}")
        prepared = self.prepare(Vocabulary().with_queries(asked, vocabulary.distractors))
        seen = self.see(frame)
        plane = self._searcher.refined_logits(frame.image, seen.semantic, seen.features, prepared)
        # Logits are upsample_bilinear, not probabilities: their edges stay where they are.
        logits = upsample_bilinear(plane, frame.size)
        return np.asarray(expit(logits), np.float32), self.models["semantic"][1]

    def _put_in_force(self, vocabulary: Vocabulary) -> Vocabulary:
        self._prepared = self.prepare(vocabulary)
        return vocabulary

    def prepare(self, vocabulary: Vocabulary) -> PreparedQueries:
        """The vectors of a vocabulary.

        Raises QueryError for words where no language model is loaded and for exemplars of another
        length, SpaceError for those of another space.
        """
        return self._query_encoder.prepare(vocabulary)

    # The walk.

    def process(self, frame: Frame, request: OutputRequest) -> Result:
        """Computes what is wanted for one frame."""
        return self.submit(frame, request).result()

    def submit(self, frame: Frame, request: OutputRequest) -> PendingResult:
        """Starts a frame on its way. On a GPU this returns before the frame is computed.

        So the next frame can be submitted before the result of this one is asked for. The vocabulary and
        the settings of now hold for it.
        """
        return self.submit_batch([frame], [request])[0]

    def process_batch(
        self, frames: Sequence[Frame], request: OutputRequest | Sequence[OutputRequest]
    ) -> list[Result | Exception]:
        """As ``process`` for each frame, of several cameras say; those of one input size go together.

        wants: of all, or one for each frame. In the order of the frames; in the place of a frame that
        failed is what it raised.
        """
        outcomes: list[Result | Exception] = []
        for ticket in self.submit_batch(frames, request):
            try:
                outcomes.append(ticket.result())
            except Exception as error:
                outcomes.append(error)
        return outcomes

    def submit_batch(
        self, frames: Sequence[Frame], request: OutputRequest | Sequence[OutputRequest]
    ) -> list[PendingResult]:
        """As ``submit`` for each frame; timings of what is done for all at once are of all.

        Raises ValueError for wants of another number than the frames.
        """
        each = [request] * len(frames) if isinstance(request, OutputRequest) else list(request)
        if len(each) != len(frames):
            raise ValueError(f"{len(frames)} frames and {len(each)} wants: give one for each, or one for all")
        clock, settings, prepared = StageTimer(), self._settings, self._prepared
        look = reduce(or_, (self._needed(one, prepared, settings) for one in each), FeatureRequest())
        started = self._towers.see(frames, look, settings, clock.stage)
        return [
            PendingResult(
                partial(self._finished, frame, one, prepared, settings, StageTimer(clock.timings), awaited)
            )
            for frame, one, awaited in zip(frames, each, started, strict=True)
        ]

    def _needed(
        self, request: OutputRequest, prepared: PreparedQueries, settings: Settings
    ) -> FeatureRequest:
        search = _searches(request)
        shown = search and any(query.exemplars for query in prepared.vocabulary.queries)
        apart = self._searcher.exemplar_space == self._encoders.spatial.space
        wordless = search and self._encoders.language is None
        # Where one pass gives both, features cost nothing and help to tell things apart.
        split = search and settings.split
        features = request.features or request.pca or (shown and apart) or wordless
        features = features or (split and self._encoders.shared)
        return FeatureRequest(features, request.semantic_features or search, request.embedding, split)

    def _finished(
        self,
        frame: Frame,
        request: OutputRequest,
        prepared: PreparedQueries,
        settings: Settings,
        clock: StageTimer,
        awaited: PendingFeatures,
    ) -> Result:
        with clock.stage("arrival"):
            seen = awaited().only(self._needed(request, prepared, settings))
        found: SearchResult | None = None
        if _searches(request):
            with clock.stage("postprocess"):
                found = self.find(frame, seen, prepared, settings, clock.stage)
            if self._refiner is not None:
                with clock.stage("proposals"):
                    found = self._refiner(
                        frame.image, found, prepared.vocabulary.ids, settings.refine_masks_most
                    )
            if settings.track and (request.detections or request.overlay):
                with clock.stage("track"):
                    found = self._tracked(frame, found, settings)
        image = colours = None
        if request.overlay or request.pca:
            with clock.stage("draw"):
                if request.overlay and found is not None:
                    image = overlay(frame.image, found.detections, prepared.vocabulary.ids)
                if request.pca and seen.features is not None:
                    colours = self._colours(seen.features)
        model, space = self.models["semantic"]
        return Result(
            frame,
            prepared.vocabulary,
            features=seen.features if request.features else None,
            semantic_features=seen.semantic if request.semantic_features else None,
            embedding=seen.embedding if request.embedding else None,
            embedding_model=model,
            embedding_space=space,
            masks=found.masks if found is not None and request.masks else None,
            detections=found.detections if found is not None and request.detections else None,
            overlay=image,
            pca=colours,
            timings=clock.timings,
        )

    def _tracked(self, frame: Frame, found: SearchResult, settings: Settings) -> SearchResult:
        lasting = TrackSettings(settings.track_seconds)
        stream = frame.stream or frame.frame_id
        tracked = self._trackers.update(stream, found.detections, frame.image, frame.stamp, lasting)
        return replace(found, detections=tracked)


def _searches(request: OutputRequest) -> bool:
    return request.masks or request.detections or request.overlay


def build(
    model: str = "dinov2-s14",
    language_model: str = "household-lit",
    device: str = "auto",
    offline: bool = False,
    settings: Settings | None = None,
    progress: Callable[[str], None] | None = None,
    engine: str = "torch",
    precision: str = AUTO,
    dense: str = AUTO,
    track_numbers: Iterator[int] | None = None,
    calibration: Path | None = None,
    proposals: Path | tuple[Path, ...] | None = None,
) -> Pipeline:
    """Loads the models by name. engine, precision, track_numbers: as ``Pipeline``.

    dense: as ``load_encoders``. calibration: a file of `perception-contrast calibrate`; None takes the
    one that the cache has for the language model's space, if any. proposals: one or two ONNX files of
    the SAM family that draw the masks anew. Raises ModelError, and SpaceError for a calibration of
    another space.
    """
    encoders = load_encoders(
        model, language_model, device=device, offline=offline, dense=dense, progress=progress
    )
    space = encoders.language.space if encoders.language is not None else ""
    stored = calibration_for(space, calibration)
    if stored is not None:
        logger.info("words are calibrated by the %s fit stored for %s", stored.method, stored.space)
    return Pipeline(
        encoders,
        settings,
        engine=engine,
        precision=precision,
        track_numbers=track_numbers,
        calibration=stored,
        proposer=None if proposals is None else load_mask_proposer(proposals, encoders.device),
    )
