"""An encoder serves by torch at once, and by a better engine once one has passed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from small_models import encoders_of
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.encoder_graph import EncoderGraph, graph_of
from perception_contrast.engines.base import Plan
from perception_contrast.engines.choice import ChoiceRequest, EngineChoice
from perception_contrast.engines.encoder_session import BUILD_AFTER, MAX_SIZES, Choosers, EncoderSession
from perception_contrast.engines.engine_search import EngineSearch
from perception_contrast.engines.torch_engine import TorchEngine

SQUARE = (56, 56)
PATIENCE = 20.0


def graph() -> EncoderGraph:
    return graph_of(encoders_of("none").spatial)


class Counting(TorchEngine):
    """Torch under another name, that counts its runs."""

    def __init__(self, of: EncoderGraph, error: Exception | None = None, name: str = "onnxruntime") -> None:
        super().__init__(of, "fp32", "cpu")
        self.name, self.runs, self.error = name, 0, error

    def run(self, images: Tensor) -> dict[str, Tensor]:
        self.runs += 1
        if self.error:
            raise self.error
        return super().run(images)


class SlowChoice:
    """Stands in for ``faster_engines``: offers engines, each once a test lets it.

    Attributes:
        tried: sizes that were searched for.
        go_on: lets the next engine be offered.
    """

    def __init__(self, *engines: TorchEngine | Exception) -> None:
        self.engines = engines
        self.tried: list[tuple[int, int]] = []
        self.begun, self.go_on = threading.Event(), threading.Semaphore(0)

    def __call__(
        self, request: ChoiceRequest, serving: Any, trying: Any, turn: Any
    ) -> Iterator[EngineChoice]:
        self.tried.append(request.size)
        for engine in self.engines:
            trying(Plan("onnxruntime", "fp32"))
            self.begun.set()
            while not self.go_on.acquire(timeout=0.01):
                turn(lambda: None)
            if isinstance(engine, Exception):
                raise engine
            yield EngineChoice(engine, f"{engine.name} fp32: faster in a test")


def nothing_remembered(*_: Any) -> None:
    return None


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("nothing was to be built")


def session(faster: Any, remembered: Any = nothing_remembered, at_once: Any = never) -> EncoderSession:
    return EncoderSession(
        graph(), "cpu", "auto",
        search=EngineSearch(pause=0.0), choosers=Choosers(at_once, remembered, faster),
    )  # fmt: skip


def images(side: int = 56) -> Tensor:
    return torch.zeros(1, 3, side, side)


def end_of_search(served: EncoderSession) -> None:
    for thread in threading.enumerate():
        if thread.name == "engines":
            thread.join(PATIENCE)
    assert not served.search.is_busy


def test_torch_serves_while_the_choice_goes_on_and_the_better_one_after_its_gate(
    caplog: pytest.LogCaptureFixture,
) -> None:
    better = Counting(graph())
    choice = SlowChoice(better)
    served = session(choice)
    served.begin(SQUARE)
    assert choice.begun.wait(PATIENCE)
    exact = TorchEngine(served.graph, "fp32", "cpu").run(images())["tokens"]
    assert torch.equal(served.run(images())["tokens"], exact)
    assert served.describes == "choosing: serving with torch fp32, trying onnxruntime fp32"
    choice.go_on.release()
    end_of_search(served)
    # It has passed, but an image of several windows is encoded by one engine.
    served.run(images())
    assert better.runs == 0 and "onnxruntime fp32 takes over" in served.describes
    with caplog.at_level(logging.INFO, "perception_contrast"):
        assert served.adopt() and not served.adopt()
    assert [r.message for r in caplog.records if "takes over from torch fp32" in r.message][1:] == []
    served.run(images())
    assert better.runs == 1 and served.describes == "onnxruntime fp32: faster in a test"
    assert served.chosen[SQUARE].engine is better


def test_a_better_one_serves_before_the_last_candidate_was_tried() -> None:
    first, last = Counting(graph()), Counting(graph(), name="tensorrt")
    choice = SlowChoice(first, last)
    served = session(choice)
    served.begin(SQUARE)
    choice.go_on.release()
    while not served.adopt():
        assert served.search.is_busy
    served.run(images())
    assert first.runs == 1
    assert served.describes.startswith("choosing: serving with onnxruntime fp32")
    choice.go_on.release()
    end_of_search(served)
    assert served.adopt()
    served.run(images())
    assert (first.runs, last.runs) == (1, 1) and served.describes.startswith("tensorrt")


def test_torch_that_stays_tells_why_before_and_after_the_next_image(
    caplog: pytest.LogCaptureFixture,
) -> None:
    served = session(lambda request, serving, *_: iter([EngineChoice(serving, "torch fp32: in a test")]))
    served.begin(SQUARE)
    end_of_search(served)
    assert served.describes == "torch fp32: in a test"
    with caplog.at_level(logging.INFO, "perception_contrast"):
        assert not served.adopt()
    assert "torch fp32: in a test stays" in caplog.text
    assert served.describes == "torch fp32: in a test"


def test_a_search_that_fails_leaves_torch_with_a_warning() -> None:
    choice = SlowChoice(ModelError("no engine passes"))
    served = session(choice)
    served.begin(SQUARE)
    choice.go_on.release()
    end_of_search(served)
    assert not served.adopt() and served.engine_for(SQUARE).name == "torch"
    assert "no engine passes" in served.warnings[0] and "torch fp32 serves" in served.warnings[0]


def test_a_remembered_engine_serves_from_the_first_image() -> None:
    better = Counting(graph())
    served = session(never, lambda *_: EngineChoice(better, "remembered"))
    served.begin(SQUARE)
    assert served.search.wait_for_first(PATIENCE) and served.adopt()
    served.run(images())
    assert better.runs == 1 and served.describes == "remembered" and not served.warnings


def test_a_remembered_engine_that_takes_long_lets_torch_serve_first() -> None:
    better, go_on = Counting(graph()), threading.Event()

    def slow(*_: Any) -> EngineChoice:
        assert go_on.wait(PATIENCE)
        return EngineChoice(better, "remembered")

    served = session(never, slow)
    served.begin(SQUARE)
    assert not served.search.wait_for_first(0.05) and not served.adopt()
    assert served.run(images()) and served.describes == "choosing: serving with torch fp32"
    go_on.set()
    end_of_search(served)
    assert served.adopt() and served.engine_for(SQUARE) is better


def test_a_size_that_stays_gets_an_engine_and_odd_ones_do_not() -> None:
    better = Counting(graph())
    choice = SlowChoice(better)
    choice.go_on.release()
    served = session(choice)
    for side in (28, 42, 56, 70):
        served.run(images(side))
    assert not served.search.is_busy and not choice.tried
    for _ in range(BUILD_AFTER - 1):
        served.run(images())
    end_of_search(served)
    assert choice.tried == [SQUARE] and served.adopt()
    served.run(images())
    served.run(images(28))
    assert better.runs == 1


def test_a_size_that_changes_while_choosing_gets_its_turn_and_too_many_do_not() -> None:
    choice = SlowChoice(*[Counting(graph())])
    served = session(choice)
    served.begin(SQUARE)
    assert choice.begun.wait(PATIENCE)
    sides = [14 * (2 + number) for number in range(MAX_SIZES + 3) if number != 2]
    for side in sides:
        for _ in range(BUILD_AFTER):
            served.run(images(side))
    for _ in sides:
        choice.go_on.release()
    choice.go_on.release()
    end_of_search(served)
    assert choice.tried == [SQUARE, *((side, side) for side in sides[: MAX_SIZES - 1])]
    served.adopt()
    assert len(served.chosen) == MAX_SIZES


def test_a_size_that_is_expected_gets_its_engine_before_it_comes() -> None:
    better = Counting(graph())
    choice = SlowChoice(better)
    served = session(choice)
    for side in (42, 56, 56):
        choice.go_on.release()
        served.expect((side, side))
    end_of_search(served)
    assert choice.tried == [(42, 42), SQUARE] and served.adopt()
    served.run(images())
    assert better.runs == 1
    for number in range(MAX_SIZES):
        choice.go_on.release()
        served.expect((14 * (5 + number),) * 2)
    end_of_search(served)
    assert len(choice.tried) == MAX_SIZES


def test_closing_calls_the_choice_off_and_leaves_no_thread() -> None:
    choice = SlowChoice(Counting(graph()))
    served = session(choice)
    served.begin(SQUARE)
    assert choice.begun.wait(PATIENCE)
    served.search.close()
    end_of_search(served)
    assert not served.adopt() and not served.warnings
    assert "called off" in served.describes


def test_an_engine_that_fails_is_given_up_with_a_warning_and_so_is_the_choice() -> None:
    broken = Counting(graph(), ModelError("device lost"))
    choice = SlowChoice(broken, Counting(graph()), Counting(graph()))
    served = session(choice)
    served.begin(SQUARE)
    choice.go_on.release()
    while not served.adopt():
        assert served.search.is_busy
    exact = TorchEngine(served.graph, "fp32", "cpu").run(images())["tokens"]
    for _ in range(2):
        assert torch.equal(served.run(images())["tokens"], exact)
    choice.go_on.release()
    choice.go_on.release()
    end_of_search(served)
    assert broken.runs == 1 and not served.adopt()
    assert "device lost" in served.warnings[0] and served.describes == "torch fp32"


def test_an_engine_asked_for_by_name_is_built_at_once_or_fails() -> None:
    engine = Counting(graph())
    choosers = Choosers(lambda *_, **__: EngineChoice(engine, "as asked for"), never, never)
    served = EncoderSession(graph(), "cpu", "onnxruntime", "fp32", choosers=choosers)
    served.begin(SQUARE)
    assert served.engine_for(SQUARE) is engine

    def fails(*_: Any, **__: Any) -> EngineChoice:
        raise ModelError("it cannot be built")

    served = EncoderSession(graph(), "cpu", "onnxruntime", "fp32", choosers=Choosers(fails, never, never))
    with pytest.raises(ModelError, match="cannot be built"):
        served.begin(SQUARE)


def test_in_the_foreground_the_choice_is_made_at_the_same_image_of_every_run() -> None:
    for _ in range(2):
        better = Counting(graph())
        choice = SlowChoice(better)
        choice.go_on.release()
        choosers = Choosers(never, nothing_remembered, choice)
        served = EncoderSession(
            graph(), "cpu", "auto", search=EngineSearch(background=False), choosers=choosers
        )
        for _ in range(BUILD_AFTER + 2):
            served.adopt()
            served.run(images())
        assert better.runs == 2


def test_torch_alone_builds_nothing() -> None:
    served = EncoderSession(graph(), "cpu", "torch", choosers=Choosers(never, never, never))
    assert served.prepare(SQUARE) is None
    served.expect(SQUARE)
    for _ in range(BUILD_AFTER + 2):
        served.run(images())
    assert not served.warnings and not served.search.is_busy
