"""Do classes lie apart in dense features, untrained? k-means, then the best names for its clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.images.resize import resize_labels
from perception_contrast_training.evaluation.metrics.confusion import ConfusionMatrix
from perception_contrast_training.evaluation.readers.types import IGNORED


def best_names(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Class of each cluster so that most cells agree (Hungarian matching); -1 for clusters left over.

    counts: (clusters, classes) cells in both.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-counts)
    names = np.full(len(counts), -1, np.int64)
    names[rows] = columns
    return names


def clustering_figures(
    features: Sequence[Tensor], labels: Sequence[NDArray[np.int64]], classes: int, seed: int = 0
) -> dict[str, float]:
    """mIoU and accuracy over all cells, of as many clusters as there are classes (as PiCIE measures it).

    features: (c, h, w) of each image, clustered as unit vectors. labels: (H, W) of each, or IGNORED.
    """
    from sklearn.cluster import MiniBatchKMeans

    cells = [one.float().flatten(1).T.numpy() for one in features]
    points = np.concatenate(cells)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    means = MiniBatchKMeans(classes, batch_size=4096, n_init=3, random_state=seed)
    found = means.fit_predict(points)
    truths = np.concatenate(
        [
            resize_labels(one, (f.shape[1], f.shape[2])).ravel()
            for one, f in zip(labels, features, strict=True)
        ]
    )
    known = truths != IGNORED
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (found[known], truths[known]), 1)
    matrix = ConfusionMatrix(classes)
    matrix.add(np.where(known, truths, -1), best_names(counts)[found])
    return {"clustering mIoU": matrix.mean_iou(), "clustering accuracy": matrix.accuracy()}
