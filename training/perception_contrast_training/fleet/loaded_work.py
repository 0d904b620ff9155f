"""Work that needs a model: each process loads it once, at its first item, and keeps it for the others."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.fleet.map_items import Report, Where, map_items

Item = TypeVar("Item")
Taken = TypeVar("Taken", contravariant=True)


class Loaded(Protocol[Taken]):
    """What was loaded.

    Attributes:
        facts: What whoever hands out the items must know of it; picklable.
    """

    @property
    def facts(self) -> Any: ...

    def __call__(self, item: Taken, /) -> Any:
        """The result of an item."""
        ...


@dataclass(frozen=True)
class LoadedWork(Generic[Item]):
    """Work for ``map_items`` that loads something first.

    Attributes:
        load: Picklable; called once in each process.
        run: Tells this work from any other; what an earlier one loaded is let go.
    """

    load: Callable[[], Loaded[Item]] = field(compare=False)
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __call__(self, item: Item, report: Report | None = None) -> Any:
        return _loaded(self)(item)

    def facts(self, where: Where) -> Any:
        """The facts of what a worker loaded: this process loads nothing unless it is that worker.

        Raises:
            PerceptionError: It cannot be loaded, or the cluster cannot be joined.
        """
        ((_, found),) = map_items(self._facts, [None], where)
        if isinstance(found, PerceptionError):
            raise found
        return found

    def _facts(self, _: None, report: Report | None = None) -> Any:
        return _loaded(self).facts


@lru_cache(maxsize=1)
def _loaded(work: LoadedWork[Any]) -> Loaded[Any]:
    return work.load()
