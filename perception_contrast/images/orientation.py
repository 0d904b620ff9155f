"""EXIF orientation, which is applied nowhere: pixels stay where they are stored, as intrinsics say.

A mask or an annotation that was drawn on the turned image then has another size, and errors say why.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image

_ORIENTATION = 0x0112


def exif_orientation(path: Path) -> int:
    """The orientation that an image file asks viewers for, 1 to 8; 1 where it asks for none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as header:
                value = int(header.getexif().get(_ORIENTATION, 1))
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError):
        return 1
    return value if 1 <= value <= 8 else 1


def orientation_note(path: Path) -> str:
    """What an error about sizes adds for a file with an orientation; "" for one without."""
    orientation = exif_orientation(path)
    if orientation == 1:
        return ""
    return (
        f". The image has EXIF orientation {orientation}, which is not applied: store its pixels upright, "
        f"with `mogrify -auto-orient {path.name}` or PIL.ImageOps.exif_transpose"
    )
