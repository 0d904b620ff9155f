"""Uploads of camera bytes that do not wait for the device."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class PinnedUpload:
    """Copies arrays to a device; to CUDA through two pinned buffers in turn, on a stream of its own.

    So the host fills one buffer while the other is read, and an upload runs beside the computation on the
    image before. Buffers grow to the largest upload and are kept. May be called from any thread.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._slots: list[tuple[Tensor, torch.cuda.Event]] = []
        self._next = 0
        self._stream = _stream(device) if device.type == "cuda" else None

    def upload(self, arrays: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Arrays of one shape, of any strides, stacked: (B, *shape) uint8 on the device.

        The arrays may be changed as soon as this returns; the tensor is ready on the current stream.
        """
        if self._stream is None:
            return torch.from_numpy(np.stack(arrays)).to(self._device)
        with self._lock:
            return self._through_pinned(arrays, self._stream)

    def _through_pinned(self, arrays: Sequence[NDArray[np.uint8]], stream: torch.cuda.Stream) -> Tensor:
        buffer, uploaded = self._free_slot(len(arrays) * arrays[0].nbytes)
        staged = buffer[: len(arrays) * arrays[0].nbytes].view(len(arrays), *arrays[0].shape)
        rows = staged.numpy()
        for index, array in enumerate(arrays):
            rows[index] = array
        with torch.cuda.stream(stream):
            raw = staged.to(self._device, non_blocking=True)
            uploaded.record(stream)
        current = torch.cuda.current_stream(self._device)
        current.wait_event(uploaded)
        # The memory belongs to the copying stream, which must not reuse it while the current one reads.
        raw.record_stream(current)
        return raw

    def _free_slot(self, size: int) -> tuple[Tensor, torch.cuda.Event]:
        """A pinned buffer of at least ``size`` bytes whose last upload has ended."""
        index, self._next = self._next, 1 - self._next
        if len(self._slots) <= index:
            self._slots.append((_pinned(size), _event()))
        buffer, uploaded = self._slots[index]
        uploaded.synchronize()
        if buffer.numel() < size:
            buffer = _pinned(size)
            self._slots[index] = buffer, uploaded
        return buffer, uploaded


def _pinned(size: int) -> Tensor:
    return torch.empty(size, dtype=torch.uint8, pin_memory=True)


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _event() -> torch.cuda.Event:
    return torch.cuda.Event()  # type: ignore[no-untyped-call]
