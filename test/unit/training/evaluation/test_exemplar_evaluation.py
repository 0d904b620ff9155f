"""Exemplar queries: matching worked by hand, boxes on frames, and a kitchen that was walked through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import pipeline_of

from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.errors import FrameError, ModelError, PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast_training.cli.eval_command import main as command
from perception_contrast_training.evaluation import exemplars as module
from perception_contrast_training.evaluation.exemplars import (
    Answer,
    BoxedRecording,
    LabelledFrame,
    TrueBox,
    ask,
    box_overlaps,
    centres_inside,
    figures_of,
    read_boxes,
    shown_box,
)
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.evaluation.tasks import exemplars as task

Box = tuple[int, int, int, int]
SIZE = (100, 200)


def found(box: Box, probability: float = 0.5) -> Detection:
    x0, y0, x1, y1 = box
    return Detection("mug", Scores(0.5, 0.5, probability), box, np.ones((y1 - y0, x1 - x0), bool))


def labelled(*boxes: TrueBox, index: int = 0) -> LabelledFrame:
    return LabelledFrame(index, Frame(np.zeros((*SIZE, 3), np.uint8)), boxes)


def mug(*box: int, hard: bool = False) -> TrueBox:
    return TrueBox("mug", box, hard)


# Matching.


def test_overlaps_of_boxes() -> None:
    detections = [found((0, 0, 10, 10)), found((5, 0, 15, 10)), found((50, 50, 60, 60))]
    overlaps = box_overlaps(detections, [mug(0, 0, 10, 10), mug(10, 0, 20, 10)])
    np.testing.assert_allclose(overlaps, [[1, 0], [1 / 3, 1 / 3], [0, 0]])
    assert box_overlaps([], [mug(0, 0, 1, 1)]).shape == (0, 1)
    assert box_overlaps(detections, []).shape == (3, 0)


def test_a_centre_goes_to_the_box_around_it_that_fits_best() -> None:
    truths = [mug(0, 0, 100, 100), mug(40, 40, 60, 60), mug(60, 40, 80, 60)]
    inside = centres_inside(
        [found((40, 40, 60, 60)), found((55, 45, 65, 55)), found((150, 0, 160, 9))], truths
    )
    assert (inside >= 1).tolist() == [[True, True, False], [True, False, True], [False, False, False]]
    assert inside[0].argmax() == 1


def test_a_thing_counts_once_and_a_miss_and_a_stranger_against() -> None:
    frame = labelled(mug(0, 0, 20, 20), mug(100, 0, 120, 20))
    detections = (found((0, 0, 20, 20), 0.9), found((2, 0, 22, 20), 0.8), found((50, 50, 70, 70), 0.7))
    figures = figures_of([Answer("mug", frame, detections)])
    np.testing.assert_equal(figures["mug"], figures["all"])  # nan where no frame lacks a mug
    one = figures["mug"]
    assert (one["precision"], one["recall"]) == (pytest.approx(1 / 3), 0.5)
    assert (one["boxes"], one["reports"], one["presence"]) == (2, 3, 1.0)


def test_a_part_is_too_little_overlap_but_its_centre_is_inside() -> None:
    frame = labelled(mug(0, 0, 100, 100))
    one = figures_of([Answer("mug", frame, (found((40, 40, 60, 60)),))])["mug"]
    assert (one["precision"], one["recall"]) == (0.0, 0.0)
    assert (one["centre_precision"], one["centre_recall"]) == (1.0, 1.0)


def test_hard_boxes_count_in_one_figure_alone() -> None:
    frame = labelled(mug(0, 0, 20, 20), mug(100, 0, 120, 20, hard=True), mug(150, 0, 170, 20, hard=True))
    one = figures_of([Answer("mug", frame, (found((0, 0, 20, 20)), found((100, 0, 120, 20))))])["mug"]
    assert (one["precision"], one["recall"], one["recall_with_hard"]) == (1.0, 1.0, pytest.approx(2 / 3))
    assert (one["boxes"], one["hard_boxes"]) == (1, 2)


def test_presence_is_asked_where_the_answer_is_plain() -> None:
    there, hard, empty = labelled(mug(0, 0, 9, 9)), labelled(mug(0, 0, 9, 9, hard=True)), labelled()
    some = (found((90, 90, 99, 99)),)
    answers = [(there, some), (there, ()), (hard, ()), (hard, some), (empty, ()), (empty, ()), (empty, some)]
    one = figures_of([Answer("mug", frame, detections) for frame, detections in answers])["mug"]
    assert one["presence"] == pytest.approx(3 / 5)
    assert one["presence_where_present"] == 0.5
    assert one["presence_where_absent"] == pytest.approx(2 / 3)


def test_classes_are_kept_apart_and_added_up() -> None:
    frame = labelled(mug(0, 0, 20, 20), TrueBox("chair", (50, 0, 70, 20)))
    answers = [Answer("mug", frame, (found((0, 0, 20, 20)),)), Answer("chair", frame, ())]
    figures = figures_of(answers)
    assert list(figures) == ["chair", "mug", "all"]
    assert [figures[name]["recall"] for name in figures] == [0.0, 1.0, 0.5]
    assert np.isnan(figures["chair"]["precision"]) and figures["all"]["precision"] == 1.0


# What is shown.


def test_the_first_frame_shows_its_largest_whole_box() -> None:
    cut, large, small = mug(0, 0, 90, 90), mug(100, 10, 140, 50), mug(150, 10, 160, 20)
    frames = [labelled(mug(10, 10, 99, 99, hard=True)), labelled(small, cut, large, index=4), labelled(small)]
    choice = shown_box(frames, "mug")
    assert choice is not None and choice[0] is frames[1] and choice[1] is large
    choice = shown_box([labelled(mug(0, 50, 10, 60), cut)], "mug")
    assert choice is not None and choice[1] is cut
    assert shown_box(frames, "chair") is None


def test_what_was_shown_is_found_in_the_other_frames() -> None:
    def frame(index: int, *boxes: Box) -> LabelledFrame:
        image = np.full((224, 224, 3), 128, np.uint8)
        for x0, y0, x1, y1 in boxes:
            image[y0:y1, x0:x1] = (220, 20, 20)
        return LabelledFrame(index, Frame(image), tuple(mug(*box) for box in boxes))

    frames = (frame(0, (28, 28, 98, 98)), frame(3, (112, 98, 182, 168)), frame(7))
    pipeline = pipeline_of("colours", short_side=224, max_tokens=1024)
    answers = ask(pipeline, BoxedRecording(frames, ("chair", "mug")))
    assert [(answer.label, answer.frame.index) for answer in answers] == [("mug", 3), ("mug", 7)]
    one = figures_of(answers)["mug"]
    assert (one["recall"], one["precision"], one["presence"]) == (1.0, 1.0, 1.0)
    with pytest.raises(PerceptionError, match="no class"):
        ask(pipeline, BoxedRecording(frames[2:], ("mug",)))


# Reading.


class Recorded:
    """Three frames and one that cannot be decoded, in place of a recording."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = ("a note",)

    def numbered_frames(self, topic: str | None) -> Iterator[tuple[int, Frame | FrameError]]:
        assert topic == "/camera"
        for index in range(3):
            yield index, Frame(np.full((*SIZE, 3), index, np.uint8), 1000 + index)
        yield 3, FrameError("truncated", "the JPEG ends early")


