"""Label images: grey or palette PNGs whose pixels are numbers of classes or things."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perception_contrast.core.errors import FrameError, PerceptionError

_MODES = ("L", "P", "1", "I", "I;16")


def read_labels(path: Path) -> NDArray[np.int64]:
    """The numbers of a label image.

    Args:
        path: A file with one channel of 8 or 16 bits, or a palette.

    Returns:
        (H, W) int64.

    Raises:
        FrameError: The file cannot be read ("unreadable_file").
        PerceptionError: It is an image of colours.
    """
    try:
        with Image.open(path) as stored:
            mode = stored.mode
            numbers = np.asarray(stored).astype(np.int64) if mode in _MODES else None
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise FrameError(
            "unreadable_file", f"labels '{path}' cannot be read: {error}; write them again as PNG"
        ) from error
    if numbers is None:
        raise PerceptionError(f"'{path}' is a {mode} image; labels must have one channel of class numbers")
    return numbers
