"""How far a name stands out in a map: against its own level there, and against a bank of generic names.

The cosines of words with image features have no fixed zero: their level differs between names and places by
more than a thing raises them. So a name is compared with itself over the voxels of the map, then with what
names that nobody asked for reach on the same vectors. A probability of one half is what few of these reach on
any object of the map; no constant is fitted to a model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from perception_contrast.core.arrays import BoolMask, Float64Array, FloatArray

SAMPLE = 4096  # voxels that the levels are measured on
RELATED_DEVIATIONS, LEAST_RELATED = 2.5, 0.05  # of text cosines, from which a name of the bank is no rival
NEEDED_DEVIATIONS, LEAST_NEEDED = 2.6, 0.012  # median absolute deviations of the bank's peaks
# Where no bank tells what names reach that nobody asked for: cosines of unrelated names differ by so much.
NEEDED_WITHOUT_BANK = 0.1
SLOPE = 4.0  # logits for the needed contrast
_MAX_LOGIT = 14.0


@dataclass(frozen=True)
class NameContrast:
    """Levels of the bank's names in one map, and the contrast that a name must reach there.

    Attributes:
        bank: (k, c) float32 unit vectors of generic names; may have no rows.
        background: (s, c) float32 unit vectors, a sample of the map's voxels.
        scale: Of cosines in a softmax among names.
        levels: (k,) float32 median cosine of each name of the bank over ``background``.
        needed: Contrast of an object at which a probability is one half.
        needed_of_places: The same of a single voxel, or of a ray: among many some stand out by chance.
    """

    bank: FloatArray
    background: FloatArray
    scale: float
    levels: FloatArray
    needed: float
    needed_of_places: float

    @classmethod
    def measured(
        cls, bank: FloatArray, background: FloatArray, objects: FloatArray, scale: float = 40.0
    ) -> NameContrast:
        """Measures the levels and the needed contrast of one map.

        Args:
            bank: (k, c) float32 unit vectors of generic names.
            background: (n, c) float32 unit vectors of voxels; more than SAMPLE are thinned evenly.
            objects: (m, c) float32 unit vectors of the map's objects.
            scale: Of cosines in a softmax among names.
        """
        sample = background[:: max(1, len(background) // SAMPLE)]
        levels = np.zeros(len(bank), np.float32)
        if len(bank) and len(sample):
            levels = np.median(sample @ bank.T, axis=0).astype(np.float32)
        own = cls(bank, sample, scale, levels, LEAST_NEEDED, LEAST_NEEDED)
        needed = own._needed(objects)
        return replace(own, needed=needed, needed_of_places=max(needed, own._needed(sample)))

    def _needed(self, vectors: FloatArray) -> float:
        """What few of the bank's names reach on any of the vectors (n, c): most of them are not there."""
        if not len(self.bank):
            return NEEDED_WITHOUT_BANK
        if not len(vectors):
            return LEAST_NEEDED
        above = vectors @ self.bank.T - self.levels
        rivals = _others(self.bank, self.bank)
        np.fill_diagonal(rivals, False)
        peaks = (above - _softmean(above, rivals, self.scale)).max(axis=0)
        median = float(np.median(peaks))
        spread = float(np.median(np.abs(peaks - median)))
        return max(median + NEEDED_DEVIATIONS * spread, LEAST_NEEDED)

    def contrasts(self, texts: FloatArray, vectors: FloatArray) -> FloatArray:
        """(n,) how far the name of some texts (p, c) stands out on each of the vectors (n, c)."""
        cosines = vectors @ texts.T
        levels = np.median(self.background @ texts.T, axis=0) if len(self.background) else 0.0
        above = cosines - levels
        if not len(self.bank):
            return np.asarray(above.max(axis=1), np.float32)
        against = vectors @ self.bank.T - self.levels
        contrasts = above - _softmean(against, _others(texts, self.bank), self.scale)
        return np.asarray(contrasts.max(axis=1), np.float32)

    def probabilities(self, texts: FloatArray, vectors: FloatArray, *, places: bool = False) -> Float64Array:
        """How probable it is that each vector shows what some texts name.

        Args:
            texts: (p, c) float32 unit vectors.
            vectors: (n, c) float32 unit vectors of objects.
            places: The vectors are those of voxels or rays.

        Returns:
            (n,) float64.
        """
        if not len(vectors):
            return np.zeros(0)
        needed = self.needed_of_places if places else self.needed
        logits = SLOPE * (self.contrasts(texts, vectors) / needed - 1.0)
        return np.asarray(expit(np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT)), float)


def _others(names: FloatArray, bank: FloatArray) -> BoolMask:
    """(p, k) which names of the bank compete: not those whose text is far nearer to a name than the rest."""
    cosines = names @ bank.T
    mean, deviation = cosines.mean(axis=1, keepdims=True), cosines.std(axis=1, keepdims=True)
    return np.asarray(cosines <= mean + np.maximum(RELATED_DEVIATIONS * deviation, LEAST_RELATED))


def _softmean(above: FloatArray, others: BoolMask, scale: float) -> FloatArray:
    """(n, p) log-mean over the bank's competing names (p, k) of ``above`` (n, k), in cosine."""
    terms, kept = np.exp(scale * above), others.T.astype(np.float32)
    counts = kept.sum(axis=0)
    means = np.where(counts > 0, terms @ kept / np.maximum(counts, 1.0), 1.0)
    return np.asarray(np.log(np.maximum(means, np.finfo(np.float32).tiny)) / scale, np.float32)