def stored(**changes: object) -> dict[str, Any]:
    image = {"id": 7, "file_name": "00001", "frame_index": 1, "stamp": 1001, "width": 200, "height": 100}
    notes = [
        {"id": 1, "image_id": 7, "category_id": 2, "bbox": [10, 20, 30, 40], "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 2, "bbox": [0, 0, 5, 5], "attributes": {"hard": True}},
    ]
    content: dict[str, Any] = {"info": {"topic": "/camera"}, "images": [{**image, **changes}]}
    return {
        **content,
        "categories": [{"id": 1, "name": "chair"}, {"id": 2, "name": "mug"}],
        "annotations": notes,
    }


def test_boxes_are_read_with_their_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BagSource", Recorded)
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(stored()))
    data = read_boxes(file, tmp_path)
    assert data.names == ("chair", "mug") and [frame.index for frame in data.frames] == [1]
    assert data.frames[0].frame.image[0, 0, 0] == 1
    assert data.frames[0].of("mug") == (mug(10, 20, 40, 60), mug(0, 0, 5, 5, hard=True))
    assert data.frames[0].of("chair") == () and data.lost == ("a note",)


def test_boxes_of_an_image_that_cannot_be_read_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BagSource", Recorded)
    boxes = stored()
    boxes["images"] = [*boxes["images"], {**boxes["images"][0], "id": 8, "frame_index": 3}]
    file, skipped = tmp_path / "boxes.json", Skipped()
    file.write_text(json.dumps(boxes))
    assert [frame.index for frame in read_boxes(file, tmp_path, skipped=skipped).frames] == [1]
    assert skipped.files == {"image 3": "the JPEG ends early"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        (json.dumps({"images": []}), "no list 'annotations'"),
        (json.dumps(stored(stamp=5)), "another stamp or size"),
        (json.dumps(stored(width=100)), "another stamp or size"),
        (json.dumps(stored(frame_index=9)), "no frame 9"),
        (json.dumps(stored(id=8)), "lack or misstate 7"),
    ],
)
def test_boxes_that_do_not_fit_are_refused(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BagSource", Recorded)
    file = tmp_path / "boxes.json"
    file.write_text(text)
    with pytest.raises(PerceptionError, match=words):
        read_boxes(file, tmp_path)


def test_the_kitchen_boxes_are_sound(repository: Path) -> None:
    content = json.loads((repository / "test" / "annotations" / "kitchen_boxes.json").read_text())
    images, notes = content["images"], content["annotations"]
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    assert len(images) >= 14 and len(notes) >= 40 and 4 <= len(names) <= 6
    assert {note["category_id"] for note in notes} == set(names)
    assert {note["image_id"] for note in notes} <= {image["id"] for image in images}
    assert len({note["id"] for note in notes}) == len(notes)
    for x, y, width, height in (note["bbox"] for note in notes):
        assert 0 <= x < x + width <= 640 and 0 <= y < y + height <= 480


# The kitchen.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "floors"),
    [
        ("none", {"precision": 0.17, "recall": 0.16, "centre_recall": 0.21, "presence": 0.58}),
        ("household-lit", {"precision": 0.16, "recall": 0.4, "centre_recall": 0.38, "presence": 0.68}),
    ],
)
def test_things_of_a_kitchen_are_found_by_example(
    language: str, floors: dict[str, float], shared: Path, repository: Path
) -> None:
    recording = shared / "data" / "kitchen_rgbd"
    if not recording.is_dir():
        pytest.skip(f"no recording at {recording}")
    try:
        encoders = load_encoders("dinov2-s14", language, offline=True)
    except ModelError as error:
        pytest.skip(f"the model is not here: {error}")
    data = read_boxes(repository / "test" / "annotations" / "kitchen_boxes.json", recording)
    overall = figures_of(ask(Pipeline(encoders), data))["all"]
    assert {key: overall[key] for key, floor in floors.items() if overall[key] < floor} == {}


def test_the_command_writes_figures_and_overlays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BagSource", Recorded)
    monkeypatch.setattr(task, "pipeline_of", lambda *_, **__: pipeline_of("colours"))
    content = stored()
    content["images"] += [{**content["images"][0], "id": 8, "frame_index": 2, "stamp": 1002}]
    file, figures = tmp_path / "boxes.json", tmp_path / "figures.json"
    file.write_text(json.dumps(content))
    argv = ["--task", "exemplars", "--data", str(tmp_path), "--boxes", str(file)]
    assert command([*argv, "--json", str(figures), "--out", str(tmp_path / "out")]) == 0
    written = json.loads(figures.read_text())["figures"]["classes"]
    assert set(written) == {"mug", "all"} and written["mug"]["recall"] is None
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["exemplars_00002.png"]
    with pytest.raises(PerceptionError, match="--boxes"):
        command(argv[:4])
