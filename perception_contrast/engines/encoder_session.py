"""Runs an encoder on the best engine for each image size, and on torch until that engine is built."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from perception_contrast.core.errors import ModelError, one_line
from perception_contrast.encoders.block_encoder import BlockEncoder
from perception_contrast.encoders.encoder_graph import EncoderGraph, graph_of
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.engines.base import Engine, Plan
from perception_contrast.engines.choice import (
    ChoiceRequest,
    EngineChoice,
    Progress,
    candidates,
    choose_engine,
    faster_engines,
    remembered_engine,
)
from perception_contrast.engines.cpu_features import bfloat16_is_faster
from perception_contrast.engines.engine_names import AUTO
from perception_contrast.engines.engine_search import EngineSearch, SearchCancelled
from perception_contrast.engines.engine_trial import plan_of
from perception_contrast.engines.torch_engine import TorchEngine

logger = logging.getLogger(__name__)

# Images of one size before an engine is built for it: a folder of odd sizes needs none.
BUILD_AFTER = 8
# Image sizes with an engine of their own; more would fill the memory, and torch serves them.
MAX_SIZES = 8
Size = tuple[int, int]


@dataclass(frozen=True)
class Choosers:
    """The functions of ``engines.choice`` that a session chooses by.

    Attributes:
        at_once: as ``choose_engine``.
        remembered: as ``remembered_engine``.
        faster: as ``faster_engines``.
    """

    at_once: Callable[..., EngineChoice] = choose_engine
    remembered: Callable[..., EngineChoice | None] = remembered_engine
    faster: Callable[..., Iterator[EngineChoice]] = faster_engines


class EncoderSession:
    """An encoder with an engine for each image size that keeps coming.

    Properties may be read by any thread; ``run`` and ``adopt`` are called by one thread at a time.

    Args:
        graph: the encoder.
        device: where it runs.
        kind, precision: as ``choose_engine``; "torch" never builds anything.
        search: where engines are chosen while this one serves; None makes one.
        choosers: choose engines for a size.

    Attributes:
        graph: as given.
        device: as given.
        search: as given.

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
        search: EngineSearch | None = None,
        choosers: Choosers | None = None,
    ) -> None:
        candidates(device, kind, precision)
        self._request = ChoiceRequest(graph, (0, 0), device, kind, precision)
        self.graph, self.device = graph, device
        self._choosers, self.search = choosers or Choosers(), search or EngineSearch()
        self._plain = TorchEngine(graph, self._plain_precision(), device)
        # Set once an engine has failed: torch serves from then on.
        self._given_up = kind == "torch"
        self._chosen: dict[Size, EngineChoice] = {}
        # Passed the gate meanwhile, and taken over by ``adopt``.
        self._offers: dict[Size, EngineChoice] = {}
        self._seen: dict[Size, int] = {}
        self._searched: set[Size] = set()
        self._searches = 0
        self._trying: Plan | str = ""
        self._warnings: list[str] = []
        self._lock = threading.Lock()

    def _plain_precision(self) -> str:
        kind, precision = self._request.kind, self._request.precision
        if kind != "torch":
            # The safest, which serves until another has passed the gate.
            return "fp32"
        if precision not in (AUTO, "int8"):
            return precision
        return "bf16" if self.device.startswith("cpu") and bfloat16_is_faster() else "fp32"

    @property
    def describes(self) -> str:
        """The engine in use and why, in words."""
        latest = next(reversed(self.chosen.values()), None)
        serving = plan_of(self._plain if latest is None else latest.engine)
        if self._given_up:
            return str(serving)
        if self._searches:
            return f"choosing: serving with {serving}" + (f", trying {self._trying}" if self._trying else "")
        with self._lock:
            offers = list(self._offers.items())
        if offers:
            size, offer = offers[-1]
            if offer.engine is self.engine_for(size):
                return offer.why
            return f"{serving}; {plan_of(offer.engine)} takes over with the next image"
        if latest is not None:
            return latest.why
        if self._searched:
            return f"{serving}: the choice of a faster one was called off"
        return f"{serving}; a faster one is looked for once an image size stays"

    @property
    def chosen(self) -> dict[Size, EngineChoice]:
        """Image size to its engine."""
        return dict(self._chosen)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Engines that failed while they ran, and why."""
        return tuple(self._warnings)

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """As ``Engine.run``. Torch takes over from an engine that fails, and a warning says so."""
        size = int(images.shape[-2]), int(images.shape[-1])
        engine = self.engine_for(size)
        self._count(size)
        try:
            return engine.run(images)
        except (ModelError, RuntimeError) as error:
            if engine is self._plain or _out_of_memory(error):
                raise
            self._give_up(size, engine, error)
            return self._plain.run(images)

    def engine_for(self, size: Size) -> Engine:
        """The engine for images of size (height, width) now."""
        chosen = self._chosen.get(size)
        return self._plain if chosen is None else chosen.engine

    def adopt(self) -> bool:
        """Lets engines that have passed meanwhile take over: called before an image, never within one.

        Returns:
            Whether the engine of a size is another one now.
        """
        if not self._offers:
            return False
        with self._lock:
            offers, self._offers = self._offers, {}
        switched = False
        for size, choice in ({} if self._given_up else offers).items():
            before = self.engine_for(size)
            self._chosen[size] = choice
            where = f"{self.graph.model} at {size[0]}x{size[1]}"
            if choice.engine is not before:
                switched = True
                logger.info("%s: engine %s takes over from %s", where, choice.why, plan_of(before))
            elif before is self._plain:
                logger.info("%s: engine %s stays", where, choice.why)
        return switched

    def prepare(self, size: Size, progress: Progress | None = None) -> EngineChoice | None:
        """Builds the engine for images of size (height, width) now; None where the kind is "torch".

        Raises:
            ModelError: the requested kind or precision cannot serve.
        """
        if self._given_up:
            return None
        if size not in self._chosen:
            request = self._request
            chosen = self._choosers.at_once(
                self.graph,
                size,
                device=self.device,
                kind=request.kind,
                precision=request.precision,
                progress=progress,
            )
            self._chosen[size] = chosen
            logger.info("%s at %dx%d: engine %s", self.graph.model, *size, chosen.why)
        return self._chosen.get(size)

    def begin(self, size: Size, progress: Progress | None = None) -> None:
        """As ``prepare``, but with ``auto`` the engine is chosen by the search, and torch serves meanwhile.

        A remembered choice is among the search's first tasks.

        Raises:
            ModelError: the requested kind or precision cannot serve.
        """
        if self._request.kind != AUTO:
            self.prepare(size, progress)
            return
        self._look_for(size)

    def expect(self, size: Size) -> None:
        """Lets the search choose an engine for images of size (height, width) before they come.

        Nothing is searched for where torch was asked for, and where MAX_SIZES sizes have been already.
        """
        if not self._given_up and size not in self._chosen and len(self._searched) < MAX_SIZES:
            self._look_for(size)

    def _count(self, size: Size) -> None:
        """Notes an image on torch; a search begins once there are enough of its size."""
        if self._given_up or size in self._searched or size in self._chosen:
            return
        self._seen[size] = self._seen.get(size, 0) + 1
        if self._seen[size] >= BUILD_AFTER:
            self.expect(size)

    def _look_for(self, size: Size) -> None:
        if size in self._searched:
            return
        self._searched.add(size)
        with self._lock:
            self._searches += 1
        self.search.submit(partial(self._try_remembered, size), self._end_search, first=True)

    def _try_remembered(self, size: Size) -> None:
        request = replace(self._request, size=size)
        remembered = None
        try:
            remembered = self._choosers.remembered(request, self._on_trying, self.search.in_turn)
        except Exception as error:
            self._fail(size, error)
        if remembered is not None:
            self._offer(size, remembered)
            return
        with self._lock:
            self._searches += 1
        self.search.submit(partial(self._try_all, size), self._end_search)

    def _try_all(self, size: Size) -> None:
        request = replace(self._request, size=size)
        try:
            for choice in self._choosers.faster(request, self._plain, self._on_trying, self.search.in_turn):
                self._offer(size, choice)
        except Exception as error:
            self._fail(size, error)

    def _offer(self, size: Size, choice: EngineChoice) -> None:
        with self._lock:
            self._offers[size] = choice

    def _fail(self, size: Size, error: Exception) -> None:
        """A search's last line: torch goes on serving."""
        if isinstance(error, SearchCancelled):
            raise error
        self._warn(f"no engine for {size[0]}x{size[1]} ({error}); {plan_of(self.engine_for(size))} serves")

    def _end_search(self) -> None:
        with self._lock:
            self._searches -= 1
            self._trying = ""

    def _on_trying(self, plan: Plan) -> None:
        self.search.check()
        if self._given_up:
            raise SearchCancelled("an engine failed while it served")
        self._trying = plan

    def _give_up(self, size: Size, engine: Engine, error: Exception) -> None:
        line = one_line(error)
        self._warn(f"engine {engine.name} {engine.precision} failed ({line}); torch serves instead")
        self._given_up = True
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


def encoder_sessions(encoders: Encoders, kind: str, precision: str, search: EngineSearch) -> EncoderSessions:
    """Sessions for both encoders. kind, precision: as ``choose_engine``. Raises ModelError."""
    device, language = encoders.device, encoders.language
    spatial = EncoderSession(graph_of(encoders.spatial), device, kind, precision, search=search)
    if language is None or encoders.same_encoder:
        return EncoderSessions(spatial, None if language is None else spatial)
    session = EncoderSession(graph_of(language.image_encoder), device, kind, precision, search=search)
    return EncoderSessions(spatial, session)


def rescoring_session(
    encoders: Encoders, kind: str, precision: str, search: EngineSearch
) -> EncoderSession | None:
    """A session for the blocks that the rescoring head reads; None without such a head."""
    language = encoders.language
    if language is None or language.rescoring is None:
        return None
    blocks = BlockEncoder(language.image_encoder.backbone, language.rescoring.layers)
    return EncoderSession(graph_of(blocks), encoders.device, kind, precision, search=search)


def _out_of_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError)
