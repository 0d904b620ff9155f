"""From a weights file to tensors, and from tensors into a network."""

from __future__ import annotations

import pickle
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from perception_contrast.core.cache import cache_dir
from perception_contrast.core.errors import ModelError

_LARGE = 1024  # numbers of a parameter from which filling it is worth leaving out
# Steps by which networks fill parameters: those of torch.nn.init, and of a truncated normal distribution.
_FILLS = frozenset(
    (
        "uniform_", "normal_", "trunc_normal_", "constant_", "ones_", "zeros_", "fill_", "zero_", "copy_",
        "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_", "orthogonal_",
        "erfinv_", "mul_", "add_", "clamp_",
    )
)  # fmt: skip


def load_tensors(path: Path, keep: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, or of a PyTorch checkpoint that holds tensors and plain values.

    Args:
        path: The file.
        keep: What begins the names of the tensors that are wanted; of a safetensors file the others are not
            read. Empty for all.

    Returns:
        Name to tensor.

    Raises:
        ModelError: There is no such file, it is damaged, or it holds other things than those.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError(f"there is no weights file {path}")
    if path.suffix == ".safetensors":
        try:
            with safe_open(str(path), framework="pt") as file:
                names = [str(name) for name in file.keys()]  # noqa: SIM118, for it is no dictionary
                return {name: file.get_tensor(name) for name in names if name.startswith(keep or "")}
        except (SafetensorError, OSError) as error:
            raise ModelError(f"weights file {path} cannot be read ({error}); delete or replace it") from error
    try:
        with _with_settings():
            held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ModelError(
            f"weights file {path} is no plain tensor checkpoint (other pickles are never opened); "
            "convert it to safetensors"
        ) from error
    if isinstance(held, dict) and isinstance(held.get("state_dict"), dict):
        held = held["state_dict"]
    if not isinstance(held, dict) or not all(isinstance(v, torch.Tensor) for v in held.values()):
        raise ModelError(f"weights file {path} holds no plain table of tensors; convert it to safetensors")
    return {str(name): value for name, value in held.items() if str(name).startswith(keep or "")}


def _with_settings() -> AbstractContextManager[object]:
    """In it a checkpoint may also hold the settings of its training, which are names of plain values.

    C-RADIO's checkpoints keep them as argparse's ``Namespace``, which runs nothing when it is read. PyTorch
    before 2.5 cannot allow it, and refuses such a file.
    """
    allow = getattr(torch.serialization, "safe_globals", None)
    return nullcontext() if allow is None else allow([Namespace])


def load_strictly(module: torch.nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Loads every tensor by name and shape. Raises ModelError if any is missing, left over or misshapen.

    Tensors of a file in the cache stay where the file is mapped, without a copy: their pages can be given
    back while another engine serves. The cache's files are replaced as a whole, never written to; another
    file may be, under a process that reads it.
    """
    stay = path.is_relative_to(cache_dir())
    try:
        module.load_state_dict(_as_held(module, state) if stay else state, strict=True, assign=stay)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"weights file {path} does not fit the model: {reason}") from error


@contextmanager
def uninitialised() -> Iterator[None]:
    """In it the large parameters of new networks keep what their memory holds, for weights that follow.

    Drawing random numbers for a network takes longer than reading its weights, and touches memory that is
    written twice. Buffers and small parameters, some of which no file has, are made as always.

    Example:
        >>> with uninitialised():
        ...     network = make()
        >>> load_strictly(network, load_tensors(path), path)
    """
    with _InPlaceSkipped():
        yield


class _InPlaceSkipped(TorchFunctionMode):
    """Leaves out what fills a large parameter in place."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        target = args[0] if args else given.get("tensor")  # functions of torch.nn.init give it by name
        if getattr(func, "__name__", "") in _FILLS and _is_large(target):
            return target
        return func(*args, **given)


def _is_large(value: object) -> bool:
    return isinstance(value, torch.nn.Parameter) and value.numel() >= _LARGE


class DeferredWeights:
    """Weights that are put into a network when they are first needed.

    Args:
        state: its tensors by name; none where all weights are there.
    """

    def __init__(self, state: Mapping[str, torch.Tensor] | None = None) -> None:
        self._state, self._lock = dict(state or {}), threading.Lock()

    @property
    def waiting(self) -> bool:
        """Whether they are not there yet."""
        return bool(self._state)

    def load(self, network: torch.nn.Module) -> None:
        """Puts them into the network, if they are not there."""
        if not self._state:
            return
        with self._lock:
            if self._state:
                network.load_state_dict(self._state, strict=False)
                self._state = {}

    def __deepcopy__(self, memo: object) -> DeferredWeights:
        """Of a network's copy, for which the same tensors wait."""
        return DeferredWeights(self._state)


def load_in_two_steps(
    module: torch.nn.Module, state: dict[str, torch.Tensor], path: Path, later: Callable[[str], bool]
) -> DeferredWeights:
    """As ``load_strictly``, but leaves some tensors for later; names and shapes of all are checked now.

    Nothing of a file outside the cache is left for later.

    Args:
        module: The network.
        state: Its tensors, of a safetensors file, which are read when they are used.
        path: The file, for messages.
        later: Whether the tensor of this name waits.

    Returns:
        What waits; it holds the file open.

    Raises:
        ModelError: As ``load_strictly``.
    """
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    # A file outside the cache may be written to before the rest is read.
    fits = shapes == {name: value.shape for name, value in state.items()}
    if not (fits and path.is_relative_to(cache_dir())):
        load_strictly(module, state, path)
        return DeferredWeights()
    waiting = {name: value for name, value in state.items() if later(name)}
    module.load_state_dict({n: v for n, v in state.items() if n not in waiting}, strict=False)
    return DeferredWeights(waiting)


def _as_held(module: torch.nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors in the number formats of a module's own; those that have them already are no copies."""
    own = {name: value.dtype for name, value in module.state_dict().items()}
    return {name: value.to(own.get(name, value.dtype)).contiguous() for name, value in state.items()}
