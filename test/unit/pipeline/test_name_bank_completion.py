"""A part of the generic names serves until all are encoded, which happens when nothing else waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_models import ColourLanguage, ColourWords, small_dino

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.scoring.contrast_scorer import ContrastScorer
from perception_contrast.segmentation.scoring.name_bank import AT_FIRST, NameBank, generic_names
from perception_contrast.text.text_cache import CachedTextEncoder


class GatedWords(ColourWords):
    """Lets a number of steps through, then waits."""

    def __init__(self, steps: int) -> None:
        self.steps, self.fails = threading.Semaphore(steps), False

    def encode(self, texts: list[str]) -> np.ndarray:
        assert self.steps.acquire(timeout=30)
        if self.fails:
            raise ModelError("the weights are gone")
        return super().encode(texts)


def pipeline_with(words: ColourWords, folder: Path, *, background: bool = True) -> Pipeline:
    language = ColourLanguage()
    language.text = CachedTextEncoder(words, folder)
    return Pipeline(Encoders(small_dino(), language, "cpu"), background=background)


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
    pipeline = pipeline_with(words, tmp_path)
    first = bank_of(pipeline)
    assert len(first.vectors) == len(names[::AT_FIRST])
    words.steps.release(100)
    wait_until(lambda: bank_of(pipeline) is not first)
    assert np.array_equal(bank_of(pipeline).vectors, ColourWords().encode(list(names)))
    pipeline.close()
    again = pipeline_with(GatedWords(steps=0), tmp_path)
    assert len(bank_of(again).vectors) == len(names), "from the cache all are there at once"


def test_without_a_background_all_names_are_there_at_once(tmp_path: Path) -> None:
    pipeline = pipeline_with(GatedWords(steps=9), tmp_path, background=False)
    assert len(bank_of(pipeline).vectors) == len(generic_names()) and not is_at_work()


def test_a_pause_and_the_end_stop_it(tmp_path: Path) -> None:
    words = GatedWords(steps=2)
    pipeline = pipeline_with(words, tmp_path)
    first = bank_of(pipeline)
    pipeline.pause()
    words.steps.release(100)
    pipeline.close()
    wait_until(lambda: not is_at_work())
    assert bank_of(pipeline) is first


def test_what_fails_is_told_and_the_part_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = GatedWords(steps=2)
    pipeline = pipeline_with(words, tmp_path)
    words.fails = True
    words.steps.release(100)
    wait_until(lambda: not is_at_work())
    assert any("the weights are gone" in line and "generic names" in line for line in caplog.messages)
    assert len(bank_of(pipeline).vectors) < len(generic_names())
