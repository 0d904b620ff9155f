"""A detector of one ONNX file of `perception-contrast export`: features and search by examples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np

from perception_contrast.core.arrays import BoolMask, FloatArray, FloatBox
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.errors import ModelError, QueryError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Exemplar, Vocabulary
from perception_contrast.encoders.base import Role, name_of_output, output_with
from perception_contrast.engines.export.exported_encoder import CPU, ONNXRUNTIME, OPENVINO, ExportedEncoder
from perception_contrast.pipeline.detector.base import Detector, PendingDetections, Point
from perception_contrast.pipeline.detector.detector_result import DetectorResult
from perception_contrast.pipeline.detector.image_inputs import ImageInput, frame_of
from perception_contrast.pipeline.detector.search_options import SearchOptions
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.loaded_models import ModelSpace
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.segmentation.exemplars import exemplar_of
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.search_settings import SearchSettings
from perception_contrast.segmentation.searcher_factory import EXEMPLAR_PEAK_LOGIT, exemplar_searcher
from perception_contrast.segmentation.upsampling.bilinear import upsample_bilinear
from perception_contrast.text.zero_shot import Classification

CUDA = "CUDAExecutionProvider"
# Cosine, of vectors less the image's mean, from which neighbours of a point belong to its thing.
ALIKE = 0.5


class ExportedDetector(Detector):
    """The image side of a model, which knows no words: it gives features and finds what it was shown."""

    def __init__(
        self,
        path: Path,
        *,
        device: str = "auto",
        settings: PipelineSettings | None = None,
        engine: str = ONNXRUNTIME,
        precision: str = "",
    ) -> None:
        """engine, precision: as ``ExportedEncoder`` takes them.

        Raises:
            ModelError: for a file of another program, a damaged one, and a device, an engine or a precision
                that is not there.
        """
        self._path, self._settings = path, settings or PipelineSettings()
        if engine == OPENVINO and device not in ("auto", "cpu"):
            raise ModelError(f"a file runs in OpenVINO on the CPU, not on device '{device}'; use onnxruntime")
        providers = None if engine == OPENVINO else exported_providers(device)
        self._encoder = ExportedEncoder(path, providers, engine=engine, precision=precision)
        facts, outputs = self._encoder.facts, self._encoder.outputs
        self._spatial = name_of_output(outputs, Role.SPATIAL, facts.model)
        semantic = output_with(outputs, Role.LANGUAGE)
        pooled = output_with(outputs, Role.LANGUAGE_POOLED) or output_with(outputs, Role.SPATIAL_POOLED)
        self._semantic = None if semantic is None else semantic.name
        self._pooled = None if pooled is None else pooled.name
        self._searcher = exemplar_searcher(facts.spaces[self._spatial])

    @property
    def models(self) -> dict[str, ModelSpace]:
        spaces = self._encoder.facts.spaces
        roles = {"spatial": self._spatial, "semantic": self._semantic or self._spatial}
        return {
            role: ModelSpace(spaces[name].rsplit("@", 1)[0], spaces[name]) for role, name in roles.items()
        }

    @property
    def detection_threshold(self) -> float:
        return EXEMPLAR_PEAK_LOGIT.detection

    @property
    def device(self) -> str:
        return "cuda" if self._encoder.providers[0] == CUDA else "cpu"

    def submit(
        self, frames: Sequence[Frame], vocabulary: Vocabulary, options: SearchOptions | None = None
    ) -> list[PendingDetections]:
        self._require_examples(vocabulary)
        settings = (options or SearchOptions()).applied_to(self._settings)
        return [PendingDetections(partial(self._found, frame, vocabulary, settings)) for frame in frames]

    def exemplar(
        self,
        image: ImageInput,
        *,
        box: FloatBox | None = None,
        point: Point | None = None,
        mask: BoolMask | None = None,
    ) -> Exemplar:
        return exemplar_of(self._grid(frame_of(image)), box, point, ALIKE, mask)

    def embed_texts(self, texts: Sequence[str]) -> NoReturn:
        self._refuse_words("embed_texts")

    def classify(self, image: ImageInput, labels: Sequence[str]) -> Classification:
        self._refuse_words("classify")

    def similarity(
        self, image: ImageInput, *, text: str | None = None, point: Point | None = None
    ) -> FloatArray:
        if text is not None:
            self._refuse_words("similarity with a text")
        if point is None:
            raise QueryError("give a point of the image")
        frame = frame_of(image)
        grid = self._grid(frame)
        vector = exemplar_of(grid, None, point, 2.0).vector
        cosines = grid.unit().values @ vector
        return np.asarray(np.clip(upsample_bilinear(cosines, frame.size), -1, 1), np.float32)

    def close(self) -> None:
        """There is nothing in the background."""

    def _grid(self, frame: Frame) -> FeatureGrid:
        return self._encoder.features(frame.image)[self._spatial]

    def _found(self, frame: Frame, vocabulary: Vocabulary, settings: PipelineSettings) -> DetectorResult:
        began = time.perf_counter()
        features = self._grid(frame)
        encoded = time.perf_counter()
        found = self._searcher.find(
            frame.image,
            None,
            features,
            PreparedQueries(vocabulary),
            SearchSettings(
                settings.mask_threshold,
                settings.detection_threshold,
                settings.max_detections,
                refine=settings.refine,
                rescoring_views=0,
            ),
        )
        ended = time.perf_counter()
        return DetectorResult(
            frame=frame,
            vocabulary=vocabulary,
            detections=found.detections,
            label_map=found.masks,
            timings={"encode": 1e3 * (encoded - began), "postprocess": 1e3 * (ended - encoded)},
            compute=partial(self._features, frame, vocabulary),
        )

    def _features(self, frame: Frame, vocabulary: Vocabulary, request: OutputRequest) -> FrameResult:
        grids, pooled = self._encoder.features(frame.image), None
        if self._pooled is not None:
            raw = self._encoder.see(frame.image)[self._pooled]
            pooled = raw / np.maximum(np.float32(np.linalg.norm(raw)), np.float32(1e-12))
        return FrameResult(
            frame,
            vocabulary,
            features=grids[self._spatial],
            semantic_features=None if self._semantic is None else grids[self._semantic],
            embedding=pooled,
            embedding_space="" if self._pooled is None else self._encoder.facts.spaces[self._pooled],
        )

    def _require_examples(self, vocabulary: Vocabulary) -> None:
        space = self._encoder.facts.spaces[self._spatial]
        for query in vocabulary.queries:
            if query.texts() or query.negatives:
                self._refuse_words(f"'{query.label}' as words")
            for exemplar in (*query.exemplars, *query.negative_exemplars):
                require_same_space(exemplar.space, space, f"an exemplar of '{query.label}'")
        if vocabulary.distractors:
            self._refuse_words("distractors")

    def _refuse_words(self, what: str) -> NoReturn:
        raise QueryError(
            f"{what}: '{self._path}' holds the image side of {self._encoder.facts.model} and knows no words. "
            "It gives features, embedding and similarity with a point, and finds what "
            "detector.exemplar(image, box=...) learned; for words load the model by its name"
        )


def exported_providers(device: str) -> list[str]:
    """ONNX Runtime's providers for "auto", "cpu", "cuda" or "cuda:N", the best first. Raises ModelError."""
    import onnxruntime

    there = onnxruntime.get_available_providers()
    if device == "cpu" or (device == "auto" and CUDA not in there):
        return [CPU]
    if device == "auto":
        return [CPU] if not _has_gpu() else [CUDA, CPU]
    if device.startswith("cuda"):
        return [CUDA, CPU]
    raise ModelError(f"unknown device '{device}'; use cpu, cuda or auto")


def _has_gpu() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))
