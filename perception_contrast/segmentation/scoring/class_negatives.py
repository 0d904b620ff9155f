"""How negatives and distractors lower a query's logits."""

from __future__ import annotations

import numpy as np

from perception_contrast.core.arrays import BoolMask, FloatArray
from perception_contrast.segmentation.scoring.base import ABSENT_LOGIT

SAME_WORD = 0.999  # cosine from which two texts are the same one
REJECTION = 4.0  # logits that a cell loses for each by which it is nearer to a negative exemplar


def suppress(logits: FloatArray, negatives: FloatArray) -> FloatArray:
    """Lowers logits where a negative's logit is as high or higher; leaves the rest unchanged.

    Args:
        logits: (..., n) float32 of queries.
        negatives: (..., n) float32 of what competes with each.
    """
    nearer = 2.0 * (negatives - logits)
    # The log of 1 + exp(nearer) by NumPy's vectorised functions, which logaddexp is not among.
    softplus = np.maximum(nearer, 0.0) + np.log(1.0 + np.exp(-np.abs(nearer)))
    return np.asarray(logits - softplus / 2.0, np.float32)


def reject(logits: FloatArray, negatives: FloatArray) -> FloatArray:
    """Takes logits away where a negative exemplar's logit is higher; leaves the rest unchanged.

    Steeper than ``suppress``: who shows a thing and says that it is another one wants it gone.
    """
    nearer = np.maximum(negatives - logits, 0.0)
    lowered = np.maximum(logits - REJECTION * nearer, np.minimum(logits, ABSENT_LOGIT))
    return np.asarray(lowered, np.float32)


def same_text(texts: FloatArray, query_texts: FloatArray) -> BoolMask:
    """(k,) which rows of ``texts`` (k, c) are among a query's own texts (n, c).

    A query does not compete with a distractor or neutral word that is its own text.
    """
    if not len(texts) or not len(query_texts):
        return np.zeros(len(texts), bool)
    return np.asarray((texts @ query_texts.T).max(axis=1) > SAME_WORD)
