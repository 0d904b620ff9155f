"""Array, box and size aliases of segmentation."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]  # (x_min, y_min, x_max, y_max), max exclusive
Size = tuple[int, int]  # (height, width)
