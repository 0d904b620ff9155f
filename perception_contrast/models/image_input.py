"""How a model's authors brought whole images to the square size that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Size
from perception_contrast.core.errors import FrameError

# Of images more elongated than this the middle alone is resized, where the middle is all that counts.
_LONGEST = 4


@dataclass(frozen=True)
class ImageInput:
    """The input of an image's one vector: a square of the size that the model was trained on.

    Attributes:
        side: Of the square in pixels.
        squash: Whether the whole image is stretched to the square; else its shorter side is resized to it,
            and the middle is kept.
        bilinear: Whether it is resized bilinearly and not bicubically; with antialiasing in both cases.
    """

    side: int
    squash: bool = False
    bilinear: bool = False

    def resized(self, size: Size) -> Size:
        """(height, width) to resize an image of (height, width) to, before ``middle``.

        The longer side is cut to whole pixels, as torchvision's ``Resize`` does.

        Raises:
            FrameError: For an image without pixels.
        """
        height, width = size
        if height <= 0 or width <= 0:
            raise FrameError("zero_size", f"an image of {width}x{height} has no pixels")
        if self.squash:
            return self.side, self.side
        shorter = min(height, width)
        return self.side * height // shorter, self.side * width // shorter

    def middle(self, images: Any) -> Any:
        """The square in the middle of images (..., height, width), as torchvision's ``CenterCrop`` does."""
        top, left = (round((total - self.side) / 2) for total in images.shape[-2:])
        return images[..., top : top + self.side, left : left + self.side]

    def trims(self, size: Size) -> bool:
        """Whether ``trimmed`` leaves something of an image of (height, width) out."""
        return not self.squash and max(size) > _LONGEST * min(size)

    def trimmed(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The middle of an image (H, W, 3) that is much longer than wide; others as they are.

        Of a strip only the middle counts, and resizing all of it would need far more memory.
        """
        height, width = image.shape[:2]
        if not self.trims((height, width)):
            return image
        most = _LONGEST * min(height, width)
        top, left = max(0, (height - most) // 2), max(0, (width - most) // 2)
        return image[top : top + most, left : left + most]
