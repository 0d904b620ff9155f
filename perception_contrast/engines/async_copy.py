"""Results on their way from a device to the host, so that the next image need not wait for them."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Name = TypeVar("Name", bound=Hashable)


class PendingCopy(Generic[Name]):
    """Named tensors that are being copied; ``arrays`` waits for them. May be called from any thread."""

    def __init__(self, copies: Mapping[Name, Tensor], copied: torch.cuda.Event | None) -> None:
        """copies: on the host, whole once ``copied`` has happened; None: they are whole already."""
        self._copies, self._copied = copies, copied
        self._lock = threading.Lock()

    def arrays(self) -> dict[Name, NDArray[np.float32]]:
        """float32, the same memory each time. Raises RuntimeError for what failed on the device."""
        with self._lock:
            if self._copied is not None:
                self._copied.synchronize()
                # Out of pinned memory, which a later image lands in.
                self._copies = {name: values.clone() for name, values in self._copies.items()}
                self._copied = None
            return {name: np.asarray(values.numpy(), np.float32) for name, values in self._copies.items()}


class AsyncCopy:
    """Copies tensors of a device to the host; from CUDA on a stream of its own, beside what comes next.

    torch makes such copies into pinned memory that it keeps and gives out again once ``PendingCopy.arrays``
    has emptied it: with one image landing while the next is computed there are two buffers in turn.
    """

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        on_gpu = self._device.type == "cuda"
        self._stream = torch.cuda.Stream(self._device) if on_gpu else None  # type: ignore[no-untyped-call]

    def start(self, tensors: Mapping[Name, Tensor]) -> PendingCopy[Name]:
        """tensors: on the device, ready on its current stream, not written to any more. Returns at once."""
        wanted = {name: values.detach().to(torch.float32) for name, values in tensors.items()}
        if self._stream is None:
            return PendingCopy({name: values.cpu() for name, values in wanted.items()}, None)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            copies = {name: values.to("cpu", non_blocking=True) for name, values in wanted.items()}
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record(self._stream)
        for values in wanted.values():
            # The memory belongs to the current stream, which must not reuse it while it is being read.
            values.record_stream(self._stream)
        return PendingCopy(copies, copied)
