"""One run of the benchmark: the models, the stages, the machine, the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from perception_contrast.bench.camera_messages import camera_message, photograph
from perception_contrast.bench.compare import Comparison, compare
from perception_contrast.bench.flops import Work, work_of
from perception_contrast.bench.machine import MemoryWatch, bandwidth, limited_threads, machine, product_peaks
from perception_contrast.bench.stages import Stages, measure_stages
from perception_contrast.bench.subject import Subject, Tell, prepare
from perception_contrast.bench.timing import Limit, Tick
from perception_contrast.core.arrays import Size
from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.engines.choice import candidates
from perception_contrast.engines.engine_names import AUTO


@dataclass(frozen=True)
class Options:
    """size: (height, width) of the network input, None: what the camera's shape asks for. camera: the same.

    environment: in which the DDS stage's child runs, None for no such stage. threads: None for all.
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
    """All that a run found out. work, peaks and bandwidth: of each encoder's bare tower; of this machine."""

    options: Options
    subject: Subject
    stages: Stages
    comparison: Comparison
    work: Mapping[str, Work]
    peaks: Mapping[str, float]
    bandwidth: float
    machine: Mapping[str, Any]
    memory: Mapping[str, float | None]


def run(options: Options, tell: Tell, tick: Tick | None = None) -> Measured:
    """tell: called with what goes on. Raises PerceptionError for what does not fit or is not there."""
    device = options.device_name()
    candidates(device, options.engine, options.precision)
    image = photograph(options.camera)
    message = camera_message(image, options.encoding)
    with limited_threads(options.threads) as threads:
        facts, watch = machine(device, threads), MemoryWatch(device)
        subject = prepare(
            options.model,
            options.language_model,
            size=options.size,
            camera=options.camera,
            frame=Frame(image),
            engine=options.engine,
            precision=options.precision,
            device=device,
            dense=options.dense,
            random_init=options.random_init,
            offline=options.offline,
            tell=tell,
        )
        try:
            return _measured(options, subject, message, facts, watch, tell, tick)
        finally:
            subject.pipeline.close()


def _measured(
    options: Options,
    subject: Subject,
    message: Any,
    facts: Mapping[str, Any],
    watch: MemoryWatch,
    tell: Tell,
    tick: Tick | None,
) -> Measured:
    starting, serving = watch.read(), MemoryWatch(subject.device)
    stages = measure_stages(
        subject, message, options.limit, batch=options.batch, environment=options.environment, tick=tick
    )
    served = serving.read()
    memory = {
        "host_peak_mb": served["host_peak_mb"],
        "host_peak_starting_mb": starting["host_peak_mb"],
        "gpu_peak_mb": served["gpu_peak_mb"],
    }
    comparison = Comparison(skipped={"compare": "--compare was not given"})
    if options.compare:
        comparison = compare(
            subject.main,
            Frame(photograph(options.camera)),
            batch=options.batch,
            threads=facts["threads"],
            limit=options.limit,
            tell=tell,
            tick=tick,
        )
    tell("what this machine can do at most")
    return Measured(
        options,
        subject,
        stages,
        comparison,
        {one.tower.model: work_of(one.tower, one.size) for one in subject.encoders},
        product_peaks(subject.device),
        bandwidth(subject.device),
        facts,
        memory,
    )
