"""Runs an encoder on the best engine for each image size, and on torch until that engine is built."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.block_encoder import BlockEncoder
from perception_contrast.encoders.encoder_graph import EncoderGraph, graph_of
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.engines.base import Engine
from perception_contrast.engines.choice import EngineChoice, Progress, candidates, choose_engine
from perception_contrast.engines.cpu_features import bfloat16_is_faster
from perception_contrast.engines.engine_names import AUTO
from perception_contrast.engines.torch_engine import TorchEngine

logger = logging.getLogger(__name__)

# Images of one size before an engine is built for it: a folder of odd sizes needs none.
BUILD_AFTER = 8
Choose = Callable[..., EngineChoice]


class EncoderSession:
    """An encoder with an engine for each image size that keeps coming.

    Properties may be read by any thread; ``run`` is called by one thread at a time.

    Args:
        graph: the encoder.
        device: where it runs.
        kind, precision: as ``choose_engine``; "torch" never builds anything.
        choose: chooses the engine for a size.

    Raises:
        ModelError: this kind or precision does not exist or does not run on the device.
    """

    def __init__(
        self,
        graph: EncoderGraph,
        device: str,
        kind: str = "torch",
        precision: str = AUTO,
        *,
        choose: Choose = choose_engine,
    ) -> None:
        candidates(device, kind, precision)
        self.graph, self.device = graph, device
        self._kind, self._precision, self._choose = kind, precision, choose
        self._plain = TorchEngine(graph, self._plain_precision(), device)
        self._chosen: dict[tuple[int, int], EngineChoice] = {}
        self._seen: dict[tuple[int, int], int] = {}
        self._building: threading.Thread | None = None
        self._warnings: list[str] = []
        self._closing = False

    def _plain_precision(self) -> str:
        if self._kind == "torch" and self._precision not in (AUTO, "int8"):
            return self._precision
        faster = self.device.startswith("cpu") and self._precision == AUTO and bfloat16_is_faster()
        return "bf16" if faster else "fp32"

    @property
    def describes(self) -> str:
        """The engine in use and why, in words."""
        if not self._chosen:
            reason = "" if self._kind == "torch" else "; a faster one is looked for once an image size stays"
            return f"torch {self._plain.precision}{reason}"
        return next(reversed(self._chosen.values())).why

    @property
    def chosen(self) -> dict[tuple[int, int], EngineChoice]:
        """Image size to its engine."""
        return dict(self._chosen)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Engines that failed while they ran, and why."""
        return tuple(self._warnings)

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """As ``Engine.run``. Torch takes over from an engine that fails, and a warning says so."""
        size = int(images.shape[-2]), int(images.shape[-1])
        engine = self._engine(size)
        try:
            return engine.run(images)
        except (ModelError, RuntimeError) as error:
            if engine is self._plain or _out_of_memory(error):
                raise
            self._give_up(size, engine, error)
            return self._plain.run(images)

    def engine_for(self, size: tuple[int, int]) -> Engine:
        """The engine for images of size (height, width) now."""
        return self._chosen[size].engine if size in self._chosen else self._plain

    def prepare(self, size: tuple[int, int], progress: Progress | None = None) -> EngineChoice | None:
        """Builds the engine for images of size (height, width) now; None where the kind is "torch".

        Raises:
            ModelError: the requested kind or precision cannot serve.
        """
        if self._kind == "torch":
            return None
        if size not in self._chosen:
            self._build(size, progress)
        return self._chosen.get(size)

    def close(self) -> None:
        """Ends a build in progress after the engine that is being built."""
        self._closing = True

    def _engine(self, size: tuple[int, int]) -> Engine:
        if size in self._chosen:
            return self._chosen[size].engine
        self._seen[size] = self._seen.get(size, 0) + 1
        busy = self._building is not None and self._building.is_alive()
        if self._kind != "torch" and self._seen[size] == BUILD_AFTER and not busy:
            self._building = threading.Thread(target=self._build_quietly, args=(size,), name="engine")
            self._building.start()
        elif self._seen[size] >= BUILD_AFTER and busy:
            self._seen[size] = BUILD_AFTER - 1
        return self._plain

    def _build(self, size: tuple[int, int], progress: Progress | None = None) -> None:
        chosen = self._choose(
            self.graph,
            size,
            device=self.device,
            kind=self._kind,
            precision=self._precision,
            progress=progress,
        )
        self._chosen[size] = chosen
        logger.info("%s at %dx%d: engine %s", self.graph.model, *size, chosen.why)
        for problem in chosen.refused:
            logger.info("engine refused: %s", problem)

    def _build_quietly(self, size: tuple[int, int]) -> None:
        def going_on(_: str) -> None:
            if self._closing:
                raise ModelError("the pipeline is being closed")

        try:
            self._build(size, going_on)
        except Exception as error:  # the thread's last line: torch goes on serving
            self._warn(f"no engine for {size[0]}x{size[1]} ({error}); torch serves")

    def _give_up(self, size: tuple[int, int], engine: Engine, error: Exception) -> None:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        self._warn(f"engine {engine.name} {engine.precision} failed ({line}); torch serves instead")
        self._kind = "torch"
        self._chosen.pop(size, None)

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        logger.warning(text)


@dataclass(frozen=True)
class EncoderSessions:
    """Sessions of a model pair.

    Attributes:
        spatial: of the spatial encoder.
        language: of the language model's image encoder; ``spatial`` itself where one encoder serves both,
            None without a language model.
    """

    spatial: EncoderSession
    language: EncoderSession | None


def encoder_sessions(encoders: Encoders, kind: str, precision: str) -> EncoderSessions:
    """Sessions for both encoders. kind, precision: as ``choose_engine``. Raises ModelError."""
    device, language = encoders.device, encoders.language
    spatial = EncoderSession(graph_of(encoders.spatial), device, kind, precision)
    if language is None or encoders.same_encoder:
        return EncoderSessions(spatial, None if language is None else spatial)
    session = EncoderSession(graph_of(language.image_encoder), device, kind, precision)
    return EncoderSessions(spatial, session)


def rescoring_session(encoders: Encoders, kind: str, precision: str) -> EncoderSession | None:
    """A session for the blocks that the rescoring head reads; None without such a head."""
    language = encoders.language
    if language is None or language.rescoring is None:
        return None
    blocks = BlockEncoder(language.image_encoder.backbone, language.rescoring.layers)
    return EncoderSession(graph_of(blocks), encoders.device, kind, precision)


def _out_of_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError)
