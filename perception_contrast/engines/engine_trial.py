"""Trials of engines: built, sent through the gate and measured, at once or between two images."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from perception_contrast.core.errors import ModelError, one_line
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines import accuracy_gate as gate
from perception_contrast.engines import onnxruntime_engine as ort
from perception_contrast.engines import openvino_engine as openvino
from perception_contrast.engines import quantization as quantize
from perception_contrast.engines.base import Engine, Plan
from perception_contrast.engines.cuda_graph import CudaGraphEngine
from perception_contrast.engines.engine_cache import EngineFileError, remove
from perception_contrast.engines.openvino_model import DEVICES as OPENVINO_DEVICES
from perception_contrast.engines.torch_engine import TorchEngine, build_torch_engine

logger = logging.getLogger(__name__)

ROUNDS = 7
# Told which plan is tried next.
Trying = Callable[[Plan], None]
Value = TypeVar("Value")
# Runs an engine: at once, or between two images of another engine.
Turn = Callable[[Callable[[], Any]], Any]


def plan_of(engine: Engine) -> Plan:
    """The plan that an engine was built by."""
    return Plan(cast(Any, engine.name), cast(Any, engine.precision))


def measure(
    engines: Iterable[Engine], images: Tensor, rounds: int = ROUNDS, turn: Turn | None = None
) -> dict[str, float]:
    """Plan to the median milliseconds of a run, the engines taking turns.

    Args:
        engines: at least one.
        images: (B, 3, H, W) float32 on the engines' device.
        rounds: runs of each that count; two before them do not.
        turn: runs the engines; None runs them at once.
    """
    engines = list(engines)
    took: dict[str, list[float]] = {str(plan_of(engine)): [] for engine in engines}
    for number in range(rounds + 2):
        for engine in engines:
            milliseconds = (turn or _at_once)(partial(_milliseconds, engine, images))
            if number >= 2:
                took[str(plan_of(engine))].append(milliseconds)
    return {name: statistics.median(samples) for name, samples in took.items()}


def _milliseconds(engine: Engine, images: Tensor) -> float:
    _wait_for(images)
    began = time.perf_counter()
    engine.run(images)
    _wait_for(images)
    return 1e3 * (time.perf_counter() - began)


def _wait_for(images: Tensor) -> None:
    """Waits until the device of the images has computed what was started."""
    if images.is_cuda:
        torch.cuda.synchronize(images.device)


def _at_once(run: Callable[[], Value]) -> Value:
    return run()


def forget_trial(engine: Engine) -> None:
    """Frees what an engine needed for the gate alone."""
    if isinstance(engine, openvino.OpenVinoEngine):
        engine.forget_trial()


class _EngineInTurn:
    """An engine whose runs take turns with those of the one that serves."""

    def __init__(self, engine: Engine, turn: Turn) -> None:
        self._engine, self._turn = engine, turn
        self.name, self.precision, self.device = engine.name, engine.precision, engine.device
        self.outputs = engine.outputs

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """As ``Engine.run``."""
        return cast(dict[str, Tensor], self._turn(partial(self._finished, images)))

    def _finished(self, images: Tensor) -> dict[str, Tensor]:
        result = self._engine.run(images)
        _wait_for(images)
        return result


class EngineTrial:
    """Builds plans and sends them through the gate; keeps why some were refused, and which files it wrote."""

    def __init__(
        self,
        graph: EncoderGraph,
        size: tuple[int, int],
        device: str,
        trying: Trying | None,
        turn: Turn | None = None,
    ) -> None:
        self.graph, self.size, self.device = graph, size, device
        self._trying, self._turn = trying, turn or _at_once
        self.refused: list[str] = []
        self._written: set[Path] = set()
        # Whether the outcome is worth remembering.
        self.settled = True
        self.images = gate.gate_images(graph, size)
        exact = _EngineInTurn(TorchEngine(graph, "fp32", device), self._turn)
        self._expected = [exact.run(image.to(device)) for image in self.images]

    def built(self, plans: Iterable[Plan]) -> list[tuple[Engine, dict[str, float]]]:
        """The engines that pass, with the gate's smallest cosine of each output."""
        return [passed for plan in plans if (passed := self.passed(plan)) is not None]

    def measured(self, engines: Iterable[Engine]) -> dict[str, float]:
        """As ``measure``."""
        return measure(engines, self.images[0].to(self.device), turn=self._turn)

    def passed(self, plan: Plan) -> tuple[Engine, dict[str, float]] | None:
        """The engine of a plan, with the gate's smallest cosine of each output; None if it is refused."""
        if self._trying:
            self._trying(plan)
        problems = []
        for keep in self._layers_in_float32(plan):
            try:
                engine = self._build(plan, keep)
                in_turn = _EngineInTurn(engine, self._turn)
                verdict = gate.check(in_turn, self._expected, self.images, self.graph.map_names)
            except (ModelError, RuntimeError, OSError) as error:
                # What is wrong with a disk may be mended before the next start.
                self.settled &= not isinstance(error, EngineFileError | OSError)
                self.refuse(plan, one_line(error))
                return None
            if verdict.passed:
                forget_trial(engine)
                return engine, verdict.worst
            problems.append(verdict.problem)
        self.refuse(plan, problems[-1])
        return None

    def _layers_in_float32(self, plan: Plan) -> tuple[tuple[str, ...], ...]:
        """Of each network to try, fewest first."""
        own = plan.kind in OPENVINO_DEVICES and openvino.installed_int8(self.graph, self.size).exists()
        # The user's own file is as it is; others would take minutes and know less.
        return quantize.FLOAT32_LAYERS if plan.precision == "int8" and not own else ((),)

    def clean(self, winner: Engine | None) -> None:
        """Deletes the files that this trial wrote; that of the engine that goes on serving stays."""
        for path in self._written - {getattr(winner, "path", None)}:
            remove(path)

    def _build(self, plan: Plan, keep: tuple[str, ...]) -> Engine:
        written = self._written.add
        if plan.kind in ort.PROVIDERS:
            return ort.build_ort_engine(self.graph, plan, self.size, self.device, keep=keep, written=written)
        if plan.kind in OPENVINO_DEVICES:
            return openvino.build_openvino_engine(self.graph, plan, self.size, keep=keep, written=written)
        if plan.kind == "captured":
            return CudaGraphEngine(self.graph, plan.precision, self.device)
        return build_torch_engine(self.graph, plan, self.device)

    def refuse(self, plan: Plan, problem: str) -> None:
        """Notes why a plan does not serve."""
        self.refused.append(f"{plan}: {problem}")
        logger.info("engine %s refused: %s", plan, problem)
