"""Boxes drawn in the browser: saved so that others read them, without harm to what was there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.dataset.coco_file import BACKUP, CocoFile, ImageFacts, LabelledBox
from perception_contrast_studio.components.dataset.dataset_boxes import boxes_from_browser
from perception_contrast_training.evaluation.readers.coco import CocoSet
from perception_contrast_training.evaluation.readers.types import Skipped

FACTS = ImageFacts("a.jpg", (40, 60), {"frame_index": 3})


def box(x: float, y: float, w: float, h: float, label: str = "mug", id: int = 0) -> LabelledBox:
    return LabelledBox(id, label, x, y, w, h)


def test_pycocotools_and_eval_read_what_was_drawn(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    file = CocoFile(tmp_path / "boxes" / "studio.json")
    file.put(FACTS, [box(1, 2, 30, 20), box(0, 0, 60, 40, "table")])
    file.put(ImageFacts("b.jpg", (40, 60), {}), [], keep_empty=True)
    read = coco.COCO(str(file.path))
    notes = read.loadAnns(read.getAnnIds(imgIds=read.getImgIds()))
    assert [note["bbox"] for note in notes] == [[1, 2, 30, 20], [0, 0, 60, 40]]
    assert [read.cats[note["category_id"]]["name"] for note in notes] == ["mug", "table"]
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "boxes" / "images").mkdir(exist_ok=True)
        Image.new("RGB", (60, 40)).save(tmp_path / "boxes" / "images" / name)
    second, first = CocoSet(file.path, None, Skipped())
    mask = next(thing.mask for thing in first.things if thing.names == ("mug",))
    assert mask.sum() == 600 and mask[2:22, 1:31].all()
    assert second.absent == ("mug", "table")


def test_boxes_keep_their_ids_when_they_move_and_go_when_they_are_deleted(tmp_path: Path) -> None:
    file = CocoFile(tmp_path / "studio.json")
    file.put(FACTS, [box(1, 2, 3, 4), box(5, 6, 7, 8)])
    first, second = file.boxes("a.jpg")
    file.put(FACTS, [box(2, 2, 3, 4, "cup", first.id), box(9, 9, 2, 2)])
    again = file.boxes("a.jpg")
    assert again[0] == box(2, 2, 3, 4, "cup", first.id) and again[1].id not in (first.id, second.id)
    file.put(FACTS, [])
    assert json.loads(file.path.read_text())["images"] == [] and file.labelled() == {}


def foreign(path: Path) -> dict[str, Any]:
    content = {
        "info": {"year": 2020},
        "licenses": [{"id": 1}],
        "images": [
            {"id": 7, "file_name": "a.jpg", "height": 40, "width": 60, "coco_url": "http://x"},
            {"id": 9, "file_name": "other.jpg", "height": 40, "width": 60},
        ],
        "categories": [{"id": 44, "name": "bottle", "supercategory": "kitchen"}],
        "annotations": [
            {"id": 5, "image_id": 7, "category_id": 44, "bbox": [1.25, 2.5, 10.0, 10.0], "score": 0.5},
            {
                "id": 6, "image_id": 7, "category_id": 44, "bbox": [0, 0, 5, 5], "area": 25,
                "segmentation": [[0, 0, 5, 0, 5, 5]],
            },
            {"id": 8, "image_id": 9, "category_id": 44, "bbox": [0, 0, 2, 2]},
        ],
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return content


def test_a_file_of_others_keeps_all_that_was_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    before = foreign(path)
    file = CocoFile(path)
    plain, masked = file.boxes("a.jpg")
    assert plain.corners == (1.25, 2.5, 11.25, 12.5) and masked.locked and not plain.locked
    file.put(FACTS, [plain, masked, box(20, 20, 4, 4, "bottle")])
    after = json.loads(path.read_text())
    assert [note for note in after["annotations"] if note["id"] <= 8] == [
        before["annotations"][2], *before["annotations"][:2],
    ]  # fmt: skip
    assert {key: after[key] for key in ("info", "licenses", "images", "categories")} == {
        key: before[key] for key in ("info", "licenses", "images", "categories")
    }
    assert json.loads((tmp_path / f"instances.json{BACKUP}").read_text()) == before
    # A mask is never contradicted by a box that somebody moved in the meantime.
    file.put(FACTS, [box(2, 2, 10, 10, "bottle", plain.id), box(9, 9, 9, 9, "bottle", masked.id)])
    found = {note["id"]: note for note in json.loads(path.read_text())["annotations"]}
    assert found[6] == before["annotations"][1]
    assert found[5] == {**before["annotations"][0], "bbox": [2, 2, 10, 10], "area": 100}


def test_what_another_program_saved_in_the_meantime_stays(tmp_path: Path) -> None:
    file = CocoFile(tmp_path / "studio.json")
    file.put(FACTS, [box(1, 2, 3, 4)])
    CocoFile(tmp_path / "studio.json").put(ImageFacts("b.jpg", (40, 60), {}), [box(0, 0, 9, 9, "bowl")])
    file.put(FACTS, [box(1, 2, 3, 5)])
    assert file.labelled() == {"a.jpg": 1, "b.jpg": 1} and set(file.labels()) == {"mug", "bowl"}


@pytest.mark.parametrize(
    "wrong",
    [box(-1, 0, 5, 5), box(58, 0, 5, 5), box(0, 0, 0, 5), box(0, 0, float("nan"), 5), box(0, 0, 5, 5, " ")],
)
def test_boxes_that_are_none_are_refused_and_nothing_is_written(tmp_path: Path, wrong: LabelledBox) -> None:
    file = CocoFile(tmp_path / "studio.json")
    with pytest.raises(PerceptionError):
        file.put(FACTS, [wrong])
    assert not file.path.exists()


@pytest.mark.parametrize(
    "text", ["no", "[]", '{"images": []}', '{"images": [1], "annotations": [], "categories": []}']
)
def test_a_file_that_is_no_coco_is_named_and_left(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(PerceptionError, match=r"x\.json"):
        CocoFile(tmp_path / "x.json")
    assert (tmp_path / "x.json").read_text() == text


@pytest.mark.parametrize(
    "given",
    [
        None,
        3,
        ["x"],
        [{"id": 1}],
        [{"id": 0, "label": "a", "x": "1", "y": 0, "w": 1, "h": 1, "locked": False}],
    ],
)
def test_what_no_editor_sends_is_refused(given: Any) -> None:
    with pytest.raises(PerceptionError, match="reload"):
        boxes_from_browser(given)
