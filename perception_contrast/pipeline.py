"""The walk of one frame: pixels to features, embeddings, masks, detections; only what is asked for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .encoders.dense.names import PROXY
from .encoders.device_pictures import DevicePictures, Target
from .encoders.engines.names import AUTO
from .encoders.engines.served import ServedGraph, served_graphs
from .encoders.graphs import language_grid
from .encoders.grid import FeatureGrid, require_same_space
from .encoders.lit import HouseholdLit
from .encoders.load import Encoders, LanguageModel, load_encoders
from .encoders.tiles import seen_in_windows, window_of
from .errors import QueryError
from .frames.resize import fitted_size
from .frames.types import Frame, GridToImage
from .language.templates import PLAIN
from .language.text_tower import reworded
from .language.vocabulary import MAX_QUERIES, Exemplar, Query, Vocabulary, checked_text
from .openvocab.calibration_files import StoredCalibration, calibration_for
from .openvocab.draw import PrincipalColours, overlay
from .openvocab.examples import exemplar_of
from .openvocab.masks import upsampled
from .openvocab.search import Found, PreparedQueries, Searcher, SearchSettings
from .openvocab.spaces import searcher_of
from .openvocab.tracks import Trackers, TrackSettings
from .openvocab.whole import Classification, ImageTextSimilarity, probabilities
from .wants import Result as Result
from .wants import Settings as Settings
from .wants import Wants as Wants

logger = logging.getLogger(__name__)

NOTHING: Mapping[str, torch.Tensor] = {}
# Fewer patches than these show nothing: memory is short for another reason.
LEAST_TOKENS = 64
# Cosine from which neighbours of a clicked cell belong to the same thing.
ALIKE = {"lit": 0.7, "other": 0.5}


@dataclass(frozen=True)
class Seen:
    """What the towers made of a frame. embedding: of the language model where there is one."""

    features: FeatureGrid | None
    semantic: FeatureGrid | None
    embedding: NDArray[np.float32]


class _Clock:
    def __init__(self) -> None:
        self.timings: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + 1e3 * (time.perf_counter() - began)


class Pipeline:
    """One model pair and one vocabulary; any thread may call any method."""

    def __init__(
        self,
        encoders: Encoders,
        settings: Settings | None = None,
        *,
        engine: str = "torch",
        precision: str = AUTO,
        track_numbers: Iterator[int] | None = None,
        calibration: StoredCalibration | None = None,
    ) -> None:
        """engine, precision: as ``choose_engine`` takes them. Raises ModelError for those that do not fit.

        calibration: of words, instead of the models' own. Raises SpaceError for one of another space.

        track_numbers: of the tracks' ids, for pipelines that follow each other and must not repeat them.
        """
        self._encoders = encoders
        self._spatial, self._language = served_graphs(encoders, engine, precision)
        self._proxied = self._language is not None and self._language.graph.method == PROXY
        self._pictures = DevicePictures(encoders.device)
        self._token_limit: int | None = None
        self._warnings: list[str] = []
        self._settings = settings or Settings()
        self._searcher = searcher_of(encoders, calibration)
        self._prepared = PreparedQueries(Vocabulary())
        self._colours = PrincipalColours()
        self._trackers = Trackers(track_numbers)
        self._vocabulary_lock = threading.Lock()
        self._tower_lock = threading.Lock()
        # Apart from the towers of pictures: a new vocabulary must not hold up the frames.
        self._text_lock = threading.Lock()

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
        return self._searcher.example_space

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
    def settings(self) -> Settings:
        return self._settings

    def configure(self, settings: Settings) -> None:
        """Replaces the settings from the next frame on."""
        self._settings = settings

    @property
    def engines(self) -> dict[str, str]:
        """Role to the engine in use and why, in words."""
        if self._encoders.shared and self._language is not None:
            return {"spatial": self._language.describes}
        roles = {"spatial": self._spatial}
        if self._language is not None and self._language is not self._spatial:
            roles["semantic"] = self._language
        return {role: served.describes for role, served in roles.items()}

    @property
    def served(self) -> tuple[ServedGraph, ...]:
        """What a frame with all its features runs through, in turn."""
        if self._language is None or self._language is self._spatial:
            return (self._spatial,)
        return (self._language,) if self._encoders.shared else (self._spatial, self._language)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was given up while serving: engines that failed, picture sizes that did not fit the GPU."""
        return (*self._warnings, *(text for served in self.served for text in served.warnings))

    def warm_up(self, size: tuple[int, int], progress: Callable[[str], None] | None = None) -> None:
        """Chooses the engines for pictures of size (height, width) and runs each stage once.

        Raises ModelError where an engine that was asked for by name cannot serve.
        """
        with self._tower_lock:
            for served in self.served:
                patch = served.graph.patch
                window = window_of(self._input_size(size, patch), patch, self._settings.tile)
                served.prepare(window, progress)
        blank = Frame(np.zeros((*size, 3), np.uint8))
        self.process(blank, Wants(features=True, semantic_features=True, masks=True))

    def close(self) -> None:
        """Ends what goes on in the background."""
        for served in self.served:
            served.close()

    # What is asked for.

    def set_queries(self, queries: Iterable[Query], distractors: Iterable[str] = ()) -> Vocabulary:
        """Replaces the vocabulary. Raises QueryError or SpaceError, and the old one stays."""
        with self._vocabulary_lock:
            return self._put_in_force(self.vocabulary.with_queries(queries, distractors))

    def add_exemplar(
        self,
        label: str,
        frame: Frame,
        *,
        box: tuple[float, float, float, float] | None = None,
        point: tuple[float, float] | None = None,
    ) -> tuple[Vocabulary, Exemplar]:
        """Learns a thing from one picture: the inside of a box, what is under a point, or all of it.

        Pixels of the frame. Raises QueryError for what is not in the picture.
        """
        seen = self._see(frame, _Clock(), features=True, semantic=True)
        exemplar = self.exemplar(seen, box=box, point=point)
        with self._vocabulary_lock:
            return self._put_in_force(self.vocabulary.with_exemplar(label, exemplar)), exemplar

    def exemplar(
        self,
        seen: Seen,
        *,
        box: tuple[float, float, float, float] | None = None,
        point: tuple[float, float] | None = None,
    ) -> Exemplar:
        """The vector of a thing in a frame that ``see`` has seen, ready to be searched for."""
        grid, alike = self._example_grid(seen)
        exemplar = exemplar_of(grid, box, point, alike)
        language = self._encoders.language
        if isinstance(language, HouseholdLit) and grid.space == language.space:
            exemplar = replace(exemplar, vector=self._adapted(language, exemplar.vector))
        return exemplar

    def see(self, frame: Frame) -> Seen:
        """All features of a frame, to be searched more than once."""
        return self._see(frame, _Clock(), features=True, semantic=True)

    def find(
        self, frame: Frame, seen: Seen, prepared: PreparedQueries, settings: Settings | None = None
    ) -> Found:
        """Masks and detections of prepared queries in a seen frame; settings: others than those in force."""
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
            ),
        )

    def embed_texts(
        self, texts: Sequence[str], templates: Sequence[str] | None = None
    ) -> NDArray[np.float32]:
        """(n, c) float32 unit rows in ``text_space``.

        templates: sentences around each text, {a}, {the} or {} in its place; None takes the model's own.
        Raises QueryError without a language model, ModelError for templates that do not fit it.
        """
        language = self._language_model()
        if not texts or any(not text.strip() for text in texts):
            raise QueryError("give at least one text, and none that is empty")
        text = language.text if templates is None else reworded(language.text, tuple(templates))
        with self._text_lock:
            return text.encode(list(texts))

    def classify(
        self, frame: Frame, labels: Sequence[str], *, templates: Sequence[str] | None = None
    ) -> Classification:
        """Which of some labels a whole picture shows, by the model's own scale and bias.

        templates: as ``embed_texts`` takes them. Raises QueryError, ModelError.
        """
        vectors = self._checked_texts(labels, "a label", templates)
        language = self._language_model()
        cosines = vectors @ self._picture(frame)
        shares = probabilities(cosines, language.matching)
        return Classification(
            tuple(labels), shares, cosines, language.matching.bias is not None, language.space
        )

    def image_text_similarity(self, frame: Frame, texts: Sequence[str]) -> ImageTextSimilarity:
        """How well each text, as it is, describes a whole picture. Raises QueryError."""
        vectors = self._checked_texts(texts, "a text", PLAIN)
        return ImageTextSimilarity(tuple(texts), vectors @ self._picture(frame), self.text_space)

    def _checked_texts(
        self, texts: Sequence[str], what: str, templates: Sequence[str] | None
    ) -> NDArray[np.float32]:
        if not 0 < len(texts) <= MAX_QUERIES:
            raise QueryError(f"{len(texts)} texts; give 1 to {MAX_QUERIES}")
        return self.embed_texts([checked_text(text, what) for text in texts], templates)

    def _picture(self, frame: Frame) -> NDArray[np.float32]:
        """(c,) float32 unit vector of a whole frame in ``text_space``."""
        return self._see(frame, _Clock(), semantic=True).embedding

    def _language_model(self) -> LanguageModel:
        language = self._encoders.language
        if language is None:
            raise QueryError("no language model is loaded; set language_model, for example to household-lit")
        return language

    def similarity(
        self, frame: Frame, *, point: tuple[float, float] | None = None, text: str | None = None
    ) -> tuple[NDArray[np.float32], str]:
        """Cosine of every pixel with one point of the frame or with a text: (H, W) and the space.

        A point is compared by the spatial features. Raises QueryError.
        """
        if (point is None) == (text is None):
            raise QueryError("give either a point or a text")
        if text is not None:
            vector = self.embed_texts([text])[0]
            grid = self._see(frame, _Clock(), semantic=True).semantic
        else:
            assert point is not None
            grid = self._see(frame, _Clock(), features=True).features
            assert grid is not None
            vector = exemplar_of(grid, None, point, alike=2.0).vector
        assert grid is not None
        return np.clip(upsampled(grid.unit().values @ vector, frame.size), -1, 1), grid.space

    def _put_in_force(self, vocabulary: Vocabulary) -> Vocabulary:
        self._prepared = self.prepare(vocabulary)
        return vocabulary

    def prepare(self, vocabulary: Vocabulary) -> PreparedQueries:
        """The vectors of a vocabulary.

        Raises QueryError for words where no language model is loaded and for exemplars of another
        length, SpaceError for those of another space.
        """
        self._require_comparable(vocabulary)
        language = self._encoders.language
        if language is None:
            for query in vocabulary.queries:
                if query.texts() or query.negatives:
                    raise QueryError(
                        f"'{query.label}' is asked for in words, but no language model is loaded; "
                        "set language_model or show an exemplar"
                    )
            if vocabulary.distractors:
                raise QueryError("distractors are words, but no language model is loaded; leave them empty")
            return PreparedQueries(vocabulary)
        words = [query.texts() for query in vocabulary.queries]
        groups = [*words, *(query.negatives for query in vocabulary.queries), vocabulary.distractors]
        with self._text_lock:
            vectors = language.text.encode([text for group in groups for text in group])
        *each, rivals = np.split(vectors, np.cumsum([len(group) for group in groups[:-1]], dtype=int))
        count = len(words)
        return PreparedQueries(vocabulary, tuple(each[:count]), rivals, tuple(each[count:]))

    def _require_comparable(self, vocabulary: Vocabulary) -> None:
        spatial, language = self._encoders.spatial, self._encoders.language
        space = self.exemplar_space
        dim = language.dim if language is not None and language.space == space else spatial.dim
        for query in vocabulary.queries:
            for exemplar in query.exemplars:
                require_same_space(exemplar.space, space, f"an exemplar of '{query.label}'")
                if exemplar.vector.shape != (dim,):
                    raise QueryError(
                        f"an exemplar of '{query.label}' has {len(exemplar.vector)} values; {space} has {dim}"
                    )

    def _example_grid(self, seen: Seen) -> tuple[FeatureGrid, float]:
        if seen.semantic is not None and seen.semantic.space == self._searcher.example_space:
            return seen.semantic, ALIKE["lit"]
        assert seen.features is not None
        return seen.features, ALIKE["other"]

    @staticmethod
    def _adapted(language: HouseholdLit, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            device = language.head.log_scale.device
            adapted = language.head.example_embedding(torch.from_numpy(vector)[None].to(device))
        return np.asarray(adapted[0].float().cpu().numpy(), np.float32)

    # The walk.

    def process(self, frame: Frame, wants: Wants) -> Result:
        """Computes what is wanted for one frame."""
        clock, prepared = _Clock(), self._prepared
        search = wants.masks or wants.detections or wants.overlay
        shown = search and any(query.exemplars for query in prepared.vocabulary.queries)
        apart = self._searcher.example_space == self._encoders.spatial.space
        seen = self._see(
            frame,
            clock,
            features=wants.features
            or wants.pca
            or (shown and apart)
            or (search and self._encoders.language is None),
            semantic=wants.semantic_features or search or wants.embedding,
        )
        found: Found | None = None
        if search:
            with clock.stage("postprocess"):
                found = self.find(frame, seen, prepared)
            if self._settings.track and (wants.detections or wants.overlay):
                with clock.stage("track"):
                    found = self._tracked(frame, found)
        picture = colours = None
        if wants.overlay or wants.pca:
            with clock.stage("draw"):
                if wants.overlay and found is not None:
                    picture = overlay(frame.image, found.detections, prepared.vocabulary.ids)
                if wants.pca and seen.features is not None:
                    colours = self._colours(seen.features)
        model, space = self.models["semantic"]
        return Result(
            frame,
            prepared.vocabulary,
            features=seen.features if wants.features else None,
            semantic_features=seen.semantic if wants.semantic_features else None,
            embedding=seen.embedding if wants.embedding else None,
            embedding_model=model,
            embedding_space=space,
            masks=found.masks if found is not None and wants.masks else None,
            detections=found.detections if found is not None and wants.detections else None,
            overlay=picture,
            pca=colours,
            timings=clock.timings,
        )

    def _tracked(self, frame: Frame, found: Found) -> Found:
        settings = TrackSettings(self._settings.track_seconds)
        tracked = self._trackers.update(frame.frame_id, found.detections, frame.image, frame.stamp, settings)
        return replace(found, detections=tracked)

    def _see(self, frame: Frame, clock: _Clock, *, features: bool = False, semantic: bool = False) -> Seen:
        language = self._encoders.language
        one_pass = self._encoders.shared or self._language is self._spatial
        stage = "encode" if one_pass else "language"
        needed: dict[str, ServedGraph] = {}
        if semantic and self._language is not None:
            needed[stage] = self._language
        if not (semantic and one_pass) and (features or (semantic and (language is None or self._proxied))):
            needed["encode"] = self._spatial
        with self._tower_lock:
            seen = self._run(frame, needed, clock)
        picture, words = seen.get("encode", NOTHING), NOTHING
        if semantic and language is not None:
            words = picture if one_pass else seen["language"]
        spatial_grid = semantic_grid = None
        embedding = np.zeros(0, np.float32)
        if picture:
            spatial_grid = self._spatial_grid(frame, picture)
            embedding = _unit(picture["cls" if "cls" in picture else "image"][0])
        if words and language is not None:
            with clock.stage(stage):
                grid = language_grid(language.tower, words, picture)
            semantic_grid = self._grid(frame, grid, language, normalized=True)
            embedding = _numpy(words["picture" if "picture" in words else "image"][0])
        return Seen(spatial_grid, semantic_grid, embedding)

    def _spatial_grid(self, frame: Frame, picture: Mapping[str, torch.Tensor]) -> FeatureGrid:
        values = picture["tokens" if "tokens" in picture else "dense"]
        return self._grid(frame, values, self._encoders.spatial, normalized=False)

    def _run(
        self, frame: Frame, needed: Mapping[str, ServedGraph], clock: _Clock
    ) -> dict[str, Mapping[str, torch.Tensor]]:
        """Stage to what its graph makes of the frame, which is uploaded once for all of them."""
        while True:
            graphs = [served.graph for served in needed.values()]
            sizes = [self._input_size(frame.size, graph.patch) for graph in graphs]
            targets = [Target(size, g.mean, g.std) for size, g in zip(sizes, graphs, strict=True)]
            try:
                with clock.stage("preprocess"):
                    inputs = self._pictures.prepare(frame.image, "rgb8", targets)
                seen: dict[str, Mapping[str, torch.Tensor]] = {}
                for (stage, served), images in zip(needed.items(), inputs, strict=True):
                    with clock.stage(stage):
                        seen[stage] = self._in_windows(served, images)
                return seen
            except torch.OutOfMemoryError as error:
                self._shrink(max(sizes), max(graph.patch for graph in graphs), error)

    def _in_windows(self, served: ServedGraph, images: torch.Tensor) -> Mapping[str, torch.Tensor]:
        settings = self._settings
        return seen_in_windows(served.run, images, served.graph.patch, settings.tile, settings.tile_overlap)

    def _input_size(self, size: tuple[int, int], patch: int) -> tuple[int, int]:
        most = self._settings.max_tokens
        if self._token_limit is not None:
            most = min(most, self._token_limit)
        return fitted_size(size, self._settings.short_side, patch, most)

    def _shrink(self, size: tuple[int, int], patch: int, error: Exception) -> None:
        """Halves the patches a picture may have, from now on. Raises the error where few are left."""
        tokens = (size[0] // patch) * (size[1] // patch)
        if tokens // 2 < LEAST_TOKENS:
            raise error
        torch.cuda.empty_cache()
        self._token_limit = tokens // 2
        text = f"out of GPU memory at {size[1]}x{size[0]}; pictures get {tokens // 2} patches at most now"
        self._warnings.append(text)
        logger.warning(text)

    @staticmethod
    def _grid(frame: Frame, values: torch.Tensor, tower: object, *, normalized: bool) -> FeatureGrid:
        array = _numpy(values[0])
        rows, columns = array.shape[:2]
        return FeatureGrid(
            array,
            tower.model,  # type: ignore[attr-defined]
            tower.space,  # type: ignore[attr-defined]
            GridToImage.of_resize(frame.size, (rows, columns)),
            frame.size,
            normalized,
        )


def _unit(vector: torch.Tensor) -> NDArray[np.float32]:
    return _numpy(torch.nn.functional.normalize(vector, dim=-1))


def _numpy(values: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(values.detach().float().cpu().numpy(), np.float32)


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
) -> Pipeline:
    """Loads the models by name. engine, precision, track_numbers: as ``Pipeline``.

    dense: as ``load_encoders``. calibration: a file of `perception-contrast calibrate`; None takes the
    one that the cache has for the language model's space, if any. Raises ModelError, and SpaceError
    for a calibration of another space.
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
    )
