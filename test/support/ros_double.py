"""A scripted pipeline with the methods of the real one, for tests of the ROS layer alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from perception_contrast.core.detection import Detection, RegionVectors, Scores
from perception_contrast.core.errors import ModelError, QueryError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary, of_space
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.segmentation.masks.instance_image import instance_image
from perception_contrast.segmentation.regions.region_features import RegionFeatures
from perception_contrast.text.zero_shot import Classification, ImageTextSimilarity

MODEL = "scripted"
SPACE = "scripted@0123456789ab"
BOX = (10, 20, 20, 40)


def unit(values: Iterable[float]) -> np.ndarray:
    vector = np.array(list(values), np.float32)
    return vector / np.linalg.norm(vector)


class ScriptedQueryEncoder:
    """Embeds a text as its length and its count of "e"."""

    text_model, text_space, exemplar_space = MODEL, SPACE, SPACE

    def embed_texts(self, texts: Iterable[str]) -> np.ndarray:
        return np.stack([unit([len(text), text.count("e"), 1.0]) for text in texts])


class ScriptedSearch:
    """Reports detections from one half on."""

    def detection_threshold(self, settings: PipelineSettings, vocabulary: Vocabulary | None = None) -> float:
        return 0.5


class ScriptedPipeline:
    """Finds its first query at BOX in every frame; the overlay is the frame itself."""

    def __init__(self) -> None:
        self.vocabulary = Vocabulary()
        self.settings = PipelineSettings()
        self.trained_absent: tuple[str, ...] = ()
        self.self_calibration = self.encoding_texts = ""
        self.text_failures: tuple[str, ...] = ()
        self.models = {"features": (MODEL, SPACE), "semantic": (MODEL, SPACE)}
        self.query_encoder = ScriptedQueryEncoder()
        self.frame_search = ScriptedSearch()
        self.engines, self.warnings, self.closed = {"spatial": "scripted fp32: as asked for"}, (), False
        self.gate = threading.Event()
        self.gate.set()
        self.processed: list[tuple[Frame, OutputRequest]] = []
        self.batches: list[int] = []
        self.used: list[PipelineSettings] = []  # of each batch
        # Each frame takes this long; a test may change it.
        self.seconds = 0.0

    def warm_up(self, size: tuple[int, int], progress: object = None, *, budget: float = 0.0) -> None:
        self.process(Frame(np.zeros((*size, 3), np.uint8)), OutputRequest(masks=True))

    def pause(self) -> None:
        return

    def resume(self) -> None:
        return

    def close(self) -> None:
        self.closed = True

    def configure(self, settings: PipelineSettings) -> None:
        self.settings = settings

    def set_queries(self, queries: Iterable[Query], distractors: Iterable[str] = ()) -> Vocabulary:
        self.vocabulary = self.vocabulary.with_queries(queries, distractors)
        return self.vocabulary

    def add_exemplar(
        self, label: str, frame: Frame, *, negative: bool = False, **where: Any
    ) -> tuple[Vocabulary, Exemplar]:
        if where.get("box"):
            x0, y0, x1, y1 = where["box"]
            region = frame.image[y0:y1, x0:x1]
        elif where.get("point"):
            x, y = (round(value) for value in where["point"])
            region = frame.image[y : y + 1, x : x + 1]
        else:
            region = frame.image
        exemplar = Exemplar(
            unit(region.reshape(-1, 3).mean(axis=0) + 1.0), SPACE, context=np.eye(3, dtype="f4")
        )
        add = self.vocabulary.with_negative_exemplar if negative else self.vocabulary.with_exemplar
        self.vocabulary = add(label, exemplar)
        return self.vocabulary, exemplar

    def similarity(
        self, frame: Frame, *, point: Any = None, text: str | None = None, label: str | None = None
    ) -> SimpleNamespace:
        if text is not None and not text.strip():
            raise QueryError("the text is empty")
        return SimpleNamespace(values=np.full(frame.size, 0.25, np.float32), space=SPACE)

    def classify(self, frame: Frame, labels: Any, *, templates: Any = None) -> Classification:
        """The more red a frame has, the surer the first label is; templates make them independent."""
        if not labels:
            raise QueryError("0 texts; give 1 to 1024")
        share = np.full(len(labels), 0.0, np.float32)
        share[0] = frame.image[..., 0].mean() / 255.0
        return Classification(tuple(labels), share, share / 2, templates is not None, SPACE)

    def image_text_similarity(self, frame: Frame, texts: Any) -> ImageTextSimilarity:
        found = self.classify(frame, texts)
        return ImageTextSimilarity(found.labels, found.cosines - np.float32(0.25), SPACE)

    def adopt_vocabulary(self, vocabulary: Vocabulary) -> tuple[str, ...]:
        self.vocabulary, lines = of_space(vocabulary, SPACE)
        return lines

    def expect_size(self, size: tuple[int, int], settings: PipelineSettings) -> None:
        return

    def submit_batch(
        self, frames: Sequence[Frame], request: Sequence[OutputRequest], settings: PipelineSettings
    ) -> list[Any]:
        self.gate.wait(60.0)
        self.used.append(settings)
        self.batches.append(len(frames))
        time.sleep(self.seconds * len(frames))
        return [
            SimpleNamespace(result=partial(self.process, *one)) for one in zip(frames, request, strict=True)
        ]

    def process(self, frame: Frame, request: OutputRequest) -> FrameResult:
        if frame.frame_id == "explodes":
            raise RuntimeError("scripted failure")
        self.processed.append((frame, request))
        grid = FeatureGrid(
            np.arange(24, dtype=np.float32).reshape(2, 3, 4), MODEL, SPACE,
            GridToImage.of_resize(frame.size, (2, 3)), frame.size,
        )  # fmt: skip
        label = self.vocabulary.queries[0].label if self.vocabulary.queries else ""
        x0, y0, x1, y1 = BOX
        masks = np.full(frame.size, 65535, np.uint16)
        masks[y0:y1, x0:x1] = self.vocabulary.ids.get(label, 65535)
        track_id = "7" if self.settings.track else ""
        found = Detection(
            label, Scores(0.4, 0.7, 0.9), BOX, np.ones((y1 - y0, x1 - x0), bool), track_id=track_id
        )
        things = (found,) if label else ()
        vectors = tuple(RegionVectors(unit([1.0, 2.0, 2.0]), unit([3.0, 4.0])) for _ in things)
        return FrameResult(
            frame=frame,
            vocabulary=self.vocabulary,
            features=grid if request.features else None,
            semantic_features=grid if request.semantic_features else None,
            embedding=unit([1.0, 2.0, 2.0]) if request.embedding else None,
            embedding_model=MODEL,
            embedding_space=SPACE,
            masks=masks if request.masks else None,
            detections=things if request.detections else None,
            overlay=frame.image if request.overlay else None,
            pca=frame.image if request.pca else None,
            instances=instance_image(things, frame.size) if request.instances else None,
            region_features=RegionFeatures(things, vectors, MODEL, SPACE, MODEL, f"{SPACE[:-1]}c")
            if request.region_features
            else None,
            timings={"encode": 1.5},
        )


def build(**arguments: Any) -> ScriptedPipeline:
    """Stands in for pipeline.build; the model's name says what happens."""
    if arguments["model"] == "unknown":
        raise ModelError("model 'unknown' is not known;\nthe nearest name is 'scripted'")
    if arguments["model"] == "slow":
        time.sleep(120.0)
    return ScriptedPipeline()
