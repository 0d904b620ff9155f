"""From a weights file to tensors, and from tensors into a network."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from perception_contrast.core.errors import ModelError


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file, or of a PyTorch checkpoint that holds nothing but tensors."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelError(f"there is no weights file {path}")
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(str(path)))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"weights file {path} cannot be read ({error}); delete or replace it") from error
    try:
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
    return {str(name): value for name, value in held.items()}


def load_strictly(module: torch.nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Loads every tensor by name and shape. Raises ModelError if any is missing, left over or misshapen."""
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"weights file {path} does not fit the model: {reason}") from error
