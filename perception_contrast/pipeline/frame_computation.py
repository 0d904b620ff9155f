"""The computation of one frame: features, then search, mask refinement, tracks and drawings as requested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_

from perception_contrast.core.arrays import LabelMask
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.familiarity.stream_monitor import StreamFamiliarity, StreamMonitor
from perception_contrast.pipeline.feature_extraction import FeatureExtractor
from perception_contrast.pipeline.frame_drawing import FrameDrawing, FrameDrawings
from perception_contrast.pipeline.frame_heads import FrameHeads
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.frame_search import FrameSearch
from perception_contrast.pipeline.frame_tracking import FrameTracking
from perception_contrast.pipeline.image_features import FeatureRequest, ImageFeatures, PendingFeatures
from perception_contrast.pipeline.loaded_models import ModelSpace
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pending_result import PendingResult
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.pipeline.stage_timer import StageTimer
from perception_contrast.segmentation.masks.instance_image import instance_image
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.regions.region_features import RegionFeatures, region_features
from perception_contrast.segmentation.search_result import SearchResult


@dataclass(frozen=True)
class _Job:
    """One frame and all that held for it when it was submitted. together: frames encoded at once."""

    frame: Frame
    request: OutputRequest
    prepared: PreparedQueries
    settings: PipelineSettings
    together: int
    heads: FrameHeads


class FrameComputation:
    """Submits frames to the encoders and makes their results. Any thread may call."""

    def __init__(
        self,
        features: FeatureExtractor,
        search: FrameSearch,
        tracking: FrameTracking,
        drawing: FrameDrawing,
        embedding_model: ModelSpace,
        monitor: StreamMonitor | None = None,
        heads: FrameHeads | None = None,
    ) -> None:
        """Takes the parts in the order in which a frame passes through them.

        Args:
            features: Extracts features.
            search: Searches them.
            tracking: Gives detections their ids.
            drawing: Draws images for people.
            embedding_model: Named in results as the model and the space of their embeddings.
            monitor: Of streams that are unlike the language model's training images, where these are known.
            heads: Trained heads, whose results join what is found; None for none.
        """
        self.heads = heads or FrameHeads()
        self._features, self._search = features, search
        self._tracking, self._drawing = tracking, drawing
        self._embedding_model, self._monitor = embedding_model, monitor

    def submit(
        self,
        frames: Sequence[Frame],
        requests: Sequence[OutputRequest],
        prepared: PreparedQueries,
        settings: PipelineSettings,
    ) -> list[PendingResult]:
        """Sends frames to the encoders and returns without waiting for a GPU.

        Args:
            frames: Of any sizes; those of one input size go together.
            requests: One for each frame.
            prepared: The queries that all frames are searched for.
            settings: Of all frames.

        Returns:
            One for each frame, in their order. Timings of what is done for all at once are of all.

        Raises:
            ValueError: For another number of requests than of frames.
        """
        if len(requests) != len(frames):
            raise ValueError(
                f"{len(frames)} frames and {len(requests)} requests: give one for each, or one for all"
            )
        timer, heads = StageTimer(), self.heads
        jobs = [
            _Job(frame, one, prepared, settings, len(frames), heads)
            for frame, one in zip(frames, requests, strict=True)
        ]
        needed = reduce(or_, map(self._needed, jobs), FeatureRequest())
        started = self._features.start(frames, needed, settings, timer.stage)
        return [
            PendingResult(partial(self._finish, job, StageTimer(timer.timings), awaited))
            for job, awaited in zip(jobs, started, strict=True)
        ]

    def _needed(self, job: _Job) -> FeatureRequest:
        needed = self._features.needed(job.request, job.prepared, job.settings)
        return needed | job.heads.needed if job.request.searches else needed

    def _finish(self, job: _Job, timer: StageTimer, awaited: PendingFeatures) -> FrameResult:
        with timer.stage("arrival"):
            features = awaited().only(self._needed(job))
        found = self._found(job, timer, features) if job.request.searches else None
        familiarity = self._familiarity(job.frame, features)
        drawings = self._drawings(job, timer, features, found, familiarity)
        request = job.request
        return FrameResult(
            job.frame,
            job.prepared.vocabulary,
            features=features.features if request.features else None,
            semantic_features=features.semantic if request.semantic_features else None,
            embedding=features.embedding if request.embedding else None,
            embedding_model=self._embedding_model.model,
            embedding_space=self._embedding_model.space,
            masks=found.masks if found is not None and request.masks else None,
            detections=found.detections if found is not None and request.detections else None,
            overlay=drawings.overlay,
            pca=drawings.pca,
            instances=self._instances(job, timer, found),
            region_features=self._region_features(job, timer, features, found),
            familiarity=familiarity,
            timings=timer.timings,
            rescoring=found.rescoring if found is not None else None,
        )

    def _found(self, job: _Job, timer: StageTimer, features: ImageFeatures) -> SearchResult:
        """Masks and detections, with refined masks and track ids where they are wished for."""
        encoding_ms = sum(timer.timings.values()) / job.together
        with timer.stage("postprocess"):
            found = self._search.search(
                job.frame, features, job.prepared, job.settings, timer.stage, encoding_ms
            )
        if job.heads:
            with timer.stage("heads"):
                found = job.heads.join(found, features, job.prepared.vocabulary, job.settings)
        if self._search.refines_masks:
            with timer.stage("proposals"):
                found = self._search.refine_masks(job.frame, found, job.prepared.vocabulary, job.settings)
        if job.settings.track and job.request.identifies:
            with timer.stage("track"):
                found = self._tracking.update(job.frame, found, job.settings)
        return found

    def _instances(self, job: _Job, timer: StageTimer, found: SearchResult | None) -> LabelMask | None:
        if found is None or not job.request.instances:
            return None
        with timer.stage("regions"):
            return instance_image(found.detections, job.frame.size)

    def _region_features(
        self, job: _Job, timer: StageTimer, features: ImageFeatures, found: SearchResult | None
    ) -> RegionFeatures | None:
        if found is None or not job.request.region_features:
            return None
        with timer.stage("regions"):
            return region_features(found.detections, features.semantic, features.features)

    def _familiarity(self, frame: Frame, features: ImageFeatures) -> StreamFamiliarity | None:
        if self._monitor is None or features.class_token is None:
            return None
        return self._monitor.update(frame.stream or frame.frame_id, features.class_token)

    def _drawings(
        self,
        job: _Job,
        timer: StageTimer,
        features: ImageFeatures,
        found: SearchResult | None,
        familiarity: StreamFamiliarity | None,
    ) -> FrameDrawings:
        if not (job.request.overlay or job.request.pca):
            return FrameDrawings()
        with timer.stage("draw"):
            return self._drawing.draw(
                job.request,
                job.frame,
                found,
                features.features,
                job.prepared.vocabulary,
                job.settings,
                familiarity.warning if familiarity is not None else "",
            )
