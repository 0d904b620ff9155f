"""Whether a place still looks as its object did: for flat things, which no depth can see behind of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.feature_grid import FeatureGrid, unit_vectors
from perception_contrast.mapping.objects.map_object import MeanVector


def look_of(grid: FeatureGrid, pixels: NDArray[np.int32], least_cells: int) -> FloatArray | None:
    """The mean of the unit vectors of the cells under some pixels, of unit length.

    Args:
        grid: Features of the image.
        pixels: (n, 2) as (x, y), at least one.
        least_cells: Of fewer cells half show what lies beside the thing.

    Returns:
        (c,) float32; None for a place of too few cells to say how it looks.
    """
    rows, columns, channels = grid.shape
    place = grid.grid_to_image
    row = np.rint((pixels[:, 1] - place.oy) / place.sy).clip(0, rows - 1).astype(np.int64)
    column = np.rint((pixels[:, 0] - place.ox) / place.sx).clip(0, columns - 1).astype(np.int64)
    cells = np.unique(row * columns + column)
    if len(cells) < least_cells:
        return None
    vectors = unit_vectors(grid.values.reshape(-1, channels)[cells])
    return unit_vectors(vectors.mean(axis=0))


def looks_unlike(look: FloatArray | None, own: MeanVector, others: FloatArray, share: float) -> bool:
    """Whether a look is nearer to that of other things than to the object's own.

    How alike two things look depends on the model, so both levels are measured: the object's by its
    sightings, the others' by the objects of the map.

    Args:
        look: (c,) unit vector of what is in the object's place; None says nothing.
        own: Of the object.
        others: (n, c) unit vectors of other objects; none say nothing.
        share: Of the way from the others' level to the object's own, below which a look is unlike.
    """
    if look is None or not len(others):
        return False
    level = float(np.median(others @ own.unit))
    return float(look @ own.unit) < level + share * (own.agreement - level)
