"""How far a name stands out in one frame: cosines against the name's own level and against other names.

An image-text model ranks names, but its cosines have no fixed zero: their level differs between names,
words and images by more than a thing raises them. So each name is compared with itself over the frame, and
what stands out is compared with what names that are not asked for reach in the same frame.
"""

from __future__ import annotations

import cv2
import numpy as np

from perception_contrast.core.arrays import BoolMask, FloatArray

# A normal distribution's 5 % and 25 % quantiles lie 1.6449 and 0.6745 deviations below its median.
Q05, Q25 = 1.6449, 0.6745
CAP_DEVIATIONS, LEAST_CAP = 4.0, 0.06  # of the bank's levels, by which a name's level may exceed their mean
NEEDED_DEVIATIONS = 2.6  # median absolute deviations of the bank's peaks above their median
LEAST_NEEDED = 0.012  # in cosine; frames without any contrast need it
OUTLINE_LOGIT = -2.0  # at half of a region's peak
SLOPE = 4.0  # logits for the needed contrast; a region that just reaches it has the logit 0
_KERNEL = np.array([0.25, 0.5, 0.25], np.float32)
_MAX_EXPONENT = 80.0  # its exponential still fits a float32


def smoothed(maps: FloatArray) -> FloatArray:
    """Maps (n, h, w), each smoothed over neighbouring cells."""
    if not maps.size:
        return maps
    rows = [cv2.sepFilter2D(one, -1, _KERNEL, _KERNEL, borderType=cv2.BORDER_REPLICATE) for one in maps]
    return np.stack(rows).astype(np.float32, copy=False)


def own_levels(maps: FloatArray) -> FloatArray:
    """(n,) the cosine of each name where the frame does not show it, from the low quantiles of its map.

    maps: (n, h, w). The median of the cells that do not show a thing follows from the low quantiles, which
    the thing hardly moves as long as it covers less than two thirds of the frame.
    """
    low, quarter = np.quantile(maps.reshape(len(maps), -1), (0.05, 0.25), axis=1)
    return np.asarray(quarter + Q25 * (quarter - low) / (Q05 - Q25), np.float32)


def capped_levels(levels: FloatArray, bank_levels: FloatArray) -> FloatArray:
    """(n,) levels that exceed those of the bank's names by no more than names differ.

    What fills the frame would else be its own level, and would never stand out.
    """
    most = bank_levels.mean() + max(CAP_DEVIATIONS * float(bank_levels.std()), LEAST_CAP)
    return np.minimum(levels, np.float32(most))


def background(bank: FloatArray, others: BoolMask, scale: float) -> FloatArray:
    """(n, h, w) the log-mean over the bank's names that compete with each of n names, in cosine.

    The mean, unlike a sum, does not grow with the number of names.

    Args:
        bank: (k, h, w) cosines of the bank's names less their levels.
        others: (n, k) which of them compete with each name.
        scale: of cosines, as the model was trained.
    """
    terms = np.exp(np.minimum(scale * bank, _MAX_EXPONENT)).reshape(len(bank), -1)
    kept = others.astype(np.float32)
    counts = kept.sum(axis=1, keepdims=True)
    means = (kept / np.maximum(counts, 1.0)) @ terms
    means[counts[:, 0] == 0] = 1.0  # nothing competes
    logs = np.log(np.maximum(means, np.finfo(np.float32).tiny)) / scale
    return np.asarray(logs, np.float32).reshape(-1, *bank.shape[1:])


def needed_contrast(bank_contrasts: FloatArray) -> float:
    """The contrast that a name must reach: what few of the bank's names (k, h, w) reach in this frame.

    Most of them are not there; the few that are count little in a median. The maps are smoothed once more,
    as upsampling along an image's edges smooths those that regions are cut from.
    """
    peaks = smoothed(bank_contrasts).reshape(len(bank_contrasts), -1).max(axis=1)
    median = float(np.median(peaks))
    spread = float(np.median(np.abs(peaks - median)))
    return max(median + NEEDED_DEVIATIONS * spread, LEAST_NEEDED)


def contrast_logits(contrast: FloatArray, needed: float) -> FloatArray:
    """(h, w) logits of one name's contrast (h, w), with outlines at half of each region's own peak.

    logit = OUTLINE_LOGIT + SLOPE * (contrast - peak / 2) / needed, so that the slope is the same within and
    without an outline, and a peak as high as needed has the logit 0. Half of the highest peak of the frame
    instead would lose things that stand out less than another of the same name.
    """
    peaks = _region_peaks(contrast, needed)
    return np.asarray(OUTLINE_LOGIT + SLOPE * (contrast - peaks / 2.0) / needed, np.float32)


def _region_peaks(contrast: FloatArray, needed: float) -> FloatArray:
    """(h, w) the peak of the region that each cell lies in or beside, ``needed`` elsewhere and at least."""
    inside = contrast >= needed / 2.0
    if not inside.any():
        return np.full(contrast.shape, needed, np.float32)
    count, labels = cv2.connectedComponents(inside.view(np.uint8), connectivity=8)
    peaks = np.full(count, needed, np.float32)
    np.maximum.at(peaks, labels[inside], contrast[inside])
    peaks[0] = needed
    by_cell = peaks[labels]
    beside = cv2.dilate(by_cell, np.ones((3, 3), np.uint8))
    return np.asarray(np.where(inside, by_cell, beside), np.float32)
