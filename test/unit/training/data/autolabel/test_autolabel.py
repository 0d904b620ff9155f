"""Labels of a model: what agrees, what is kept apart from people's, what a stopped run goes on with."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from coloured_things import colour_pipeline, write_coloured_coco

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.pipeline.detector.pipeline_detector import PipelineDetector
from perception_contrast_training.data.autolabel.agreement import (
    agreement,
    checked_names,
    mirrored,
    searched,
    smaller,
)
from perception_contrast_training.data.autolabel.autolabel import AutolabelOptions, autolabel
from perception_contrast_training.data.autolabel.label_journal import LabelJournal, SeenFrame, SeenThing
from perception_contrast_training.data.autolabel.labeller import LabelItem, Labelled, Labeller, LabelModels
from perception_contrast_training.data.autolabel.pseudo_labels import Rules, judged
from perception_contrast_training.evaluation.readers.coco import MODEL, CocoSet
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.photographs.coco import CocoPhotos
from perception_contrast_training.photographs.naming import Naming

WORDS = Vocabulary.of(["red", "blue"], ["grey"])


@pytest.fixture
def detector() -> PipelineDetector:
    return PipelineDetector(colour_pipeline(), "cpu")


@dataclass(frozen=True)
class Colours(LabelModels):
    """Models that know colours."""

    def detector(self) -> PipelineDetector:
        return PipelineDetector(colour_pipeline(), "cpu")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_coloured_coco(tmp_path / "shown", 3)
    return tmp_path / "shown" / "images"


def options(images: Path, out: Path, **given: object) -> AutolabelOptions:
    return replace(AutolabelOptions((images,), out, WORDS, ("flip", "scale"), review=10), **given)


def test_a_model_labels_what_is_there_and_says_that_it_was_a_model(images: Path, tmp_path: Path) -> None:
    done = autolabel(options(images, tmp_path / "made"), Colours())
    stored = json.loads(done.file.read_text())
    assert done.labels == len(stored["annotations"]) > 0 and done.frames == 3
    for note in stored["annotations"]:
        assert note["source"] == "model" and 0 < note["score"] <= 1 and note["space"]
        assert set(note["agreed"]) == {"flip", "scale"}
    read = list(CocoSet(done.file, images, Skipped(), source=MODEL))
    truth = list(CocoSet(images.parent / "boxes.json", images, Skipped()))
    found = sum(
        any(
            thing.names == one.names and (thing.mask & one.mask).sum() > 0.5 * (thing.mask | one.mask).sum()
            for one in made.things
        )
        for real, made in zip(truth, read, strict=True)
        for thing in real.things
    )
    assert found >= 0.6 * sum(len(one.things) for one in truth)
    page = (tmp_path / "made" / "review.html").read_text()
    assert 0 < page.count("<figure ") <= 10 and "data:image/jpeg" in page
    assert "http" not in page


def test_a_stopped_run_goes_on_where_it_was(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "made"
    whole = json.loads(autolabel(options(images, tmp_path / "whole"), Colours()).file.read_text())
    label = Labeller.__call__

    def interrupted(self: Labeller, item: LabelItem) -> Labelled:
        if item.source.name.endswith("0001.png"):
            raise KeyboardInterrupt
        return label(self, item)

    monkeypatch.setattr(Labeller, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        autolabel(options(images, out), Colours())
    monkeypatch.undo()
    with (out / "seen.jsonl").open("a") as file:
        file.write('{"source": "cut o')  # as a killed process leaves it
    again = json.loads(autolabel(options(images, out), Colours()).file.read_text())
    assert again == whole
    with pytest.raises(PerceptionError, match="other settings"):
        autolabel(options(images, out, threshold=0.9), Colours())
    assert autolabel(options(images, out, threshold=0.9, restart=True), Colours()).frames == 3


def test_a_run_that_ended_before_its_first_frame_does_not_stand_in_the_way(tmp_path: Path) -> None:
    with LabelJournal(tmp_path, {"model": "wrong"}):
        pass
    with LabelJournal(tmp_path, {"model": "right"}) as journal:
        journal.add(SeenFrame("a.png", 0, "a.png", (4, 4)))
    with pytest.raises(PerceptionError, match="other settings"):
        LabelJournal(tmp_path, {"model": "wrong"})
    with LabelJournal(tmp_path, {"model": "right"}) as journal:
        assert len(journal.frames) == 1


def test_checks_bring_things_back_to_where_they_are(detector: PipelineDetector) -> None:
    image = np.full((96, 128, 3), 128, np.uint8)
    image[16:64, 8:48] = (255, 0, 0)
    find = searched(detector, WORDS, 0.1)
    (plain,) = [one for one in find(Frame(image)) if one.label == "red"]
    for check in (mirrored(find), smaller(find)):
        assert agreement(plain, check(Frame(image))) > 0.3
    assert agreement(replace(plain, label="blue"), find(Frame(image))) == 0.0


def test_what_checks_contradict_is_left_out_with_the_reason() -> None:
    def thing(score: float, agreed: dict[str, float], track: str = "") -> SeenThing:
        return SeenThing("mug", score, (0, 0, 4, 4), {}, agreed, track)

    frames = [
        SeenFrame("v", 0, "a", (8, 8), (thing(0.9, {"flip": 0.8}, "1"), thing(0.3, {"flip": 0.8}))),
        SeenFrame("v", 1, "b", (8, 8), (thing(0.9, {"flip": 0.0}, "1"), thing(0.9, {"flip": 0.8}, "2"))),
    ]
    found = judged(frames, Rules(0.5, ("flip", "track"), track_frames=2))
    assert [one.doubt for one in found] == [
        "", "score below 0.50", "not found by flip", "seen in 1 of 2 frames",
    ]  # fmt: skip


def test_frames_of_a_video_are_kept_with_their_tracks(tmp_path: Path) -> None:
    video = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (128, 96))
    for shift in range(4):
        image = np.full((96, 128, 3), 128, np.uint8)
        image[20:70, 20 + 2 * shift : 60 + 2 * shift] = (0, 0, 255)  # BGR
        video.write(image)
    video.release()
    made = options(tmp_path / "v.avi", tmp_path / "made", agree=("track",))
    done = autolabel(made, Colours())
    read = list(CocoSet(done.file, None, Skipped(), source=MODEL))
    assert len(read) == 4 and all(any(one.names == ("red",) for one in frame.things) for frame in read)


def test_labels_of_models_are_never_read_as_those_of_people(tmp_path: Path) -> None:
    made = write_coloured_coco(tmp_path, 3, source="model")
    human = write_coloured_coco(tmp_path, 3)
    for read in (
        lambda: CocoSet(made, None, Skipped()),
        lambda: CocoPhotos(made, tmp_path / "images", Naming({})),
    ):
        with pytest.raises(PerceptionError, match="were made by a model"):
            read()
    with pytest.raises(PerceptionError, match="were not made by a model"):
        CocoSet(human, None, Skipped(), source=MODEL)


def test_unknown_checks_and_lone_models_are_refused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(PerceptionError, match="none of flip"):
        checked_names("flop")
    with pytest.raises(PerceptionError, match="go together"):
        autolabel(options(images, tmp_path / "made", agree=("model",)), Colours())
