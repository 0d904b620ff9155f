"""The level of a place: by names that are absent, measured by the command and by a running pipeline."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_models import encoders_of, pipeline_of

import perception_contrast as pc
from perception_contrast.cli.demo import demo_command
from perception_contrast.cli.demo.demo_graph import Program, Source
from perception_contrast.cli.main import main as command
from perception_contrast.core.errors import ModelError, QueryError, SpaceError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query
from perception_contrast.pipeline import build as build_module
from perception_contrast.pipeline.build import build
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.pipeline.self_calibration import LEAST_FRAMES, AbsentNames
from perception_contrast.segmentation.calibration_files import CONTRAST_SCORES
from perception_contrast.segmentation.place_level import (
    PlaceLevel,
    absent_names,
    level_at,
    place_level_for,
    place_level_path,
    read_place_level,
    write_place_level,
)
from perception_contrast.segmentation.scoring.name_bank import generic_names
from perception_contrast_training.evaluation.readers.types import Skipped

SPACE = "colours@1"
DETECTIONS = OutputRequest(detections=True)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def image(red: bool = True) -> np.ndarray:
    pixels = np.full((120, 160, 3), 128, np.uint8)
    if red:
        pixels[30:80, 40:100] = (230, 20, 20)
    return pixels


def test_absent_names_are_many_and_none_of_the_bank() -> None:
    names = absent_names()
    assert len(names) >= 60 and len(set(names)) == len(names) and not set(names) & set(generic_names())


def test_at_the_level_no_more_than_the_share_is_reported_and_one_step_lower_more_is() -> None:
    highest = np.random.default_rng(0).random(100) * 0.9
    level = level_at(highest, 0.1, 0.05)
    assert np.count_nonzero(highest >= level) == 5 < np.count_nonzero(highest >= level - 0.002)
    assert level_at(np.zeros(60), 0.6) == pytest.approx(0.3), "at least half of the model's own"
    assert level_at(np.zeros(60), 0.6, least_share=1.0) == 0.6, "a fitted threshold is only raised"
    assert level_at(np.ones(60), 0.6) <= 0.99


def test_names_that_a_place_shows_nevertheless_raise_its_level() -> None:
    pipeline = pipeline_of("colours", short_side=168, max_tokens=2048)
    names = AbsentNames(pipeline, ("red", *(f"thing {n}" for n in range(9))))
    for _ in range(LEAST_FRAMES):
        names.add(Frame(image()))
    one = names.level("lab", most_fired=0.05)
    assert one.detection > 0.9 and one.facts["fired_before"] == pytest.approx(0.1)
    # The one name in ten that is there may be reported.
    assert names.level("lab", most_fired=0.1).detection == pytest.approx(0.25)
    assert (one.space, one.place, one.scores) == (SPACE, "lab", CONTRAST_SCORES)


def test_too_few_frames_and_no_words_are_refused() -> None:
    names = AbsentNames(pipeline_of("colours", short_side=56))
    names.add(Frame(image()))
    with pytest.raises(ModelError, match="1 frames are too few"):
        names.level("lab")
    with pytest.raises(QueryError, match="no language model"):
        pipeline_of("none").calibrate_itself("lab", 10)


# Files.


def test_a_level_comes_back_from_its_file_and_others_are_refused(tmp_path: Path) -> None:
    level = PlaceLevel(SPACE, "lab", CONTRAST_SCORES, 0.7, {"frames": 9.0})
    path = place_level_path(SPACE, "lab")
    write_place_level(path, level)
    assert place_level_for(SPACE, "lab", CONTRAST_SCORES) == level == read_place_level(path)
    assert place_level_for(SPACE, "street", CONTRAST_SCORES) is None
    with pytest.raises(ModelError, match="other scores"):
        place_level_for(SPACE, "lab", "others")
    write_place_level(path, PlaceLevel("other@1", "lab", CONTRAST_SCORES, 0.7))
    with pytest.raises(SpaceError, match="other@1"):
        place_level_for(SPACE, "lab", CONTRAST_SCORES)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', json.dumps({"format": 1, "space": "a@1", "detection": 2})]
)
def test_a_file_that_is_no_level_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "level.json").write_text(text)
    with pytest.raises(ModelError, match=r"level\.json.*--unlabelled"):
        read_place_level(tmp_path / "level.json")


@pytest.mark.parametrize("place", ["", "../up", "a/b", ".hidden", "x" * 65, "room\n"])
def test_no_place_leads_out_of_the_folder(place: str) -> None:
    with pytest.raises(ModelError, match="no name of a place"):
        place_level_path(SPACE, place)


# In force.


def test_a_stored_level_holds_in_its_place_for_texts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "load_encoders", lambda *args, **kwargs: encoders_of("colours"))
    write_place_level(place_level_path(SPACE, "lab"), PlaceLevel(SPACE, "lab", CONTRAST_SCORES, 0.99))

    def thresholds(place: str, **settings: object) -> float:
        pipeline = build(settings=PipelineSettings(short_side=168), place=place)
        return pipeline.frame_search.detection_threshold(PipelineSettings(**settings))

    assert (thresholds("lab"), thresholds("street"), thresholds("")) == (0.99, 0.5, 0.5)
    assert thresholds("lab", detection_threshold=0.3) == 0.3
    pipeline = build(settings=PipelineSettings(short_side=168), place="lab")
    pipeline.frame_search.searcher.place_level = 1.1
    frame = Frame(image())
    pipeline.set_queries([Query("red")])
    assert not pipeline.process(frame, DETECTIONS).detections
    pipeline.set_queries([])
    pipeline.add_exemplar("it", frame, box=(40, 30, 100, 80))
    assert pipeline.process(frame, DETECTIONS).detections


def test_a_place_that_was_never_measured_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(build_module, "load_encoders", lambda *args, **kwargs: encoders_of("colours"))
    write_place_level(place_level_path(SPACE, "lab"), PlaceLevel(SPACE, "lab", CONTRAST_SCORES, 0.99))
    said = r"no level of 'street' .*measured places: lab\).*calibrate --unlabelled FRAMES --place 'street'"
    with pytest.raises(ModelError, match=said):
        pc.load("household-lit", place="street")
    assert pc.load("household-lit", place="lab").detection_threshold == 0.99
    # A node may be about to measure it.
    build(place="street")
    assert re.search(said, caplog.text)


def test_find_eval_and_demo_take_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from perception_contrast_training.cli import eval_options

    for module in (build_module, eval_options):
        monkeypatch.setattr(module, "load_encoders", lambda *args, **kwargs: encoders_of("colours"))
    cv2.imwrite(str(tmp_path / "one.png"), image()[..., ::-1])
    find = ["find", str(tmp_path / "one.png"), "--queries", "red", "--format", "json"]
    write_place_level(place_level_path(SPACE, "lab"), PlaceLevel(SPACE, "lab", CONTRAST_SCORES, 0.99999999))
    found = {}
    for name, place in (("without", []), ("with", ["--place", "lab"])):
        assert command([*find, "--save", str(tmp_path / name), *place]) == 0
        found[name] = json.loads((tmp_path / name / "find.json").read_text())
    assert found["without"]["detections"]["red"] == 1 and not found["with"]["detections"].get("red")
    assert found["with"]["settings"]["place"] == "lab"
    job = eval_options.Job(eval_options.Options("seg", "household", place="lab"), Skipped())
    assert eval_options.pipeline_of(job).frame_search.searcher.place_level == 0.99999999
    assert any("'lab'" in note for note in job.notes)
    for words in (
        [*find, "--save", str(tmp_path / "third")],
        ["eval", "--task", "seg", "--data", "household:1"],
    ):
        assert command([*words, "--place", "street"]) == 2
        assert "no level of 'street'" in capsys.readouterr().err
    for words in (
        [*find, "--save", str(tmp_path / "third")],
        ["demo"],
        ["eval", "--task", "seg", "--data", "x"],
    ):
        with pytest.raises(SystemExit):
            command([*words, "--place", "../lab"])
        assert "no name of a place" in capsys.readouterr().err
    options = demo_command._parser().parse_args(["--place", "lab"])
    source = Source("", Program("", {}), "", "", "", False, ())
    assert demo_command._perception(options, source, ["red"]).parameters["place"] == "lab"


def test_a_running_pipeline_measures_its_own_stream(cache: Path) -> None:
    pipeline = pipeline_of("colours", short_side=84)
    pipeline.calibrate_itself("lab", LEAST_FRAMES, interval=0.0)
    deadline = time.monotonic() + 60
    while not pipeline.self_calibration.startswith("level") and time.monotonic() < deadline:
        pipeline.process(Frame(image()), DETECTIONS)
    assert pipeline.self_calibration.startswith("level 0.250 for 'lab' by 8 frames")
    assert pipeline.frame_search.searcher.place_level == pytest.approx(0.25)
    while not place_level_path(SPACE, "lab").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read_place_level(place_level_path(SPACE, "lab")).facts["frames"] == LEAST_FRAMES
    pipeline.close()


def test_no_frame_is_measured_while_texts_lack_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = pipeline_of("colours", short_side=84)
    pipeline.calibrate_itself("lab", LEAST_FRAMES, interval=0.0)
    lacks = {"encoding_texts": "67 of 335 generic names serve", "text_failures": ("the weights are gone",)}
    for name, lack in lacks.items():
        with monkeypatch.context() as patch:
            patch.setattr(Pipeline, name, lack)
            pipeline.process(Frame(image()), DETECTIONS)
            told = lack if isinstance(lack, str) else lack[0]
            assert pipeline.self_calibration == f"0 of 8 frames; waits for texts: {told}"
            assert not any(thread.name == "self-calibration" for thread in threading.enumerate())
    pipeline.process(Frame(image()), DETECTIONS)
    deadline = time.monotonic() + 60
    while pipeline.self_calibration != "1 of 8 frames" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert pipeline.self_calibration == "1 of 8 frames"
    pipeline.close()


def test_the_command_measures_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from perception_contrast_training.calibration import calibrate_command

    monkeypatch.setattr(calibrate_command, "_pipeline", lambda _: pipeline_of("colours", short_side=84))
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(12):
        cv2.imwrite(str(folder / f"{number:02}.png"), image(red=number % 2 == 0)[..., ::-1])
    argv = ["calibrate", "--unlabelled", str(folder), "--place", "lab", "--frames", "10"]
    assert command(argv) == 0
    level = place_level_for(SPACE, "lab", CONTRAST_SCORES)
    assert level is not None and level.facts["frames"] == 10
    assert "detection threshold: 0.500 before, 0.250 after" in capsys.readouterr().out
    monkeypatch.setattr(calibrate_command, "_pipeline", None)  # what is refused now is told before it loads
    for few in ("-1", "0", str(LEAST_FRAMES - 1)):
        assert command([*argv[:-1], few]) == 2
        told = capsys.readouterr().err
        assert "too few" in told and f"--frames {few}" in told and str(LEAST_FRAMES) in told
    assert command(["calibrate", "--unlabelled", str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
    for path in sorted(folder.iterdir())[LEAST_FRAMES - 1 :]:
        path.unlink()
    assert command(argv) == 2
    told = capsys.readouterr().err
    assert f"the {LEAST_FRAMES - 1} frames of" in told and str(folder) in told and "too few" in told
