"""Gradients of several processes, averaged while the backward pass goes on, by PyTorch's DDP."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.methods.base import Batch, Losses, Method, Progress


class _Loss(nn.Module):
    """A method's loss as a forward pass, which is where DDP's hooks begin."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch, progress: Progress) -> Losses:
        return self.method.loss(batch, progress)


def overlapped(method: Method, settings: Optimisation, processes: int) -> DistributedDataParallel | None:
    """What computes a method's loss so that its backward pass averages.

    None for one process, where it is not asked for, and for batch norm over processes without GPUs.

    Buffers stay with each process: batch norm goes over all of them by itself. That parameters may be unused
    (a token for hidden patches, a temperature) also keeps DDP's buckets as they are from the first step to
    the last, so that a resumed run adds in the same order.
    """
    loss = _Loss(method)
    if processes == 1 or settings.overlap == "never" or _refused(loss):
        return None
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    buffers = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {buffers: False, "find_unused_parameters": True, "init_sync": False}
    return DistributedDataParallel(loss, **options)


def _refused(loss: nn.Module) -> bool:
    """DDP takes batch norm over processes on GPUs alone, where it goes through kernels of their own."""
    on_cpu = any(parameter.device.type == "cpu" for parameter in loss.parameters())
    return on_cpu and any(isinstance(module, nn.SyncBatchNorm) for module in loss.modules())


def apart(loss: DistributedDataParallel | None, own: bool) -> AbstractContextManager[object]:
    """Within, gradients are this process's own and add up, where ``own``."""
    return loss.no_sync() if loss is not None and own else nullcontext()
