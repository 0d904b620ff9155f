"""A model that is ``model`` and ``language_model`` at once, watched while it computes one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings


@dataclass(frozen=True)
class SharedPass:
    """passes: grows by one at each run of the image tower."""

    pipeline: Pipeline
    frame: Frame
    result: FrameResult
    passes: list[int]


def shared_pass(
    encoders: Encoders, side: int = 64, words: tuple[str, str] = ("red mug", "floor")
) -> SharedPass:
    """Features, words and detections of one frame, for which the image tower ran once.

    side: the frame's height in pixels; its width is half as much again.
    """
    assert encoders.language is not None and encoders.shared_backbone
    tower: Any = encoders.language.image_encoder
    passes: list[int] = []
    tower.network.visual.trunk.patch_embed.proj.register_forward_hook(lambda *_: passes.append(1))
    pipeline = Pipeline(encoders, PipelineSettings(short_side=side), engine="torch", precision="fp32")
    pipeline.set_queries([Query(word) for word in words])
    rng = np.random.default_rng(0)
    frame = Frame(rng.integers(0, 256, (side, side * 3 // 2, 3), dtype=np.uint8))
    pipeline.process(frame, OutputRequest(features=True))
    passes.clear()
    result = pipeline.process(frame, OutputRequest(features=True, semantic_features=True, detections=True))
    assert len(passes) == 1
    assert result.features is not None and result.semantic_features is not None
    return SharedPass(pipeline, frame, result, passes)
