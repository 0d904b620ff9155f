"""How negatives and distractors lower a query's logits."""

from __future__ import annotations

import numpy as np

from perception_contrast.core.arrays import BoolMask, FloatArray

SAME_WORD = 0.999  # cosine from which two texts are the same one


def suppress(logits: FloatArray, negatives: FloatArray) -> FloatArray:
    """Lowers logits (n,) where a negative's logit (n,) is as high or higher; leaves the rest unchanged."""
    lowered: FloatArray = (logits - np.logaddexp(0.0, 2.0 * (negatives - logits)) / 2.0).astype(np.float32)
    return lowered


def same_text(texts: FloatArray, query_texts: FloatArray) -> BoolMask:
    """(k,) which rows of ``texts`` (k, c) are among a query's own texts (n, c).

    A query does not compete with a distractor or neutral word that is its own text.
    """
    if not len(texts) or not len(query_texts):
        return np.zeros(len(texts), bool)
    return np.asarray((texts @ query_texts.T).max(axis=1) > SAME_WORD)
