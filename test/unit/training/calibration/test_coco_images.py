"""Boxes and masks of a COCO file, as names that are asked of its images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from perception_contrast.core.errors import PerceptionError
from perception_contrast.segmentation.regions.region import Region
from perception_contrast_training.calibration.asked_images import AskedImage
from perception_contrast_training.calibration.calibrate_command import _parser, halves
from perception_contrast_training.evaluation.readers.types import Skipped

WIDTH, HEIGHT = 60, 40
MUG, CHAIR = 1, 2


def note(image: int, category: int, box: list[int], **more: Any) -> dict[str, Any]:
    return {"id": image * 10 + category, "image_id": image, "category_id": category, "bbox": box, **more}


def coco_file(folder: Path, annotations: list[dict[str, Any]], images: int = 4) -> Path:
    """As the studio writes it: images/ beside the file."""
    (folder / "images").mkdir()
    listed = []
    for number in range(1, images + 1):
        name = f"{number}.png"
        assert cv2.imwrite(str(folder / "images" / name), np.full((HEIGHT, WIDTH, 3), number, np.uint8))
        listed.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
    stored = {
        "images": listed,
        "annotations": annotations,
        "categories": [{"id": MUG, "name": "mug"}, {"id": CHAIR, "name": "chair"}],
    }
    file = folder / "studio.json"
    file.write_text(json.dumps(stored), "utf-8")
    return file


def asked(file: Path, absent: int = 20) -> tuple[list[AskedImage], list[AskedImage]]:
    arguments = _parser().parse_args(["--data", str(file), "--absent", str(absent)])
    first, second = halves(arguments, Skipped())
    return list(first), list(second)


def region(x0: int, y0: int, x1: int, y1: int) -> Region:
    mask = np.ones((y1 - y0, x1 - x0), bool)
    return Region((x0, y0, x1, y1), mask, 1.0, 1.0, mask.size / (WIDTH * HEIGHT))


def test_boxes_are_asked_for_and_what_has_none_is_absent(tmp_path: Path) -> None:
    file = coco_file(tmp_path, [note(1, MUG, [10, 5, 20, 20]), note(3, CHAIR, [0, 0, 30, 30])])
    first, second = asked(file)
    assert [image.rgb[0, 0, 0] for image in (*first, *second)] == [1, 2, 3, 4]
    many = {one.text: one for one in first[0].vocabularies[0]}
    assert many["mug"].present and many["chair"].absent and not many["mug"].absent
    # 20 names are not there: the file's own, then such as no robot meets.
    assert len(many) == 21 and sum(one.absent for one in many.values()) == 20
    # A region in the box is right, whatever its outline; one beside it is wrong.
    assert many["mug"].judged(region(12, 6, 20, 14), (HEIGHT, WIDTH)) is True
    assert many["mug"].judged(region(40, 6, 50, 14), (HEIGHT, WIDTH)) is False
    # "Nothing here" is an image without annotations: all of its names are absent.
    assert {one.text for one in first[1].vocabularies[0] if one.text in ("mug", "chair")} == {"mug", "chair"}
    assert all(one.absent for one in first[1].vocabularies[0])


def test_masks_have_to_be_met_and_a_crowd_says_nothing(tmp_path: Path) -> None:
    outline = [[10, 5, 30, 5, 30, 25, 10, 25]]
    file = coco_file(
        tmp_path,
        [
            note(1, MUG, [10, 5, 20, 20], segmentation=outline, iscrowd=0),
            note(3, MUG, [0, 0, 20, 20]),
            note(3, MUG, [30, 0, 30, 40], iscrowd=1),
        ],
    )
    first, second = asked(file)
    mug = next(one for one in first[0].vocabularies[0] if one.text == "mug")
    assert mug.judged(region(10, 5, 30, 25), (HEIGHT, WIDTH)) is True
    assert mug.judged(region(12, 6, 20, 14), (HEIGHT, WIDTH)) is False
    mug = next(one for one in second[0].vocabularies[0] if one.text == "mug")
    assert mug.judged(region(40, 10, 50, 20), (HEIGHT, WIDTH)) is None


def test_one_image_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(PerceptionError, match="1 labelled images; two or more"):
        asked(coco_file(tmp_path, [], images=1))
