"""The map from above as an image: the floor plan in colours, the objects, and the answers of questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array, RgbImage
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import writing
from perception_contrast.mapping.answers.map_answer import Hit
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.visualization.label_placement import LabelRequest, place_labels

_LONGEST = 1200  # pixels
_BACKGROUND, _INK, _OBJECT, _GONE = (245, 245, 245), (40, 40, 40), (120, 120, 120), (190, 190, 190)
# Colours that colour-blind people can tell apart (Okabe and Ito, 2008).
_ANSWERS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
_MARGIN = 0.3  # metres
_CEILING = 2.0  # metres above the floor: what is higher would hide the room
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45
_POINT = 0.02  # metres that a point covers
_MAX_POINTS = 400_000


class _Plan:
    """Places in metres to pixels: x to the right, y up."""

    def __init__(self, low: Float64Array, high: Float64Array) -> None:
        self.low, self.high = low[:2] - _MARGIN, high[:2] + _MARGIN
        self.scale = _LONGEST / float((self.high - self.low).max())
        width, height = np.ceil((self.high - self.low) * self.scale).astype(int)
        self.size = (max(int(height), 64), max(int(width), 64))

    def pixels(self, places: NDArray[np.floating]) -> NDArray[np.int64]:
        """(n, 2) x, y of places (n, 2 or more)."""
        at = (np.asarray(places, float)[:, :2] - self.low) * self.scale
        at[:, 1] = self.size[0] - 1 - at[:, 1]
        return np.rint(at).astype(np.int64)


def map_picture(own: SemanticMap, answers: Mapping[str, Sequence[Hit]]) -> RgbImage:
    """Draws a map from above.

    Args:
        own: The map.
        answers: Question to its hits, best first; the first is drawn thick.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        PerceptionError: The map is empty.
    """
    with own.lock:
        things = list(own.objects.objects)
        cloud = own.surface.cloud(_MAX_POINTS) if own.surface is not None else None
        voxels = own.voxels
        points = cloud.points if cloud is not None and len(cloud.points) else None
        colors = cloud.colors if points is not None and cloud is not None else None
        if points is None and voxels is not None and len(voxels):
            points = voxels.positions(voxels.live_rows())
            colors = np.full((len(points), 3), 170, np.uint8)
    if points is None or colors is None:
        raise PerceptionError("the map is empty; there is nothing to draw")
    low, high = np.quantile(points, [0.002, 0.998], axis=0)
    plan = _Plan(np.asarray(low, float), np.asarray(high, float))
    image = _ground(plan, points, colors, float(low[2]))
    for one in things:
        if one.status == "confirmed":
            _outline(image, plan, one.box, _OBJECT, 1)
        elif one.status == "gone":
            _outline(image, plan, one.box, _GONE, 1)
    _draw_answers(image, plan, answers)
    _draw_scale(image, plan)
    return image


def write_picture(path: Path, image: RgbImage) -> None:
    """Writes a PNG. Raises StorageError."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    with writing(path) as part:
        part.write_bytes(encoded.tobytes())


def _ground(plan: _Plan, points: NDArray[np.float32], colors: NDArray[np.uint8], floor: float) -> RgbImage:
    """The points from above, the highest on top, without the ceiling."""
    image = np.full((*plan.size, 3), _BACKGROUND, np.uint8)
    shown = points[:, 2] < floor + _CEILING
    at = plan.pixels(points[shown])
    inside = ((at >= 0) & (at < [plan.size[1], plan.size[0]])).all(axis=1)
    order = np.argsort(points[shown][inside, 2], kind="stable")
    x, y = at[inside][order].T
    pale = (0.5 * colors[shown][inside][order] + 0.5 * np.array(_BACKGROUND)).astype(np.uint8)
    spread = 1 + int(_POINT * plan.scale)
    for dy in range(spread):
        for dx in range(spread):
            image[np.clip(y + dy, 0, plan.size[0] - 1), np.clip(x + dx, 0, plan.size[1] - 1)] = pale
    return image


def _outline(image: RgbImage, plan: _Plan, box: Box3D, colour: tuple[int, int, int], width: int) -> None:
    corners = plan.pixels(box.corners[:4]).astype(np.int32)
    cv2.polylines(image, [corners], True, colour, width, cv2.LINE_AA)


def _draw_answers(image: RgbImage, plan: _Plan, answers: Mapping[str, Sequence[Hit]]) -> None:
    texts, requests, colours = [], [], []
    for number, (question, hits) in enumerate(answers.items()):
        colour = _ANSWERS[number % len(_ANSWERS)]
        for place, hit in enumerate(hits[:3]):
            _outline(image, plan, hit.box, colour, 3 if place == 0 else 1)
            text = f"{question} {hit.score:.2f}"
            (width, height), base = cv2.getTextSize(text, _FONT, _SCALE, 1)
            corners = plan.pixels(hit.box.corners[:4])
            (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0) + 1
            box = (int(x0), int(y0), int(x1), int(y1))
            anchor = (int((x0 + x1) // 2), int((y0 + y1) // 2))
            requests.append(LabelRequest((width + 6, height + base + 4), box, anchor))
            texts.append(text)
            colours.append(colour)
    nothing = np.zeros(plan.size, bool)
    for text, colour, placed in zip(texts, colours, place_labels(requests, nothing), strict=True):
        if placed is None:
            continue
        x0, y0, x1, y1 = placed.box
        cv2.rectangle(image, (x0, y0), (x1 - 1, y1 - 1), colour, -1)
        if placed.leader is not None:
            cv2.line(image, placed.leader[0], placed.leader[1], colour, 1, cv2.LINE_AA)
        cv2.putText(image, text, (x0 + 3, y1 - 6), _FONT, _SCALE, (255, 255, 255), 1, cv2.LINE_AA)


def _draw_scale(image: RgbImage, plan: _Plan) -> None:
    length, y = round(plan.scale), plan.size[0] - 12
    cv2.line(image, (12, y), (12 + length, y), _INK, 2)
    cv2.putText(image, "1 m", (16, y - 5), _FONT, _SCALE, _INK, 1, cv2.LINE_AA)
