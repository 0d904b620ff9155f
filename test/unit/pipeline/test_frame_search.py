"""What is found in a frame, by texts, exemplars, negatives and distractors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from frame_checks import ALL_OUTPUTS, GREEN, KINDS, RED, noise, painted
from small_models import pipeline_of

from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import UNLABELLED, Query, Vocabulary
from perception_contrast.pipeline.frame_search import FrameSearch
from perception_contrast.pipeline.image_features import ImageFeatures
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline_settings import AS_LONG_AS_ENCODING, PipelineSettings
from perception_contrast.segmentation.prepared_queries import PreparedQueries


def test_no_queries_find_nothing() -> None:
    for kind in KINDS:
        result = pipeline_of(kind).process(noise(), ALL_OUTPUTS)
        assert (result.masks == UNLABELLED).all() and result.detections == ()
        assert np.array_equal(result.overlay, result.frame.image)


def test_colours_are_found_where_they_are() -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048, refine=True)
    boxes = {(60, 40, 200, 180): RED, (380, 100, 560, 250): GREEN, (250, 300, 330, 420): RED}
    frame = painted((480, 640), boxes)
    pipeline.set_queries([Query("my red thing", ("red",)), Query("green")], ["blue", "grey"])
    result = pipeline.process(frame, ALL_OUTPUTS)
    expected = sorted(
        (("green" if colour == GREEN else "my red thing"), box) for box, colour in boxes.items()
    )
    found = sorted((one.label, one.box) for one in result.detections)
    assert [label for label, _ in found] == [label for label, _ in expected]
    cell = 480 / 27  # one that a thing covers in part may count as all of it
    for (_, box), (_, truth) in zip(found, expected, strict=True):
        assert np.abs(np.array(box) - truth).max() <= cell, (box, truth)
    for (x0, y0, x1, y1), colour in boxes.items():
        inner = result.masks[y0 + 18 : y1 - 18, x0 + 18 : x1 - 18]
        assert (inner == (2 if colour == GREEN else 1)).all()
    assert result.masks[10, 10] == result.masks[470, 630] == UNLABELLED


@pytest.mark.parametrize("size", [(480, 640), (97, 150), (1500, 1000), (60, 400)])
def test_boxes_come_back_in_the_frames_own_pixels(size: tuple[int, int]) -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048)
    height, width = size
    truth = (width // 4, height // 4, width * 3 // 4, height * 3 // 4)
    pipeline.set_queries([Query("green")], ["grey"])
    (one,) = pipeline.process(painted(size, {truth: GREEN}), OutputRequest(detections=True)).detections
    assert np.abs(np.array(one.box) - truth).max() <= max(1, min(size) / 27)


@pytest.mark.parametrize("kind", ["lit", "colours"])
def test_a_thousand_queries_in_any_script_are_searched(kind: str) -> None:
    pipeline = pipeline_of(kind)
    scripts = ["☕", "👩‍🍳", "كوب أحمر", "红色杯子", "cafe\u0301", "कप"]
    pipeline.set_queries([Query(label) for label in (*scripts, *(f"thing {n}" for n in range(994)))])
    result = pipeline.process(noise(), ALL_OUTPUTS)
    assert len(result.vocabulary.queries) == 1000 and result.masks.shape == (60, 90)


def test_words_and_examples_of_one_query_each_find_their_thing() -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048)
    boxes = {(60, 40, 200, 180): RED, (380, 100, 560, 250): GREEN}
    frame = painted((480, 640), boxes)
    pipeline.set_queries([Query("it", ("red",))], ["blue", "grey"])

    def places() -> set[str]:
        masks = pipeline.process(frame, ALL_OUTPUTS).masks
        return {name for name, at in (("red", (110, 130)), ("green", (175, 470))) if masks[at] == 1}

    assert places() == {"red"}
    pipeline.add_exemplar("it", frame, box=(380, 100, 560, 250))
    assert places() == {"red", "green"}, "an example is one more way to find it"
    pipeline.set_queries([replace(pipeline.vocabulary.queries[0], phrases=())], ["blue", "grey"])
    assert places() == {"green"}


def test_a_negative_acts_on_its_own_label_alone() -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048)
    frame = painted((480, 640), {(60, 40, 200, 180): RED, (380, 100, 560, 250): GREEN})
    for negatives, seen in (((), {"red", "green"}), (("green",), {"red"})):
        asked = Query("bright", ("red", "yellow"), negatives=negatives)
        pipeline.set_queries([asked, Query("green")], ["blue", "grey"])
        found = pipeline.process(frame, ALL_OUTPUTS).detections
        assert {"red" if one.box[0] < 300 else "green" for one in found if one.label == "bright"} == seen
        assert any(one.label == "green" for one in found), "the other label still finds it"


class RecordingSearcher:
    """Keeps the milliseconds and the stream that it is given for rescoring."""

    def __init__(self) -> None:
        self.given: list[tuple[float, str]] = []

    def find(self, *arguments: object) -> None:
        settings, stream = arguments[4], arguments[7]
        self.given.append((settings.rescoring_ms, stream))


def searched(search: FrameSearch, settings: PipelineSettings, encoding_ms: float | None) -> None:
    frame, features = Frame(np.zeros((4, 6, 3), np.uint8), frame_id="camera"), ImageFeatures()
    search.search(frame, features, PreparedQueries(Vocabulary(), ()), settings, encoding_ms=encoding_ms)


def test_rescoring_may_take_as_long_as_the_encoders_usually_do() -> None:
    recorder = RecordingSearcher()
    search, automatic = FrameSearch(recorder), PipelineSettings(rescoring_ms=AS_LONG_AS_ENCODING)
    for encoding_ms in (40.0, 60.0, 900.0):
        searched(search, automatic, encoding_ms)
    searched(search, PipelineSettings(rescoring_ms=7.0), 60.0)
    searched(search, PipelineSettings(), 60.0)
    assert recorder.given == [(ms, "camera") for ms in (40.0, 50.0, 60.0, 7.0, float("inf"))]


def test_single_images_and_runs_that_must_be_alike_have_no_clock_and_no_memory() -> None:
    recorder = RecordingSearcher()
    searched(FrameSearch(recorder), PipelineSettings(rescoring_ms=7.0), None)
    searched(FrameSearch(recorder, alike=True), PipelineSettings(rescoring_ms=7.0), 60.0)
    assert recorder.given == [(float("inf"), "")] * 2
