"""One training step, the same for every method: schedules, loss, gradients, optimiser, averaged weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.run_settings import Optimisation, require_sane
from perception_contrast_training.data.loading.batches import derived_seed
from perception_contrast_training.engine.checkpoint import CheckpointError, Snapshot, cpu_copy
from perception_contrast_training.engine.distributed import (
    Processes,
    any_of,
    average_gradients,
    mean_of,
    same_everywhere,
)
from perception_contrast_training.engine.grad_cache import cached_backward
from perception_contrast_training.engine.kernels import compile_backbones, lay_out_as_weights, placed
from perception_contrast_training.engine.negative_mask import FRAME_POSITIONS
from perception_contrast_training.engine.optimiser import make_optimiser
from perception_contrast_training.engine.overlap import apart, overlapped
from perception_contrast_training.engine.random_streams import RandomState, RandomStreams
from perception_contrast_training.engine.schedules import cosine, scaled, warmed_up
from perception_contrast_training.engine.sharding import (
    clip_shards,
    norms_of,
    part_moments,
    parted_as,
    shard,
    whole,
)
from perception_contrast_training.engine.weight_average import WeightAverage
from perception_contrast_training.methods.base import Batch, Contrastive, Losses, Method, Progress
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.views.batch import VIEWED

WEIGHT_NORM = "weight norm"  # figure: of all weights that learn, biases and norms aside, after the step
HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class DivergedError(PerceptionError):
    """Too many consecutive steps had no finite loss and gradient."""


@dataclass(frozen=True)
class Step:
    """The result of one step.

    Attributes:
        step: Optimiser steps done after it.
        moved: False if the step was skipped.
        figures: The loss, its terms, the gradient's norm and the learning rate.
        watched: As ``Losses.watched``.
    """

    step: int
    moved: bool
    figures: Mapping[str, float]
    watched: Mapping[str, Tensor] = field(default_factory=dict)


class Trainer:
    """Runs the steps of a method, the same for pretraining and for the heads.

    Attributes:
        method: The method that learns; ``module`` is the same object as an ``nn.Module``.
        parameters: All parameters that the optimiser moves.
        average: Averaged weights; None unless ``settings.average`` asks for them.
        step_count: Optimiser steps done.
        batches: Batches taken.
        skipped: Batches that were skipped because they were not finite.
    """

    def __init__(
        self,
        method: Method,
        settings: Optimisation,
        *,
        epoch_steps: int,
        seed: int = 0,
        processes: Processes | None = None,
        streams: RandomStreams | None = None,
    ) -> None:
        """Moves the method to the device and makes its optimiser.

        Args:
            method: A learning method, which is an ``nn.Module``.
            settings: ``optimisation`` of the recipe, with ``steps`` and ``warm_up`` given.
            epoch_steps: Batches in one pass over the data.
            seed: Seed of the run. PyTorch is seeded for each batch from it, the batch's number and the
                process.
            processes: The processes that train together; None for this one alone.
            streams: Random numbers that continue from step to step, instead of a seed for each batch.

        Raises:
            RecipeError: The settings do not fit each other.
        """
        self.processes = processes or Processes()
        require_sane(settings, self.processes.count)
        assert isinstance(method, nn.Module)
        self.module: nn.Module = placed(method, settings, self.processes.device)
        self.method, self.settings = method, settings
        self._epoch_steps, self._seed, self._streams = max(1, epoch_steps), seed, streams
        self.step_count = self.batches = self.skipped = 0
        self._consecutive_skips = 0
        same_everywhere(self.module, self.processes.count)
        self.sharded = shard(self.module, settings, self.processes)
        self._groups = [group for group in method.groups() if group.parameters]
        self.parameters = [parameter for group in self._groups for parameter in group.parameters]
        self._weights = [p for p in self.parameters if p.ndim > 1]
        self._clipped = [p for group in self._groups if group.clip for p in group.parameters]
        self.optimiser = make_optimiser(self._groups, settings)
        self.average = WeightAverage(self.module, settings.average) if settings.average else None
        self._peak = scaled(
            settings.learning_rate, settings.batch, settings.scaling, settings.reference_batch
        )
        compile_backbones(self.module, settings.compile)
        self._overlapped = None if self.sharded else overlapped(method, settings, self.processes.count)
        fp16 = settings.precision == "float16"
        self._scaler = torch.amp.GradScaler(self.processes.device.type, enabled=fp16)

    @property
    def progress(self) -> Progress:
        """The position in the run."""
        return Progress(self.step_count, self.settings.steps, self._epoch_steps)

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step_count >= self.settings.steps

    def step(self, batch: Mapping[str, Any]) -> Step:
        """Trains on one batch.

        Args:
            batch: This process's share of the batch.

        Returns:
            The figures of the step.

        Raises:
            DivergedError: Too many consecutive batches were not finite.
        """
        self.module.train()
        progress = self.progress
        rate = self._set_schedules()
        randomness = self._randomness()
        self.batches += 1
        self.optimiser.zero_grad(set_to_none=True)
        if any_of([not _all_finite(batch)], self.processes)[0]:
            return self._skipped("an image is not finite", {"learning rate": rate})
        before = [buffer.clone() for buffer in self.module.buffers() if buffer.is_floating_point()]
        with randomness, self._kernels(batch):
            losses = self._gradients(on_device(batch, self.processes.device), progress)
        figures = _figures(losses) | {"learning rate": rate}
        if self._scaler.is_enabled():
            self._scaler.unscale_(self.optimiser)
        self.method.before_step(progress)
        norm = self._clip()
        figures["gradient norm"] = norm
        if any_of([not (math.isfinite(figures["loss"]) and math.isfinite(norm))], self.processes)[0]:
            self._scaler.update()
            self._restore_buffers(before)
            what = "loss" if not math.isfinite(figures["loss"]) else "gradient"
            return self._skipped(f"the {what} is not finite", figures)
        self._scaler.step(self.optimiser)
        self._scaler.update()
        self.method.after_step(progress)
        self.step_count += 1
        self._consecutive_skips = 0
        if self.average is not None:
            self.average.update(self.module)
        figures[WEIGHT_NORM] = self._weight_norm()
        return Step(self.step_count, True, mean_of(figures, self.processes), losses.watched)

    def snapshot(self, **about: Any) -> Snapshot:
        """Copies the state of the run to the CPU. If weights are in shards, all processes must call this.

        Args:
            **about: What the checkpoint notes besides, as JSON can hold it.

        Returns:
            The copies.
        """
        state = self.optimiser.state_dict()
        slots = {
            number: {k: whole(v).cpu().clone() if isinstance(v, Tensor) else v for k, v in slot.items()}
            for number, slot in state["state"].items()
        }
        return Snapshot(
            method=cpu_copy(self.module.state_dict()),
            optimiser={"state": slots, "param_groups": state["param_groups"]},
            step=self.step_count,
            batches=self.batches,
            skipped=self.skipped,
            scaler=self._scaler.state_dict(),
            average={} if self.average is None else cpu_copy(self.average.state),
            random=None if self._streams is None else self._streams.state(),
            about=about,
        )

    def resume(self, snapshot: Snapshot) -> None:
        """Continues from a snapshot; what follows is bit-identical to an uninterrupted run.

        The caller loads the method's tensors (``checkpoint.load_into``).

        Args:
            snapshot: State of a run.

        Raises:
            CheckpointError: The run averages weights or continues random streams, and the checkpoint has
                none.
        """
        if self.average is not None:
            _require(snapshot.average, "averaged weights, which optimisation.average asks for")
            self.average.restore(parted_as(self.average.state, snapshot.average), snapshot.step)
        if self._streams is not None:
            _require(snapshot.random, "the state of random numbers")
            self._streams.restore(cast(RandomState, snapshot.random))
        self.optimiser.load_state_dict(dict(snapshot.optimiser))
        part_moments(self.optimiser)
        lay_out_as_weights(self.optimiser)
        if snapshot.scaler and self._scaler.is_enabled():
            self._scaler.load_state_dict(dict(snapshot.scaler))
        self.step_count, self.batches, self.skipped = snapshot.step, snapshot.batches, snapshot.skipped

    def kept_state(self) -> Mapping[str, Tensor]:
        """Gives the weights that are evaluated and exported.

        Returns:
            The tensors by the module's names.
        """
        return self.module.state_dict() if self.average is None else self.average.state

    def evaluated(self) -> AbstractContextManager[None]:
        """Gives the module the weights that are evaluated: the average, if there is one.

        Returns:
            A context; the weights change back at its end.
        """
        return nullcontext() if self.average is None else self.average.applied_to(self.module)

    def _randomness(self) -> AbstractContextManager[None]:
        """Around all that draws in a step: the streams, or a seed for the batch."""
        if self._streams is not None:
            return self._streams.drawing()
        torch.manual_seed(derived_seed(self._seed, self.batches, self.processes.rank))
        return nullcontext()

    def _restore_buffers(self, before: Sequence[Tensor]) -> None:
        floating = (buffer for buffer in self.module.buffers() if buffer.is_floating_point())
        with torch.no_grad():
            for buffer, old in zip(floating, before, strict=True):
                buffer.copy_(old)

    def _set_schedules(self) -> float:
        settings, step = self.settings, self.step_count
        rate = warmed_up(self._peak, self._peak * settings.final_rate, step, settings.steps, settings.warm_up)
        decay = cosine(settings.weight_decay, settings.final_decay, step / settings.steps)
        for group, options in zip(self._groups, self.optimiser.param_groups, strict=True):
            options["lr"], options["weight_decay"] = rate * group.rate, decay * group.decay
        return rate

    def _gradients(self, batch: Batch, progress: Progress) -> Losses:
        """Leaves the gradients of all processes' mean loss with the parameters."""
        micro_batches = list(split(batch, self.settings.micro_batch))
        count = len(micro_batches)
        if count > 1 and hasattr(self.method, "compare"):
            contrastive = cast(Contrastive, self.method)
            losses = cached_backward(
                contrastive, micro_batches, scaled=self._scaler.scale, autocast=self._autocast
            )
            average_gradients(self.parameters, self.processes.count)
            return losses
        loss_of: Callable[[Batch, Progress], Losses] = self._overlapped or self.method.loss
        found: list[Losses] = []
        for number, micro_batch in enumerate(micro_batches, 1):
            with apart(self._overlapped, number < count):
                with self._autocast():
                    losses = loss_of(micro_batch, progress)
                self._scaler.scale(losses.total / count).backward()  # type: ignore[no-untyped-call]
            found.append(Losses(losses.total.detach(), losses.parts, losses.watched))
        if self._overlapped is None:
            average_gradients(self.parameters, self.processes.count)
        return _mean_losses(found)

    def _autocast(self) -> AbstractContextManager[Any]:
        half = HALVES.get(self.settings.precision)
        return nullcontext() if half is None else torch.autocast(self.processes.device.type, dtype=half)

    def _kernels(self, batch: Batch) -> AbstractContextManager[None]:
        """Uses PyTorch's own convolutions where oneDNN's are wrong.

        In half precision on the CPU, a strided convolution over a map of one cell leaves whatever was in
        memory as its gradient (PyTorch 2.14).
        """
        backbone = getattr(self.method, "backbone", None)
        if not isinstance(backbone, Backbone) or backbone.is_vit or self.processes.device.type != "cpu":
            return nullcontext()
        sides = [min(x.shape[-2:]) for x in batch.values() if isinstance(x, Tensor) and x.dim() > 3]
        one_cell = bool(sides) and min(sides) <= backbone.patch // 2
        return _without_onednn() if one_cell and self.settings.precision in HALVES else nullcontext()

    def _clip(self) -> float:
        """Clips gradients; returns the norm of all of them before."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norms = (
            norms_of(gradients)
            if self.sharded
            else torch.stack([g.detach().float().norm() for g in gradients])
        )
        norm, limit = norms.norm(), self.settings.clip
        if limit and bool(norm.isfinite()):
            clipped = [p for p in self._clipped if p.grad is not None]
            if self.sharded:
                clip_shards(clipped, limit, each=self.settings.clip_each)
                return float(norm)
            for together in [[p] for p in clipped] if self.settings.clip_each else [clipped]:
                nn.utils.clip_grad_norm_(together, limit)
        return float(norm)

    @torch.no_grad()
    def _weight_norm(self) -> float:
        if not self._weights:
            return 0.0
        if self.sharded:
            return float(norms_of(self._weights).norm())
        norms = torch._foreach_norm([p.detach() for p in self._weights])
        return float(torch.stack([norm.double() for norm in norms]).norm())

    def _skipped(self, why: str, figures: Mapping[str, float]) -> Step:
        self.optimiser.zero_grad(set_to_none=True)
        self.skipped += 1
        self._consecutive_skips += 1
        if self._consecutive_skips >= self.settings.most_skipped:
            raise DivergedError(
                f"{self._consecutive_skips} batches on end were skipped after step {self.step_count}, the "
                f"last because {why}; lower optimisation.learning_rate, raise warm_up or look at the images. "
                "The last checkpoint is kept"
            )
        return Step(self.step_count, False, dict(figures))


@contextmanager
def _without_onednn() -> Iterator[None]:
    onednn: Any = torch.backends.mkldnn  # its properties have no types
    before = onednn.enabled
    onednn.enabled = False
    try:
        yield
    finally:
        onednn.enabled = before


def split(batch: Batch, micro_batch: int) -> Iterator[Batch]:
    """Splits a batch into micro-batches.

    Args:
        batch: The views by name.
        micro_batch: Number of images in each; 0 for all at once.

    Yields:
        The micro-batches.
    """
    name, value = next(((n, v) for n, v in batch.items() if isinstance(v, Tensor)), ("", torch.empty(0)))
    count = value.shape[int(name in VIEWED)]
    if not micro_batch or micro_batch >= count:
        yield batch
        return
    for start in range(0, count, micro_batch):
        rows = slice(start, start + micro_batch)
        yield {name: value[:, rows] if name in VIEWED else value[rows] for name, value in batch.items()}


def _mean_losses(found: list[Losses]) -> Losses:
    """Of a batch that went through in micro-batches: means of the terms, and all that is watched."""
    if len(found) == 1:
        return found[0]
    parts = {name: torch.stack([one.parts[name] for one in found]).mean() for name in found[0].parts}
    watched = {name: torch.cat([one.watched[name] for one in found]) for name in found[0].watched}
    return Losses(torch.stack([one.total for one in found]).mean(), parts, watched)


def _figures(losses: Losses) -> dict[str, float]:
    return {"loss": float(losses.total.detach())} | {
        f"loss/{name}": float(value.detach()) for name, value in losses.parts.items()
    }


def _all_finite(batch: Mapping[str, Any]) -> bool:
    """Of what views made; poses and places that are not known are NaN by right."""
    return all(
        bool(value.isfinite().all())
        for name, value in batch.items()
        if isinstance(value, Tensor) and value.is_floating_point() and name not in ("pose", FRAME_POSITIONS)
    )


def on_device(batch: Mapping[str, Any], device: torch.device) -> Batch:
    """Moves a batch to a device.

    Args:
        batch: Tensors and other values by name.
        device: The device.

    Returns:
        The batch with its tensors on the device.
    """
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for name, value in batch.items()
    }


def _require(stored: Any, what: str) -> None:
    if not stored:
        raise CheckpointError(
            f"the checkpoint lacks {what}; resume with the recipe that it was made with, or start anew"
        )
