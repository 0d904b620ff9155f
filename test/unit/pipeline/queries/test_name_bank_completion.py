"""A part of the generic names serves until all are encoded, which happens when nothing else waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from frame_checks import noise
from small_models import ColourLanguage, ColourWords, small_dino

from perception_contrast.core.errors import ModelError
from perception_contrast.core.vocabulary import Query
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.queries.query_encoder import SENTENCES_AT_ONCE
from perception_contrast.segmentation.scoring.contrast_scorer import ContrastScorer
from perception_contrast.segmentation.scoring.name_bank import AT_FIRST, NameBank, generic_names
from perception_contrast.text.text_cache import CachedTextEncoder


class GatedWords(ColourWords):
    """Lets a number of steps through, then waits."""

    def __init__(self, steps: int) -> None:
        self.steps, self.fails, self.refused = threading.Semaphore(steps), False, ""

    def encode(self, texts: list[str]) -> np.ndarray:
        assert self.steps.acquire(timeout=30)
        if self.fails or self.refused in texts:
            raise ModelError("the weights are gone")
        return super().encode(texts)


def pipeline_with(words: ColourWords, folder: Path, **options: bool) -> Pipeline:
    language = ColourLanguage()
    language.text = CachedTextEncoder(words, folder)
    return Pipeline(Encoders(small_dino(), language, "cpu"), **options)


def node_pipeline_with(words: ColourWords, folder: Path) -> Pipeline:
    return pipeline_with(words, folder, background_texts=True)


def bank_of(pipeline: Pipeline) -> NameBank:
    scorer = pipeline.frame_search.searcher.text_scorer
    assert isinstance(scorer, ContrastScorer)
    return scorer.bank


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def is_at_work() -> bool:
    return any(thread.name == "name-bank" for thread in threading.enumerate())


def test_a_part_of_the_names_serves_until_all_are_there(tmp_path: Path) -> None:
    names, words = generic_names(), GatedWords(steps=2)  # the neutral words, and the first part
    pipeline = node_pipeline_with(words, tmp_path)
    first = bank_of(pipeline)
    assert len(first.vectors) == len(names[::AT_FIRST])
    assert pipeline.encoding_texts == f"{len(first.vectors)} of {len(names)} generic names are compared with"
    words.steps.release(100)
    wait_until(lambda: bank_of(pipeline) is not first)
    assert np.array_equal(bank_of(pipeline).vectors, ColourWords().encode(list(names)))
    assert not pipeline.encoding_texts and not pipeline.text_failures
    pipeline.close()
    again = node_pipeline_with(GatedWords(steps=0), tmp_path)
    assert len(bank_of(again).vectors) == len(names), "from the cache all are there at once"


@pytest.mark.parametrize("background", [True, False])
def test_from_python_all_texts_are_there_at_once(tmp_path: Path, background: bool) -> None:
    pipeline = pipeline_with(GatedWords(steps=99), tmp_path, background=background)
    assert len(bank_of(pipeline).vectors) == len(generic_names()) and not is_at_work()
    vocabulary = pipeline.set_queries([Query(f"thing {n}") for n in range(SENTENCES_AT_ONCE + 1)])
    seen = pipeline.process(noise(), OutputRequest(detections=True)).vocabulary
    assert seen is vocabulary and not pipeline.encoding_texts


def test_a_pause_and_the_end_stop_it(tmp_path: Path) -> None:
    words = GatedWords(steps=2)
    pipeline = node_pipeline_with(words, tmp_path)
    first = bank_of(pipeline)
    pipeline.pause()
    words.steps.release(100)
    pipeline.close()
    wait_until(lambda: not is_at_work())
    assert bank_of(pipeline) is first


def test_what_fails_is_told_and_the_part_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = GatedWords(steps=2)
    pipeline = node_pipeline_with(words, tmp_path)
    words.fails = True
    words.steps.release(100)
    wait_until(lambda: not is_at_work())
    assert any("the weights are gone" in line and "generic names" in line for line in caplog.messages)
    assert len(bank_of(pipeline).vectors) < len(generic_names())
    (told,) = pipeline.text_failures
    assert "load the models again (the weights are gone)" in told and not pipeline.encoding_texts


def test_queries_that_cannot_be_encoded_do_not_hold_it_up(tmp_path: Path) -> None:
    words = GatedWords(steps=2)
    pipeline = node_pipeline_with(words, tmp_path)
    pipeline.pause()
    words.steps.release(SENTENCES_AT_ONCE)
    words.refused = f"thing {SENTENCES_AT_ONCE}"
    pipeline.set_queries([Query(f"thing {n}") for n in range(SENTENCES_AT_ONCE + 1)])
    pipeline.resume()
    wait_until(lambda: len(bank_of(pipeline).vectors) == len(generic_names()))
    (told,) = pipeline.text_failures
    assert "256 of 257 labels are searched for; set the queries again" in told
    pipeline.close()
