"""From a weights file to tensors, and from tensors into a network."""

from __future__ import annotations

import pickle
from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from perception_contrast.core.errors import ModelError


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
    """Loads every tensor by name and shape. Raises ModelError if any is missing, left over or misshapen."""
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"weights file {path} does not fit the model: {reason}") from error
