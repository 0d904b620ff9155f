"""The vocabulary in force: refused, taken over and changed while frames go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from frame_checks import ALL_OUTPUTS, RED, ask, noise, painted
from small_models import WIDTH, ColourLanguage, ColourWords, pipeline_of, small_dino

from perception_contrast.core.errors import ModelError, QueryError, SpaceError
from perception_contrast.core.vocabulary import Exemplar, Query
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.pipeline.queries.active_vocabulary import ActiveVocabulary
from perception_contrast.pipeline.queries.query_encoder import SENTENCES_AT_ONCE, QueryEncoder
from perception_contrast.text import text_cache
from perception_contrast.text.base import TextEncoder
from perception_contrast.text.text_cache import CachedTextEncoder


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


# --- many new texts


class SteppedWords(ColourWords):
    """Waits before each step; its phrases count as so many sentences that two labels make a stage."""

    sentences_per_text = SENTENCES_AT_ONCE // 2

    def __init__(self) -> None:
        self.steps, self.encoded = threading.Semaphore(1), list[str]()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        assert self.steps.acquire(timeout=30), "nobody let it go on"
        self.encoded += texts
        return super().encode(texts)


QUERIES = (*(Query(f"thing {i}") for i in range(4)), Query("mug", ("mug",), negatives=("bowl",)))


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SteppedWords, CachedTextEncoder]:
    monkeypatch.setattr(text_cache, "SENTENCES_PER_STEP", SENTENCES_AT_ONCE)
    words = SteppedWords()
    return words, CachedTextEncoder(words, tmp_path)


def active_of(text: TextEncoder, *, background: bool) -> ActiveVocabulary:
    language = ColourLanguage()
    language.text = text
    encoders = Encoders(small_dino(), language, "cpu")
    return ActiveVocabulary(QueryEncoder(encoders, language.space), background=background)


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def searched(active: ActiveVocabulary) -> list[str]:
    return [query.label for query in active.prepared.vocabulary.queries]


def test_labels_are_searched_for_as_their_vectors_come_and_rivals_come_last(
    slow: tuple[SteppedWords, CachedTextEncoder],
) -> None:
    words, cached = slow
    active = active_of(cached, background=True)
    vocabulary = active.set_queries(QUERIES, ("plate",))
    labels = [query.label for query in QUERIES]
    assert active.vocabulary is vocabulary and [q.label for q in vocabulary.queries] == labels
    assert searched(active) == labels[:2] and active.encoding == "2 of 5 labels are searched for"
    assert active.prepared.vocabulary.ids == vocabulary.ids
    words.steps.release()
    wait_until(lambda: len(searched(active)) == 4)
    words.steps.release()
    wait_until(lambda: len(searched(active)) == 5)
    assert active.encoding and not active.prepared.negatives_of(4).size
    assert active.prepared.vocabulary.distractors == ()
    words.steps.release()
    wait_until(lambda: not active.encoding)
    assert active.prepared.vocabulary is vocabulary
    assert len(active.prepared.negatives_of(4)) == len(active.prepared.distractors) == 1
    assert words.encoded == [*labels, "bowl", "plate"], "each text once, in this order"


def test_without_a_background_nothing_is_in_force_before_all_of_it(
    slow: tuple[SteppedWords, CachedTextEncoder],
) -> None:
    words, cached = slow
    words.steps.release(20)
    active = active_of(cached, background=False)
    vocabulary = active.set_queries(QUERIES, ("plate",))
    assert active.prepared.vocabulary is vocabulary and active.encoding == ""


def test_a_vocabulary_with_few_new_texts_is_in_force_at_once(
    slow: tuple[SteppedWords, CachedTextEncoder],
) -> None:
    words, cached = slow
    words.steps.release(20)
    cached.encode([*(query.label for query in QUERIES), "plate"])
    active = active_of(cached, background=True)
    vocabulary = active.set_queries(QUERIES, ("plate",))
    assert active.prepared.vocabulary is vocabulary and words.encoded[-1] == "bowl"


def test_a_newer_vocabulary_ends_what_is_encoded_for_an_older_one(
    slow: tuple[SteppedWords, CachedTextEncoder],
) -> None:
    words, cached = slow
    active = active_of(cached, background=True)
    active.set_queries(QUERIES)
    active.hold()
    words.steps.release(20)
    newer = active.set_queries([Query("thing 0")])
    active.go_on()
    wait_until(lambda: not any(thread.name == "texts" for thread in threading.enumerate()))
    assert active.prepared.vocabulary is newer and active.encoding == ""


def test_texts_that_cannot_be_encoded_are_told_and_the_others_are_searched_for(
    slow: tuple[SteppedWords, CachedTextEncoder],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words, cached = slow
    active = active_of(cached, background=True)
    active.hold()
    active.set_queries(QUERIES)

    def fail(texts: Sequence[str]) -> np.ndarray:
        raise ModelError("the weights are gone; fetch them")

    monkeypatch.setattr(words, "encode", fail)
    active.go_on()
    wait_until(lambda: not any(thread.name == "texts" for thread in threading.enumerate()))
    assert searched(active) == ["thing 0", "thing 1"]
    assert any("2 of 5 labels" in line and "fetch them" in line for line in caplog.messages)
    remedy = "set the queries again (the weights are gone; fetch them)"
    assert active.failure == f"2 of 5 labels are searched for; {remedy}"
    assert active.encoding == "", "nothing more is to come"
    monkeypatch.undo()
    words.steps.release(20)
    vocabulary = active.set_queries(QUERIES)
    assert active.failure == ""
    wait_until(lambda: active.prepared.vocabulary is vocabulary)


def test_what_has_vectors_or_was_shown_is_searched_for_from_the_first_part_on(
    slow: tuple[SteppedWords, CachedTextEncoder],
) -> None:
    words, cached = slow
    words.steps.release(20)
    cached.encode(["cup", "bowl", "a ball", "table"])
    words.steps = threading.Semaphore(1)
    active = active_of(cached, background=True)
    language = ColourLanguage()
    shown = Exemplar(np.eye(language.dim, dtype=np.float32)[0], language.space)
    new = [Query(f"thing {i}") for i in range(1000)]
    ball = Query("ball", ("a ball", "a red ball"))
    mug = Query("mug", ("a new mug",), exemplars=(shown,))
    cup = Query("cup", negatives=("bowl", "a new bowl"))
    active.set_queries([ball, *new, mug, Query("key", exemplars=(shown,)), cup], ("table", "a new table"))
    parts = active.prepared.vocabulary
    active.close()
    assert searched(active) == ["ball", "thing 0", "mug", "key", "cup"], "in the vocabulary's order"
    assert [parts.queries[2].texts(), parts.queries[4].negatives] == [(), ("bowl",)]
    assert parts.distractors == ("table",)
    assert words.encoded[-2:] == ["a red ball", "thing 0"]
