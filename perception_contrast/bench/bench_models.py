"""The models that are measured: a pipeline with a fixed input size, and its encoders on their own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.core.embedding_spaces import space_name
from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.encoders.alignment_head import load_alignment
from perception_contrast.encoders.base import ImageEncoder
from perception_contrast.encoders.clip import load_clip
from perception_contrast.encoders.dense.method_names import dense_method
from perception_contrast.encoders.encoder_graph import EncoderGraph, graph_of
from perception_contrast.encoders.household_lit import PACKAGED, HouseholdLit
from perception_contrast.encoders.load_encoders import ClipLanguage, Encoders, load_encoders
from perception_contrast.encoders.rescoring_head import SIDE
from perception_contrast.engines.base import Engine
from perception_contrast.engines.choice import EngineChoice, choose_engine
from perception_contrast.engines.encoder_session import EncoderSession
from perception_contrast.engines.engine_names import AUTO
from perception_contrast.engines.export.export_check import random_encoder
from perception_contrast.engines.export.onnx_export import require_size
from perception_contrast.engines.torch_engine import TorchEngine
from perception_contrast.images.resize import fitted_size
from perception_contrast.models.registry import LIT_TOWER, model_spec
from perception_contrast.pipeline.image_encoder_runner import ImageEncoderRunner
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.preprocessing.to_tensor import image_tensor
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.text.base import TextEncoder
from perception_contrast.vocabulary.vocabulary_file import named_vocabulary

Size = tuple[int, int]
BENCH_QUERIES = ("cup", "spoon", "saucer", "table", "plate", "coffee", "book", "chair", "bottle", "hand")
MANY_QUERIES = 20  # queries of a large vocabulary
ProgressCallback = Callable[[str], None]


class FixedSizeEncoderRunner(ImageEncoderRunner):
    """ImageEncoderRunner with a fixed network input size, whatever the camera's."""

    def __init__(self, encoders: Encoders, size: Size | None, camera: Size, *, engine: str, precision: str):
        """size: (height, width) of the network input; None derives it from the camera's."""
        super().__init__(encoders, engine, precision)
        self._fixed, self._camera = size, camera

    def input_size(self, size: Size, patch: int, settings: PipelineSettings) -> Size:
        """The fixed size, or the nearest multiple of the patch."""
        if self._fixed is None:
            return fitted_size(self._camera, settings.short_side, patch, settings.max_tokens)
        height, width = (max(1, round(side / patch)) * patch for side in self._fixed)
        return height, width

    def shrink(self, size: Size, patch: int, error: Exception) -> None:
        raise ModelError(f"out of GPU memory at {size[0]}x{size[1]}; give a smaller --size") from error


@dataclass(frozen=True)
class MeasuredEncoder:
    """An encoder as the pipeline serves it, and without its head.

    Attributes:
        chosen: The engine that serves, a head included.
        bare: An engine of the same kind and precision for the tower alone; the serving one where there is
            no head.
        problem: Why ``bare`` could not be built.
    """

    graph: EncoderGraph
    tower: EncoderGraph
    size: Size
    chosen: EngineChoice
    bare: Engine | None
    problem: str = ""

    @property
    def served(self) -> Engine:
        return self.chosen.engine

    @property
    def has_head(self) -> bool:
        return self.tower is not self.graph

    def images(self, frame: Frame, batch: int = 1) -> Tensor:
        """(batch, 3, H, W) on the engine's device: copies of the frame."""
        alone = image_tensor(frame.image, self.size, self.graph.mean, self.graph.std)
        return alone.repeat(batch, 1, 1, 1).to(self.served.device)


