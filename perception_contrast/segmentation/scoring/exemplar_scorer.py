"""Logits of exemplars alone, for spaces that have no texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.vocabulary import Exemplar
from perception_contrast.segmentation.exemplars import centred
from perception_contrast.segmentation.scoring.max_cosine import max_cosine


@dataclass(frozen=True)
class ExemplarScorer:
    """On the exemplar's side of what sets it apart from its surroundings.

    logit = sharpness * (reached - discriminant_floor), where the exemplar's mean reaches 1 along its
    direction and its image's mean 0. Without a direction the exemplar's parts and surroundings count: logit
    = sharpness * (cosine - floor), at most 2 * sharpness * (margin + slack), where the margin is over the
    highest cosine with the surroundings.

    Attributes:
        discriminant_floor: share of the way from the image's mean to the exemplar's at which the logit is 0.
        floor: cosine of centred vectors at which the logit is 0.
        sharpness: logits per unit of cosine.
        slack: margin by which a cell may be nearer to the surroundings at a logit of 0.
        uncentred_floor: floor of exemplars that come without their image's mean.
    """

    discriminant_floor: float = 0.3
    floor: float = 0.43
    sharpness: float = 10.0
    slack: float = 0.03
    uncentred_floor: float = 0.8

    def logits(self, cells: FloatArray, exemplar: Exemplar) -> FloatArray:
        """(n,) float32 logits of cells (n, c), unit rows of the exemplar's space."""
        if exemplar.centre is None or exemplar.parts is None:
            cosines = max_cosine(cells, exemplar.vector[None])
            return (2 * self.sharpness * (cosines - self.uncentred_floor)).astype(np.float32)
        if exemplar.direction is not None:
            return self._discriminant_logits(_reached(cells, exemplar.direction, exemplar.centre))
        centred_cells = centred(cells, exemplar.centre)
        near = max_cosine(centred_cells, exemplar.parts)
        logits = self.sharpness * (near - self.floor)
        if exemplar.context is not None:
            margin = near - max_cosine(centred_cells, exemplar.context)
            logits = np.minimum(logits, 2.0 * self.sharpness * (margin + self.slack))
        return logits.astype(np.float32)

    def logits_together(self, cells: FloatArray, exemplars: Sequence[Exemplar]) -> FloatArray:
        """(n,) float32 logits of cells (n, c) for what exemplars of one space and one kind of thing show.

        Discriminants count by their mean: each was made from one image alone, and what only one of them
        takes for the thing is mostly another.
        """
        reached = [
            _reached(cells, one.direction, one.centre)
            for one in exemplars
            if one.direction is not None and one.centre is not None
        ]
        others = [one for one in exemplars if one.direction is None or one.centre is None]
        logits = [self.logits(cells, one) for one in others]
        if reached:
            logits.append(self._discriminant_logits(np.mean(reached, axis=0, dtype=np.float32)))
        return np.asarray(np.max(logits, axis=0), np.float32)

    def _discriminant_logits(self, reached: FloatArray) -> FloatArray:
        return np.asarray(self.sharpness * (reached - self.discriminant_floor), np.float32)


def _reached(cells: FloatArray, direction: FloatArray, centre: FloatArray) -> FloatArray:
    """(n,) how far cells (n, c) go from the image's mean, 0, to the exemplar's, 1."""
    return np.asarray(cells @ direction - float(centre @ direction), np.float32)
