"""perception_node whose engine fails for frames that are marked so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perception_contrast.core.process.threads import settle_threads
from perception_contrast.nodes.perception_node import NAME, PerceptionNode
from perception_contrast.ros.node.run_node import exit_process, run_node
from perception_contrast.ros.node.shutdown_event import ShutdownEvent

FAILING_FRAME_ID = "soak_engine_failure"


class FailingEngine:
    """A pipeline that raises for a frame whose frame_id is FAILING_FRAME_ID, as a broken engine does."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def submit_batch(self, frames: Sequence[Any], request: Any, settings: Any) -> Any:
        if any(frame.frame_id == FAILING_FRAME_ID for frame in frames):
            raise RuntimeError("the engine fails because the soak asks for it")
        return self._pipeline.submit_batch(frames, request, settings)


def main(build: Callable[..., Any] | None = None) -> None:
    """build: as PerceptionNode takes it; None loads real models."""
    settle_threads(patient=True)

    def failing(**arguments: Any) -> Any:
        from perception_contrast.pipeline.build import build as real

        return FailingEngine((build or real)(**arguments))

    def make_node(shutdown: ShutdownEvent) -> PerceptionNode:
        # Diagnostics come more often than usual, so that faults can follow each other faster.
        return PerceptionNode(shutdown, build=failing, diagnostics_period=0.25)

    exit_process(run_node(make_node, NAME))


if __name__ == "__main__":
    main()