@dataclass(frozen=True)
class BenchModels:
    """pipeline: warmed up, with ten queries. encoders: in the order in which the pipeline runs them."""

    pipeline: Pipeline
    encoders: tuple[MeasuredEncoder, ...]
    device: str

    @property
    def main(self) -> MeasuredEncoder:
        """The encoder of the spatial model."""
        model = self.pipeline.models["spatial"][0]
        return next((one for one in self.encoders if one.tower.model == model), self.encoders[0])

    @property
    def rescoring(self) -> EngineChoice | None:
        """What encodes enlarged crops; None where the language model rescores none."""
        crop_encoder = self.pipeline.frame_search.crop_encoder
        return None if crop_encoder is None else _choice(crop_encoder.served, (SIDE, SIDE))


class RandomTextEncoder(TextEncoder):
    """Replaces a text tower without weights: a unit vector that depends on the phrase alone."""

    model, space, wording = "random-words", "random-words@0", ""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def canonical(self, text: str) -> str:
        return " ".join(text.lower().split())

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, unit rows."""
        seeds = (hashlib.sha256(self.canonical(text).encode()).digest()[:8] for text in texts)
        rows = [np.random.default_rng(list(seed)).standard_normal(self.dim) for seed in seeds]
        stacked = np.array(rows, np.float32).reshape(-1, self.dim)
        unit: NDArray[np.float32] = stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
        return unit


def random_encoders(model: str, language: str, device: str, dense: str = AUTO) -> Encoders:
    """The models without weights, for speed alone; of household-lit the head is real. Raises ModelError."""
    if model_spec(model).family == "lit":
        raise ModelError(f"'{model}' is a language model; name {LIT_TOWER} as model and it as language_model")
    method = dense_method(dense, model, language)
    if language == model and not model_spec(model).spatial:
        clip = load_clip(model, device=device, random_init=True, method=method)
        return Encoders(clip.backbone, ClipLanguage(clip, RandomTextEncoder(clip.dim)), device)
    spatial = _random_encoder(model, device)
    if language == "none":
        return Encoders(spatial, None, device)
    if model_spec(language).family == "lit":
        tower = spatial if model == LIT_TOWER else _random_encoder(LIT_TOWER, device)
        head, facts, sha256 = load_alignment(PACKAGED[language].alignment)
        words = RandomTextEncoder(head.config.text_dim)
        lit = HouseholdLit(tower, head, words, space_name(language, sha256), facts, model=language)
        lit.eval().requires_grad_(False).to(device)
        return Encoders(spatial, lit, device)
    if not model_spec(language).knows_words:
        raise ModelError(f"'{language}' knows no words; choose household-lit, a clip-*, a siglip* or none")
    clip = load_clip(language, device=device, random_init=True, method=method)
    return Encoders(spatial, ClipLanguage(clip, RandomTextEncoder(clip.dim)), device)


def _random_encoder(name: str, device: str) -> ImageEncoder:
    return graph_of(random_encoder(name)).to(device).encoder.backbone


def load_bench_models(
    model: str,
    language: str,
    *,
    size: Size | None,
    camera: Size,
    frame: Frame,
    engine: str = AUTO,
    precision: str = AUTO,
    device: str = "cpu",
    dense: str = AUTO,
    random_init: bool = False,
    offline: bool = False,
    on_progress: ProgressCallback | None = None,
) -> BenchModels:
    """Loads the models, chooses engines, sets ten queries. Raises ModelError, naming what does not fit."""
    spec = model_spec(model)
    if size is not None:
        require_size(size, spec.patch, model)
    if random_init:
        encoders = random_encoders(model, language, device, dense)
    else:
        encoders = load_encoders(
            model, language, device=device, offline=offline, dense=dense, progress=on_progress
        )
    return bench_models_of(
        encoders,
        size=size,
        camera=camera,
        frame=frame,
        engine=engine,
        precision=precision,
        on_progress=on_progress,
    )


def bench_models_of(
    encoders: Encoders,
    *,
    size: Size | None,
    camera: Size,
    frame: Frame,
    engine: str = AUTO,
    precision: str = AUTO,
    on_progress: ProgressCallback | None = None,
) -> BenchModels:
    """As ``load_bench_models``, of encoders that are loaded already."""
    image_encoder = FixedSizeEncoderRunner(encoders, size, camera, engine=engine, precision=precision)
    pipeline = Pipeline(
        encoders, PipelineSettings(), engine=engine, precision=precision, image_encoder=image_encoder
    )
    pipeline.warm_up(camera, on_progress)
    _set_queries(pipeline, frame)
    measured = []
    for session in image_encoder.sessions:
        network_size = image_encoder.input_size(camera, session.graph.patch, pipeline.settings)
        measured.append(_encoder(session, network_size, on_progress))
    return BenchModels(pipeline, tuple(measured), encoders.device)


def _set_queries(pipeline: Pipeline, frame: Frame) -> None:
    """Sets ten queries: words, or without a language model exemplars at ten points of the image."""
    if pipeline.query_encoder.text_model:
        pipeline.set_queries([Query(word) for word in BENCH_QUERIES])
        return
    for label, point in zip(BENCH_QUERIES, _points(frame, rows=2), strict=True):
        pipeline.add_exemplar(label, frame, point=point)


def prepare_many_queries(pipeline: Pipeline, frame: Frame) -> PreparedQueries:
    """Encodes twenty queries without setting them.

    Labels from all over the vocabulary "household", with their phrases and negatives; without a language
    model, exemplars at twenty points of the image.
    """
    if pipeline.query_encoder.text_model:
        household = named_vocabulary("household").queries
        chosen = household[:: len(household) // MANY_QUERIES][:MANY_QUERIES]
        return pipeline.prepare(Vocabulary().with_queries(chosen))
    features, vocabulary = pipeline.extract_features(frame), Vocabulary()
    for number, point in enumerate(_points(frame, rows=MANY_QUERIES // 5)):
        exemplar = pipeline.query_encoder.encode_exemplar(features, point=point)
        vocabulary = vocabulary.with_exemplar(f"thing {number}", exemplar)
    return pipeline.prepare(vocabulary)


def _points(frame: Frame, rows: int) -> list[tuple[float, float]]:
    """Five columns of points spread over an image."""
    height, width = frame.size
    return [
        ((column + 0.5) * width / 5, (row + 0.5) * height / rows)
        for row in range(rows)
        for column in range(5)
    ]


def _encoder(session: EncoderSession, size: Size, on_progress: ProgressCallback | None) -> MeasuredEncoder:
    """size: (height, width) of the network input."""
    graph, chosen = session.graph, _choice(session, size)
    backbone = graph.encoder.backbone
    if backbone is graph.encoder:
        return MeasuredEncoder(graph, graph, size, chosen, chosen.engine)
    tower = graph_of(backbone)
    try:
        bare: Engine | None = engine_like(chosen.engine, tower, size, on_progress)
        problem = ""
    except ModelError as error:
        bare, problem = None, str(error)
    return MeasuredEncoder(graph, tower, size, chosen, bare, problem)


def _choice(session: EncoderSession, size: Size) -> EngineChoice:
    """What serves images of a size, also where nothing had to be chosen."""
    return session.chosen.get(size) or EngineChoice(session.engine_for(size), session.describes)


def engine_like(
    engine: Engine, graph: EncoderGraph, size: Size, on_progress: ProgressCallback | None = None
) -> Engine:
    """An engine of the same kind and precision for another graph. Raises ModelError."""
    if engine.name == "torch":
        return TorchEngine(graph, engine.precision, engine.device)
    return choose_engine(
        graph, size, device=engine.device, kind=engine.name, precision=engine.precision, progress=on_progress
    ).engine


def engine_at(
    encoder: MeasuredEncoder, precision: str, on_progress: ProgressCallback | None = None
) -> Engine:
    """The fastest engine for the bare tower in a precision. Raises ModelError if there is none here."""
    if encoder.bare is not None and encoder.bare.precision == precision:
        return encoder.bare
    device = encoder.served.device
    return choose_engine(
        encoder.tower, encoder.size, device=device, precision=precision, progress=on_progress
    ).engine
