"""The choice of the engine: the fastest that passes the gate on this machine, remembered on disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import ModelError, one_line
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.base import Engine, Plan
from perception_contrast.engines.cpu_features import fast_formats, has_intel_gpu, has_npu
from perception_contrast.engines.engine_cache import engines_dir, key_of, machine_facts
from perception_contrast.engines.engine_names import AUTO, KINDS, PRECISIONS
from perception_contrast.engines.engine_trial import (
    EngineTrial,
    Trying,
    Turn,
    measure,
    plan_of,
)
from perception_contrast.engines.openvino_engine import installed_int8
from perception_contrast.engines.openvino_model import DEVICES as OPENVINO_KINDS

logger = logging.getLogger(__name__)

# A candidate must take this share of the time of the engine that serves, or less, to take its place.
CLEARLY_FASTER = 0.95
Progress = Callable[[str], None]
_GPU_KINDS = ("tensorrt", "captured", "onnxruntime-cuda", "torch")
_GPU_PLANS = {name: ("fp16", "fp32", "bf16") for name in (*_GPU_KINDS, "compiled")}
_OTHER_DEVICES = {"openvino-gpu": ("fp16", "fp32"), "openvino-npu": ("fp16",)}
_CPU_PLANS = {
    "torch": ("fp32", "bf16"),
    "compiled": ("fp32", "bf16"),
    "onnxruntime": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "fp16", "int8"),
    "openvino-gpu": ("fp32", "fp16", "int8"),
    "openvino-npu": ("fp16", "int8"),
}
AS_ASKED, ONLY_ONE = "as asked for", "the only one that passes"


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
    on_gpu = device_type == "cuda"
    table = _GPU_PLANS if on_gpu else _CPU_PLANS
    kinds, formats = (_GPU_KINDS, ("fp16",)) if on_gpu else (_cpu_kinds(), fast_formats())
    chosen = kinds if kind == AUTO else (kind,)
    formats = formats if precision == AUTO else (precision,)
    if kind != AUTO and precision == AUTO and not on_gpu:
        # A device of its own says what it computes in.
        formats = _OTHER_DEVICES.get(kind, formats)
    # The likely winner first: the format matters more than the engine.
    plans = [Plan(cast(Any, k), cast(Any, f)) for f in formats for k in chosen if f in table.get(k, ())]
    if on_gpu and (kind, precision) == (AUTO, AUTO):
        plans.append(Plan("torch", "fp32"))
    return plans


def _cpu_kinds() -> tuple[str, ...]:
    """Engines for tensors in the host's memory, the likely fastest first."""
    others = [
        kind for kind, there in (("openvino-gpu", has_intel_gpu()), ("openvino-npu", has_npu())) if there
    ]
    return (*others, "openvino", "onnxruntime", "torch")


@dataclass(frozen=True)
class ChoiceRequest:
    """What an engine is chosen for.

    Attributes:
        graph: the encoder.
        size: (height, width) of the images.
        device: where it runs.
        kind: one of ``KINDS``, or "auto".
        precision: one of ``PRECISIONS``, or "auto".
    """

    graph: EncoderGraph
    size: tuple[int, int]
    device: str = "cpu"
    kind: str = AUTO
    precision: str = AUTO

    @property
    def plans(self) -> list[Plan]:
        """As ``candidates``, without what would be refused after minutes of work.

        Scales of 8 bits that were measured on a few photographs pass the gate with few models. So unless
        8 bits are asked for OpenVINO's are tried only with a file that was made of the user's own images.
        """
        plans = candidates(self.device, self.kind, self.precision)
        if self.precision != AUTO or installed_int8(self.graph, self.size).exists():
            return plans
        return [one for one in plans if one.precision != "int8" or one.kind not in OPENVINO_KINDS]

    @property
    def file(self) -> Path:
        """Where the choice is remembered."""
        facts = machine_facts(self.device)
        # A file that was installed since is a new candidate.
        installed = installed_int8(self.graph, self.size)
        since = f"{installed.stat().st_mtime_ns}" if installed.exists() else ""
        key = key_of(
            self.graph, self.size, wish=self.kind, precision=self.precision, installed=since, **facts
        )
        return engines_dir() / f"choice-{key}.json"

    def trial(self, trying: Trying | None, turn: Turn | None = None) -> EngineTrial:
        """Of the engines for this request. Raises what ``turn`` raises."""
        return EngineTrial(self.graph, self.size, self.device, trying, turn)

    def failure(self, trial: EngineTrial) -> ModelError:
        """The error where no engine passed."""
        height, width = self.size
        refused = "; ".join(trial.refused)
        return ModelError(f"no engine serves {self.graph.model} at {height}x{width}: {refused}")


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
    request = ChoiceRequest(graph, size, device, kind, precision)
    plans = request.plans

    def trying(plan: Plan) -> None:
        if progress is not None:
            progress(f"engine {plan} for {graph.model} at {size[0]}x{size[1]}")

    if remembered := remembered_engine(request, trying):
        return remembered
    trial, winner = request.trial(trying), None
    try:
        chosen = _fastest(request, trial, plans)
        winner = chosen.engine
        return chosen
    finally:
        trial.clean(winner)


