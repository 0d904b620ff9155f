"""A picture through every tower it needs: input sizes, one upload, engines, and grids of what they see."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .encoders.dense.names import PROXY
from .encoders.device_pictures import DevicePictures, Target
from .encoders.engines.names import AUTO
from .encoders.engines.served import ServedGraph, served_graphs
from .encoders.graphs import language_grid
from .encoders.grid import FeatureGrid
from .encoders.load import Encoders
from .encoders.tiles import seen_in_windows, window_of
from .frames.resize import fitted_size
from .frames.types import Frame, GridToImage
from .wants import Settings

logger = logging.getLogger(__name__)

NOTHING: Mapping[str, torch.Tensor] = {}
# Fewer patches than these show nothing: memory is short for another reason.
LEAST_TOKENS = 64
Size = tuple[int, int]
# Names what is being done, for as long as it is.
Stage = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class Seen:
    """What the towers made of a frame. embedding: of the language model where there is one."""

    features: FeatureGrid | None
    semantic: FeatureGrid | None
    embedding: NDArray[np.float32]


class Towers:
    """The picture sides of a model pair, on their engines; any thread may call any method."""

    def __init__(self, encoders: Encoders, engine: str = "torch", precision: str = AUTO) -> None:
        """engine, precision: as ``choose_engine`` takes them. Raises ModelError for those that do not fit."""
        self._encoders = encoders
        self._spatial, self._language = served_graphs(encoders, engine, precision)
        self._proxied = self._language is not None and self._language.graph.method == PROXY
        self._pictures = DevicePictures(encoders.device)
        self._token_limit: int | None = None
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
        """What was given up while serving: engines that failed, picture sizes that did not fit the GPU."""
        return (*self._warnings, *(text for served in self.served for text in served.warnings))

    def prepare(self, size: Size, settings: Settings, progress: Callable[[str], None] | None = None) -> None:
        """Chooses the engines for pictures of size (height, width).

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
        frame: Frame,
        settings: Settings,
        stage: Stage,
        *,
        features: bool = False,
        semantic: bool = False,
    ) -> Seen:
        """features: of the picture alone; semantic: comparable with words. Raises FrameError."""
        language = self._encoders.language
        one_pass = self._encoders.shared or self._language is self._spatial
        name = "encode" if one_pass else "language"
        needed: dict[str, ServedGraph] = {}
        if semantic and self._language is not None:
            needed[name] = self._language
        if not (semantic and one_pass) and (features or (semantic and (language is None or self._proxied))):
            needed["encode"] = self._spatial
        with self._lock:
            seen = self._run(frame, needed, settings, stage)
        picture, words = seen.get("encode", NOTHING), NOTHING
        if semantic and language is not None:
            words = picture if one_pass else seen["language"]
        spatial_grid = semantic_grid = None
        embedding = np.zeros(0, np.float32)
        if picture:
            spatial_grid = self._spatial_grid(frame, picture)
            embedding = _unit(picture["cls" if "cls" in picture else "image"][0])
        if words and language is not None:
            with stage(name):
                grid = language_grid(language.tower, words, picture)
            semantic_grid = self._grid(frame, grid, language, normalized=True)
            embedding = _numpy(words["picture" if "picture" in words else "image"][0])
        return Seen(spatial_grid, semantic_grid, embedding)

    def _spatial_grid(self, frame: Frame, picture: Mapping[str, torch.Tensor]) -> FeatureGrid:
        values = picture["tokens" if "tokens" in picture else "dense"]
        return self._grid(frame, values, self._encoders.spatial, normalized=False)

    def _run(
        self, frame: Frame, needed: Mapping[str, ServedGraph], settings: Settings, stage: Stage
    ) -> dict[str, Mapping[str, torch.Tensor]]:
        """Stage to what its graph makes of the frame, which is uploaded once for all of them."""
        while True:
            graphs = [served.graph for served in needed.values()]
            sizes = [self.input_size(frame.size, graph.patch, settings) for graph in graphs]
            targets = [Target(size, g.mean, g.std) for size, g in zip(sizes, graphs, strict=True)]
            try:
                with stage("preprocess"):
                    inputs = self._pictures.prepare(frame.image, "rgb8", targets)
                seen: dict[str, Mapping[str, torch.Tensor]] = {}
                for (name, served), images in zip(needed.items(), inputs, strict=True):
                    with stage(name):
                        seen[name] = seen_in_windows(
                            served.run, images, served.graph.patch, settings.tile, settings.tile_overlap
                        )
                return seen
            except torch.OutOfMemoryError as error:
                self.shrink(max(sizes), max(graph.patch for graph in graphs), error)

    def input_size(self, size: Size, patch: int, settings: Settings) -> Size:
        """(height, width) of the network input for a picture of size (height, width). Raises FrameError."""
        most = settings.max_tokens
        if self._token_limit is not None:
            most = min(most, self._token_limit)
        return fitted_size(size, settings.short_side, patch, most)

    def shrink(self, size: Size, patch: int, error: Exception) -> None:
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
