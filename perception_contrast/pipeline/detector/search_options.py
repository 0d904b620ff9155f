"""How one call of a detector searches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral, Real

from perception_contrast.core.errors import QueryError
from perception_contrast.pipeline.pipeline_settings import PipelineSettings


@dataclass(frozen=True)
class SearchOptions:
    """How one call searches.

    Attributes:
        threshold: Probability from which a region is reported; None takes the model's own.
        mask_threshold: Probability from which a pixel of it is labelled in the label map; None takes the
            model's own.
        max_detections: Most detections of an image, best first; None takes the detector's own.
    """

    threshold: float | None = None
    mask_threshold: float | None = None
    max_detections: int | None = None

    def __post_init__(self) -> None:
        for name in ("threshold", "mask_threshold"):
            value = getattr(self, name)
            if value is not None and not _is_probability(value):
                raise QueryError(f"{name} is {value!r}; give a probability between 0 and 1")
        most = self.max_detections
        if most is not None and not _is_count(most):
            raise QueryError(f"max_detections is {most!r}; give a whole number, 1 or more")

    def applied_to(self, settings: PipelineSettings) -> PipelineSettings:
        """The settings with what is chosen here in their place."""
        return replace(
            settings,
            detection_threshold=_chosen(self.threshold, settings.detection_threshold),
            mask_threshold=_chosen(self.mask_threshold, settings.mask_threshold),
            max_detections=settings.max_detections if self.max_detections is None else self.max_detections,
        )


def _is_probability(value: object) -> bool:
    return isinstance(value, Real) and 0.0 < float(value) < 1.0


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= 1


def _chosen(value: float | None, default: float | None) -> float | None:
    return default if value is None else value
