"""Draws detections on an image: masks, outlines, boxes and captions."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.detection import Detection

Image = NDArray[np.uint8]


def label_colour(number: int) -> tuple[int, int, int]:
    """RGB of a label id: hues a golden angle apart."""
    r, g, b = colorsys.hsv_to_rgb((number * 0.381966) % 1.0, 0.75, 1.0)
    return round(255 * r), round(255 * g), round(255 * b)


def to_ascii(text: str) -> str:
    """The text in ASCII, all that OpenCV's font can draw: without accents, and "?" for other scripts."""
    letters = [one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one)]
    return "".join(letters).encode("ascii", "replace").decode()


def caption(detection: Detection) -> str:
    """Caption of a box: the label, the track's id if it has one, the probability."""
    number = f" #{detection.track_id}" if detection.track_id else ""
    return f"{detection.label}{number} {detection.scores.probability:.2f}"


def overlay(image: Image, detections: Sequence[Detection], ids: dict[str, int]) -> Image:
    """A copy of an image with detections drawn on it.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: most probable first, drawn on top.
        ids: ids of the labels, for their colours.
    """
    drawn = np.array(image, order="C")
    for detection in reversed(detections):
        _tint(drawn, detection, label_colour(ids.get(detection.label, 0)))
    size = max(0.4, min(drawn.shape[:2]) / 900)
    for detection in reversed(detections):
        x0, y0, x1, y1 = detection.box
        colour = label_colour(ids.get(detection.label, 0))
        cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), colour, 1)
        _draw_caption(drawn, caption(detection), (x0, y0), colour, size)
    return drawn


def _tint(image: Image, detection: Detection, colour: tuple[int, int, int]) -> None:
    x0, y0, x1, y1 = detection.box
    x1, y1 = min(x1, image.shape[1]), min(y1, image.shape[0])
    mask = detection.mask[: y1 - y0, : x1 - x0]
    window = image[y0:y1, x0:x1]
    mixed = cv2.addWeighted(window, 0.55, np.full_like(window, colour), 0.45, 0)
    window[mask] = mixed[mask]
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(image, outlines, -1, colour, 2, offset=(x0, y0))


def _draw_caption(
    image: Image, text: str, corner: tuple[int, int], colour: tuple[int, int, int], size: float
) -> None:
    shown = to_ascii(text)
    (width, height), base = cv2.getTextSize(shown, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    x = int(np.clip(corner[0], 0, max(0, image.shape[1] - width)))
    y = max(corner[1], height + base)
    cv2.rectangle(image, (x, y - height - base), (x + width, y), colour, -1)
    cv2.putText(image, shown, (x, y - base + 1), cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA)
