"""Images that a demo saves: an overlay a second, and the newest image of the features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perception_contrast.images.files import save_image

if TYPE_CHECKING:
    from perception_contrast.cli.demo.listener_node import DemoListener

_PERIOD = 1.0  # seconds
_MAX_COUNT = 600


class ImageRecorder:
    """Saves images of one run in a folder; nothing if that is None."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._due, self._count = 0.0, 0

    def save(self, listener: DemoListener, now: float) -> None:
        """Saves the newest images, at most once in a period; now: seconds of a steady clock."""
        if self._folder is None or now < self._due or self._count >= _MAX_COUNT:
            return
        overlay = listener.new_overlay()
        if overlay is None:
            return
        self._due = now + _PERIOD
        self._count += 1
        save_image(self._folder / f"overlay_{self._count:04d}.png", overlay)
        features = listener.new_features_image()
        if features is not None:
            save_image(self._folder / "features.png", features)
