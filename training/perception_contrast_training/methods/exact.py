"""Losses in full precision, whatever precision the networks run in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor


@contextlib.contextmanager
def full_precision(like: Tensor) -> Iterator[None]:
    """Switches autocast off on the device of ``like``."""
    with torch.autocast(device_type=like.device.type, enabled=False):
        yield


def at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
