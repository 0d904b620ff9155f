"""A small pair of models whose language model has a rescoring head, all at random initialisation."""

from __future__ import annotations

import torch
from small_models import SHARED, WIDTH, Sentences, small_dino, small_lit

from perception_contrast.encoders.household_lit import HouseholdLit
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.encoders.rescoring_head import Rescoring, RescoringConfig, RescoringHead

LAYERS = (1, 3)


def rescoring_encoders() -> Encoders:
    """One image encoder for both; the head reads two of its blocks."""
    dino = small_dino()
    lit = small_lit(dino)
    torch.manual_seed(3)
    config = RescoringConfig(
        channels=len(LAYERS) * WIDTH, layers=len(LAYERS), width=16, cell=4, dim=SHARED, blocks=1
    )
    rescoring = Rescoring(RescoringHead(config).eval().requires_grad_(False), LAYERS, {})
    made = HouseholdLit(dino, lit.head, Sentences(), lit.space, rescoring=rescoring)
    return Encoders(dino, made.eval().requires_grad_(False), "cpu")
