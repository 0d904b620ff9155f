"""An image through every tower it needs: input sizes, one upload, engines, and grids of what they see."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.arrays import Size
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.encoders.dense.method_names import PROXY
from perception_contrast.encoders.encoder_graphs import EncoderGraph, dense_name, language_grid, pooled_name
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.engines.async_copy import AsyncCopy, PendingCopy
from perception_contrast.engines.engine_names import AUTO
from perception_contrast.engines.graph_sequence import BEST, GraphCall, GraphSequence, Stage
from perception_contrast.engines.query_rows import QueryRows, best_cosines
from perception_contrast.engines.served_graph import ServedGraph, served_graphs
from perception_contrast.images.resize import fitted_size
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.preprocessing.device_images import DeviceImages, Target
from perception_contrast.preprocessing.tiles import window_of

logger = logging.getLogger(__name__)

# Fewer patches than these show nothing: memory is short for another reason.
LEAST_TOKENS = 64


@dataclass(frozen=True)
class FeatureRequest:
    """What of a frame is wanted on the host; nothing else is copied there.

    features: of the image alone; semantic: comparable with words; embedding: of the whole image.
    things: what tells one thing from the next, where the language model gives that.
    """

    features: bool = False
    semantic: bool = False
    embedding: bool = False
    things: bool = False

    def __or__(self, other: FeatureRequest) -> FeatureRequest:
        return FeatureRequest(
            self.features or other.features,
            self.semantic or other.semantic,
            self.embedding or other.embedding,
            self.things or other.things,
        )


@dataclass(frozen=True)
class ImageFeatures:
    """What the towers made of a frame; what was not wanted may be None.

    embedding: (c,) float32, unit, of the language model where there is one. best: (groups, h, w) float32,
    the cosine of every cell with each group of the rows that it was asked to be compared with. things:
    (h, w, 4) float32 as of ``AlignmentHead.grid``, None for a model that does not tell things apart.
    """

    features: FeatureGrid | None = None
    semantic: FeatureGrid | None = None
    embedding: NDArray[np.float32] | None = None
    best: NDArray[np.float32] | None = None
    things: NDArray[np.float32] | None = None

    def only(self, look: FeatureRequest) -> ImageFeatures:
        """Without what was seen for the sake of another frame of a batch."""
        return ImageFeatures(
            self.features if look.features else None,
            self.semantic if look.semantic else None,
            self.embedding if look.embedding else None,
            self.best,
            self.things if look.things else None,
        )


# Waits for what was seen of a frame, or raises what went wrong with it.
PendingFeatures = Callable[[], ImageFeatures]


@dataclass(frozen=True)
class _Pass:
    """A graph that is needed.

    roles: what it is needed for, by the names of ``ImageFeatures``, to outputs. gathers: outputs that
    proxyclip makes a grid of.
    """

    stage: str
    served: ServedGraph
    roles: Mapping[str, str]
    rows: QueryRows | None = None
    gathers: frozenset[str] = frozenset()

    @property
    def graph(self) -> EncoderGraph:
        return self.served.graph

    def part(self, images: torch.Tensor, settings: PipelineSettings) -> GraphCall:
        """images: (B, 3, H, W) float32, normalised for the graph."""
        made = {dense_name(self.graph.names), BEST} if self.graph.method == PROXY else set()
        wanted = frozenset(self.roles.values()) - made | self.gathers
        rows = self.rows if BEST in wanted else None
        return GraphCall(self.stage, self.served, images, wanted, rows, settings.tile, settings.tile_overlap)


@dataclass(frozen=True)
class _Way:
    """How some frames are seen."""

    passes: tuple[_Pass, ...]
    settings: PipelineSettings
    stage: Stage

    @property
    def places(self) -> dict[str, tuple[str, str]]:
        """Role to the stage and the output that it comes from."""
        return {role: (one.stage, name) for one in self.passes for role, name in one.roles.items()}


class ImageEncoderRunner:
    """The image sides of a model pair, on their engines; any thread may call any method."""

    def __init__(self, encoders: Encoders, engine: str = "torch", precision: str = AUTO) -> None:
        """engine, precision: as ``choose_engine`` takes them. Raises ModelError for those that do not fit."""
        self._encoders = encoders
        self._spatial, self._language = served_graphs(encoders, engine, precision)
        self._images = DeviceImages(encoders.device)
        self._step, self._landing = GraphSequence(), AsyncCopy(encoders.device)
        self._token_limit: int | None = None
        self._most_together: int | None = None
        self._warnings: list[str] = []
        self._lock = threading.Lock()

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
        """What was given up while serving: engines that failed, image sizes that did not fit the GPU."""
        return (*self._warnings, *(text for served in self.served for text in served.warnings))

    def prepare(
        self, size: Size, settings: PipelineSettings, progress: Callable[[str], None] | None = None
    ) -> None:
        """Chooses the engines for images of size (height, width).

        Raises ModelError where an engine that was asked for by name cannot serve.
        """
        with self._lock:
            for served in self.served:
                patch = served.graph.patch
                window = window_of(self.input_size(size, patch, settings), patch, settings.tile)
                served.prepare(window, progress)

    def close(self) -> None:
        """Ends what goes on in the background."""
        for served in self.served:
            served.close()

    def see(
        self,
        frames: Sequence[Frame],
        look: FeatureRequest,
        settings: PipelineSettings,
        stage: Stage,
        rows: QueryRows | None = None,
    ) -> list[PendingFeatures]:
        """Starts the frames on their way, those of one input size together, and waits for none of them.

        rows: to compare every cell of the language model's grid with. A frame that fails takes no other
        with it: what it raises comes from its own function.
        """
        way = _Way(self._passes(look, rows), settings, stage)
        groups: dict[object, list[int]] = {}
        for index, frame in enumerate(frames):
            groups.setdefault(self._alike(frame, way), []).append(index)
        awaited: dict[int, PendingFeatures] = {}
        for group in groups.values():
            started = self._together([frames[index] for index in group], way)
            awaited.update(zip(group, started, strict=True))
        return [awaited[index] for index in range(len(frames))]

    def _passes(self, look: FeatureRequest, rows: QueryRows | None) -> tuple[_Pass, ...]:
        """The graphs that are needed for a look; the language model's first."""
        words = self._language_pass(look, rows)
        language, spatial = self._encoders.language, self._spatial
        roles: dict[str, str] = {}
        if look.features and (words is None or "features" not in words.roles):
            roles["features"] = _tokens_name(spatial.graph.names)
        if look.embedding and language is None:
            roles["embedding"] = spatial.graph.names[1]
        gathers = frozenset({"tokens"}) if words is not None and words.gathers else frozenset[str]()
        passes = [] if words is None else [words]
        if roles or gathers:
            passes.append(_Pass("encode", spatial, roles, gathers=gathers))
        return tuple(passes)

    def _language_pass(self, look: FeatureRequest, rows: QueryRows | None) -> _Pass | None:
        """The language model's graph, where it is needed; it gives the features too where it can."""
        language, one_pass = self._language, self._encoders.shared or self._language is self._spatial
        if language is None:
            return None
        names = language.graph.names
        given = {"semantic": dense_name(names), "embedding": pooled_name(names), "best": BEST}
        asked = {"semantic": look.semantic, "embedding": look.embedding, "best": rows is not None}
        if "things" in names:
            given["things"], asked["things"] = "things", look.things
        roles = {role: name for role, name in given.items() if asked[role]}
        if not roles:
            return None
        if one_pass and look.features:
            roles["features"] = _tokens_name(names)
        proxied = language.graph.method == PROXY and ("semantic" in roles or "best" in roles)
        gathers = frozenset({"values"}) if proxied else frozenset[str]()
        return _Pass("encode" if one_pass else "language", language, roles, rows, gathers)

    def _alike(self, frame: Frame, way: _Way) -> object:
        """Equal for frames that can go together."""
        if frame.image.size == 0:
            return id(frame)
        return tuple(self.input_size(frame.size, one.graph.patch, way.settings) for one in way.passes)

    def _together(self, frames: Sequence[Frame], way: _Way) -> list[PendingFeatures]:
        """As ``see``, of frames with one input size. If they fail, each half is tried apart."""
        try:
            if len(frames) <= (self._most_together or len(frames)):
                return self._started(frames, way)
        except Exception as error:
            if len(frames) == 1:
                return [_raising(error)]
            if isinstance(error, torch.OutOfMemoryError):
                self._part(len(frames))
        half = (len(frames) + 1) // 2
        return [*self._together(frames[:half], way), *self._together(frames[half:], way)]

    def _started(self, frames: Sequence[Frame], way: _Way) -> list[PendingFeatures]:
        with self._lock:
            outputs = self._run(frames, way)
            arrival = self._landing.start(
                {
                    (one.stage, name): seen[name]
                    for one, seen in zip(way.passes, outputs, strict=True)
                    for name in set(one.roles.values())
                }
            )
        return [
            partial(self._arrived, frame, index, arrival, way.places) for index, frame in enumerate(frames)
        ]

    def _run(self, frames: Sequence[Frame], way: _Way) -> list[dict[str, torch.Tensor]]:
        """What each pass makes of the frames, which are uploaded once for all of them."""
        patches = [one.graph.patch for one in way.passes]
        while True:
            sizes = [self.input_size(frames[0].size, patch, way.settings) for patch in patches]
            try:
                with way.stage("preprocess"):
                    inputs = self._inputs(frames, way, sizes)
                parts = [
                    one.part(images, way.settings) for one, images in zip(way.passes, inputs, strict=True)
                ]
                return self._gathered(self._step.run(parts, way.stage), way)
            except torch.OutOfMemoryError as error:
                if len(frames) > 1:
                    raise
                self.shrink(max(sizes), max(patches), error)

    def _gathered(self, outputs: list[dict[str, torch.Tensor]], way: _Way) -> list[dict[str, torch.Tensor]]:
        """With proxyclip's grid beside what it is made of, where that is asked for."""
        if not any(one.gathers for one in way.passes):
            return outputs
        words, language = way.passes[0], self._encoders.language
        assert language is not None
        with way.stage(words.stage), torch.inference_mode():
            dense = language_grid(language.tower, outputs[0], outputs[1])
            made = {dense_name(words.graph.names): dense}
            if words.rows is not None:
                best = best_cosines(dense, words.rows.vectors, words.rows.owners)
                made[BEST] = best[:, : words.rows.groups]
        return [outputs[0] | made, outputs[1]]

    def _inputs(self, frames: Sequence[Frame], way: _Way, sizes: Sequence[Size]) -> list[torch.Tensor]:
        """(B, 3, h, w) for each pass; images of one shape are uploaded and resized together."""
        graphs = [one.graph for one in way.passes]
        targets = [Target(size, g.mean, g.std) for size, g in zip(sizes, graphs, strict=True)]
        shapes: dict[Size, list[int]] = {}
        for index, frame in enumerate(frames):
            shapes.setdefault(frame.size, []).append(index)
        prepared = [
            self._images.prepare_batch([frames[index].image for index in group], "rgb8", targets)
            for group in shapes.values()
        ]
        if len(prepared) == 1:
            return prepared[0]
        back = np.argsort([index for group in shapes.values() for index in group]).tolist()
        return [torch.cat(parts)[back] for parts in zip(*prepared, strict=True)]

    def _arrived(
        self,
        frame: Frame,
        index: int,
        arrival: PendingCopy[tuple[str, str]],
        places: Mapping[str, tuple[str, str]],
    ) -> ImageFeatures:
        """Waits for the frame at ``index`` of those that land together. places: role to what landed."""
        arrays = arrival.arrays()
        found = {role: arrays[place][index] for role, place in places.items()}
        language, spatial = self._encoders.language, self._encoders.spatial
        features, semantic, embedding = (found.get(r) for r in ("features", "semantic", "embedding"))
        if embedding is not None and language is None:
            embedding = _unit(embedding)
        return ImageFeatures(
            None if features is None else _grid(frame, features, spatial, normalized=False),
            None if semantic is None else _grid(frame, semantic, language, normalized=True),
            embedding,
            found.get("best"),
            found.get("things"),
        )

    def input_size(self, size: Size, patch: int, settings: PipelineSettings) -> Size:
        """(height, width) of the network input for an image of size (height, width). Raises FrameError."""
        most = settings.max_tokens
        if self._token_limit is not None:
            most = min(most, self._token_limit)
        return fitted_size(size, settings.short_side, patch, most)

    def shrink(self, size: Size, patch: int, error: Exception) -> None:
        """Halves the patches an image may have, from now on. Raises the error where few are left."""
        tokens = (size[0] // patch) * (size[1] // patch)
        if tokens // 2 < LEAST_TOKENS:
            raise error
        torch.cuda.empty_cache()
        self._token_limit = tokens // 2
        self._warn(f"out of GPU memory at {size[1]}x{size[0]}; images get {tokens // 2} patches at most now")

    def _part(self, count: int) -> None:
        """Lets fewer than ``count`` images go together, from now on."""
        torch.cuda.empty_cache()
        self._most_together = count // 2
        self._warn(f"out of GPU memory with {count} images at once; {count // 2} go together at most now")

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        logger.warning(text)


def _raising(error: Exception) -> PendingFeatures:
    def raise_it() -> ImageFeatures:
        raise error

    return raise_it


def _tokens_name(names: tuple[str, ...]) -> str:
    return "tokens" if "tokens" in names else "dense"


def _grid(frame: Frame, values: NDArray[np.float32], tower: Any, *, normalized: bool) -> FeatureGrid:
    """values: (h, w, c) of the whole frame."""
    rows, columns = values.shape[:2]
    place = GridToImage.of_resize(frame.size, (rows, columns))
    return FeatureGrid(values, tower.model, tower.space, place, frame.size, normalized)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(torch.nn.functional.normalize(torch.from_numpy(vector), dim=-1).numpy(), np.float32)
