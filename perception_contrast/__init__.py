"""Open-vocabulary perception for robots: DINOv2 and CLIP/SigLIP features, detections and masks.

>>> import perception_contrast as pc
>>> detector = pc.load("household-lit")
>>> result = detector("kitchen.jpg", ["red mug", "chair"])
>>> result.plot("found.png")

Names are imported when they are first used, so that importing the package loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from perception_contrast.core.version import __version__ as __version__

if TYPE_CHECKING:
    from perception_contrast.core.detection import Detection as Detection
    from perception_contrast.core.detection import Scores as Scores
    from perception_contrast.core.errors import FrameError as FrameError
    from perception_contrast.core.errors import ModelError as ModelError
    from perception_contrast.core.errors import PerceptionError as PerceptionError
    from perception_contrast.core.errors import QueryError as QueryError
    from perception_contrast.core.errors import SpaceError as SpaceError
    from perception_contrast.core.feature_grid import FeatureGrid as FeatureGrid
    from perception_contrast.core.frame import Frame as Frame
    from perception_contrast.core.vocabulary import Exemplar as Exemplar
    from perception_contrast.core.vocabulary import Query as Query
    from perception_contrast.core.vocabulary import Vocabulary as Vocabulary
    from perception_contrast.pipeline.detector.base import Detector as Detector
    from perception_contrast.pipeline.detector.detector_result import DetectorResult as DetectorResult
    from perception_contrast.pipeline.detector.load import load as load
    from perception_contrast.pipeline.pipeline_settings import PipelineSettings as PipelineSettings
    from perception_contrast.text.zero_shot import Classification as Classification
    from perception_contrast.vocabulary.vocabulary_file import load_vocabulary as load_vocabulary

# Public name to the module that has it.
_MODULES = {
    "Classification": "text.zero_shot",
    "Detection": "core.detection",
    "Detector": "pipeline.detector.base",
    "DetectorResult": "pipeline.detector.detector_result",
    "Exemplar": "core.vocabulary",
    "FeatureGrid": "core.feature_grid",
    "Frame": "core.frame",
    "FrameError": "core.errors",
    "ModelError": "core.errors",
    "PerceptionError": "core.errors",
    "Query": "core.vocabulary",
    "QueryError": "core.errors",
    "Scores": "core.detection",
    "PipelineSettings": "pipeline.pipeline_settings",
    "SpaceError": "core.errors",
    "Vocabulary": "core.vocabulary",
    "load": "pipeline.detector.load",
    "load_vocabulary": "vocabulary.vocabulary_file",
}

__all__ = [
    "Classification",
    "Detection",
    "Detector",
    "DetectorResult",
    "Exemplar",
    "FeatureGrid",
    "Frame",
    "FrameError",
    "ModelError",
    "PerceptionError",
    "PipelineSettings",
    "Query",
    "QueryError",
    "Scores",
    "SpaceError",
    "Vocabulary",
    "__version__",
    "load",
    "load_vocabulary",
]


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use (PEP 562). Raises AttributeError for another name."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
