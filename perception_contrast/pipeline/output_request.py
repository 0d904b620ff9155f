"""OutputRequest: which results to compute for a frame. Imports no model library."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OutputRequest:
    """Which results to compute for a frame; nothing else is computed.

    Attributes:
        features: Dense features of the spatial model.
        semantic_features: Dense features that are comparable with texts.
        embedding: One vector of the whole image.
        masks: A label image of the queries in force.
        detections: Boxes, masks and scores of the queries in force.
        overlay: The image with its detections drawn.
        pca: The features as colours, by their first three principal components.
        instances: An image of the detections' ids.
        region_features: The detections with their vectors.
    """

    features: bool = False
    semantic_features: bool = False
    embedding: bool = False
    masks: bool = False
    detections: bool = False
    overlay: bool = False
    pca: bool = False
    instances: bool = False
    region_features: bool = False

    @property
    def searches(self) -> bool:
        """Whether the queries in force have to be searched for."""
        return self.masks or self.identifies

    @property
    def identifies(self) -> bool:
        """Whether detections have to have their ids."""
        return self.detections or self.instances or self.region_features or self.overlay
