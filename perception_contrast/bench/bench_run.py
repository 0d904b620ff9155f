"""One run of the benchmark: loads the models, times the stages, measures the machine, compares libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from perception_contrast.bench.bench_models import BenchModels, ProgressCallback, Size, load_bench_models
from perception_contrast.bench.camera_messages import (
    CameraMessage,
    camera_message,
    panned_photographs,
    photograph,
)
from perception_contrast.bench.compare import Comparison, compare_libraries
from perception_contrast.bench.flops import Work, count_work
from perception_contrast.bench.machine import MemoryWatch, bandwidth, limited_threads, machine, product_peaks
from perception_contrast.bench.stages import Stages, measure_stages
from perception_contrast.bench.timing import Limit, RoundCallback
from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.engines.choice import candidates
from perception_contrast.engines.engine_names import AUTO


@dataclass(frozen=True)
class Options:
    """Settings of a run.

    Attributes:
        size: (height, width) of the network input; None derives it from ``camera``.
        camera: (height, width) of the camera image.
        environment: Of the child process of the DDS stage, None for no such stage.
        threads: Processors to use, None for all.
    """

    model: str = "dinov2-s14"
    language_model: str = "household-lit"
    size: Size | None = None
    camera: Size = (480, 640)
    encoding: str = "rgb8"
    engine: str = AUTO
    precision: str = AUTO
    device: str = AUTO
    dense: str = AUTO
    batch: int = 1
    threads: int | None = None
    limit: Limit = field(default_factory=Limit)
    compare: bool = False
    random_init: bool = False
    offline: bool = False
    environment: Mapping[str, str] | None = None

    def device_name(self) -> str:
        """Raises ModelError for a GPU that is not there."""
        if self.device == AUTO:
            return "cuda" if torch.cuda.is_available() else "cpu"
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise ModelError(f"device '{self.device}' was asked for, but torch sees no GPU; use cpu or auto")
        return self.device


@dataclass(frozen=True)
class Measured:
    """Results of a run. work: of each encoder's bare tower; peaks, bandwidth: of this machine."""

    options: Options
    models: BenchModels
    stages: Stages
    comparison: Comparison
    work: Mapping[str, Work]
    peaks: Mapping[str, float]
    bandwidth: float
    machine: Mapping[str, Any]
    memory: Mapping[str, float | None]


def run_benchmark(
    options: Options, on_progress: ProgressCallback, on_round: RoundCallback | None = None
) -> Measured:
    """on_progress: called with a line for each step. Raises PerceptionError for options that do not fit."""
    device = options.device_name()
    candidates(device, options.engine, options.precision)
    messages = [camera_message(image, options.encoding) for image in panned_photographs(options.camera)]
    with limited_threads(options.threads) as threads:
        facts, watch = machine(device, threads), MemoryWatch(device)
        models = load_bench_models(
            options.model,
            options.language_model,
            size=options.size,
            camera=options.camera,
            frame=Frame(photograph(options.camera)),
            engine=options.engine,
            precision=options.precision,
            device=device,
            dense=options.dense,
            random_init=options.random_init,
            offline=options.offline,
            on_progress=on_progress,
        )
        try:
            return _measured(options, models, messages, facts, watch, on_progress, on_round)
        finally:
            models.pipeline.close()


def _measured(
    options: Options,
    models: BenchModels,
    messages: Sequence[CameraMessage],
    facts: Mapping[str, Any],
    watch: MemoryWatch,
    on_progress: ProgressCallback,
    on_round: RoundCallback | None,
) -> Measured:
    starting, serving = watch.read(), MemoryWatch(models.device)
    stages = measure_stages(
        models,
        messages,
        options.limit,
        batch=options.batch,
        environment=options.environment,
        on_round=on_round,
    )
    served = serving.read()
    memory = {
        "host_peak_mb": served["host_peak_mb"],
        "host_peak_starting_mb": starting["host_peak_mb"],
        "gpu_peak_mb": served["gpu_peak_mb"],
    }
    comparison = Comparison(skipped={"compare": "--compare was not given"})
    if options.compare:
        comparison = compare_libraries(
            models.main,
            Frame(photograph(options.camera)),
            batch=options.batch,
            threads=facts["threads"],
            limit=options.limit,
            on_progress=on_progress,
            on_round=on_round,
        )
    on_progress("what this machine can do at most")
    return Measured(
        options,
        models,
        stages,
        comparison,
        {one.tower.model: count_work(one.tower, one.size) for one in models.encoders},
        product_peaks(models.device),
        bandwidth(models.device),
        facts,
        memory,
    )
