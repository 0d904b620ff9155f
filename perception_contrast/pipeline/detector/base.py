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
    """An image that is being processed."""

    def __init__(self, finish: Callable[[], DetectorResult]) -> None:
        self._finish = finish

    def result(self) -> DetectorResult:
        """Waits for the result; may be called more than once.

        Returns:
            What was found in the image.

        Raises:
            PerceptionError: The image could not be processed.
        """
        return self._finish()


class Detector(ABC):
    """Finds in images what queries name.

    ``load`` makes a detector. Any thread may call any method.
    """

    @property
    @abstractmethod
    def models(self) -> dict[str, ModelSpace]:
        """Role ("spatial", "semantic") to the model and the space of its vectors."""

    @property
    @abstractmethod
    def detection_threshold(self) -> float:
        """Lowest probability of a reported region, for calls that give no threshold."""

    @property
    @abstractmethod
    def device(self) -> str:
        """Where the models run, such as "cpu" or "cuda"."""

    @abstractmethod
    def submit(
        self,
        frames: Sequence[Frame],
        vocabulary: Vocabulary,
        options: SearchOptions | None = None,
    ) -> list[PendingDetections]:
        """Starts to process frames; frames of one input size share a pass.

        On a GPU this returns before the frames are processed, so that the caller can read the next ones. A
        frame that fails affects no other: its own ``result`` raises.

        Args:
            frames: The images.
            vocabulary: What to look for.
            options: Thresholds and the number of detections; None for the detector's own.

        Returns:
            One pending result for each frame, in the same order.

        Raises:
            QueryError: The vocabulary is refused.
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
        """Learns a thing from one image, to find it in other images.

        >>> keys = detector.exemplar("desk.jpg", box=(310, 200, 350, 232))
        >>> detector("shelf.jpg", [Query("my keys", exemplars=(keys,))])

        Give a box, a point or a mask; without any of them, the whole image is the thing.

        Args:
            image: Any image that the detector can be called on.
            box: (x_min, y_min, x_max, y_max) around the thing, in pixels.
            point: (x, y) on the thing, in pixels.
            mask: (H, W) bool of the image, True on the thing. It shows a thing of any shape without its
                surroundings.

        Returns:
            The exemplar, for the ``exemplars`` of a Query.

        Raises:
            QueryError: The box or the point is not in the image, or the mask is empty or of another size.
        """

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Encodes texts.

        Args:
            texts: Words or sentences.

        Returns:
            (n, c) float32 unit vectors, in the space of ``DetectorResult.semantic_features``.

        Raises:
            QueryError: No language model is loaded, or a text is empty.
        """

    @abstractmethod
    def classify(self, image: ImageInput, labels: Sequence[str]) -> Classification:
        """Classifies a whole image with the model's own scale (zero-shot).

        Args:
            image: Any image that the detector can be called on.
            labels: The classes.

        Returns:
            The probability and cosine of each label.

        Raises:
            QueryError: No language model is loaded, or a label is empty.
        """

    @abstractmethod
    def similarity(
        self, image: ImageInput, *, text: str | None = None, point: Point | None = None
    ) -> FloatArray:
        """Compares every pixel with a text or with one point of the image; give one of the two.

        Args:
            image: Any image that the detector can be called on.
            text: Words or a sentence.
            point: (x, y) in pixels of the image.

        Returns:
            (H, W) float32 cosines.

        Raises:
            QueryError: Neither or both are given, the point is not in the image, or no language model is
                loaded.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends the work in the background."""

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
            image: A uint8 array ((H, W, 3) RGB, RGBA or grey), a Pillow image, a path, or a Frame. The depth
                of a Frame helps to separate touching objects.
            queries: Lines (``["red mug", "seat: a sofa; a chair; !stool"]``) and Query objects, a Vocabulary,
                or the name of one (``"household"``). With None nothing is searched for; features are
                available.
            distractors: Words that compete with every query and are never reported.
            threshold: Lowest probability of a reported region; None takes the model's own.
            mask_threshold: Lowest probability of a labelled pixel in ``label_map``; None takes the model's
                own.
            max_detections: Largest number of detections, best first; None takes the detector's own, 100.

        Returns:
            The detections, masks and features of the image.

        Raises:
            FrameError: It is not an image; the message gives the remedy.
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
        """Searches several images.

        Args:
            images: Images as of a call.
            queries: As of a call.
            distractors: As of a call.
            threshold: As of a call.
            mask_threshold: As of a call.
            max_detections: As of a call.
            batch_size: Number of images in one pass.

        Returns:
            One result for each image, in the same order.

        Raises:
            FrameError: One of the images is not an image.
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
        """Searches frame after frame and tracks the detections, so that an object keeps its id.

        Args:
            source: A video file, a rosbag2 recording, a folder of images, the number of a webcam, or any
                iterable of images in their order.
            queries: As of a call.
            distractors: As of a call.
            threshold: As of a call.
            mask_threshold: As of a call.
            max_detections: As of a call.
            topic: Image topic of a recording; None takes the first one with colour images.
            track_seconds: Time in seconds that an object out of sight keeps its id.

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
