"""Pretrain, adapt, evaluate and export the encoders that the nodes serve."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perception_contrast_training.distillation.distilling import distill
    from perception_contrast_training.training_calls import TrainingResult, finetune, pretrain

__all__ = ["TrainingResult", "distill", "finetune", "pretrain"]

_CALLS = "perception_contrast_training.training_calls"
_MODULE_OF = {
    "TrainingResult": _CALLS,
    "distill": "perception_contrast_training.distillation.distilling",
    "finetune": _CALLS,
    "pretrain": _CALLS,
}


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: torch takes seconds, and the command line answers without it.
    if name not in _MODULE_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_MODULE_OF[name]), name)