def _fastest(request: ChoiceRequest, trial: EngineTrial, plans: list[Plan]) -> EngineChoice:
    built = trial.built(plans)
    if not built:
        raise request.failure(trial)
    if len(built) == 1:
        engine, worst = built[0]
        why = AS_ASKED if len(plans) == 1 else ONLY_ONE
        return EngineChoice(engine, f"{plan_of(engine)}: {why}", tuple(trial.refused), worst=worst)
    measured = measure([engine for engine, _ in built], trial.images[0].to(request.device))
    best = min(range(len(built)), key=lambda i: measured[str(plan_of(built[i][0]))])
    engine, worst = built[best]
    plan = plan_of(engine)
    if trial.settled:
        _remember(request.file, plan, measured)
    why = f"{plan}: fastest of " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in measured.items())
    return EngineChoice(engine, why, tuple(trial.refused), measured, worst)


def remembered_engine(
    request: ChoiceRequest, trying: Trying | None = None, turn: Turn | None = None
) -> EngineChoice | None:
    """The engine that an earlier choice found to be the fastest, built and checked again.

    Args:
        request: what it is for.
        trying: told the plan of each engine before it is built.
        turn: runs the engines; None runs them at once.

    Returns:
        None where nothing is remembered or the engine does not pass any more.
    """
    plans = request.plans
    plan = _remembered(request.file) if len(plans) > 1 else None
    if plan is None or plan not in plans:
        return None
    trial, passed = request.trial(trying, turn), None
    try:
        passed = trial.passed(plan)
    finally:
        trial.clean(None if passed is None else passed[0])
    if passed is None:
        logger.warning(
            "the remembered engine no longer serves (%s); measuring again", "; ".join(trial.refused)
        )
        return None
    return EngineChoice(passed[0], f"{plan}: fastest here when measured", worst=passed[1])


def faster_engines(
    request: ChoiceRequest, serving: Engine, trying: Trying | None = None, turn: Turn | None = None
) -> Iterator[EngineChoice]:
    """Chooses as ``choose_engine`` does, one candidate at a time, while an engine serves.

    Each candidate that passes the gate is measured against the best so far, the two taking turns, so that
    both run under the same load. The last choice is written to the cache.

    Args:
        request: what it is for.
        serving: the engine that serves meanwhile. It is a candidate too where its plan is one.
        trying: told the plan of each engine before it is built.
        turn: runs the engines; None runs them at once.

    Yields:
        Each engine that is better than those before it, and at the end the last one again, or ``serving``,
        with what it was compared with.

    Raises:
        ModelError: no engine passes.
    """
    trial = request.trial(trying, turn)
    contest = _Contest(request, trial, serving)
    try:
        for plan in request.plans:
            if plan != plan_of(serving) and contest.enter(plan):
                assert contest.best is not None
                yield contest.best
        yield contest.result()
    finally:
        trial.clean(None if contest.best is None else contest.best.engine)


class _Contest:
    """Candidates against the best so far.

    Attributes:
        best: None before any that may serve.
    """

    def __init__(self, request: ChoiceRequest, trial: EngineTrial, serving: Engine) -> None:
        self._request, self._trial = request, trial
        self.best = EngineChoice(serving, "") if plan_of(serving) in request.plans else None
        self._comparisons: list[str] = []
        self._measured: dict[str, float] = {}

    def enter(self, plan: Plan) -> bool:
        """Builds a candidate; whether it is the best now."""
        passed = self._trial.passed(plan)
        if passed is None:
            return False
        engine, worst = passed
        if self.best is not None and not self._is_faster(engine, self.best.engine):
            return False
        self.best = self._choice(engine, worst)
        return True

    def result(self) -> EngineChoice:
        """The best of all; remembered where it was compared. Raises ModelError if there is none."""
        if self.best is None:
            raise self._request.failure(self._trial)
        if self._comparisons and self._trial.settled:
            _remember(self._request.file, plan_of(self.best.engine), self._measured)
        return self._choice(self.best.engine, self.best.worst)

    def _choice(self, engine: Engine, worst: Mapping[str, float]) -> EngineChoice:
        why = AS_ASKED if len(self._request.plans) == 1 else ONLY_ONE
        if self._comparisons:
            why = "fastest in turns: " + "; ".join(self._comparisons)
        refused = tuple(self._trial.refused)
        return EngineChoice(engine, f"{plan_of(engine)}: {why}", refused, dict(self._measured), worst)

    def _is_faster(self, engine: Engine, best: Engine) -> bool:
        new, old = str(plan_of(engine)), str(plan_of(best))
        try:
            took = self._trial.measured((best, engine))
        except (ModelError, RuntimeError) as error:
            self._trial.refuse(plan_of(engine), f"not measured: {one_line(error)}")
            return False
        self._measured |= took
        self._comparisons.append(f"{new} {took[new]:.1f} ms, {old} {took[old]:.1f} ms")
        return took[new] <= CLEARLY_FASTER * took[old]


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
