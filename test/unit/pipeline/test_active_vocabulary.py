"""The vocabulary in force: refused, taken over and changed while frames go on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from frame_checks import ALL_OUTPUTS, RED, ask, noise, painted
from small_models import WIDTH, ColourLanguage, ColourWords, pipeline_of, small_dino

from perception_contrast.core.errors import QueryError, SpaceError
from perception_contrast.core.vocabulary import Exemplar, Query
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings


def test_a_vocabulary_of_other_models_goes_on_in_words_with_its_ids() -> None:
    old, new = pipeline_of("lit"), pipeline_of("clip")
    old.set_queries([Query("gone"), Query("mug", ("a mug",))], ["wall"])
    old.set_queries([Query("mug", ("a mug",))], ["wall"])
    frame = painted((48, 64), {(10, 10, 40, 40): RED})
    old.add_exemplar("mug", frame)
    old.add_exemplar("shown", frame)
    lines = new.adopt_vocabulary(old.vocabulary)
    assert len(lines) == 2 and "'shown'" in lines[1]
    assert [query.label for query in new.vocabulary.queries] == ["mug"]
    assert (new.vocabulary.ids, new.vocabulary.distractors) == (old.vocabulary.ids, ("wall",))
    direct = pipeline_of("clip")
    direct.set_queries([Query("mug", ("a mug",))], ["wall"])
    request = OutputRequest(masks=True)
    labels = [one.process(frame, request).masks for one in (new, direct)]
    names = [{number: label for label, number in one.vocabulary.ids.items()} for one in (new, direct)]
    assert names[0][2] == names[1][1] == "mug"
    np.testing.assert_array_equal(labels[0] == 2, labels[1] == 1)
    wordless = pipeline_of("none")
    with pytest.raises(QueryError, match="no language model"):
        wordless.adopt_vocabulary(old.vocabulary)
    assert wordless.vocabulary.queries == ()


@pytest.mark.parametrize("kind", ["lit", "apart", "clip", "none"])
def test_exemplars_that_cannot_be_compared_are_refused_when_given(kind: str) -> None:
    pipeline = pipeline_of(kind)
    ask(pipeline, "red")
    before = pipeline.vocabulary
    short = np.array([0.6, 0.8], np.float32)
    with pytest.raises(QueryError, match="2 values"):
        pipeline.set_queries(
            [Query("key", exemplars=(Exemplar(short, pipeline.query_encoder.exemplar_space),))]
        )
    dim = {"clip": 32}.get(kind, WIDTH)
    with pytest.raises(SpaceError, match="other@1"):
        pipeline.set_queries(
            [Query("key", exemplars=(Exemplar(np.eye(dim, dtype=np.float32)[0], "other@1"),))]
        )
    assert pipeline.vocabulary is before and pipeline.process(noise(), ALL_OUTPUTS).vocabulary is before


@pytest.mark.parametrize(
    "where",
    [{"box": (200, 0, 210, 10)}, {"box": (5, 5, 5, 9)}, {"point": (90.0, 5.0)}, {"point": (0.0, np.nan)}],
)
def test_an_example_outside_the_image_changes_nothing(where: dict) -> None:
    pipeline = pipeline_of("lit")
    with pytest.raises(QueryError):
        pipeline.add_exemplar("key", noise(), **where)
    assert pipeline.vocabulary.version == 0 and not pipeline.vocabulary.queries


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        ([Query("mug"), Query(" mug ")], "more than once"),
        ([Query("mug", ("",))], "empty"),
        ([Query("mug", ("x" * 2000,))], "at most 512"),
        ([Query(str(n)) for n in range(1025)], "at most 1024"),
    ],
)
@pytest.mark.parametrize("kind", ["lit", "clip"])
def test_a_vocabulary_that_is_refused_leaves_the_old_one(kind: str, queries: list[Query], said: str) -> None:
    pipeline = pipeline_of(kind)
    ask(pipeline, "red")
    before = pipeline.vocabulary
    with pytest.raises(QueryError, match=said):
        pipeline.set_queries(queries)
    assert pipeline.vocabulary is before and pipeline.process(noise(), ALL_OUTPUTS).vocabulary is before


class SlowWords(ColourWords):
    """Waits before it encodes the texts of a new vocabulary, until it may go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        if "thing 99" in texts:
            self.begun.set()
            assert self.go_on.wait(30)
        return super().encode(texts)


def test_a_new_vocabulary_holds_up_no_frame() -> None:
    language, words = ColourLanguage(), SlowWords()
    language.text = words
    pipeline = Pipeline(
        Encoders(small_dino(), language, "cpu"), PipelineSettings(short_side=56, max_tokens=64)
    )
    pipeline.set_queries([Query("red")])
    with ThreadPoolExecutor(1) as pool:
        change = pool.submit(pipeline.set_queries, [Query(f"thing {n}") for n in range(100)])
        assert words.begun.wait(30)
        old = pipeline.process(noise(), ALL_OUTPUTS).vocabulary
        words.go_on.set()
        new = change.result()
    assert len(old.queries) == 1 and pipeline.process(noise(), ALL_OUTPUTS).vocabulary is new
    assert len(new.queries) == 100
