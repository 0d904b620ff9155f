"""The encoders that an image goes through, as one CUDA graph where every engine allows it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.base import Role
from perception_contrast.engines.cuda_graph import (
    CudaGraphEngine,
    CudaGraphRecorder,
    Record,
    record_cuda_graph,
)
from perception_contrast.engines.encoder_session import EncoderSession
from perception_contrast.engines.query_matrix import QueryMatrix, max_cosines
from perception_contrast.preprocessing.tiles import run_in_windows, window_of

logger = logging.getLogger(__name__)

BEST = "best"  # name of the cosines with queries among the outputs
TOGETHER = "encode"  # the stage of a recording of all encoders
# A context manager that times a stage of this name.
Stage = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class GraphCall:
    """One encoder and its images.

    Attributes:
        stage: name under which its time is counted.
        session: runs the encoder.
        images: (B, 3, H, W) float32 on the device, normalised.
        outputs: names of the outputs to return, and "best" for ``max_cosines`` with ``queries``.
        queries: what the dense language features are compared with, or None.
        tile, overlap: the windows that the images are encoded in, as of ``run_in_windows``.
    """

    stage: str
    session: EncoderSession
    images: Tensor
    outputs: frozenset[str]
    queries: QueryMatrix | None = None
    tile: int = 0
    overlap: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        return int(self.images.shape[-2]), int(self.images.shape[-1])

    @property
    def untiled(self) -> bool:
        """Whether the images are encoded in one window."""
        return window_of(self.size, self.session.graph.patch, self.tile) == self.size

    @property
    def compared(self) -> str:
        """The output that is compared with ``queries``, "" without queries."""
        return "" if self.queries is None else self.session.graph.name_of(Role.LANGUAGE)


class GraphSequence:
    """Runs the encoders of an image in turn, as one recording where all run on ``CudaGraphEngine`` untiled.

    Called by one thread at a time.

    Args:
        record: makes recordings.
    """

    def __init__(self, record: Record = record_cuda_graph) -> None:
        self._recorder = CudaGraphRecorder(record)
        self._refused: set[tuple[CudaGraphEngine, ...]] = set()

    def run(self, calls: Sequence[GraphCall], stage: Stage) -> list[dict[str, Tensor]]:
        """Runs the calls. Where a recording of all fails, they run one by one from then on.

        Returns:
            For each call its ``outputs``, float32 (B, ...), "best" (B, groups, h, w); later runs leave them
            alone. On CUDA they are ready in the order of the current stream.

        Raises:
            torch.OutOfMemoryError: the images do not fit.
        """
        engines = tuple(call.session.engine_for(call.size) for call in calls)
        captured = tuple(engine for engine in engines if isinstance(engine, CudaGraphEngine))
        recordable = bool(calls) and len(captured) == len(calls) and all(call.untiled for call in calls)
        if recordable and captured not in self._refused:
            try:
                with stage(TOGETHER):
                    return self._together(calls, captured)
            except torch.OutOfMemoryError:
                raise
            except (ModelError, RuntimeError) as error:
                self._refused.add(captured)
                logger.warning("the encoders run one by one: recorded together %s", error)
        return [_run_alone(call, stage) for call in calls]

    def _together(
        self, calls: Sequence[GraphCall], engines: tuple[CudaGraphEngine, ...]
    ) -> list[dict[str, Tensor]]:
        with torch.inference_mode():
            compared = tuple(call.compared for call in calls)
            key = (engines, compared)
            recorded = self._recorder.run(key, _in_turn(engines, compared), list(_inputs(calls)))
            outputs = iter(recorded)
            results = []
            for call, engine in zip(calls, engines, strict=True):
                names = (*engine.outputs, BEST) if call.queries is not None else engine.outputs
                results.append(_requested(call, dict(zip(names, outputs, strict=False)), copy=True))
            return results


def _inputs(calls: Iterable[GraphCall]) -> Iterable[Tensor]:
    for call in calls:
        yield call.images
        if call.queries is not None:
            yield call.queries.vectors
            yield call.queries.group_of


def _in_turn(
    engines: Sequence[CudaGraphEngine], compared: Sequence[str]
) -> Callable[..., tuple[Tensor, ...]]:
    """A function of the tensors of ``_inputs``: all outputs of each engine, then its cosines.

    compared: of each engine the output that is compared with queries, "" for none.
    """

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        queue = iter(inputs)
        outputs: list[Tensor] = []
        for engine, name in zip(engines, compared, strict=True):
            given = engine.forward(next(queue))
            outputs += given
            if name:
                dense = given[engine.outputs.index(name)]
                outputs.append(max_cosines(dense, next(queue), next(queue)))
        return tuple(outputs)

    return run


def _run_alone(call: GraphCall, stage: Stage) -> dict[str, Tensor]:
    with stage(call.stage), torch.inference_mode():
        graph = call.session.graph
        run = call.session.run
        given = dict(run_in_windows(run, call.images, graph.patch, call.tile, call.overlap, graph.unit_names))
        if call.queries is not None:
            given[BEST] = max_cosines(given[call.compared], call.queries.vectors, call.queries.group_of)
        return _requested(call, given, copy=False)


def _requested(call: GraphCall, given: dict[str, Tensor], *, copy: bool) -> dict[str, Tensor]:
    """The outputs that a call requests. copy: the next replay overwrites what was given."""
    if BEST in given and call.queries is not None:
        given = {**given, BEST: given[BEST][:, : call.queries.groups]}
    return {name: given[name].to(torch.float32, copy=copy) for name in sorted(call.outputs)}
