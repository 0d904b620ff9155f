"""The engine that a pipeline runs: always one that works, soon the best one for the size that comes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.encoder_graphs import EncoderGraph, RescoringGraph, graph_of
from perception_contrast.encoders.household_lit import HouseholdLit
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.engines.base import Engine
from perception_contrast.engines.choice import EngineChoice, Progress, candidates, choose_engine
from perception_contrast.engines.engine_names import AUTO
from perception_contrast.engines.processor import bfloat16_pays
from perception_contrast.engines.torch_engine import TorchEngine

logger = logging.getLogger(__name__)

# Images of one size that come before an engine is made for it: a folder of odd images needs none.
FAMILIAR = 8
Choose = Callable[..., EngineChoice]


class ServedGraph:
    """A graph with an engine for each image size that keeps coming; torch serves until one is there.

    wish, precision: as ``choose_engine``; "torch" alone never builds anything. Thread-safe to ask for
    facts; ``run`` is called by one thread at a time. Raises ModelError for a wish that cannot be met.
    """

    def __init__(
        self,
        graph: EncoderGraph,
        device: str,
        wish: str = "torch",
        precision: str = AUTO,
        *,
        choose: Choose = choose_engine,
    ) -> None:
        candidates(device, wish, precision)
        self.graph, self.device = graph, device
        self._wish, self._precision, self._choose = wish, precision, choose
        self._plain = TorchEngine(graph, self._plain_precision(), device)
        self._chosen: dict[tuple[int, int], EngineChoice] = {}
        self._seen: dict[tuple[int, int], int] = {}
        self._building: threading.Thread | None = None
        self._warnings: list[str] = []
        self._closing = False

    def _plain_precision(self) -> str:
        if self._wish == "torch" and self._precision not in (AUTO, "int8"):
            return self._precision
        pays = self.device.startswith("cpu") and self._precision == AUTO and bfloat16_pays()
        return "bf16" if pays else "fp32"

    @property
    def describes(self) -> str:
        """The engine in use and why, in words."""
        if not self._chosen:
            reason = "" if self._wish == "torch" else "; a faster one is looked for once an image size stays"
            return f"torch {self._plain.precision}{reason}"
        return next(reversed(self._chosen.values())).why

    @property
    def chosen(self) -> dict[tuple[int, int], EngineChoice]:
        """Image size to its engine."""
        return dict(self._chosen)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Engines that were given up while serving, and why."""
        return tuple(self._warnings)

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """As ``Engine.run``. An engine that fails is given up for torch, and a warning says so."""
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
        """What serves images of size (height, width) now."""
        return self._chosen[size].engine if size in self._chosen else self._plain

    def prepare(self, size: tuple[int, int], progress: Progress | None = None) -> EngineChoice | None:
        """Makes the engine for images of size (height, width) now; None where torch is all that is wished.

        Raises ModelError if a wish other than auto cannot be met.
        """
        if self._wish == "torch":
            return None
        if size not in self._chosen:
            self._build(size, progress)
        return self._chosen.get(size)

    def close(self) -> None:
        """Lets a build in progress end after the engine it is at."""
        self._closing = True

    def _engine(self, size: tuple[int, int]) -> Engine:
        if size in self._chosen:
            return self._chosen[size].engine
        self._seen[size] = self._seen.get(size, 0) + 1
        busy = self._building is not None and self._building.is_alive()
        if self._wish != "torch" and self._seen[size] == FAMILIAR and not busy:
            self._building = threading.Thread(target=self._build_quietly, args=(size,), name="engine")
            self._building.start()
        elif self._seen[size] >= FAMILIAR and busy:
            self._seen[size] = FAMILIAR - 1
        return self._plain

    def _build(self, size: tuple[int, int], progress: Progress | None = None) -> None:
        chosen = self._choose(
            self.graph,
            size,
            device=self.device,
            wish=self._wish,
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
        self._wish = "torch"
        self._chosen.pop(size, None)

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        logger.warning(text)


def served_graphs(encoders: Encoders, wish: str, precision: str) -> tuple[ServedGraph, ServedGraph | None]:
    """For the spatial tower and for the language model; one and the same where both are one tower."""
    device, language = encoders.device, encoders.language
    spatial = ServedGraph(graph_of(encoders.spatial), device, wish, precision)
    if language is None:
        return spatial, None
    if isinstance(language, HouseholdLit):
        return spatial, ServedGraph(graph_of(language.tower, language), device, wish, precision)
    if language.tower is encoders.spatial:
        return spatial, spatial
    return spatial, ServedGraph(graph_of(language.tower), device, wish, precision)


def served_rescoring(encoders: Encoders, wish: str, precision: str) -> ServedGraph | None:
    """For the regions that a language model sees enlarged; None for one that does not."""
    language = encoders.language
    if not isinstance(language, HouseholdLit) or language.zoom is None:
        return None
    graph = (
        RescoringGraph(language.tower, language.zoom.layers).eval().requires_grad_(False).to(encoders.device)
    )
    return ServedGraph(graph, encoders.device, wish, precision)


def _out_of_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError)
