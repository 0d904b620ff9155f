"""What is measured: a pipeline that sees images at a fixed size, and its encoders apart from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.core.feature_grid import space_name
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.encoders.alignment_head import load_alignment
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.encoders.dense.method_names import dense_method
from perception_contrast.encoders.encoder_graphs import EncoderGraph, graph_of
from perception_contrast.encoders.household_lit import HEAD_FILE, HouseholdLit
from perception_contrast.encoders.load_encoders import LIT_TOWER, ClipLanguage, Encoders, load_encoders
from perception_contrast.engines.base import Engine
from perception_contrast.engines.choice import EngineChoice, choose_engine
from perception_contrast.engines.engine_names import AUTO
from perception_contrast.engines.export.export_check import random_tower
from perception_contrast.engines.export.onnx_export import require_size
from perception_contrast.engines.processor import bfloat16_pays
from perception_contrast.engines.served_graph import ServedGraph
from perception_contrast.engines.torch_engine import TorchEngine
from perception_contrast.images.resize import fitted_size
from perception_contrast.models.registry import model_spec
from perception_contrast.pipeline.image_encoder_runner import ImageEncoderRunner
from perception_contrast.pipeline.pipeline import Pipeline, Settings
from perception_contrast.preprocessing.to_tensor import image_tensor
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.vocabulary.vocabulary_file import named_vocabulary

Size = tuple[int, int]
WORDS = ("cup", "spoon", "saucer", "table", "plate", "coffee", "book", "chair", "bottle", "hand")
MANY = 20  # queries of the vocabulary of a robot that is asked for much
Tell = Callable[[str], None]


class SizedTowers(ImageEncoderRunner):
    """ImageEncoderRunner whose network input has the size that was asked for, whatever the camera's."""

    def __init__(self, encoders: Encoders, size: Size | None, camera: Size, *, engine: str, precision: str):
        """size: (height, width) for the patch of the model; None: what the camera's shape asks for."""
        super().__init__(encoders, engine, precision)
        self._fixed, self._camera = size, camera

    def input_size(self, size: Size, patch: int, settings: Settings) -> Size:
        """As asked for, or as near as the patch allows."""
        if self._fixed is None:
            return fitted_size(self._camera, settings.short_side, patch, settings.max_tokens)
        height, width = (max(1, round(side / patch)) * patch for side in self._fixed)
        return height, width

    def shrink(self, size: Size, patch: int, error: Exception) -> None:
        raise ModelError(f"out of GPU memory at {size[0]}x{size[1]}; give a smaller --size") from error


class SizedPipeline(Pipeline):
    """A pipeline whose network input has the size that was asked for, whatever the camera's."""

    def __init__(self, encoders: Encoders, towers: SizedTowers, camera: Size) -> None:
        # How often a second look is worth it depends on the image; its views are timed on their own.
        super().__init__(encoders, Settings(zoom=0), towers=towers)
        self._sized, self._camera = towers, camera

    def size_for(self, patch: int) -> Size:
        """Of the network input, in multiples of the patch."""
        return self._sized.input_size(self._camera, patch, self.settings)


@dataclass(frozen=True)
class Encoder:
    """An encoder as the pipeline serves it, and bare.

    served: what the walk runs through, a head included. bare: the tower alone on an engine of the same
    kind and precision; the same as served where there is no head. problem: why bare could not be built.
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
        """(batch, 3, H, W) on the engine's device: the frame, as often as asked."""
        alone = image_tensor(frame.image, self.size, self.graph.mean, self.graph.std)
        return alone.repeat(batch, 1, 1, 1).to(self.served.device)


@dataclass(frozen=True)
class Subject:
    """pipeline: ready to be walked, ten things asked for. encoders: in the order of the walk."""

    pipeline: SizedPipeline
    encoders: tuple[Encoder, ...]
    device: str
    asked: str = field(default="")

    @property
    def main(self) -> Encoder:
        """That of the named model."""
        model = self.pipeline.models["spatial"][0]
        return next((one for one in self.encoders if one.tower.model == model), self.encoders[0])


class RandomWords:
    """In place of a text tower without weights: a unit vector that follows from the phrase alone."""

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
    spatial = _random_tower(model, device, method if language == model else AUTO)
    if language == "none":
        return Encoders(spatial, None, device)
    if model_spec(language).family == "lit":
        tower = spatial if model == LIT_TOWER else _random_tower(LIT_TOWER, device)
        head, facts, sha256 = load_alignment(HEAD_FILE)
        words = RandomWords(head.config.text_dim)
        lit = HouseholdLit(tower, head, words, space_name(language, sha256), facts)
        lit.eval().requires_grad_(False).to(device)
        return Encoders(spatial, lit, device, shared=tower is spatial)
    if not model_spec(language).knows_words:
        raise ModelError(f"'{language}' knows no words; choose household-lit, a clip-*, a siglip* or none")
    both = language == model and isinstance(spatial, ClipTower)
    clip = spatial if both else load_clip(language, device=device, random_init=True, method=method)
    aligned = ClipLanguage(clip, RandomWords(clip.dim))
    return Encoders(spatial, aligned, device)


