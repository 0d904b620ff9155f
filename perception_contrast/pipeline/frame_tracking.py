"""Tracking of one pipeline's detections: a tracker for each camera, by pipeline settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from perception_contrast.core.frame import Frame
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast.tracking.multi_camera_tracker import MultiCameraTracker
from perception_contrast.tracking.tracker import TrackSettings


class FrameTracking:
    """Gives the detections of frames from any number of cameras their track ids. Any thread may call."""

    def __init__(self, track_numbers: Iterator[int] | None = None) -> None:
        """Starts without tracks.

        Args:
            track_numbers: Of new ids; share one iterator among pipelines whose ids must differ.
        """
        self._trackers = MultiCameraTracker(track_numbers)

    def update(self, frame: Frame, found: SearchResult, settings: PipelineSettings) -> SearchResult:
        """Matches the detections of a frame with the tracks of its camera.

        Args:
            frame: Its ``stream``, or else its ``frame_id``, names the camera.
            found: What was found in it.
            settings: With the seconds that a track out of sight is kept.

        Returns:
            The same detections with track ids.
        """
        stream = frame.stream or frame.frame_id
        settings_of_tracks = TrackSettings(settings.track_seconds)
        tracked = self._trackers.update(
            stream, found.detections, frame.image, frame.stamp, settings_of_tracks
        )
        return replace(found, detections=tracked)
