"""What one visitor of the encoders' page looks at, and how its tasks are run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.shared.progress_line import ProgressLine
from perception_contrast_studio.components.shared.told_errors import tell
from perception_contrast_studio.server.studio_page import Visit
from perception_contrast_studio.workers.worker_pool import Progress, TaskCancelledError

# What answers clicks has a process of its own, beside what works on whole datasets.
QUICK, LONG = "compare_encoders", "encoder_scores"
DATASET, EXAMPLE, IMAGE = "dataset", "example", "image"
EXAMPLE_FRAMES = 24


@dataclass
class EncoderSession:
    """What a visitor compares.

    Attributes:
        visit: The visitor.
        encoders: Names of the two.
        titles: As they are shown.
        source: The frame, as tasks take it; None before one is open.
        image: URL of the frame.
        short_side: Of the networks' input, pixels.
        on_change: Called when the encoders, the frame or the size have changed.
        facts: Of each dataset that was looked at.
    """

    visit: Visit
    encoders: list[str] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    source: dict[str, Any] | None = None
    image: str = ""
    short_side: int = 336
    on_change: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    gone: bool = False

    @property
    def datasets(self) -> list[str]:
        """The datasets that the studio was started with."""
        return [str(path) for path in self.visit.studio.folders.datasets]

    @property
    def ready(self) -> bool:
        """Whether there is something to compare."""
        return len(self.encoders) == 2 and self.source is not None

    def title(self, number: int) -> str:
        """Of an encoder."""
        name = self.encoders[number] if number < len(self.encoders) else ""
        return self.titles.get(name, Path(name).name or "no encoder")

    def frames(self, dataset: str) -> int:
        """How many frames a dataset has; those of the rendered room for an empty name."""
        return int(self.facts[dataset]["frames"]) if dataset else EXAMPLE_FRAMES

    async def changed(self) -> None:
        """Tells all parts of the page."""
        for call in self.on_change:
            await call()

    async def run(self, task: str, *, lane: str = QUICK, told: Any = None, **arguments: Any) -> Any:
        """The result of a task; None where it could not be done, which the visitor is told."""
        try:
            # A visitor who leaves must not end the process that others wait for.
            return await asyncio.shield(
                self.visit.studio.workers.run(task, lane=lane, on_progress=self._only_here(told), **arguments)
            )
        except TaskCancelledError:
            return None
        except PerceptionError as error:
            if not self.gone:
                tell(error)
            return None

    async def long(self, progress: ProgressLine, task: str, **arguments: Any) -> Any:
        """As ``run``, for work on whole datasets that can be cancelled."""

        def work(told: Progress) -> Awaitable[Any]:
            return self.visit.studio.workers.run(
                task, lane=LONG, on_progress=self._only_here(told), **arguments
            )

        return await progress.run("starting", work)

    def publish(self, data: bytes, media_type: str, instead_of: str = "") -> str:
        """A URL of data, which takes the place of another."""
        if instead_of:
            self.visit.studio.blobs.remove(instead_of)
        return self.visit.publish(data, media_type) if data and not self.gone else ""

    def _only_here(self, told: Any) -> Callable[[float, str], None]:
        def tell(fraction: float, text: str) -> None:
            if told is not None and not self.gone:
                told(fraction, text)

        return tell
