"""What happens to an image on its way to a view, for those who want to see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from torch import Tensor

SOURCE, CROP = "source", "crop"


@dataclass(frozen=True)
class ViewStep:
    """One step of a view.

    Attributes:
        name: SOURCE begins a view; then CROP and "flip", "brightness", "contrast", "saturation", "hue" in the
            order drawn ("colours" where chance changed none of the four), "grey", "blur" and "solarise".
        image: (3, h, w) after the step, uint8 or float32 in [0, 1], not normalised; None where chance left
            the step out.
        values: What was drawn, such as ``factor``; of CROP top, left, height and width in pixels.
    """

    name: str
    image: Tensor | None
    values: Mapping[str, float] = field(default_factory=dict)


Observer = Callable[[ViewStep], None]
_OBSERVER: ContextVar[Observer | None] = ContextVar("view_observer", default=None)


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Within the context, tells the steps of all views that this thread makes; the views stay the same."""
    token = _OBSERVER.set(observer)
    try:
        yield
    finally:
        _OBSERVER.reset(token)


def tell(name: str, image: Tensor | None, **values: float) -> None:
    """Tells whoever observes about a step."""
    observer = _OBSERVER.get()
    if observer is not None:
        observer(ViewStep(name, image, values))
