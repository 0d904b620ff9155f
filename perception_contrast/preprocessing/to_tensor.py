"""Images to tensors, as the reference preprocessing of timm, open_clip and transformers does it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.preprocessing.to_array import image_array


def image_tensor(
    image: NDArray[np.uint8], size: tuple[int, int], mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """image (H, W, 3) uint8 RGB, stretched to size (height, width), as (1, 3, height, width) float32.

    ``image_array``'s values; raises ValueError as it does.
    """
    return torch.from_numpy(image_array(image, size, mean, std))
