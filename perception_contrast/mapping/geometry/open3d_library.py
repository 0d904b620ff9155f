"""Open3D, imported when it is first needed: all of the map but its surface works without it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from perception_contrast.core.errors import PerceptionError, one_line

REMEDY = "run `make setup`, or `pip install open3d-cpu` (`open3d` where there is no such wheel)"


def open3d(*, alone: bool = False) -> Any:
    """The module ``open3d``.

    Args:
        alone: This process never uses torch, which then is not loaded: it takes seconds and much memory.

    Raises:
        PerceptionError: It is not installed, or a library that it needs is missing.
    """
    if importlib.util.find_spec("open3d") is None:
        raise PerceptionError(f"the map's surface needs Open3D, which is not installed; {REMEDY}")
    if not alone and "open3d" not in sys.modules and importlib.util.find_spec("torch") is not None:
        # Where both are used, torch must be loaded first: in the other order its products have crashed.
        importlib.import_module("torch")
    try:
        return importlib.import_module("open3d")
    except (ImportError, OSError) as error:
        raise PerceptionError(
            f"Open3D cannot be loaded ({one_line(error)}); install what it needs, on Debian and Ubuntu with "
            "`apt-get install libusb-1.0-0 libgl1 libgomp1`"
        ) from error
