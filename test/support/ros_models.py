"""Real pipelines of tiny models, built by name as perception_node builds its own."""

from __future__ import annotations

import threading
from typing import Any

import small_models

from perception_contrast.core.errors import ModelError
from perception_contrast.heads.head_runner import HeadRunner
from perception_contrast.heads.registered_heads import named_head
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings


class SmallImagePipeline(Pipeline):
    """Keeps its settings: smaller images than the node's own default keep a test short."""

    def configure(self, settings: PipelineSettings) -> None:
        return


class TinyModelBuilder:
    """Stands in for ``pipeline.build``: tiny models by name, each made anew.

    Attributes:
        made: The pipelines so far.
        asked: What the newest was asked for with.
        hold: A load waits while this event is cleared.
    """

    def __init__(self) -> None:
        self.made: list[Pipeline] = []
        self.asked: dict[str, Any] = {}
        self.hold = threading.Event()
        self.hold.set()

    def __call__(self, **arguments: Any) -> Pipeline:
        self.asked = arguments
        self.hold.wait(60.0)
        name = arguments["model"]
        if name == "broken":
            raise ModelError("the weights of 'broken' are damaged")
        settings = PipelineSettings(short_side=56, max_tokens=64)
        encoders = small_models.encoders_of.__wrapped__(name)
        options = {
            key: arguments[key] for key in ("engine", "precision", "track_numbers", "background_texts")
        }
        heads = [HeadRunner(named_head(one)) for one in arguments.get("heads", ())]
        self.made.append(SmallImagePipeline(encoders, settings, heads=heads, **options))
        return self.made[-1]
