"""All graphs that an image goes through, as one: recorded together where every engine can be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.encoder_graphs import dense_name
from perception_contrast.engines.cuda_graph import CapturedEngine
from perception_contrast.engines.cuda_graph_recorder import CudaGraphRecorder, Record, cuda_graph
from perception_contrast.engines.query_rows import QueryRows, best_cosines
from perception_contrast.engines.served_graph import ServedGraph
from perception_contrast.preprocessing.tiles import seen_in_windows, window_of

logger = logging.getLogger(__name__)

BEST = "best"
TOGETHER = "encode"  # what the time of a recording of all graphs is booked under
# Names what is being done, for as long as it is.
Stage = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class GraphCall:
    """One graph and its images.

    stage: what its time is booked under. images: (B, 3, H, W) float32 on the device, normalised. wanted:
    outputs of the graph, and "best" for ``best_cosines`` of its dense vectors with ``rows``. tile, overlap:
    the windows that the images are seen through, as ``seen_in_windows`` takes them.
    """

    stage: str
    served: ServedGraph
    images: Tensor
    wanted: frozenset[str]
    rows: QueryRows | None = None
    tile: int = 0
    overlap: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        return int(self.images.shape[-2]), int(self.images.shape[-1])

    @property
    def whole(self) -> bool:
        """Whether the images are seen at once."""
        return window_of(self.size, self.served.graph.patch, self.tile) == self.size


class GraphSequence:
    """Runs the parts of an image. Where all are served by ``CapturedEngine`` they are one recording,
    unless they are seen window by window.

    Called by one thread at a time.
    """

    def __init__(self, record: Record = cuda_graph) -> None:
        """record: how a recording is made."""
        self._recorder = CudaGraphRecorder(record)
        self._refused: set[tuple[CapturedEngine, ...]] = set()

    def run(self, parts: Sequence[GraphCall], stage: Stage) -> list[dict[str, Tensor]]:
        """Of each part the wanted tensors, float32, the caller's to keep: (B, ...), "best" (B, groups, h, w).

        On CUDA they are ready on the current stream once it comes to them. A recording that fails is given
        up for one graph after the other. Raises torch.OutOfMemoryError.
        """
        engines = tuple(part.served.engine_for(part.size) for part in parts)
        captured = tuple(engine for engine in engines if isinstance(engine, CapturedEngine))
        recorded = bool(parts) and len(captured) == len(parts) and all(part.whole for part in parts)
        if recorded and captured not in self._refused:
            try:
                with stage(TOGETHER):
                    return self._together(parts, captured)
            except torch.OutOfMemoryError:
                raise
            except (ModelError, RuntimeError) as error:
                self._refused.add(captured)
                logger.warning("the graphs of an image run one by one: recorded together %s", error)
        return [_alone(part, stage) for part in parts]

    def _together(
        self, parts: Sequence[GraphCall], engines: tuple[CapturedEngine, ...]
    ) -> list[dict[str, Tensor]]:
        with torch.inference_mode():
            compared = tuple(part.rows is not None for part in parts)
            key = (engines, compared)
            outputs = iter(self._recorder.run(key, _in_turn(engines, compared), list(_inputs(parts))))
            seen = []
            for part, engine in zip(parts, engines, strict=True):
                names = (*engine.outputs, BEST) if part.rows is not None else engine.outputs
                seen.append(_kept(part, dict(zip(names, outputs, strict=False)), copy=True))
            return seen


def _inputs(parts: Iterable[GraphCall]) -> Iterable[Tensor]:
    for part in parts:
        yield part.images
        if part.rows is not None:
            yield part.rows.vectors
            yield part.rows.owners


def _in_turn(
    engines: Sequence[CapturedEngine], compared: Sequence[bool]
) -> Callable[..., tuple[Tensor, ...]]:
    """A function of what ``_inputs`` gives: all outputs of each engine, then its best cosines."""

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        queue = iter(inputs)
        outputs: list[Tensor] = []
        for engine, with_rows in zip(engines, compared, strict=True):
            seen = engine.forward(next(queue))
            outputs += seen
            if with_rows:
                dense = seen[engine.outputs.index(dense_name(engine.outputs))]
                outputs.append(best_cosines(dense, next(queue), next(queue)))
        return tuple(outputs)

    return run


def _alone(part: GraphCall, stage: Stage) -> dict[str, Tensor]:
    with stage(part.stage), torch.inference_mode():
        patch = part.served.graph.patch
        seen = dict(seen_in_windows(part.served.run, part.images, patch, part.tile, part.overlap))
        if part.rows is not None:
            dense = seen[dense_name(tuple(seen))]
            seen[BEST] = best_cosines(dense, part.rows.vectors, part.rows.owners)
        return _kept(part, seen, copy=False)


def _kept(part: GraphCall, seen: dict[str, Tensor], *, copy: bool) -> dict[str, Tensor]:
    """The wanted of a part's outputs. copy: they are a recording's, which the next replay writes over."""
    if BEST in seen and part.rows is not None:
        seen = {**seen, BEST: seen[BEST][:, : part.rows.groups]}
    return {name: seen[name].to(torch.float32, copy=copy) for name in sorted(part.wanted)}
