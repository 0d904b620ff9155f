"""The detector: what every kind of it does with images, batches and videos."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence

from perception_contrast.core.arrays import BoolMask, FloatArray, FloatBox
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Exemplar, Vocabulary
from perception_contrast.pipeline.detector.detector_result import DetectorResult
from perception_contrast.pipeline.detector.image_inputs import (
    ImageInput,
    VideoInput,
    frame_of,
    frames_of,
    require_several,
)
from perception_contrast.pipeline.detector.search_options import SearchOptions
from perception_contrast.pipeline.loaded_models import ModelSpace
from perception_contrast.text.zero_shot import Classification
from perception_contrast.tracking.tracker import Tracker, TrackSettings
from perception_contrast.vocabulary.query_inputs import QueriesInput, vocabulary_of

Point = tuple[float, float]


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
    def models(self) -> dict[str, ModelSpace]:
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
    def exemplar(
        self,
        image: ImageInput,
        *,
        box: FloatBox | None = None,
        point: Point | None = None,
        mask: BoolMask | None = None,
    ) -> Exemplar:
        """Learns a thing from one image, to be searched for in others.

        >>> keys = detector.exemplar("desk.jpg", box=(310, 200, 350, 232))
        >>> detector("shelf.jpg", [Query("my keys", exemplars=(keys,))])

        Args:
            image: Anything that the detector can be called on.
            box: (x_min, y_min, x_max, y_max) in pixels around the thing.
            point: (x, y) in pixels on the thing. Without any of them the whole image is the thing.
            mask: (H, W) bool of the image, True on the thing; instead of a box or a point, and shows a thing
                of any shape without its surroundings.

        Raises:
            QueryError: The box or the point is not in the image, or the mask is empty or of another size.
        """

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
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
    ) -> FloatArray:
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
            mask_threshold: Probability from which a pixel is labelled in ``label_map``; None takes the
                model's own.
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
        require_several(images)
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
            ValueError: track_seconds is negative or not finite.
        """
        if not 0.0 <= track_seconds < math.inf:
            raise ValueError(f"track_seconds is {track_seconds}; give seconds, 0 or more")
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
