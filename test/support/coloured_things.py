"""A pipeline whose features are colours, and labelled frames of coloured things."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from small_models import ColourLanguage

from perception_contrast.core.arrays import RgbImage
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings

COLOURS = {"red": (220, 30, 30), "blue": (30, 60, 220)}
SHORT_SIDE = 168  # cells of 8 pixels of the frames here


def colour_pipeline() -> Pipeline:
    """A pipeline whose features and words are colours."""
    language = ColourLanguage()
    encoders = Encoders(language.image_encoder, language, "cpu")
    return Pipeline(encoders, PipelineSettings(SHORT_SIDE), background=False)


def coloured_frame(rng: np.random.Generator, things: int = 3) -> tuple[RgbImage, list[dict[str, object]]]:
    """A grey frame (96, 128) with coloured boxes apart from each other: COCO's "bbox" and a name of each."""
    image = rng.integers(110, 140, (96, 128, 3)).astype(np.uint8)
    notes: list[dict[str, object]] = []
    for column in rng.permutation(4)[:things].tolist():
        wide, high = rng.integers(16, 29), rng.integers(16, 60)
        x, y = column * 32 + int(rng.integers(0, 32 - wide)), int(rng.integers(0, 96 - high))
        name = str(rng.choice(list(COLOURS)))
        image[y : y + high, x : x + wide] = COLOURS[name]
        notes.append({"bbox": [x, y, int(wide), int(high)], "name": name})
    return image, notes


def write_coloured_coco(folder: Path, frames: int = 24, *, source: str = "", start: int = 0) -> Path:
    """A COCO file with its images in ``images/``; source: of every annotation."""
    rng = np.random.default_rng(start)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    stored: dict[str, list[dict[str, object]]] = {"images": [], "annotations": [], "categories": []}
    numbers = {name: number for number, name in enumerate(COLOURS, 1)}
    stored["categories"] = [{"id": number, "name": name} for name, number in numbers.items()]
    for index in range(start, start + frames):
        image, notes = coloured_frame(rng)
        name = f"{index:04d}.png"
        cv2.imwrite(str(folder / "images" / name), image[..., ::-1])
        stored["images"].append({"id": index + 1, "file_name": name, "height": 96, "width": 128})
        for note in notes:
            extra: dict[str, object] = {"source": source, "score": 0.9} if source else {}
            stored["annotations"].append(
                {"id": len(stored["annotations"]) + 1, "image_id": index + 1, "bbox": note["bbox"],
                 "category_id": numbers[str(note["name"])], **extra}
            )  # fmt: skip
    path = folder / ("made.json" if source else "boxes.json")
    path.write_text(json.dumps(stored))
    return path
