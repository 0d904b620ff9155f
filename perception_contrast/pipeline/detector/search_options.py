"""How one call of a detector searches."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
            if value is not None and not 0.0 < value < 1.0:
                raise QueryError(f"{name} is {value}; give a probability between 0 and 1")
        if self.max_detections is not None and self.max_detections < 1:
            raise QueryError(f"max_detections is {self.max_detections}; give 1 or more")

    def applied_to(self, settings: PipelineSettings) -> PipelineSettings:
        """The settings with what is chosen here in their place."""
        return replace(
            settings,
            detection_threshold=_chosen(self.threshold, settings.detection_threshold),
            mask_threshold=_chosen(self.mask_threshold, settings.mask_threshold),
            max_detections=settings.max_detections if self.max_detections is None else self.max_detections,
        )


def _chosen(value: float | None, default: float | None) -> float | None:
    return default if value is None else value
