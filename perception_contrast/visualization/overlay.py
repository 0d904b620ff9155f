"""Images for people: overlays of what was found, and features as colours."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.detection import Detection
from perception_contrast.core.feature_grid import FeatureGrid


def colour_of(number: int) -> tuple[int, int, int]:
    """RGB of a mask id: hues a golden angle apart, the same id always the same."""
    r, g, b = colorsys.hsv_to_rgb((number * 0.381966) % 1.0, 0.75, 1.0)
    return round(255 * r), round(255 * g), round(255 * b)


def drawable(text: str) -> str:
    """The text in ASCII, which is all that OpenCV's font knows: no accents, and "?" for other scripts."""
    bare = [one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one)]
    return "".join(bare).encode("ascii", "replace").decode()


def caption(detection: Detection) -> str:
    """What stands at a box: the label, the track's id where there is one, the probability."""
    number = f" #{detection.track_id}" if detection.track_id else ""
    return f"{detection.label}{number} {detection.scores.probability:.2f}"


def overlay(image: RgbImage, detections: Sequence[Detection], ids: dict[str, int]) -> RgbImage:
    """Tinted masks, outlines, boxes, "label #id probability", on a copy. image: (H, W, 3) uint8 RGB."""
    drawn = np.array(image, order="C")
    for detection in reversed(detections):
        _tint(drawn, detection, colour_of(ids.get(detection.label, 0)))
    size = max(0.4, min(drawn.shape[:2]) / 900)
    for detection in reversed(detections):
        x0, y0, x1, y1 = detection.box
        colour = colour_of(ids.get(detection.label, 0))
        cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), colour, 1)
        _write(drawn, caption(detection), (x0, y0), colour, size)
    return drawn


def _tint(image: RgbImage, detection: Detection, colour: tuple[int, int, int]) -> None:
    x0, y0, x1, y1 = detection.box
    x1, y1 = min(x1, image.shape[1]), min(y1, image.shape[0])
    mask = detection.mask[: y1 - y0, : x1 - x0]
    window = image[y0:y1, x0:x1]
    mixed = cv2.addWeighted(window, 0.55, np.full_like(window, colour), 0.45, 0)
    window[mask] = mixed[mask]
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(image, outlines, -1, colour, 2, offset=(x0, y0))


def _write(
    image: RgbImage, text: str, corner: tuple[int, int], colour: tuple[int, int, int], size: float
) -> None:
    shown = drawable(text)
    (width, height), base = cv2.getTextSize(shown, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    x = int(np.clip(corner[0], 0, max(0, image.shape[1] - width)))
    y = max(corner[1], height + base)
    cv2.rectangle(image, (x, y - height - base), (x + width, y), colour, -1)
    cv2.putText(image, shown, (x, y - base + 1), cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA)


class PrincipalColours:
    """The three strongest directions of the features as red, green and blue, steady from frame to frame."""

    def __init__(self) -> None:
        self._basis: NDArray[np.float64] | None = None
        self._space = ""

    def __call__(self, grid: FeatureGrid) -> RgbImage:
        """(H, W, 3) RGB of the source's size, at most 640 wide."""
        rows, columns, channels = grid.shape
        values = grid.values.astype(np.float32).reshape(-1, channels)
        centred = values - values.mean(axis=0)
        covariance = (centred.T @ centred).astype(np.float64)
        if self._basis is None or self._space != grid.space:
            self._basis, self._space = np.linalg.eigh(covariance)[1][:, :-4:-1], grid.space
        else:
            # One step of subspace iteration from the last frame keeps the colours where they were.
            turned, upper = np.linalg.qr(covariance @ self._basis)
            self._basis = turned * np.where(np.diag(upper) < 0, -1.0, 1.0)
        projected = centred @ self._basis.astype(np.float32)
        low, high = np.percentile(projected, (2, 98), axis=0)
        shades = np.clip((projected - low) / np.maximum(high - low, 1e-9), 0, 1).reshape(rows, columns, 3)
        height, width = grid.image_size
        scale = min(1.0, 640 / width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        large = cv2.resize(shades.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        return np.asarray((np.clip(large, 0, 1) * 255).astype(np.uint8))
