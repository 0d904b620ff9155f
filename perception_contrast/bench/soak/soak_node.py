"""perception_node as it is, but for frames that are marked to make its engine fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perception_contrast.core.threads import settle_threads
from perception_contrast.nodes.perception_node import NAME, PerceptionNode
from perception_contrast.ros.monitoring import diagnostics
from perception_contrast.ros.node.lifecycle import leave, run

EXPLODES = "soak_engine_failure"


class FailingEngine:
    """A pipeline that raises for a frame whose frame_id is EXPLODES, as an engine in trouble does."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def submit_batch(self, frames: Sequence[Any], request: Any) -> Any:
        if any(frame.frame_id == EXPLODES for frame in frames):
            raise RuntimeError("the engine fails because the soak asks for it")
        return self._pipeline.submit_batch(frames, request)


def main(build: Callable[..., Any] | None = None) -> None:
    """build: as PerceptionNode takes it; None loads real models."""
    settle_threads(patient=True)
    # Told more often than otherwise, so that faults can follow each other faster.
    diagnostics.PERIOD = 0.25

    def failing(**arguments: Any) -> Any:
        from perception_contrast.pipeline.build import build as real

        return FailingEngine((build or real)(**arguments))

    leave(run(lambda stop: PerceptionNode(stop, build=failing), NAME))


if __name__ == "__main__":
    main()
