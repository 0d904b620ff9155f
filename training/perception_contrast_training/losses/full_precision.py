"""Losses in full precision, whatever precision the networks run in."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


@contextlib.contextmanager
def full_precision(like: Tensor) -> Iterator[None]:
    """Switches autocast off on the device of ``like``."""
    with torch.autocast(device_type=like.device.type, enabled=False):
        yield


def at_least_float32(x: Tensor) -> Tensor:
    """Raises half precision to float32 and leaves other types as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def exact(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Makes a loss compute in float32 at least: half tensors are raised and autocast is off.

    Gradients come back in the inputs' type. In float16 the sum over a batch of a few thousand is infinite.

    Args:
        loss: A function of tensors.

    Returns:
        The same function in full precision.
    """

    @functools.wraps(loss)
    def raised(*arguments: P.args, **options: P.kwargs) -> Tensor:
        given: tuple[Any, ...] = tuple(_raised(one) for one in arguments)
        named: dict[str, Any] = {name: _raised(one) for name, one in options.items()}
        with _without_autocast([*given, *named.values()]):
            return loss(*given, **named)

    return raised


def _raised(value: Any) -> Any:
    if isinstance(value, Tensor):
        return at_least_float32(value)
    return [_raised(one) for one in value] if isinstance(value, list | tuple) else value


def _without_autocast(values: Sequence[Any]) -> contextlib.AbstractContextManager[None]:
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    first = next((one for one in flat if isinstance(one, Tensor)), None)
    return contextlib.nullcontext() if first is None else full_precision(first)
