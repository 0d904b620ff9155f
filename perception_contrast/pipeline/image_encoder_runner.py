"""Runs the image encoders that a request needs: input sizes, one upload, engines, and feature grids."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress

import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.encoders.base import Role
from perception_contrast.encoders.encoder_graph import EncoderGraph, language_features
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.engines.async_copy import AsyncCopy, PendingCopy
from perception_contrast.engines.encoder_session import EncoderSession, encoder_sessions
from perception_contrast.engines.engine_names import AUTO
from perception_contrast.engines.engine_search import EngineSearch
from perception_contrast.engines.graph_sequence import BEST, GraphCall, GraphSequence, Stage
from perception_contrast.engines.query_matrix import QueryMatrix, max_cosines
from perception_contrast.images.resize import fitted_size
from perception_contrast.models.image_input import ImageInput
from perception_contrast.pipeline.image_features import FeatureRequest, ImageFeatures, PendingFeatures
from perception_contrast.pipeline.pipeline_settings import AUTO_TILE, PipelineSettings
from perception_contrast.preprocessing.device_images import DeviceImages, Target
from perception_contrast.preprocessing.tiles import automatic_tile, window_of

logger = logging.getLogger(__name__)

# With fewer patches an image shows nothing: memory is short for another reason.
MIN_TOKENS = 64
WHOLE = "embedding"  # stage of the pass at the model's own input size
PROXY_GRID = "dense"  # name of the language features that proxyclip makes of two encoders' outputs
Size = tuple[int, int]


@dataclass(frozen=True)
class _EncoderPass:
    """An encoder that a request needs.

    Attributes:
        stage: name under which its time is counted.
        session: runs it.
        fields: field of ``ImageFeatures`` to the output that fills it.
        queries: what its language features are compared with, or None.
        proxy_output: the output that proxyclip reads, "" without proxyclip.
        image_input: the model's own input, which the whole frame is brought to; None for the input of the
            settings.
    """

    stage: str
    session: EncoderSession
    fields: Mapping[str, str]
    queries: QueryMatrix | None = None
    proxy_output: str = ""
    image_input: ImageInput | None = None

    @property
    def graph(self) -> EncoderGraph:
        return self.session.graph

    def call(self, images: torch.Tensor, settings: PipelineSettings) -> GraphCall:
        """images: (B, 3, H, W) float32, normalised for the encoder."""
        outputs = frozenset(self.fields.values())
        if self.graph.has(Role.PROXY_VALUES):
            outputs -= {PROXY_GRID, BEST}
        if self.proxy_output:
            outputs |= {self.proxy_output}
        queries = self.queries if BEST in outputs else None
        tile = 0
        if self.image_input is None:
            tile = tile_of(self.graph, (int(images.shape[-2]), int(images.shape[-1])), settings)
        return GraphCall(self.stage, self.session, images, outputs, queries, tile, settings.tile_overlap)

    def trims(self, source: Size) -> bool:
        """Whether parts of images of (height, width) ``source`` are left out before they are resized."""
        return self.image_input is not None and self.image_input.trims(source)

    def trimmed(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The part of an image (H, W, 3) that is resized."""
        return image if self.image_input is None else self.image_input.trimmed(image)

    def target(self, size: Size, source: Size) -> Target:
        """What images of (height, width) ``source`` are resized to. size: of the input of the settings."""
        graph, own = self.graph, self.image_input
        if own is None:
            return Target(size, graph.mean, graph.std)
        return Target(own.resized(source), graph.mean, graph.std, own.bilinear)

    def cut(self, images: torch.Tensor) -> torch.Tensor:
        """The part of the resized images (B, 3, h, w) that is encoded."""
        if self.image_input is None:
            return images
        cut: torch.Tensor = self.image_input.middle(images)
        return cut


