"""The public API: ``load`` a model, call the detector on images.

>>> detector = load("household-lit")
>>> result = detector("kitchen.jpg", ["red mug", "chair"])
>>> [(one.label, one.box) for one in result.detections]
"""

from __future__ import annotations

import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import QueryError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Exemplar, Vocabulary
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.pipeline.detector_result import DetectorResult
from perception_contrast.pipeline.image_inputs import ImageInput, VideoInput, frame_of, frames_of
from perception_contrast.pipeline.output_request import OutputRequest, Result, Settings
from perception_contrast.text.zero_shot import Classification
from perception_contrast.tracking.tracker import Tracker, TrackSettings
from perception_contrast.vocabulary.query_inputs import QueriesInput, vocabulary_of

if TYPE_CHECKING:
    from perception_contrast.pipeline.pipeline import Pipeline

Box = tuple[float, float, float, float]
Point = tuple[float, float]

SPATIAL_MODEL = "dinov2-s14"
ONNX_SUFFIX = ".onnx"
_SEARCH = OutputRequest(masks=True, detections=True)


@dataclass(frozen=True)
class SearchOptions:
    """How one call searches.

    Attributes:
        threshold: Probability from which a region is reported; None takes the model's own.
        mask_threshold: Probability from which a pixel of it is labelled; None takes the model's own.
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

    def applied_to(self, settings: Settings) -> Settings:
        """The settings with what is chosen here in their place."""
        chosen = {
            "detection_threshold": self.threshold,
            "mask_threshold": self.mask_threshold,
            "max_detections": self.max_detections,
        }
        return replace(settings, **{name: value for name, value in chosen.items() if value is not None})


class PendingDetections:
    """An image on its way; ``result`` waits for what was found in it, and may be called more than once."""

    def __init__(self, finish: Callable[[], DetectorResult]) -> None:
        self._finish = finish

    def result(self) -> DetectorResult:
        """Raises what went wrong with the image."""
        return self._finish()


class Detector(ABC):
    """Finds what queries name in images. ``load`` makes one; any thread may call any method."""

    @property
    @abstractmethod
    def models(self) -> dict[str, tuple[str, str]]:
        """Role ("spatial", "semantic") to (model, space of its vectors)."""

    @property
    @abstractmethod
    def detection_threshold(self) -> float:
        """Probability from which regions are reported where a call names none."""

    @property
    @abstractmethod
    def device(self) -> str:
        """Where the models are, such as "cpu" or "cuda"."""

    @abstractmethod
    def submit(
        self,
        frames: Sequence[Frame],
        vocabulary: Vocabulary,
        options: SearchOptions | None = None,
    ) -> list[PendingDetections]:
        """Starts frames on their way, those of one input size in one pass.

        On a GPU this returns before they are computed, so that the next ones can be read meanwhile. A
        frame that fails takes no other with it: its own ``result`` raises.
        """

    @abstractmethod
    def exemplar(self, image: ImageInput, *, box: Box | None = None, point: Point | None = None) -> Exemplar:
        """Learns a thing from one image, to be searched for in others.

        >>> keys = detector.exemplar("desk.jpg", box=(310, 200, 350, 232))
        >>> detector("shelf.jpg", [Query("my keys", exemplars=(keys,))])

        Args:
            image: Anything that the detector can be called on.
            box: (x_min, y_min, x_max, y_max) in pixels around the thing.
            point: (x, y) in pixels on the thing. Without box and point the whole image is the thing.

        Raises:
            QueryError: The box or the point is not in the image.
        """

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, c) float32 unit vectors of texts, in the space of ``semantic_features``.

        Raises:
            QueryError: No language model is loaded, or a text is empty.
        """

    @abstractmethod
    def classify(self, image: ImageInput, labels: Sequence[str]) -> Classification:
        """Which of some labels a whole image shows, with the model's own scale.

        Raises:
            QueryError: No language model is loaded, or a label is empty.
        """

    @abstractmethod
    def similarity(
        self, image: ImageInput, *, text: str | None = None, point: Point | None = None
    ) -> NDArray[np.float32]:
        """(H, W) float32, the cosine of every pixel with a text or with one point of the image.

        Raises:
            QueryError: Neither or both are given, the point is not in the image, or no language model is
                loaded.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends what goes on in the background."""

    def __call__(
        self,
        image: ImageInput,
        queries: QueriesInput | None = None,
        *,
        distractors: Iterable[str] = (),
        threshold: float | None = None,
        mask_threshold: float | None = None,
        max_detections: int | None = None,
    ) -> DetectorResult:
        """Searches one image.

        Args:
            image: A uint8 array ((H, W, 3) RGB, RGBA or grey), a Pillow image, a path or a Frame, whose
                depth helps to tell touching things apart.
            queries: Lines (``["red mug", "seat: a sofa; a chair; !stool"]``) and Query objects, a
                Vocabulary, or the name of one (``"household"``). None finds nothing; features are there.
            distractors: Words for things that compete with every query and are never reported.
            threshold: Probability from which a region is reported; None takes the model's own.
            mask_threshold: Probability from which a pixel is labelled; None takes the model's own.
            max_detections: Most detections, best first; None takes the detector's own, 100.

        Raises:
            FrameError: The image is none; the message names the remedy.
            QueryError: A query is refused.
        """
        options = SearchOptions(threshold, mask_threshold, max_detections)
        return self.submit([frame_of(image)], vocabulary_of(queries, distractors), options)[0].result()

    def batch(
        self,
        images: Iterable[ImageInput],
        queries: QueriesInput | None = None,
        *,
        distractors: Iterable[str] = (),
        threshold: float | None = None,
        mask_threshold: float | None = None,
        max_detections: int | None = None,
        batch_size: int = 16,
    ) -> list[DetectorResult]:
        """Searches several images, ``batch_size`` in one pass; other arguments as of a call.

        Raises:
            FrameError: One of the images is none.
            QueryError: A query is refused.
            ValueError: batch_size is below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; give 1 or more")
        vocabulary = vocabulary_of(queries, distractors)
        options = SearchOptions(threshold, mask_threshold, max_detections)
        waiting, results = iter(images), list[DetectorResult]()
        while frames := [frame_of(image) for image in itertools.islice(waiting, batch_size)]:
            results += [pending.result() for pending in self.submit(frames, vocabulary, options)]
        return results

    def video(
        self,
        source: VideoInput,
        queries: QueriesInput | None = None,
        *,
        distractors: Iterable[str] = (),
        threshold: float | None = None,
        mask_threshold: float | None = None,
        max_detections: int | None = None,
        topic: str | None = None,
        track_seconds: float = 2.0,
    ) -> Iterator[DetectorResult]:
        """Searches frame after frame and gives detections ids that last while the camera moves.

        Args:
            source: A video file, a rosbag2 recording, a folder of images, the number of a webcam, or any
                iterable of images in their order.
            queries, distractors, threshold, mask_threshold, max_detections: As of a call.
            topic: A recording's image topic; None takes the first one with colour images.
            track_seconds: How long a thing out of sight keeps its id.

        Returns:
            Results in order, one at a time; ids begin at "1" in each video.

        Raises:
            PerceptionError: There is no such source.
            QueryError: A query is refused.
        """
        vocabulary = vocabulary_of(queries, distractors)
        options = SearchOptions(threshold, mask_threshold, max_detections)
        return self._tracked(frames_of(source, topic), vocabulary, options, track_seconds)

    def _tracked(
        self, frames: Iterator[Frame], vocabulary: Vocabulary, options: SearchOptions, track_seconds: float
    ) -> Iterator[DetectorResult]:
        tracker = Tracker(TrackSettings(track_seconds), itertools.count(1))
        for frame in frames:
            found = self.submit([frame], vocabulary, options)[0].result()
            yield found.with_detections(tracker.update(found.detections, frame.image, frame.stamp))

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class PipelineDetector(Detector):
    """A detector of models that torch or one of its engines runs."""

    def __init__(self, pipeline: Pipeline, device: str) -> None:
        self._pipeline, self._device = pipeline, device
        self._settings = replace(pipeline.settings, track=False)
        # Each call has queries and settings of its own, and a pipeline takes them one after the other.
        self._lock = threading.Lock()
        self._asked: Vocabulary | None = None
        self._threshold = pipeline.detection_threshold

    @property
    def models(self) -> dict[str, tuple[str, str]]:
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

    def exemplar(self, image: ImageInput, *, box: Box | None = None, point: Point | None = None) -> Exemplar:
        return self._pipeline.exemplar(self._pipeline.see(frame_of(image)), box=box, point=point)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._pipeline.embed_texts(texts)

    def classify(self, image: ImageInput, labels: Sequence[str]) -> Classification:
        return self._pipeline.classify(frame_of(image), labels)

    def similarity(
        self, image: ImageInput, *, text: str | None = None, point: Point | None = None
    ) -> NDArray[np.float32]:
        return self._pipeline.similarity(frame_of(image), text=text, point=point)[0]

    def close(self) -> None:
        self._pipeline.close()

    def _ask(self, vocabulary: Vocabulary) -> None:
        """Puts a vocabulary in force, unless it is."""
        if self._asked is not None and _same(self._asked, vocabulary):
            return
        self._asked = None
        refused = self._pipeline.adopt(vocabulary)
        if refused:
            raise QueryError("; ".join(refused))
        self._asked = vocabulary

    def _finished(self, finish: Callable[[], Result]) -> DetectorResult:
        result = finish()
        assert result.detections is not None and result.masks is not None
        return DetectorResult(
            frame=result.frame,
            vocabulary=result.vocabulary,
            detections=result.detections,
            label_map=result.masks,
            timings=result.timings,
            compute=partial(self._pipeline.process, result.frame),
        )


def _same(left: Vocabulary, right: Vocabulary) -> bool:
    """Whether two vocabularies ask for the same; exemplars are the same only if they are one object."""
    if (left.distractors, left.ids, len(left.queries)) != (right.distractors, right.ids, len(right.queries)):
        return False
    return all(
        replace(one, exemplars=()) == replace(other, exemplars=())
        and len(one.exemplars) == len(other.exemplars)
        and all(mine is theirs for mine, theirs in zip(one.exemplars, other.exemplars, strict=True))
        for one, other in zip(left.queries, right.queries, strict=True)
    )


def load(
    model: str | Path = "household-lit",
    language_model: str | Path | None = None,
    *,
    device: str = "auto",
    engine: str = "torch",
    precision: str = "auto",
    dense: str = "auto",
    offline: bool = False,
    settings: Settings | None = None,
    calibration: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Detector:
    """Loads models by name and gives the detector that runs them.

    >>> load("household-lit")              # words and images; embedded, needs no network
    >>> load("siglip2-b16")                # words by SigLIP 2, examples and features by DINOv2
    >>> load("dinov2-b14", "siglip2-b16")  # a spatial model and a language model
    >>> load("dinov2-b14")                 # features, and search by examples alone
    >>> load("models/kitchen")             # a folder of `perception-contrast train export`
    >>> load("dinov2-s14-336x448-fp32.onnx")   # features, and search by examples, without torch

    Args:
        model: A model of `perception-contrast models list`, ``timm:ARCHITECTURE``, an exported folder, or
            an ONNX file of `perception-contrast export`. One that knows words is taken as the language
            model, beside dinov2-s14 as the spatial model.
        language_model: What compares images with words, if ``model`` is the spatial model; "none" for none.
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N".
        engine: "torch", "auto" (measures which is fastest and remembers it), or another engine's name.
        precision: Of the engine; "auto" lets it choose.
        dense: The way to dense features of a CLIP; "auto" takes the best for the model.
        offline: Never touch the network; weights must be in the cache.
        settings: Image size, tiles, splitting and others. Thresholds come with each call.
        calibration: A file of `perception-contrast calibrate`; None takes that of the cache, if any.
        progress: Called with lines that say what is loaded.

    Raises:
        ModelError: The model is unknown, its weights are missing or not what they should be, or the device
            or engine is not there.
        SpaceError: The calibration is of another model.
    """
    name = _name_of(model)
    if name.lower().endswith(ONNX_SUFFIX):
        from perception_contrast.pipeline.exported_detector import ExportedDetector

        return ExportedDetector(Path(name).expanduser(), device=device, settings=settings)
    spatial, language = _roles(name, None if language_model is None else _name_of(language_model))
    from perception_contrast.pipeline.pipeline import build

    pipeline = build(
        spatial,
        language,
        device=device,
        offline=offline,
        settings=settings,
        progress=progress,
        engine=engine,
        precision=precision,
        dense=dense,
        calibration=None if calibration is None else Path(calibration).expanduser(),
    )
    return PipelineDetector(pipeline, _resolved(device))


def _resolved(device: str) -> str:
    import torch

    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def _name_of(model: str | Path) -> str:
    """A model's name; a folder's path in the form that tells it from a name."""
    name = str(model)
    is_bare_folder = name not in MODELS and "/" not in name and Path(name).is_dir()
    if is_bare_folder or (isinstance(model, Path) and not name.startswith(("/", ".", "~"))):
        return f"./{name}"
    return name


def _roles(model: str, language_model: str | None) -> tuple[str, str]:
    """(spatial model, language model) of what ``load`` was given."""
    if language_model is not None:
        return model, language_model
    if model_spec(model).knows_words:
        return SPATIAL_MODEL, model
    return model, "none"
