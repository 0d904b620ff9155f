"""The precision in which frozen towers encode what heads are fitted to."""

from __future__ import annotations

import torch

from perception_contrast.engines.cpu_features import has_bfloat16


def encoding_precision() -> torch.autocast:
    """A context with matrix products in bfloat16 where the CPU has them, in float32 where it has not.

    Without such instructions PyTorch computes bfloat16 products several times slower than float32 ones.
    """
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bfloat16())
