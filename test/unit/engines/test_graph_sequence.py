"""Graphs run as one, what all cells are compared with, and how results come back to the host."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from small_models import encoders_of
from torch import Tensor

from perception_contrast.encoders.base import Role
from perception_contrast.encoders.encoder_graph import EncoderGraph, graph_of
from perception_contrast.engines import accuracy_gate as gate
from perception_contrast.engines.async_copy import AsyncCopy
from perception_contrast.engines.choice import EngineChoice
from perception_contrast.engines.cuda_graph import (
    MAX_RECORDINGS,
    CudaGraphEngine,
    CudaGraphRecorder,
    record_cuda_graph,
)
from perception_contrast.engines.encoder_session import Choosers, EncoderSession
from perception_contrast.engines.graph_sequence import BEST, GraphCall, GraphSequence
from perception_contrast.engines.query_matrix import QueryMatrix, max_cosines, padded_size
from perception_contrast.engines.torch_engine import TorchEngine

DINO, CLIP, LIT = (56, 84), (64, 96), (56, 84)


def by_calling(function: Callable[..., Any], inputs: Sequence[Tensor]) -> Any:
    """In place of a CUDA graph: a replay calls the function on the static inputs again."""
    outputs = function(*inputs)

    def replay() -> None:
        for kept, new in zip(outputs, function(*inputs), strict=True):
            kept.copy_(new)

    return replay, outputs


def graph_named(kind: str) -> EncoderGraph:
    encoders = encoders_of("none" if kind == "dino" else kind)
    return graph_of(encoders.language.image_encoder if kind == "lit" else encoders.spatial)


def captured(graph: EncoderGraph, device: str = "cpu", precision: str = "fp32") -> EncoderSession:
    """Served by a recording: of a stand-in on a CPU, of CUDA on a GPU."""
    record = by_calling if device == "cpu" else record_cuda_graph

    def choose(graph: EncoderGraph, size: tuple[int, int], **_: Any) -> EngineChoice:
        return EngineChoice(CudaGraphEngine(graph, precision, device, record=record), "a test's choice")

    return EncoderSession(copy.deepcopy(graph).to(device), device, "auto", "fp32", choosers=Choosers(choose))


def no_stage(_: str) -> nullcontext[None]:
    return nullcontext()


def vectors(count: int, width: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# Recordings.


def test_a_recording_is_made_once_for_each_shape_and_function() -> None:
    made: list[tuple[int, ...]] = []

    def record(function: Any, inputs: Sequence[Tensor]) -> Any:
        made.append(tuple(inputs[0].shape))
        return by_calling(function, inputs)

    recorder = CudaGraphRecorder(record)
    for value in (1.0, 2.0, 3.0):
        (doubled,) = recorder.run("twice", lambda x: (2 * x,), [torch.full((2, 3), value)])
        assert torch.equal(doubled, torch.full((2, 3), 2 * value))
    (squared,) = recorder.run("square", lambda x: (x * x,), [torch.full((2, 3), 5.0)])
    assert squared[0, 0] == 25.0 and doubled[0, 0] == 6.0
    recorder.run("twice", lambda x: (2 * x,), [torch.ones(4)])
    assert made == [(2, 3), (2, 3), (4,)]


def test_the_recording_that_was_not_used_for_longest_goes() -> None:
    made: list[int] = []

    def record(function: Any, inputs: Sequence[Tensor]) -> Any:
        made.append(len(inputs[0]))
        return by_calling(function, inputs)

    recorder = CudaGraphRecorder(record)
    for length in (*range(1, MAX_RECORDINGS + 1), 1, MAX_RECORDINGS + 1, 1, 2):
        recorder.run("same", lambda x: (x + 1,), [torch.zeros(length)])
    assert made == [*range(1, MAX_RECORDINGS + 2), 2], "1 was used again and stays; 2 had to be made again"


# What cells are compared with.


@pytest.mark.parametrize(
    "counts", [(1,), (3, 0, 2), (16,), (1,) * 15, (1,) * 16, (40, 1, 90), (0,) * 20 + (1,)]
)
def test_best_cosines_are_those_of_numpy(counts: tuple[int, ...]) -> None:
    groups = [vectors(count, 10, seed) for seed, count in enumerate(counts)]
    cells = vectors(2 * 4 * 5, 10, 99).reshape(2, 4, 5, 10)
    rows = QueryMatrix.from_groups(groups, "cpu")
    best = max_cosines(torch.from_numpy(cells), rows.vectors, rows.group_of)[:, : rows.groups].numpy()
    assert rows.groups == len(groups) and best.shape == (2, len(groups), 4, 5)
    for index, group in enumerate(groups):
        expected = (cells @ group.T).max(-1) if len(group) else np.full((2, 4, 5), -1.0)
        np.testing.assert_allclose(best[:, index], expected, atol=1e-6)


def test_shapes_stay_while_a_vocabulary_changes() -> None:
    assert [padded_size(rows) for rows in (1, 16, 17, 64, 65, 1024, 1025)] == [
        16,
        16,
        64,
        64,
        256,
        1024,
        4096,
    ]
    shapes = {
        QueryMatrix.from_groups([vectors(1, 8)] * count, "cpu").vectors.shape for count in range(17, 64)
    }
    assert shapes == {(64, 8)}


@pytest.mark.parametrize("groups", [[], [np.zeros((0, 8), np.float32)]])
def test_nothing_to_compare_with_is_refused(groups: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="at least one vector"):
        QueryMatrix.from_groups(groups, "cpu")


# The step.


def parts_of(
    serve: Callable[[EncoderGraph], EncoderSession],
    kind: str,
    rows: QueryMatrix | None,
    seed: int,
    device: str,
) -> list[GraphCall]:
    random = torch.Generator().manual_seed(seed)
    asked = {"lit": [("lit", LIT, rows)], "apart": [("clip", CLIP, rows), ("dino", DINO, None)]}[kind]
    parts = []
    for name, size, compared in asked:
        session = serve(graph_named(name))
        session.prepare(size)
        wanted = frozenset({*session.graph.names, *([BEST] if compared else [])})
        images = torch.randn(2, 3, *size, generator=random).to(device)
        parts.append(GraphCall(name, session, images, wanted, compared))
    return parts


def one_by_one(part: GraphCall) -> dict[str, Tensor]:
    """By float32 torch and NumPy."""
    graph = part.session.graph
    seen = TorchEngine(graph, "fp32", str(part.images.device)).run(part.images)
    if part.queries is not None:
        cells = seen[graph.name_of(Role.LANGUAGE)].cpu().numpy()
        rows = part.queries.vectors.cpu().numpy()
        owners = part.queries.group_of.cpu().numpy()
        best = [(cells @ rows[owners == g].T).max(-1) for g in range(part.queries.groups)]
        seen[BEST] = torch.from_numpy(np.stack(best, 1))
    return seen


@pytest.mark.parametrize("kind", ["lit", "apart"])
@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("compared", [True, False])
def test_a_step_gives_what_its_graphs_give_one_by_one(kind: str, recorded: bool, compared: bool) -> None:
    serve = captured if recorded else lambda graph: EncoderSession(graph, "cpu", "torch", "fp32")
    rows = QueryMatrix.from_groups(
        [vectors(2, 10 if kind == "lit" else 32), vectors(1, 10 if kind == "lit" else 32, 5)], "cpu"
    )
    step = GraphSequence(by_calling)
    parts = parts_of(serve, kind, rows if compared else None, 0, "cpu")
    first = step.run(parts, no_stage)
    kept = [{name: values.clone() for name, values in seen.items()} for seen in first]
    for part, seen in zip(parts, first, strict=True):
        assert set(seen) == part.outputs
        for name, values in one_by_one(part).items():
            torch.testing.assert_close(seen[name], values, atol=1e-5, rtol=1e-4)
    step.run([GraphCall(p.stage, p.session, -p.images, p.outputs, p.queries) for p in parts], no_stage)
    for seen, before in zip(first, kept, strict=True):
        assert all(torch.equal(seen[name], before[name]) for name in seen), "results stay"


def test_all_graphs_and_the_product_are_one_recording() -> None:
    made: list[int] = []

    def record(function: Any, inputs: Sequence[Tensor]) -> Any:
        made.append(len(inputs))
        return by_calling(function, inputs)

    step, stages = GraphSequence(record), []

    def stage(name: str) -> nullcontext[None]:
        stages.append(name)
        return nullcontext()

    first = parts_of(captured, "apart", QueryMatrix.from_groups([vectors(1, 32)], "cpu"), 0, "cpu")
    for count in (3, 9, 14):
        rows = QueryMatrix.from_groups([vectors(1, 32, seed) for seed in range(count)], "cpu")
        parts = [GraphCall(p.stage, p.session, p.images, p.outputs, p.queries and rows) for p in first]
        seen = step.run(parts, stage)
        assert seen[0][BEST].shape[1] == count
    assert made == [4], "two images, vectors and their owners, whatever the vocabulary"
    assert stages == ["encode"] * 3


def test_only_what_is_wanted_is_given() -> None:
    (whole,) = parts_of(captured, "lit", None, 0, "cpu")
    part = GraphCall(whole.stage, whole.session, whole.images, frozenset({"picture"}))
    assert set(GraphSequence(by_calling).run([part], no_stage)[0]) == {"picture"}


def test_a_recording_that_fails_is_given_up_for_one_graph_after_the_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries: list[int] = []

    def record(function: Any, inputs: Sequence[Tensor]) -> Any:
        tries.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    parts, step = parts_of(captured, "apart", None, 0, "cpu"), GraphSequence(record)
    for _ in range(2):
        for part, seen in zip(parts, step.run(parts, no_stage), strict=True):
            for name, values in one_by_one(part).items():
                torch.testing.assert_close(seen[name], values, atol=1e-5, rtol=1e-4)
    assert len(tries) == 1 and "one by one" in caplog.text


def test_memory_that_runs_out_in_a_recording_is_for_the_caller() -> None:
    def record(function: Any, inputs: Sequence[Tensor]) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        GraphSequence(record).run(parts_of(captured, "lit", None, 0, "cpu"), no_stage)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["lit", "apart"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_step_on_a_gpu_gives_what_float32_torch_gives(kind: str, precision: str) -> None:
    rows = QueryMatrix.from_groups(
        [vectors(2, 10 if kind == "lit" else 32), vectors(1, 10 if kind == "lit" else 32, 5)], "cuda"
    )
    step = GraphSequence()
    for seed in range(3):
        parts = parts_of(lambda graph: captured(graph, "cuda", precision), kind, rows, seed, "cuda")
        for part, seen in zip(parts, step.run(parts, no_stage), strict=True):
            expected = one_by_one(part)
            best = expected.pop(BEST, None)
            assert (
                min(gate.compare(expected, seen, part.session.graph.map_names).values())
                > gate.LIMITS[precision]
            )
            if best is not None:
                torch.testing.assert_close(seen[BEST].cpu(), best, atol=0.05, rtol=0)


# Back on the host.


def test_what_lands_is_what_left() -> None:
    tensors = {"a": torch.randn(2, 3), "b": torch.randn(4).to(torch.float16)}
    arrival = AsyncCopy("cpu").start(tensors)
    arrays = arrival.arrays()
    assert all(array.dtype == np.float32 for array in arrays.values())
    for name, values in tensors.items():
        np.testing.assert_array_equal(arrays[name], values.float().numpy())
        assert np.shares_memory(arrays[name], arrival.arrays()[name])


@pytest.mark.gpu
def test_landings_do_not_write_over_each_other() -> None:
    landing = AsyncCopy("cuda")
    sent = [torch.full((1 << 20,), float(value), device="cuda") for value in range(6)]
    arrivals = [landing.start({"x": values}) for values in sent]
    arrays = [arrival.arrays()["x"] for arrival in arrivals]
    for value, array in enumerate(arrays):
        assert (array == value).all()
    assert not torch.from_numpy(arrays[0]).is_pinned()


@pytest.mark.gpu
def test_a_landing_does_not_wait_for_the_device() -> None:
    landing, values = AsyncCopy("cuda"), torch.ones(1 << 20, device="cuda")
    landing.start({"x": values}).arrays()
    torch.cuda._sleep(int(2e9))
    ended = torch.cuda.Event()
    arrival = landing.start({"x": values * 2})
    ended.record()
    assert not ended.query(), "the device is still asleep"
    assert (arrival.arrays()["x"] == 2.0).all()
