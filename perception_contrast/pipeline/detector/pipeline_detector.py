"""A detector of models that torch or another engine runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from perception_contrast.core.arrays import BoolMask, FloatArray, FloatBox
from perception_contrast.core.errors import QueryError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Exemplar, Vocabulary
from perception_contrast.pipeline.detector.base import Detector, PendingDetections, Point
from perception_contrast.pipeline.detector.detector_result import DetectorResult
from perception_contrast.pipeline.detector.image_inputs import ImageInput, frame_of
from perception_contrast.pipeline.detector.search_options import SearchOptions
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.loaded_models import ModelSpace
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.text.zero_shot import Classification

_SEARCH = OutputRequest(masks=True, detections=True)


class PipelineDetector(Detector):
    """A detector of models that torch or one of its engines runs."""

    def __init__(self, pipeline: Pipeline, device: str) -> None:
        self._pipeline, self._device = pipeline, device
        self._settings = replace(pipeline.settings, track=False)
        # Each call has queries and settings of its own, and a pipeline takes them one after the other.
        self._lock = threading.Lock()
        self._asked: Vocabulary | None = None
        self._threshold = pipeline.frame_search.detection_threshold(pipeline.settings)

    @property
    def models(self) -> dict[str, ModelSpace]:
        return self._pipeline.models

    @property
    def detection_threshold(self) -> float:
        return self._threshold

    @property
    def device(self) -> str:
        return self._device

    def submit(
        self, frames: Sequence[Frame], vocabulary: Vocabulary, options: SearchOptions | None = None
    ) -> list[PendingDetections]:
        options = options or SearchOptions()
        settings = options.applied_to(self._settings)
        with self._lock:
            self._ask(vocabulary)
            self._pipeline.configure(settings)
            pending = self._pipeline.submit_batch(frames, _SEARCH)
        return [PendingDetections(partial(self._finished, one.result)) for one in pending]

    def exemplar(
        self,
        image: ImageInput,
        *,
        box: FloatBox | None = None,
        point: Point | None = None,
        mask: BoolMask | None = None,
    ) -> Exemplar:
        features = self._pipeline.extract_features(frame_of(image))
        return self._pipeline.query_encoder.encode_exemplar(features, box=box, point=point, mask=mask)

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        return self._pipeline.query_encoder.embed_texts(texts)

    def classify(self, image: ImageInput, labels: Sequence[str]) -> Classification:
        return self._pipeline.classify(frame_of(image), labels)

    def similarity(
        self, image: ImageInput, *, text: str | None = None, point: Point | None = None
    ) -> FloatArray:
        if (point is None) == (text is None):
            raise QueryError("give either a point or a text")
        return self._pipeline.similarity(frame_of(image), text=text, point=point).values

    def close(self) -> None:
        self._pipeline.close()

    def _ask(self, vocabulary: Vocabulary) -> None:
        """Puts a vocabulary in force, unless it is."""
        if self._asked is not None and _same(self._asked, vocabulary):
            return
        self._asked = None
        refused = self._pipeline.adopt_vocabulary(vocabulary)
        if refused:
            raise QueryError("; ".join(refused))
        self._asked = vocabulary

    def _finished(self, finish: Callable[[], FrameResult]) -> DetectorResult:
        result = finish()
        assert result.detections is not None and result.masks is not None
        return DetectorResult(
            frame=result.frame,
            vocabulary=result.vocabulary,
            detections=result.detections,
            label_map=result.masks,
            timings=result.timings,
            compute=partial(self._pipeline.process, result.frame),
            familiarity=result.familiarity,
        )


def _same(left: Vocabulary, right: Vocabulary) -> bool:
    """Whether two vocabularies ask for the same; exemplars are the same only if they are one object."""
    if (left.distractors, left.ids, len(left.queries)) != (right.distractors, right.ids, len(right.queries)):
        return False
    return all(
        replace(one, exemplars=(), negative_exemplars=())
        == replace(other, exemplars=(), negative_exemplars=())
        and _same_objects(one.exemplars, other.exemplars)
        and _same_objects(one.negative_exemplars, other.negative_exemplars)
        for one, other in zip(left.queries, right.queries, strict=True)
    )


def _same_objects(left: Sequence[Exemplar], right: Sequence[Exemplar]) -> bool:
    return len(left) == len(right) and all(mine is theirs for mine, theirs in zip(left, right, strict=True))
