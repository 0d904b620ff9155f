"""The choice of the engine: the fastest that passes the gate on this machine, remembered on disk."""

from __future__ import annotations

import json
import logging
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines import accuracy_gate as gate
from perception_contrast.engines import onnxruntime_engine as ort
from perception_contrast.engines import quantization as quantize
from perception_contrast.engines.base import Engine, Plan
from perception_contrast.engines.cpu_features import has_bfloat16, has_int8
from perception_contrast.engines.cuda_graph import CudaGraphEngine
from perception_contrast.engines.engine_cache import engines_dir, key_of, machine_facts
from perception_contrast.engines.engine_names import AUTO, KINDS, PRECISIONS
from perception_contrast.engines.torch_engine import TorchEngine, build_torch_engine

logger = logging.getLogger(__name__)

ROUNDS = 7
Progress = Callable[[str], None]


@dataclass(frozen=True)
class EngineChoice:
    """The chosen engine.

    Attributes:
        engine: the engine.
        why: the reason, in words.
        refused: the others that failed or did not pass the gate, and why.
        measured_ms: plan to the median milliseconds of a run; empty for a remembered or forced choice.
        worst: output name to its smallest cosine with float32 torch.
    """

    engine: Engine
    why: str
    refused: tuple[str, ...] = ()
    measured_ms: Mapping[str, float] = field(default_factory=dict)
    worst: Mapping[str, float] = field(default_factory=dict)


def candidates(device: str, kind: str = AUTO, precision: str = AUTO) -> list[Plan]:
    """The plans to try on a device.

    Raises:
        ModelError: the kind or the precision does not exist, or does not run on the device.
    """
    for what, value, known in (("engine", kind, KINDS), ("precision", precision, PRECISIONS)):
        if value not in (AUTO, *known):
            raise ModelError(f"unknown {what} '{value}'; use {AUTO}, {', '.join(known)}")
    plans = _possible(torch.device(device).type, kind, precision)
    if not plans:
        raise ModelError(
            f"engine '{kind}' does not run with precision '{precision}' on device {device}; use auto"
        )
    return plans


def _possible(device_type: str, kind: str, precision: str) -> list[Plan]:
    kinds: tuple[str, ...]
    usual: tuple[str, ...]
    table: dict[str, tuple[str, ...]]
    if device_type == "cuda":
        kinds = ("tensorrt", "captured", "onnxruntime-cuda", "torch")
        table = {name: ("fp16", "fp32", "bf16") for name in (*kinds, "compiled")}
        usual = ("fp16",)
    else:
        kinds = ("torch", "onnxruntime")
        table = {"torch": ("fp32", "bf16"), "compiled": ("fp32", "bf16"), "onnxruntime": ("fp32", "int8")}
        quick = {"bf16": has_bfloat16(), "int8": has_int8()}
        usual = ("fp32", *(name for name, there in quick.items() if there))
    chosen = kinds if kind == AUTO else (kind,)
    formats = usual if precision == AUTO else (precision,)
    plans = [Plan(cast(Any, k), cast(Any, f)) for k in chosen for f in formats if f in table.get(k, ())]
    if device_type == "cuda" and (kind, precision) == (AUTO, AUTO):
        plans.append(Plan("torch", "fp32"))
    return plans


