"""Strided views of a message's pixel rows, checked before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError

if TYPE_CHECKING:
    from array import array

ByteData: TypeAlias = "bytes | bytearray | memoryview | array[int] | NDArray[np.uint8]"


def quoted(text: str) -> str:
    """A name that came with a message, shortened and quoted for an error text."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def byte_view(data: ByteData, what: str) -> memoryview:
    """The bytes of a contiguous buffer, not copied. Raises FrameError if there are none."""
    view = memoryview(data)  # type: ignore[arg-type]
    if view.nbytes == 0:
        raise FrameError("empty_data", f"{what} has no data; check that its publisher fills the data field")
    return view.cast("B") if view.format != "B" or view.ndim != 1 else view


def pixel_rows(
    data: ByteData,
    *,
    height: int,
    width: int,
    step: int,
    channels: int,
    dtype: np.dtype[Any],
    what: str,
    offset: int = 0,
) -> NDArray[Any]:
    """A view (height, width) or (height, width, channels) of rows that start ``step`` bytes apart.

    ``offset`` bytes come before the first row; the padding behind the last may be missing. ``what``
    names the image in errors.
    """
    view = byte_view(data, what)
    pixel = channels * dtype.itemsize
    row = width * pixel
    if step < row:
        raise FrameError(
            "step_too_small",
            f"{what} has step {step}, but a row of {width} pixels takes {row} bytes; "
            "the publisher must set step to the bytes from one row to the next",
        )
    needed = offset + (height - 1) * step + row
    if view.nbytes < needed:
        raise FrameError(
            "data_too_short",
            f"{what} has {view.nbytes} bytes of data, but its {height} rows of step {step} need {needed}; "
            "check height, step and encoding in the publisher",
        )
    if channels == 1:
        return np.ndarray((height, width), dtype, view, offset, (step, pixel))
    return np.ndarray((height, width, channels), dtype, view, offset, (step, pixel, dtype.itemsize))