@dataclass(frozen=True)
class _PassPlan:
    """How a batch of frames is encoded."""

    passes: tuple[_EncoderPass, ...]
    settings: PipelineSettings
    stage: Stage

    @property
    def sources(self) -> dict[str, tuple[str, str]]:
        """Field of ``ImageFeatures`` to the stage and the output that it comes from."""
        return {field: (one.stage, name) for one in self.passes for field, name in one.fields.items()}

    @property
    def by_proxy(self) -> bool:
        """Whether proxyclip makes the language features of both encoders' outputs."""
        return any(one.proxy_output for one in self.passes)


class ImageEncoderRunner:
    """The image encoders of a model pair, on their engines. Any thread may call any method.

    Args:
        encoders: the models.
        engine, precision: as ``choose_engine``.
        search: where engines are chosen while these serve; None makes one.

    Attributes:
        search: as given.

    Raises:
        ModelError: the engine or the precision does not exist or does not run on the device.
    """

    def __init__(
        self,
        encoders: Encoders,
        engine: str = "torch",
        precision: str = AUTO,
        search: EngineSearch | None = None,
    ) -> None:
        self._encoders = encoders
        self.search = search or EngineSearch()
        sessions = encoder_sessions(encoders, engine, precision, self.search)
        self._spatial, self._language = sessions.spatial, sessions.language
        self._images = DeviceImages(encoders.device)
        self._sequence, self._copy = GraphSequence(), AsyncCopy(encoders.device)
        self._token_limit: int | None = None
        self._max_batch: int | None = None
        self._warnings: list[str] = []
        self._lock = threading.Lock()

    @property
    def engines(self) -> dict[str, str]:
        """Role to the engine in use and why, in words."""
        if self._encoders.shared_backbone and self._language is not None:
            return {"spatial": self._language.describes}
        sessions = {"spatial": self._spatial}
        if self._language is not None and self._language is not self._spatial:
            sessions["semantic"] = self._language
        return {role: session.describes for role, session in sessions.items()}

    @property
    def sessions(self) -> tuple[EncoderSession, ...]:
        """What a frame with all its features runs through, in turn."""
        if self._language is None or self._language is self._spatial:
            return (self._spatial,)
        return (self._language,) if self._encoders.shared_backbone else (self._spatial, self._language)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What failed while running: engines, and image sizes that did not fit the GPU."""
        return (*self._warnings, *(text for session in self.sessions for text in session.warnings))

    def prepare(
        self,
        size: Size,
        settings: PipelineSettings,
        progress: Callable[[str], None] | None = None,
        *,
        wait: bool = True,
    ) -> None:
        """Chooses the engines for images of size (height, width).

        Args:
            size: of the images.
            settings: with the size of the network's input.
            progress: called with a line for each step.
            wait: False lets the search choose where the engine is "auto", while torch serves.

        Raises:
            ModelError: an engine that was requested by name cannot serve.
        """
        with self._lock:
            for session in self.sessions:
                window = self._window(session, size, settings)
                (session.prepare if wait else session.begin)(window, progress)

    def expect(self, size: Size, settings: PipelineSettings) -> None:
        """Lets the search look for engines for images of size (height, width), as ``EncoderSession.expect``.

        Args:
            size: of the images.
            settings: with the size of the network's input.
        """
        with self._lock:
            for session in self.sessions:
                session.expect(self._window(session, size, settings))

    def _window(self, session: EncoderSession, size: Size, settings: PipelineSettings) -> Size:
        """(height, width) that a session encodes at once of images of (height, width) ``size``."""
        patch = session.graph.patch
        network_size = self.input_size(size, patch, settings)
        return window_of(network_size, patch, tile_of(session.graph, network_size, settings))

    def encode(
        self,
        frames: Sequence[Frame],
        request: FeatureRequest,
        settings: PipelineSettings,
        stage: Stage,
        queries: QueryMatrix | None = None,
    ) -> list[PendingFeatures]:
        """Starts to encode frames, those of one input size together, and waits for none of them.

        Args:
            frames: of any sizes.
            request: which features are wanted, of every frame.
            settings: input size and tiles.
            stage: times the stages.
            queries: what every cell of the language features is compared with.

        Returns:
            For each frame a function that waits for its features. An error of one frame is raised by its
            own function and concerns no other frame.
        """
        plan = _PassPlan(self._passes(request, queries), settings, stage)
        groups: dict[object, list[int]] = {}
        for index, frame in enumerate(frames):
            groups.setdefault(self._batch_key(frame, plan), []).append(index)
        pending: dict[int, PendingFeatures] = {}
        for group in groups.values():
            started = self._encode_batch([frames[index] for index in group], plan)
            pending.update(zip(group, started, strict=True))
        return [pending[index] for index in range(len(frames))]

    def _passes(self, request: FeatureRequest, queries: QueryMatrix | None) -> tuple[_EncoderPass, ...]:
        """The encoders that are needed; the language model's first."""
        words, spatial = self._language_pass(request, queries), self._spatial
        fields: dict[str, str] = {}
        if request.features and (words is None or "features" not in words.fields):
            fields["features"] = spatial.graph.name_of(Role.SPATIAL)
        if request.pooled and (words is None or "pooled" not in words.fields):
            fields["pooled"] = spatial.graph.name_of(Role.SPATIAL_POOLED)
        if request.embedding and self._encoders.language is None:
            fields["embedding"] = spatial.graph.name_of(Role.SPATIAL_POOLED)
        gathers = words is not None and bool(words.proxy_output)
        passes = [] if words is None else [words]
        if fields or gathers:
            proxy_output = spatial.graph.name_of(Role.SPATIAL) if gathers else ""
            passes.append(_EncoderPass("encode", spatial, fields, proxy_output=proxy_output))
        own = self._own_input
        if request.embedding and own is not None and self._language is not None:
            fields = {"embedding": self._language.graph.name_of(Role.LANGUAGE_POOLED)}
            passes.append(_EncoderPass(WHOLE, self._language, fields, image_input=own))
        return tuple(passes)

    @property
    def _own_input(self) -> ImageInput | None:
        """What the vector of a whole image is made of; None for the input of the dense features."""
        return None if self._language is None else self._language.graph.image_input

    def _language_pass(self, request: FeatureRequest, queries: QueryMatrix | None) -> _EncoderPass | None:
        """The language model's encoder, where it is needed; it gives the spatial features too if it can."""
        session = self._language
        if session is None:
            return None
        graph, by_proxy = session.graph, session.graph.has(Role.PROXY_VALUES)
        fields: dict[str, str] = {}
        if request.semantic:
            fields["semantic"] = PROXY_GRID if by_proxy else graph.name_of(Role.LANGUAGE)
        if request.embedding and graph.image_input is None:
            fields["embedding"] = graph.name_of(Role.LANGUAGE_POOLED)
        if queries is not None:
            fields["best"] = BEST
        if request.instance_cues and graph.has(Role.INSTANCE_CUES):
            fields["instance_cues"] = graph.name_of(Role.INSTANCE_CUES)
        if request.class_token and graph.has(Role.SPATIAL_POOLED):
            fields["class_token"] = graph.name_of(Role.SPATIAL_POOLED)
        if not fields:
            return None
        proxied = by_proxy and ("semantic" in fields or "best" in fields)
        one_pass = self._encoders.shared_backbone or self._encoders.same_encoder
        if one_pass and request.features:
            fields["features"] = graph.name_of(Role.SPATIAL)
        if one_pass and request.pooled and graph.has(Role.SPATIAL_POOLED):
            fields["pooled"] = graph.name_of(Role.SPATIAL_POOLED)
        proxy_output = graph.name_of(Role.PROXY_VALUES) if proxied else ""
        return _EncoderPass("encode" if one_pass else "language", session, fields, queries, proxy_output)

    def _batch_key(self, frame: Frame, plan: _PassPlan) -> object:
        """Equal for frames that can be encoded together."""
        if frame.image.size == 0:
            return id(frame)
        return tuple(self.input_size(frame.size, one.graph.patch, plan.settings) for one in plan.passes)

    def _encode_batch(self, frames: Sequence[Frame], plan: _PassPlan) -> list[PendingFeatures]:
        """As ``encode``, of frames with one input size. If they fail, each half is tried by itself."""
        try:
            if len(frames) <= (self._max_batch or len(frames)):
                return self._start(frames, plan)
        except Exception as error:
            if len(frames) == 1:
                return [_raising(error)]
            if isinstance(error, torch.OutOfMemoryError):
                self._shrink_batch(len(frames))
        half = (len(frames) + 1) // 2
        return [*self._encode_batch(frames[:half], plan), *self._encode_batch(frames[half:], plan)]

    def _start(self, frames: Sequence[Frame], plan: _PassPlan) -> list[PendingFeatures]:
        with self._lock:
            outputs = self._run(frames, plan)
            copy = self._copy.start(
                {
                    (one.stage, name): given[name]
                    for one, given in zip(plan.passes, outputs, strict=True)
                    for name in set(one.fields.values())
                }
            )
        sources = plan.sources
        return [partial(self._features, frame, index, copy, sources) for index, frame in enumerate(frames)]

    def _run(self, frames: Sequence[Frame], plan: _PassPlan) -> list[dict[str, torch.Tensor]]:
        """The outputs of each pass for the frames, which are uploaded once for all of them."""
        patches = [one.graph.patch for one in plan.passes]
        # The model's own input stays as it is, however few patches there may be.
        shrinks = [one.image_input is None for one in plan.passes]
        while True:
            sizes = [self.input_size(frames[0].size, patch, plan.settings) for patch in patches]
            try:
                with self.search.serving():
                    return self._run_once(frames, plan, sizes)
            except torch.OutOfMemoryError as error:
                if self.search.abandon():
                    torch.cuda.empty_cache()
                    self._warn("out of GPU memory while engines were tried; no more are tried")
                    continue
                if len(frames) > 1 or not any(shrinks):
                    raise
                self.shrink(max(compress(sizes, shrinks)), max(compress(patches, shrinks)), error)

    def _run_once(
        self, frames: Sequence[Frame], plan: _PassPlan, sizes: Sequence[Size]
    ) -> list[dict[str, torch.Tensor]]:
        """As ``_run``. sizes: of each pass's input."""
        if any([session.adopt() for session in self.sessions]):
            # It holds recordings of the engines before.
            self._sequence = GraphSequence()
        with plan.stage("preprocess"):
            inputs = self._inputs(frames, plan, sizes)
        calls = [one.call(images, plan.settings) for one, images in zip(plan.passes, inputs, strict=True)]
        return self._with_proxy_grid(self._sequence.run(calls, plan.stage), plan)

    def _with_proxy_grid(
        self, outputs: list[dict[str, torch.Tensor]], plan: _PassPlan
    ) -> list[dict[str, torch.Tensor]]:
        """The outputs, and the language features by proxyclip where they are requested."""
        if not plan.by_proxy:
            return outputs
        words, image = plan.passes[:2]
        with plan.stage(words.stage), torch.inference_mode():
            dense = language_features(words.graph.encoder, image.graph.encoder, *outputs[:2])
            made = {PROXY_GRID: dense}
            if words.queries is not None:
                cosines = max_cosines(dense, words.queries.vectors, words.queries.group_of)
                made[BEST] = cosines[:, : words.queries.groups]
        return [outputs[0] | made, *outputs[1:]]

    def _inputs(self, frames: Sequence[Frame], plan: _PassPlan, sizes: Sequence[Size]) -> list[torch.Tensor]:
        """(B, 3, h, w) for each pass; images of one shape are uploaded and resized together."""
        shapes: dict[Size, list[int]] = {}
        for index, frame in enumerate(frames):
            shapes.setdefault(frame.size, []).append(index)
        prepared = [
            self._inputs_of([frames[index].image for index in group], source, plan.passes, sizes)
            for source, group in shapes.items()
        ]
        if len(prepared) == 1:
            return prepared[0]
        back = np.argsort([index for group in shapes.values() for index in group]).tolist()
        return [torch.cat(parts)[back] for parts in zip(*prepared, strict=True)]

    def _inputs_of(
        self,
        images: Sequence[NDArray[np.uint8]],
        source: Size,
        passes: Sequence[_EncoderPass],
        sizes: Sequence[Size],
    ) -> list[torch.Tensor]:
        """As ``_inputs``, of images of one (height, width) ``source``."""
        made: dict[int, torch.Tensor] = {}
        for trims in (False, True):
            chosen = [index for index, one in enumerate(passes) if one.trims(source) == trims]
            if not chosen:
                continue
            pixels = [passes[chosen[0]].trimmed(image) for image in images]
            seen = pixels[0].shape[0], pixels[0].shape[1]
            targets = [passes[index].target(sizes[index], seen) for index in chosen]
            made |= zip(chosen, self._images.prepare_batch(pixels, "rgb8", targets), strict=True)
        return [one.cut(made[index]) for index, one in enumerate(passes)]

    def _features(
        self,
        frame: Frame,
        index: int,
        copy: PendingCopy[tuple[str, str]],
        sources: Mapping[str, tuple[str, str]],
    ) -> ImageFeatures:
        """Waits for the frame at ``index`` of a batch. sources: field of the result to what was copied."""
        arrays = copy.arrays()
        found = {field: arrays[source][index] for field, source in sources.items()}
        language, spatial = self._encoders.language, self._encoders.spatial
        features, semantic, embedding = (found.get(f) for f in ("features", "semantic", "embedding"))
        if embedding is not None:
            # Also where the network made it one: in half precision it is one to a few thousandths.
            embedding = _unit(embedding)
        return ImageFeatures(
            None if features is None else _grid(frame, features, spatial.model, spatial.space),
            None
            if semantic is None or language is None
            else _grid(frame, semantic, language.model, language.space, normalized=True),
            embedding,
            found.get("best"),
            found.get("instance_cues"),
            found.get("class_token"),
            found.get("pooled"),
        )

    def input_size(self, size: Size, patch: int, settings: PipelineSettings) -> Size:
        """(height, width) of the network input for an image of size (height, width). Raises FrameError."""
        most = settings.max_tokens
        if self._token_limit is not None:
            most = min(most, self._token_limit)
        return fitted_size(size, settings.short_side, patch, most)

    def shrink(self, size: Size, patch: int, error: Exception) -> None:
        """Halves the patches that an image may have, from now on. Raises ``error`` where few are left."""
        tokens = (size[0] // patch) * (size[1] // patch)
        if tokens // 2 < MIN_TOKENS:
            raise error
        torch.cuda.empty_cache()
        self._token_limit = tokens // 2
        self._warn(f"out of GPU memory at {size[1]}x{size[0]}; images get {tokens // 2} patches at most now")

    def _shrink_batch(self, count: int) -> None:
        """Encodes fewer than ``count`` images together, from now on."""
        torch.cuda.empty_cache()
        self._max_batch = count // 2
        self._warn(f"out of GPU memory with {count} images at once; {count // 2} go together at most now")

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        logger.warning(text)


def tile_of(graph: EncoderGraph, size: Size, settings: PipelineSettings) -> int:
    """Side in pixels of the tiles that an input of (height, width) is encoded in; 0 for none."""
    return automatic_tile(size, graph.tile) if settings.tile == AUTO_TILE else settings.tile


def _raising(error: Exception) -> PendingFeatures:
    def raise_it() -> ImageFeatures:
        raise error

    return raise_it


def _grid(
    frame: Frame, values: NDArray[np.float32], model: str, space: str, *, normalized: bool = False
) -> FeatureGrid:
    """values: (h, w, c) of the whole frame."""
    rows, columns = values.shape[:2]
    grid_to_image = GridToImage.of_resize(frame.size, (rows, columns))
    return FeatureGrid(values, model, space, grid_to_image, frame.size, normalized)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(torch.nn.functional.normalize(torch.from_numpy(vector), dim=-1).numpy(), np.float32)
