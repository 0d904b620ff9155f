"""Figures image by image, here or by the workers of a Ray cluster, added up in the order of the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from perception_contrast.core.errors import PerceptionError
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast_training.cli.eval_options import Job, Options, pipeline_of
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.fleet.loaded_work import LoadedWork
from perception_contrast_training.fleet.map_items import map_items

Item = TypeVar("Item")
Taken = TypeVar("Taken", contravariant=True)
Found = TypeVar("Found", covariant=True)


class Measure(Protocol[Taken, Found]):
    """What a task does with one image by itself.

    Attributes:
        facts: What the command must know of the pipeline; picklable.
    """

    @property
    def facts(self) -> Any: ...

    def __call__(self, item: Taken, /) -> Found:
        """What one image adds to the figures; picklable, and small beside the image."""
        ...


@dataclass(frozen=True)
class Unreadable:
    """In place of what an image adds: why it was left out."""

    reason: str


@dataclass(frozen=True)
class _Opened(Generic[Item, Found]):
    measure: Measure[Item, Found]
    notes: tuple[str, ...]

    @property
    def facts(self) -> tuple[Any, tuple[str, ...]]:
        return self.measure.facts, self.notes

    def __call__(self, item: Item) -> Found:
        return self.measure(item)


@dataclass(frozen=True)
class _Open(Generic[Item, Found]):
    """Loads the pipeline of the options in the process that is to measure."""

    options: Options
    make: Callable[[Pipeline], Measure[Item, Found]]

    def __call__(self) -> _Opened[Item, Found]:
        job = Job(self.options, Skipped())
        return _Opened(self.make(pipeline_of(job)), tuple(job.notes))


class PerImage(Generic[Item, Found]):
    """A measure, wherever the job's images are measured.

    Attributes:
        facts: Of the measure.
    """

    def __init__(self, job: Job, make: Callable[[Pipeline], Measure[Item, Found]]) -> None:
        """Loads the pipeline, on Ray in a worker, and notes with what it is calibrated.

        Args:
            job: Says with which models, and where.
            make: The measure of a pipeline; picklable.

        Raises:
            PerceptionError: The models cannot be loaded, or the cluster cannot be joined.
        """
        self._work, self._where = LoadedWork[Item](_Open(job.options, make)), job.where
        self.facts, notes = self._work.facts(job.where)
        job.notes.extend(notes)

    def __call__(self, items: Iterable[Item], what: str, total: int) -> Iterator[Found]:
        """What each item adds, in the order of the items.

        Args:
            items: Read one by one as they can be sent.
            what: Said beside the progress.
            total: How many, 0 where that is not known.

        Raises:
            PerceptionError: Of the first item that has one.
        """
        for _, found in tracked(map_items(self._work, items, self._where, ordered=True), what, total):
            if isinstance(found, PerceptionError):
                raise found
            yield found
