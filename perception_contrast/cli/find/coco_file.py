"""Results as one COCO file: images, annotations with masks and scores, categories."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perception_contrast.core.arrays import BoolMask
from perception_contrast.core.cache import replacing
from perception_contrast.images.run_length import decode_mask

RLE, POLYGON = "rle", "polygon"


def write_coco(
    path: Path,
    entries: Iterable[Mapping[str, Any]],
    categories: Mapping[str, int],
    file_names: Mapping[str, bool],
    masks: str = RLE,
) -> None:
    """Writes the file, whole or not at all, without holding all annotations in memory.

    Args:
        path: The file.
        entries: Lines of a FindJournal, read once; those without detections are left out.
        categories: Label to category id.
        file_names: Source to whether it is one image; frames of others are named SOURCE/000012.jpg.
        masks: "rle" or "polygon". Polygons are outlines: they lose holes.
    """
    images: list[str] = []
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"info": {"description": "perception-contrast find"},\n"annotations": [')
        separator, count = "\n", 0
        for entry in entries:
            if "detections" not in entry:
                continue
            image = len(images) + 1
            images.append(_dumped(_image(entry, image, file_names[entry["source"]])))
            for annotation in _annotations(entry, image, categories, masks):
                count += 1
                file.write(separator + _dumped({"id": count, **annotation}))
                separator = ",\n"
        file.write('],\n"images": [\n' + ",\n".join(images) + "],\n")
        listed = [{"id": number, "name": label} for label, number in categories.items()]
        file.write(f'"categories": {_dumped(listed)}}}\n')


def frame_name(source: str, index: int) -> str:
    """How a frame of a video or a recording is named among files."""
    return f"{source}/{index:06d}.jpg"


def _image(entry: Mapping[str, Any], number: int, single: bool) -> dict[str, Any]:
    source, index = entry["source"], entry["frame"]
    return {
        "id": number,
        "file_name": source if single else frame_name(source, index),
        "width": entry["width"],
        "height": entry["height"],
        "frame": index,
        "stamp": entry["stamp"],
    }


def _annotations(
    entry: Mapping[str, Any], image: int, categories: Mapping[str, int], masks: str
) -> Iterator[dict[str, Any]]:
    for found in entry["detections"]:
        x0, y0, x1, y1 = found["box"]
        mask = decode_mask(found["mask"])
        annotation = {
            "image_id": image,
            "category_id": categories[found["label"]],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": int(np.count_nonzero(mask)),
            "segmentation": found["mask"] if masks == RLE else _polygons(mask, found["box"]),
            "iscrowd": 0,
            "score": found["score"],
        }
        if found["track_id"]:
            annotation["track_id"] = int(found["track_id"])
        yield annotation


def _polygons(mask: BoolMask, box: list[int]) -> list[list[float]]:
    """Outlines along the outer edges of the mask's pixels; the box where the mask is too thin for any."""
    x0, y0, x1, y1 = box
    part = np.ascontiguousarray(mask[y0:y1, x0:x1]).astype(np.uint8)
    # At twice the size an outline through pixel centres lies a quarter of a pixel within the edges, not half.
    doubled = part.repeat(2, axis=0).repeat(2, axis=1)
    outlines, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corner = np.array([x0 + 0.25, y0 + 0.25])
    polygons = [(outline.reshape(-1, 2) / 2 + corner).ravel().tolist() for outline in outlines]
    kept = [polygon for polygon in polygons if len(polygon) >= 6]
    return kept or [[float(v) for v in (x0, y0, x1, y0, x1, y1, x0, y1)]]


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
