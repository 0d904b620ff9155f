"""Draws detections on an image: thin outlines, a light fill, and labels that do not overlap."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask
from perception_contrast.core.detection import Detection
from perception_contrast.visualization.label_placement import LabelRequest, PlacedLabel, place_labels

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

MOST_DRAWN = 12  # detections of one image that a reader still takes in
_FILL = 0.3  # opacity of a small mask
_FULL_FILL_SHARE = 0.01  # share of the image up to which a mask gets that opacity
_LARGE_SHARE = 0.08  # share of the image from which a label is written on the thing
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DARK, _LIGHT = (0, 0, 0), (255, 255, 255)


def label_colour(number: int) -> Colour:
    """RGB of a label id: hues a golden angle apart."""
    r, g, b = colorsys.hsv_to_rgb((number * 0.381966) % 1.0, 0.75, 1.0)
    return round(255 * r), round(255 * g), round(255 * b)


def to_ascii(text: str) -> str:
    """The text in ASCII, all that OpenCV's font can draw: without accents, and "?" for other scripts."""
    letters = [one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one)]
    return "".join(letters).encode("ascii", "replace").decode()


def caption(detection: Detection, scores: bool = False) -> str:
    """Caption of a thing: the label, the track's id if it has one, and with ``scores`` the probability."""
    number = f" #{detection.track_id}" if detection.track_id else ""
    probability = f" {detection.scores.probability:.2f}" if scores else ""
    return f"{detection.label}{number}{probability}"


def overlay(
    image: Image,
    detections: Sequence[Detection],
    ids: dict[str, int],
    *,
    scores: bool = False,
    most: int = MOST_DRAWN,
    notice: str = "",
) -> Image:
    """A copy of an image with its most probable detections drawn on it.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: In any order.
        ids: ids of the labels, for their colours.
        scores: Write the probability behind each label.
        most: Most detections that are drawn.
        notice: A sentence for a strip along the lower border; "" for none.
    """
    drawn = np.array(image, order="C")
    height, width = drawn.shape[:2]
    chosen = sorted(detections, key=lambda one: -one.scores.probability)[:most]
    masks = [(one, _mask_inside(one, (height, width))) for one in chosen]
    # Small things are drawn last, over the surfaces that they lie on, and choose their labels' places first.
    masks = sorted(((one, mask) for one, mask in masks if mask.any()), key=lambda pair: -pair[1].sum())
    small = np.zeros((height, width), np.bool_)
    for one, mask in masks:
        _draw_mask(drawn, one, mask, label_colour(ids.get(one.label, 0)))
        if mask.sum() < _LARGE_SHARE * height * width:
            _window(small, one, mask)[mask] = True
    strip = _draw_notice(drawn, notice) if notice else None
    texts = _Texts(drawn)
    masks.reverse()
    captions = [texts.fitted(to_ascii(caption(one, scores))) for one, _ in masks]
    requests = [
        _request(one, mask, texts.size(text), (height, width))
        for (one, mask), text in zip(masks, captions, strict=True)
    ]
    places = place_labels(requests, small, [strip] if strip else [])
    colours = [label_colour(ids.get(one.label, 0)) for one, _ in masks]
    for place, colour in zip(places, colours, strict=True):
        if place is not None and place.leader is not None:
            cv2.line(drawn, *place.leader, colour, texts.line, cv2.LINE_AA)
            cv2.circle(drawn, place.leader[1], texts.line + 1, colour, cv2.FILLED, cv2.LINE_AA)
    for place, text, colour in zip(places, captions, colours, strict=True):
        if place is not None:
            texts.draw(place, text, colour)
    return drawn


