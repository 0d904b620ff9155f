"""A picture from above: what truly stands in a room, and the boxes of the map's objects over it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import RgbImage
from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.mapping.objects.object_store import ObjectStore
from perception_contrast.visualization.overlay import label_colour, to_ascii
from perception_contrast_training.evaluation.mapping.room_truth import VOXEL, RoomTruth, is_structure

SCALE = 220.0  # pixels a metre
_MARGIN = 0.3  # metres
_PAPER = 245
_RIGHT, _WRONG, _UNSURE, _GONE = (20, 130, 40), (200, 30, 30), (130, 130, 130), (60, 60, 200)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def top_view(store: ObjectStore, truth: RoomTruth, means: dict[str, set[int]]) -> RgbImage:
    """Draws a room from above, x to the right and y upwards.

    True things are pale areas with their names in small letters. Boxes of objects: green where the name is
    true of the thing below, red where it is not, grey for unconfirmed ones, blue for what is gone.

    Args:
        store: The map's objects.
        truth: What stands in the room.
        means: Label to the numbers of the things that may be called so.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    things = [thing for number, thing in truth.things.items() if not is_structure(number)]
    ground = np.concatenate([thing.voxels.centroids for thing in truth.things.values()])[:, :2]
    low, high = ground.min(axis=0) - _MARGIN, ground.max(axis=0) + _MARGIN
    width, height = (int(side) for side in np.ceil((high - low) * SCALE))
    picture = np.full((height, width, 3), _PAPER, np.uint8)

    def pixel(points: NDArray[np.floating]) -> NDArray[np.int64]:
        flat = (points[..., :2] - low) * SCALE
        return np.stack([flat[..., 0], height - 1 - flat[..., 1]], axis=-1).round().astype(np.int64)

    half = round(VOXEL * SCALE / 2)
    for thing in sorted(things, key=lambda one: float(one.voxels.centroids[:, 2].max())):
        colour = tuple(int(0.45 * part + 0.55 * _PAPER) for part in label_colour(thing.number))
        for x, y in pixel(thing.voxels.centroids):
            cv2.rectangle(picture, (int(x) - half, int(y) - half), (int(x) + half, int(y) + half), colour, -1)
    for thing in things:
        x, y = pixel(np.median(thing.voxels.centroids, axis=0))
        cv2.putText(picture, thing.name, (int(x) - 20, int(y)), _FONT, 0.35, (90, 90, 90), 1, cv2.LINE_AA)
    for one in store.objects:
        _box(picture, pixel(one.low), pixel(one.high), _colour(one, truth, means), _title(one))
    return picture


def _colour(one: MapObject, truth: RoomTruth, means: dict[str, set[int]]) -> tuple[int, int, int]:
    if one.status != "confirmed":
        return _GONE if one.status == "gone" else _UNSURE
    return _RIGHT if truth.owner(one.voxels) in means.get(one.label, set()) else _WRONG


def _title(one: MapObject) -> str:
    return to_ascii(f"{one.id} {one.label} {one.confidence:.2f}")


def _box(
    picture: RgbImage,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    colour: tuple[int, int, int],
    title: str,
) -> None:
    corners = [(int(first[0]), int(first[1])), (int(second[0]), int(second[1]))]
    cv2.rectangle(picture, corners[0], corners[1], colour, 2)
    cv2.putText(picture, title, (corners[0][0], corners[1][1] - 3), _FONT, 0.4, colour, 1, cv2.LINE_AA)
