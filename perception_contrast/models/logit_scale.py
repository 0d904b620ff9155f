"""How a language model turns the cosine of a whole image with a text into a logit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LogitScale:
    """logit = scale * cosine + bias, both as trained.

    bias: None where texts share a probability of 1 (softmax, CLIP); a number where each stands for
    itself (sigmoid, SigLIP).
    """

    scale: float
    bias: float | None = None