def choose_engine(
    graph: EncoderGraph,
    size: tuple[int, int],
    *,
    device: str = "cpu",
    kind: str = AUTO,
    precision: str = AUTO,
    progress: Progress | None = None,
) -> EngineChoice:
    """Builds, checks and measures engines and chooses the fastest that passes the gate.

    The choice is written to the cache, and the next start builds that engine alone and checks it again.

    Args:
        graph: the encoder.
        size: (height, width) of the images.
        device: where it runs.
        kind: one of ``KINDS``, or "auto".
        precision: one of ``PRECISIONS``, or "auto".
        progress: told what is being built.

    Raises:
        ModelError: no engine passes.
        ValueError: the size is no multiple of the patch.
    """
    plans = candidates(device, kind, precision)
    trial = _Trial(graph, size, device, progress)
    path = (
        engines_dir()
        / f"choice-{key_of(graph, size, wish=kind, precision=precision, **machine_facts(device))}.json"
    )
    if len(plans) > 1 and (remembered := _remembered(path)) in plans:
        assert remembered is not None
        if found := trial.built([remembered]):
            return EngineChoice(found[0][0], f"{remembered}: fastest here when measured", worst=found[0][1])
        logger.warning(
            "the remembered engine no longer serves (%s); measuring again", "; ".join(trial.refused)
        )
    built = trial.built(plans)
    if not built:
        raise ModelError(f"no engine serves {graph.model} at {size[0]}x{size[1]}: {'; '.join(trial.refused)}")
    if len(built) == 1:
        engine, worst = built[0]
        why = "as asked for" if len(plans) == 1 else "the only one that passes"
        return EngineChoice(engine, f"{plan_of(engine)}: {why}", tuple(trial.refused), worst=worst)
    measured = measure([engine for engine, _ in built], trial.images[0].to(device))
    best = min(range(len(built)), key=lambda i: measured[str(plan_of(built[i][0]))])
    engine, worst = built[best]
    plan = plan_of(engine)
    _remember(path, plan, measured)
    for other, _ in built:
        if other is not engine:
            ort.discard(other)
    why = f"{plan}: fastest of " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in measured.items())
    return EngineChoice(engine, why, tuple(trial.refused), measured, worst)


def plan_of(engine: Engine) -> Plan:
    return Plan(cast(Any, engine.name), cast(Any, engine.precision))


def measure(engines: Iterable[Engine], images: Tensor, rounds: int = ROUNDS) -> dict[str, float]:
    """Plan to the median milliseconds of a run, the engines taking turns."""
    engines = list(engines)
    took: dict[str, list[float]] = {str(plan_of(engine)): [] for engine in engines}
    for turn in range(rounds + 2):
        for engine in engines:
            began = time.perf_counter()
            engine.run(images)
            if images.is_cuda:
                torch.cuda.synchronize(images.device)
            if turn >= 2:
                took[str(plan_of(engine))].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(samples) for name, samples in took.items()}


class _Trial:
    """Builds plans and sends them through the gate; keeps why some were refused."""

    def __init__(
        self, graph: EncoderGraph, size: tuple[int, int], device: str, progress: Progress | None
    ) -> None:
        self._graph, self._size, self._device, self._progress = graph, size, device, progress
        self.refused: list[str] = []
        self.images = gate.gate_images(graph, size)
        exact = TorchEngine(graph, "fp32", device)
        self._expected = [exact.run(image.to(device)) for image in self.images]

    def built(self, plans: Iterable[Plan]) -> list[tuple[Engine, dict[str, float]]]:
        found = []
        for plan in plans:
            if self._progress:
                self._progress(f"engine {plan} for {self._graph.model} at {self._size[0]}x{self._size[1]}")
            passed = self._passed(plan)
            if passed is not None:
                found.append(passed)
        return found

    def _passed(self, plan: Plan) -> tuple[Engine, dict[str, float]] | None:
        problems = []
        for keep in quantize.FLOAT32_LAYERS if plan.precision == "int8" else ((),):
            try:
                engine = self._build(plan, keep)
                verdict = gate.check(engine, self._expected, self.images, self._graph.map_names)
            except (ModelError, RuntimeError) as error:
                self._refuse(plan, str(error).strip().splitlines()[0])
                return None
            if verdict.passed:
                return engine, verdict.worst
            problems.append(verdict.problem)
            ort.discard(engine)
        self._refuse(plan, problems[-1])
        return None

    def _build(self, plan: Plan, keep: tuple[str, ...]) -> Engine:
        if plan.kind in ort.PROVIDERS:
            return ort.build_ort_engine(self._graph, plan, self._size, self._device, keep=keep)
        if plan.kind == "captured":
            return CudaGraphEngine(self._graph, plan.precision, self._device)
        return build_torch_engine(self._graph, plan, self._device)

    def _refuse(self, plan: Plan, problem: str) -> None:
        self.refused.append(f"{plan}: {problem}")
        logger.info("engine %s refused: %s", plan, problem)


def _remembered(path: Path) -> Plan | None:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return Plan(held["kind"], held["precision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # A cache: what cannot be read is measured again.


def _remember(path: Path, plan: Plan, measured: Mapping[str, float]) -> None:
    held = {"kind": plan.kind, "precision": plan.precision, "measured_ms": dict(measured)}
    try:
        atomic_write(path, json.dumps(held, indent=1).encode())
    except OSError as error:
        logger.warning("the choice of engine could not be written down (%s)", error)
