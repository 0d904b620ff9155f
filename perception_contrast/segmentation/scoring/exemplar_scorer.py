"""Logits of exemplars alone, for spaces that have no texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.vocabulary import Exemplar
from perception_contrast.segmentation.exemplars import centred
from perception_contrast.segmentation.scoring.max_cosine import max_cosine


@dataclass(frozen=True)
class ExemplarScorer:
    """Near a part of the exemplar, and nearer than to what surrounded it.

    logit = sharpness * (cosine - floor), at most 2 * sharpness * (margin + slack), where the margin is
    over the highest cosine with the exemplar's surroundings.

    Attributes:
        floor: cosine of centred vectors at which the logit is 0.
        sharpness: logits per unit of cosine.
        slack: margin by which a cell may be nearer to the surroundings at a logit of 0.
        uncentred_floor: floor of exemplars that come without their image's mean.
    """

    floor: float = 0.43
    sharpness: float = 10.0
    slack: float = 0.03
    uncentred_floor: float = 0.8

    def logits(self, cells: FloatArray, exemplar: Exemplar) -> FloatArray:
        """(n,) float32 logits of cells (n, c), unit rows of the exemplar's space."""
        if exemplar.centre is None or exemplar.parts is None:
            cosines = max_cosine(cells, exemplar.vector[None])
            return (2 * self.sharpness * (cosines - self.uncentred_floor)).astype(np.float32)
        centred_cells = centred(cells, exemplar.centre)
        near = max_cosine(centred_cells, exemplar.parts)
        logits = self.sharpness * (near - self.floor)
        if exemplar.context is not None:
            margin = near - max_cosine(centred_cells, exemplar.context)
            logits = np.minimum(logits, 2.0 * self.sharpness * (margin + self.slack))
        return logits.astype(np.float32)
