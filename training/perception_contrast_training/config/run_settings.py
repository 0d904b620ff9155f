"""What a recipe may say of how a method is run; the methods' own settings stand beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.engine.schedules import Scaling

Choice = Literal["auto", "always", "never"]
Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Optimisation:
    """How weights are moved, ``optimisation`` of a recipe.

    Attributes:
        steps: Optimiser steps, 0 for as many as ``epochs`` take.
        batch: Images of a step, of all processes together.
        micro_batch: How many of a process's share go through the networks at once, 0 for all. What a method
            compares is gathered from all of them where it can be (gradient caching), else gradients are
            averaged.
        learning_rate: For batches of ``reference_batch``, moved to others by ``scaling``. After ``warm_up``
            steps (-1: those of the paper, a tenth of the run at most) it falls to ``final_rate`` times that
            along a cosine.
        weight_decay: Goes to ``final_decay`` along a cosine.
        clip: Largest norm of the gradient, 0 for any; clip_each: of each parameter, not of all together.
        average: Momentum of averaged weights, which are evaluated and exported in place of the last ones; 0
            for none.
        most_skipped: Consecutive steps without a finite loss and gradient, after which a run ends.
        threads: Of PyTorch, 0 for its own choice.
        overlap: Whether several processes average gradients while the backward pass goes on (DDP), not
            behind it; gradient caching always averages behind it.
        fused: Whether the optimiser moves all weights by one kernel; "auto" does on a GPU.
        channels_last: Whether convolutions have their channels last in memory; "auto" does on a GPU in half
            precision.
        shard: Whether several processes keep a part each of a ViT's weights and moments (FSDP2), in place of
            all of them; "auto" does on GPUs from 10^9 weights on.
        compile: How ``torch.compile`` compiles the backbone, by the names of its modes; "never" does not.
    """

    steps: int = 0
    batch: int = 256
    micro_batch: int = 0
    optimiser: Literal["adamw", "sgd", "lars"] = "adamw"
    learning_rate: float = 5e-4
    scaling: Scaling = "linear"
    reference_batch: int = 256
    final_rate: float = 0.0
    warm_up: int = -1
    weight_decay: float = 0.05
    final_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    clip: float = 0.0
    clip_each: bool = False
    average: float = 0.0
    precision: Precision = "float32"
    most_skipped: int = 20
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0
    overlap: Choice = "auto"
    fused: Choice = "auto"
    channels_last: Choice = "auto"
    shard: Choice = "auto"
    compile: Literal["never", "default", "reduce-overhead", "max-autotune"] = "never"


@dataclass(frozen=True)
class CheckpointSettings:
    """every: steps between two. keep: how many of the last stay, beside the best. disk_full: what a run
    does if one cannot be written, "go_on" (and try again next time) or "stop"."""

    every: int = 500
    keep: int = 2
    disk_full: Literal["go_on", "stop"] = "go_on"


@dataclass(frozen=True)
class MonitorSettings:
    """What monitors do. every: steps between two looks. rows: vectors that they look at together.
    alarms: "stop" ends a run that collapses, "warn" tells, "none" looks at nothing. grace: share of the
    steps before which a run may look collapsed. patience: looks on end that must agree."""

    every: int = 10
    rows: int = 1024
    alarms: Literal["stop", "warn", "none"] = "stop"
    grace: float = 0.05
    patience: int = 5


def require_sane(settings: Optimisation, processes: int = 1) -> None:
    """Raises RecipeError for values that cannot go together."""
    for key in ("steps", "batch", "reference_batch", "most_skipped"):
        if getattr(settings, key) < 1:
            raise RecipeError(f"'optimisation.{key}' must be at least 1")
    for key in ("micro_batch", "learning_rate", "clip", "threads"):
        if getattr(settings, key) < 0:
            raise RecipeError(f"'optimisation.{key}' must not be negative")
    if not 0 <= settings.average < 1:
        raise RecipeError(f"'optimisation.average' {settings.average} is not in [0, 1)")
    if settings.fused == "always" and settings.optimiser == "lars":
        raise RecipeError("'optimisation.fused' always: lars has no such kernel; use auto, adamw or sgd")
    if settings.batch % processes:
        raise RecipeError(
            f"optimisation.batch {settings.batch} does not part evenly among {processes} processes; "
            f"use {settings.batch // processes * processes or processes}"
        )
    share = settings.batch // processes
    if settings.micro_batch and share % settings.micro_batch:
        raise RecipeError(
            f"optimisation.micro_batch {settings.micro_batch} does not divide a process's share of the "
            f"batch, {share}"
        )
