"""Are the same places alike? Percentage of correct keypoints (PCK) under homographies that are known.

An image is seen again through a random homography, as in HPatches (Balntas et al., CVPR 2017); each cell
of the first is matched with the most similar of the second. A match is correct within a share of the
image's longer side (Yang and Ramanan, 2013).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage

Floats = NDArray[np.float64]
TOLERANCES = (0.05, 0.1)


def random_homography(rng: np.random.Generator, size: tuple[int, int], strength: float = 0.25) -> Floats:
    """(3, 3) from an image's pixels to those of a view of a quadrilateral inside it.

    Each corner of the quadrilateral lies up to ``strength`` of the sides (height, width) from the image's.
    """
    height, width = size
    corners = np.array([(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)], np.float64)
    inwards = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    seen = corners + inwards * rng.uniform(0, strength, (4, 2)) * (width, height)
    found = cv2.getPerspectiveTransform(seen.astype(np.float32), corners.astype(np.float32))
    return np.asarray(found, np.float64)


def warped(image: NDArray[np.uint8], homography: Floats) -> NDArray[np.uint8]:
    """The image (H, W, 3) as the homography shows it, of the same size."""
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpPerspective(image, homography, size, flags=cv2.INTER_LINEAR), np.uint8)


def matching_errors(first: FeatureGrid, second: FeatureGrid, homography: Floats) -> Floats:
    """(n,) distances between where cells went and where they were found, as shares of the longer side.

    One for each cell of ``first`` that the second image shows. Raises SpaceError.
    """
    require_same_space(first.space, second.space, "two views of an image")
    places = _centres(first.grid_to_image, first.shape)
    went = cv2.perspectiveTransform(places[None], homography)[0]
    height, width = second.image_size
    shown = ((went >= -0.5) & (went <= (width - 0.5, height - 0.5))).all(axis=1)
    cells = first.unit().values.reshape(len(places), -1)[shown]
    others = second.unit().values.reshape(-1, second.shape[2])
    found = _centres(second.grid_to_image, second.shape)[(cells @ others.T).argmax(axis=1)]
    distances = np.linalg.norm(found - went[shown], axis=1)
    return np.asarray(distances / max(second.image_size), np.float64)


def pck(errors: Floats, tolerances: Sequence[float] = TOLERANCES) -> dict[str, float]:
    """Share of errors within each tolerance, by "pck@<tolerance>"."""
    return {f"pck@{t:g}": float(np.mean(errors <= t)) if len(errors) else float("nan") for t in tolerances}


def _centres(to_image: GridToImage, shape: tuple[int, int, int]) -> Floats:
    """(h * w, 2) pixels (x, y) of all cells, row by row."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    x, y = to_image.sx * columns + to_image.ox, to_image.sy * rows + to_image.oy
    return np.stack([x.ravel(), y.ravel()], axis=1)
