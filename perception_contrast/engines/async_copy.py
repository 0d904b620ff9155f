"""Device-to-host copies that run beside the computation on the next image."""

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
    """Named tensors that are being copied to the host. Any thread may call ``arrays``."""

    def __init__(self, copies: Mapping[Name, Tensor], copied: torch.cuda.Event | None) -> None:
        """copies: on the host, complete once the event ``copied`` has happened; at once without one."""
        self._copies, self._copied = copies, copied
        self._lock = threading.Lock()

    def arrays(self) -> dict[Name, NDArray[np.float32]]:
        """Waits for the copies and returns them as float32, the same memory each time.

        Raises:
            RuntimeError: the computation failed on the device.
        """
        with self._lock:
            if self._copied is not None:
                self._copied.synchronize()
                # Out of pinned memory, which is used again for a later image.
                self._copies = {name: values.clone() for name, values in self._copies.items()}
                self._copied = None
            return {name: np.asarray(values.numpy(), np.float32) for name, values in self._copies.items()}


class AsyncCopy:
    """Copies tensors to the host; from CUDA on a stream of its own.

    torch allocates the pinned memory and reuses it once ``PendingCopy.arrays`` has emptied it: while one
    image is copied and the next is computed, two buffers take turns.
    """

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        on_gpu = self._device.type == "cuda"
        self._stream = torch.cuda.Stream(self._device) if on_gpu else None  # type: ignore[no-untyped-call]

    def start(self, tensors: Mapping[Name, Tensor]) -> PendingCopy[Name]:
        """Starts to copy and returns at once.

        Args:
            tensors: on the device, ready on its current stream, and not written to any more.
        """
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
