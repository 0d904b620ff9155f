"""Labelled frames of each layout say the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.evaluation.readers.coco import MODEL, boxes_of
from perception_contrast_training.heads.few_shot import chosen_boxes, some_boxes
from perception_contrast_training.heads.labelled_frames import IGNORED, open_labelled

BOX = (10, 20, 40, 60)  # x0, y0, x1, y1 in an image of 100 x 80


def _image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((80, 100, 3), 90, np.uint8)).save(path)


def _coco(folder: Path, **note: object) -> Path:
    _image(folder / "images" / "a.png")
    _image(folder / "images" / "b.png")
    x0, y0, x1, y1 = BOX
    stored = {
        "images": [
            {"id": i, "file_name": f"{n}.png", "width": 100, "height": 80} for i, n in enumerate("ab")
        ],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "plate"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], **note},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [0, 0, 50, 50], **note},
            {"id": 3, "image_id": 1, "category_id": 1, "bbox": [60, 40, 20, 20], **note},
        ],
    }
    (folder / "labels.json").write_text(json.dumps(stored))
    return folder


def _voc(folder: Path) -> Path:
    _image(folder / "JPEGImages" / "a.png")
    (folder / "Annotations").mkdir(parents=True)
    x0, y0, x1, y1 = BOX
    (folder / "Annotations" / "a.xml").write_text(
        "<annotation><filename>a.png</filename><object><name>cup</name><difficult>0</difficult><bndbox>"
        f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        "</annotation>"
    )
    return folder


def _yolo(folder: Path) -> Path:
    _image(folder / "images" / "a.png")
    (folder / "labels").mkdir(parents=True)
    (folder / "data.yaml").write_text("names: [cup, plate]\n")
    x0, y0, x1, y1 = BOX
    shares = ((x0 + x1) / 200, (y0 + y1) / 160, (x1 - x0) / 100, (y1 - y0) / 80)
    (folder / "labels" / "a.txt").write_text("0 " + " ".join(map(str, shares)))
    return folder


@pytest.mark.parametrize("layout", [_coco, _voc, _yolo])
def test_a_box_is_the_same_in_each_layout(tmp_path: Path, layout) -> None:
    data = open_labelled(layout(tmp_path), "detection")
    frame = data.frame(0)
    assert frame is not None and frame.things is not None
    assert frame.things[0].names == ("cup",) and not data.outlined
    np.testing.assert_allclose(boxes_of([frame.things[0].mask])[0], BOX, atol=1)


def test_label_images_have_classes_others_and_void(tmp_path: Path) -> None:
    _image(tmp_path / "images" / "a.png")
    labels = np.zeros((80, 100), np.uint8)
    labels[:, 50:], labels[:10] = 1, 255
    (tmp_path / "labels").mkdir()
    Image.fromarray(labels).save(tmp_path / "labels" / "a.png")
    (tmp_path / "classes.txt").write_text("road\ncar\n")
    frame = open_labelled(tmp_path, "segmentation", ["car"]).frame(0)
    assert frame is not None and frame.labels is not None
    assert frame.labels[5, 5] == IGNORED and frame.labels[50, 60] == 0 and frame.labels[50, 10] == 1
    with pytest.raises(PerceptionError, match="--task segmentation"):
        open_labelled(tmp_path, "detection")


def test_folders_are_classes_of_whole_images(tmp_path: Path) -> None:
    for name in ("cup", "plate"):
        _image(tmp_path / name / "1.png")
    data = open_labelled(tmp_path, "classification")
    shown = [frame.classes for index in range(2) if (frame := data.frame(index)) is not None]
    assert data.classes == ("cup", "plate") and sorted(shown) == [(0,), (1,)]


def test_what_does_not_fit_is_told_in_a_line(tmp_path: Path) -> None:
    coco = _coco(tmp_path / "coco")
    with pytest.raises(PerceptionError, match="class 'fork' is not in"):
        open_labelled(coco, "detection", ["fork"])
    with pytest.raises(PerceptionError, match="needs outlines"):
        open_labelled(coco, "segmentation")
    with pytest.raises(PerceptionError, match="do not exist"):
        open_labelled(tmp_path / "nowhere", "detection")
    with pytest.raises(PerceptionError, match="none of the layouts"):
        (tmp_path / "empty").mkdir()
        open_labelled(tmp_path / "empty", "detection")
    voc = _voc(tmp_path / "voc")
    (voc / "Annotations" / "b.xml").write_text("<annotation><object><name>cup</name></object></annotation>")
    with pytest.raises(PerceptionError, match=r"b\.xml' cannot be read"):
        open_labelled(voc, "detection")


def test_labels_of_a_model_are_refused_unless_they_are_asked_for(tmp_path: Path) -> None:
    coco = _coco(tmp_path, source="model", score=0.9)
    with pytest.raises(PerceptionError, match="made by a model"):
        open_labelled(coco, "detection")
    assert len(open_labelled(coco, "detection", source=MODEL).keys) == 2


def test_a_few_boxes_are_all_that_is_labelled(tmp_path: Path) -> None:
    data = open_labelled(_coco(tmp_path), "detection")
    chosen = chosen_boxes(data, [0, 1], 1, 0)
    assert sorted(one.label for one in chosen) == ["cup", "plate"]
    frames = list(some_boxes(data, [0, 1], 1, 0))
    assert sum(len(frame.things or ()) for frame in frames) == 2
    with pytest.raises(PerceptionError, match="1 boxes of 'plate', fewer than --boxes 2"):
        chosen_boxes(data, [0, 1], 2, 0)


@pytest.mark.parametrize("layout", [_coco, _voc, _yolo])
def test_keys_are_the_names_that_frames_have(tmp_path: Path, layout) -> None:
    data = open_labelled(layout(tmp_path), "detection")
    frames = [data.frame(place) for place in range(len(data.keys))]
    assert [frame.key for frame in frames if frame is not None] == list(data.keys)


def test_frames_of_one_name_in_two_parts_of_yolo_are_two(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        _image(tmp_path / part / "images" / "a.png")
    (tmp_path / "data.yaml").write_text("names: [cup]\n")
    assert open_labelled(tmp_path, "detection").keys == ("train/images/a.png", "valid/images/a.png")


@pytest.mark.parametrize("edges", [(0, 0, 10, 10), (10, 20, 41, 61), (1, 3, 2, 4), (90, 70, 100, 80)])
def test_a_box_of_yolo_has_the_pixels_that_it_says(tmp_path: Path, edges) -> None:
    folder = _yolo(tmp_path)
    x0, y0, x1, y1 = edges
    shares = ((x0 + x1) / 200, (y0 + y1) / 160, (x1 - x0) / 100, (y1 - y0) / 80)
    (folder / "labels" / "a.txt").write_text("0 " + " ".join(map(str, shares)))
    frame = open_labelled(folder, "detection").frame(0)
    assert frame is not None and frame.things is not None
    np.testing.assert_array_equal(boxes_of([frame.things[0].mask])[0], edges)


@pytest.mark.parametrize("shares", ["-0.5 0.5 0.2 0.2", "0.5 1.5 0.2 0.2", "0.5 0.5 0 0.2"])
def test_a_box_of_yolo_beside_the_image_is_no_thing(tmp_path: Path, shares: str) -> None:
    folder = _yolo(tmp_path)
    (folder / "labels" / "a.txt").write_text(f"0 {shares}")
    frame = open_labelled(folder, "detection").frame(0)
    assert frame is not None and frame.things == ()


def test_names_of_yolo_have_one_form(tmp_path: Path) -> None:
    folder = _yolo(tmp_path)
    (folder / "data.yaml").write_text("names: ['Tu\u0308r ', plate]\n", "utf-8")
    assert open_labelled(folder, "detection", ["Tu\u0308r"]).classes == ("T\u00fcr",)


@pytest.mark.parametrize("name", ["x" * 600, "a\\u0007b"])
def test_a_name_that_no_head_can_have_is_refused_before_training(tmp_path: Path, name: str) -> None:
    folder = _yolo(tmp_path)
    (folder / "data.yaml").write_text(f'names: ["{name}", plate]\n')
    with pytest.raises(PerceptionError, match=r"'names' of '.*data.yaml'"):
        open_labelled(folder, "detection")


def test_more_classes_than_a_head_can_have_are_refused_before_training(tmp_path: Path) -> None:
    folder = _coco(tmp_path)
    stored = json.loads((folder / "labels.json").read_text())
    stored["categories"] += [{"id": number, "name": f"n{number}"} for number in range(10, 1100)]
    (folder / "labels.json").write_text(json.dumps(stored))
    with pytest.raises(PerceptionError, match="1092 classes, and a head at most 1024; choose some"):
        open_labelled(folder, "detection")
    assert open_labelled(folder, "detection", ["cup"]).classes == ("cup",)


def _labels(folder: Path, classes: str, number: int) -> Path:
    _image(folder / "images" / "a.png")
    (folder / "labels").mkdir()
    labels = np.zeros((80, 100), np.uint8)
    labels[:40] = number
    Image.fromarray(labels).save(folder / "labels" / "a.png")
    (folder / "classes.json").write_text(classes)
    return folder


def test_a_number_that_the_class_list_lacks_is_named_and_void(tmp_path: Path, caplog) -> None:
    data = open_labelled(_labels(tmp_path, '{"0": "cup"}', 7), "segmentation")
    frame = data.frame(0)
    assert frame is not None and frame.labels is not None
    assert (frame.labels[:40] == IGNORED).all() and (frame.labels[40:] == 0).all()
    assert "a.png' holds the class 7, which the class list does not name" in caplog.text
    caplog.clear()
    data.frame(0)
    assert not caplog.text  # once


@pytest.mark.parametrize("classes", ['{"99999999999": "cup"}', '{"0": ""}'])
def test_a_class_list_that_cannot_be_served_is_refused(tmp_path: Path, classes: str) -> None:
    with pytest.raises(PerceptionError, match="class list"):
        open_labelled(_labels(tmp_path, classes, 0), "segmentation")


def test_a_class_without_a_name_in_yolo_is_named(tmp_path: Path) -> None:
    folder = _yolo(tmp_path)
    (folder / "labels" / "a.txt").write_text("7 .5 .5 .2 .2")
    with pytest.raises(PerceptionError, match=r"line 1 of '.*a.txt' .*data.yaml has no name for class 7"):
        open_labelled(folder, "detection").frame(0)