class _Texts:
    """Captions on one image: their size, and how they are drawn."""

    def __init__(self, image: Image) -> None:
        self._image = image
        side = min(image.shape[:2])
        self._scale = float(np.clip(side / 1100, 0.42, 1.2))
        self._padding = max(2, round(5 * self._scale))
        self.line = 1 if side < 720 else 2

    def size(self, text: str) -> tuple[int, int]:
        """(width, height) of a caption's plate in pixels."""
        (width, height), base = cv2.getTextSize(text, _FONT, self._scale, 1)
        return width + 2 * self._padding, height + base + self._padding

    def fitted(self, text: str) -> str:
        """The text, with its end left out where it is too long for the image."""
        if self.size(text)[0] <= self._image.shape[1]:
            return text
        kept = text[: self._image.shape[1]]
        while kept and self.size(f"{kept}...")[0] > self._image.shape[1]:
            kept = kept[:-1]
        return f"{kept}..."

    def draw(self, place: PlacedLabel, text: str, colour: Colour) -> None:
        """A plate of that colour, with the text in black or white, whichever contrasts more."""
        x0, y0, x1, y1 = place.box
        cv2.rectangle(self._image, (x0, y0), (x1 - 1, y1 - 1), colour, cv2.FILLED)
        ink = _DARK if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else _LIGHT
        base = cv2.getTextSize(text, _FONT, self._scale, 1)[1]
        origin = x0 + self._padding, y1 - base - self._padding // 2
        cv2.putText(self._image, text, origin, _FONT, self._scale, ink, 1, cv2.LINE_AA)


def _mask_inside(detection: Detection, size: tuple[int, int]) -> BoolMask:
    """The part of a mask that lies inside the image."""
    x0, y0, x1, y1 = detection.box
    return detection.mask[: min(y1, size[0]) - y0, : min(x1, size[1]) - x0]


def _window(array: NDArray[np.generic], detection: Detection, mask: BoolMask) -> NDArray[np.generic]:
    """The part of an array of the image's size that a mask lies on."""
    x0, y0 = detection.box[:2]
    return array[y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]]


def _draw_mask(image: Image, detection: Detection, mask: BoolMask, colour: Colour) -> None:
    """A fill that is lighter the larger the mask is, so that surfaces stay visible, and an outline."""
    height, width = image.shape[:2]
    share = float(mask.sum()) / (height * width)
    opacity = _FILL * min(1.0, (_FULL_FILL_SHARE / share) ** 0.5)
    window = _window(image, detection, mask)
    mixed = cv2.addWeighted(window, 1 - opacity, np.full_like(window, colour), opacity, 0)
    window[mask] = mixed[mask]
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    thickness = 1 if min(height, width) < 720 else 2
    cv2.drawContours(image, outlines, -1, colour, thickness, cv2.LINE_AA, offset=detection.box[:2])


def _request(
    detection: Detection, mask: BoolMask, size: tuple[int, int], image_size: tuple[int, int]
) -> LabelRequest:
    x0, y0 = detection.box[:2]
    box = x0, y0, x0 + mask.shape[1], y0 + mask.shape[0]
    x, y = _innermost(mask)
    inside = bool(mask.sum() >= _LARGE_SHARE * image_size[0] * image_size[1])
    return LabelRequest(size, box, (x0 + x, y0 + y), inside)


def _innermost(mask: BoolMask) -> tuple[int, int]:
    """(x, y) of the pixel of a mask that is farthest from its borders, to about a hundredth of its size."""
    step = max(1, max(mask.shape) // 128)
    coarse = mask[::step, ::step]
    if not coarse.any():
        step, coarse = 1, mask
    depths = cv2.distanceTransform(np.pad(coarse, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depths.argmax()), depths.shape)
    return int(x) * step, int(y) * step


def _draw_notice(image: Image, notice: str) -> tuple[int, int, int, int]:
    """Writes a sentence on a dark strip along the lower border, in as many lines as it needs.

    Returns:
        The strip's box, maxima exclusive.
    """
    height, width = image.shape[:2]
    texts = _Texts(image)
    lines = _wrapped(to_ascii(notice), texts, width)
    line_height = texts.size(notice)[1]
    top = max(0, height - line_height * len(lines))
    image[top:] = (0.25 * image[top:]).astype(np.uint8)
    for number, line in enumerate(lines):
        y0 = top + number * line_height
        texts.draw(PlacedLabel((0, y0, texts.size(line)[0], y0 + line_height)), line, (40, 40, 40))
    return 0, top, width, height


def _wrapped(text: str, texts: _Texts, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and texts.size(longer)[0] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [texts.fitted(line) for line in lines]