def _random_tower(name: str, device: str, method: str = AUTO) -> Any:
    return graph_of(random_tower(name, method)).tower.to(device)


def prepare(
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
    tell: Tell | None = None,
) -> Subject:
    """Loads the models, chooses engines, asks for ten things. Raises ModelError, naming what does not fit."""
    spec = model_spec(model)
    if size is not None:
        require_size(size, spec.patch, model)
    if random_init:
        encoders = random_encoders(model, language, device, dense)
    else:
        encoders = load_encoders(model, language, device=device, offline=offline, dense=dense, progress=tell)
    return subject_of(
        encoders, size=size, camera=camera, frame=frame, engine=engine, precision=precision, tell=tell
    )


def subject_of(
    encoders: Encoders,
    *,
    size: Size | None,
    camera: Size,
    frame: Frame,
    engine: str = AUTO,
    precision: str = AUTO,
    tell: Tell | None = None,
) -> Subject:
    """As ``prepare``, of encoders that are loaded already."""
    if engine == "torch" and precision == AUTO:
        precision = "bf16" if encoders.device.startswith("cpu") and bfloat16_pays() else "fp32"
    towers = SizedTowers(encoders, size, camera, engine=engine, precision=precision)
    pipeline = SizedPipeline(encoders, towers, camera)
    pipeline.warm_up(camera, tell)
    _ask(pipeline, frame)
    made = tuple(_encoder(one, pipeline, precision, tell) for one in pipeline.served)
    return Subject(pipeline, made, encoders.device)


def _ask(pipeline: Pipeline, frame: Frame) -> None:
    """Ten words; without a language model ten points of the image, shown as examples."""
    if pipeline.text_model:
        pipeline.set_queries([Query(word) for word in WORDS])
        return
    for label, point in zip(WORDS, _points(frame, rows=2), strict=True):
        pipeline.add_exemplar(label, frame, point=point)


def prepared_twenty(pipeline: Pipeline, frame: Frame) -> PreparedQueries:
    """Twenty queries, ready to be searched for; those in force stay.

    Labels from all over the vocabulary "household", with their phrases and negatives; without a language
    model twenty points of the image, shown as examples.
    """
    if pipeline.text_model:
        household = named_vocabulary("household").queries
        chosen = household[:: len(household) // MANY][:MANY]
        return pipeline.prepare(Vocabulary().with_queries(chosen))
    seen, shown = pipeline.see(frame), Vocabulary()
    for number, point in enumerate(_points(frame, rows=MANY // 5)):
        shown = shown.with_exemplar(f"thing {number}", pipeline.exemplar(seen, point=point))
    return pipeline.prepare(shown)


def _points(frame: Frame, rows: int) -> list[tuple[float, float]]:
    """Five columns of points spread over an image."""
    height, width = frame.size
    return [
        ((column + 0.5) * width / 5, (row + 0.5) * height / rows)
        for row in range(rows)
        for column in range(5)
    ]


def _encoder(served: ServedGraph, pipeline: SizedPipeline, precision: str, tell: Tell | None) -> Encoder:
    graph, size = served.graph, pipeline.size_for(served.graph.patch)
    chosen = served.chosen.get(size)
    if chosen is None:
        chosen = EngineChoice(TorchEngine(graph, precision, served.device), served.describes)
    if "grid" not in graph.names:
        return Encoder(graph, graph, size, chosen, chosen.engine)
    tower = graph_of(graph.tower)
    try:
        bare: Engine | None = engine_like(chosen.engine, tower, size, tell)
        problem = ""
    except ModelError as error:
        bare, problem = None, str(error)
    return Encoder(graph, tower, size, chosen, bare, problem)


def engine_like(engine: Engine, graph: EncoderGraph, size: Size, tell: Tell | None = None) -> Engine:
    """An engine of the same kind and precision for another graph. Raises ModelError."""
    if engine.name == "torch":
        return TorchEngine(graph, engine.precision, engine.device)
    return choose_engine(
        graph, size, device=engine.device, wish=engine.name, precision=engine.precision, progress=tell
    ).engine


def exact_engine(encoder: Encoder, tell: Tell | None = None) -> Engine:
    """The fastest float32 engine for the bare tower here. Raises ModelError if there is none."""
    if encoder.bare is not None and encoder.bare.precision == "fp32":
        return encoder.bare
    device = encoder.served.device
    return choose_engine(encoder.tower, encoder.size, device=device, precision="fp32", progress=tell).engine
