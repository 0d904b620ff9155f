"""The processes that train together, as ``torchrun`` starts them; one alone has nothing to share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from perception_contrast.core.errors import PerceptionError

CPU = torch.device("cpu")
BUCKET = 1 << 23  # numbers that go through the network at once


@dataclass(frozen=True)
class Processes:
    """rank: of this one, from 0. count: how many there are. device: of this one."""

    rank: int = 0
    count: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        return self.rank == 0


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Joins what ``torchrun`` started, or stands alone.

    device: "auto", "cpu" or "cuda"; each process of a machine takes a GPU of its own. Raises
    PerceptionError where there is none.
    """
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    chosen = _device(device, local)
    if count == 1:
        yield Processes(device=chosen)
        return
    if dist.is_initialized():
        yield Processes(dist.get_rank(), dist.get_world_size(), chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), chosen)
    finally:
        dist.destroy_process_group()


def _device(name: str, local: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise PerceptionError("device 'cuda' was asked for, but torch sees no GPU; use device=cpu or auto")
    if name == "cuda":
        if local >= torch.cuda.device_count():
            raise PerceptionError(
                f"process {local} of this machine has no GPU of its own: there are "
                f"{torch.cuda.device_count()}; start as many processes as there are GPUs"
            )
        return torch.device("cuda", local)
    if name != "cpu":
        raise PerceptionError(f"device '{name}' is not known; use auto, cpu or cuda")
    return torch.device("cpu")


def average_gradients(parameters: Sequence[nn.Parameter], count: int) -> None:
    """Each gradient becomes its mean over the processes: that of the mean of their losses.

    Parameters without a gradient must be the same ones everywhere. Gradients in shards are means already.
    """
    if count == 1:
        return
    own = [p.grad for p in parameters if p.grad is not None and not hasattr(p.grad, "full_tensor")]
    for bucket in _buckets(own):
        flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
        dist.all_reduce(flat)
        flat /= count
        for gradient, part in zip(bucket, torch.split(flat, [g.numel() for g in bucket]), strict=True):
            gradient.copy_(part.view_as(gradient))


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbours of one type, so many that a message is worth its start."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        full = sum(g.numel() for g in bucket) + gradient.numel() > BUCKET
        if bucket and (full or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket


def same_everywhere(module: nn.Module, count: int) -> None:
    """Parameters and buffers become those of the first process."""
    if count > 1:
        for value in (*module.parameters(), *module.buffers()):
            dist.broadcast(value.data, 0)


def any_of(flags: Sequence[bool], processes: Processes) -> list[bool]:
    """Whether each flag is set in any process."""
    if processes.count == 1:
        return list(flags)
    values = torch.tensor([float(flag) for flag in flags], device=processes.device)
    dist.all_reduce(values, dist.ReduceOp.MAX)
    return [bool(value) for value in values.tolist()]


def mean_of(figures: dict[str, float], processes: Processes) -> dict[str, float]:
    """The mean of each figure over the processes, which all have the same ones."""
    if processes.count == 1 or not figures:
        return figures
    values = torch.tensor(list(figures.values()), dtype=torch.float64).to(processes.device)
    dist.all_reduce(values)
    return dict(zip(figures, (values / processes.count).tolist(), strict=True))


def all_lines(lines: Iterable[str], processes: Processes) -> list[str]:
    """The different lines of all processes, those of the first one first; all processes must ask.

    Args:
        lines: Of this process, none with a line break. Names of files may hold bytes that are not UTF-8.
        processes: Those that train together.
    """
    own = list(dict.fromkeys(lines))
    if processes.count == 1:
        return own
    text = "".join(f"{line}\n" for line in own).encode("utf-8", "surrogateescape")
    length = torch.tensor([len(text)], device=processes.device)
    lengths = [torch.zeros_like(length) for _ in range(processes.count)]
    dist.all_gather(lengths, length)
    longest = max(1, *(int(one) for one in lengths))
    padded = torch.zeros(longest, dtype=torch.uint8)
    padded[: len(text)] = torch.tensor(list(text), dtype=torch.uint8)
    found = [torch.zeros_like(padded, device=processes.device) for _ in range(processes.count)]
    dist.all_gather(found, padded.to(processes.device))
    said = b"".join(bytes(one[: int(size)].tolist()) for one, size in zip(found, lengths, strict=True))
    return list(dict.fromkeys(said.decode("utf-8", "surrogateescape").split("\n")[:-1]))
