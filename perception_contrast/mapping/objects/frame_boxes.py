"""3D boxes of one frame's detections, from its own depth, without a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perception_contrast.core.arrays import DepthImage, Size
from perception_contrast.core.camera_model import CameraModel, resized_camera, same_view
from perception_contrast.core.detection import Detection
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.images.resize import resize_labels
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.mapping.geometry.depth_checks import DepthScaleCheck
from perception_contrast.mapping.objects.object_points import FAR, NEAR, lift


class DepthError(PerceptionError):
    """A frame whose depth or calibration gives no points."""


@dataclass(frozen=True)
class MeasuredFrame:
    """A frame with what turns its pixels into points.

    Attributes:
        depth: (H, W) float32 metres at the image's pixels.
        camera: Intrinsics of the image.
    """

    depth: DepthImage
    camera: CameraModel


def measured(frame: Frame) -> MeasuredFrame:
    """The depth at the pixels of a frame's image, and its calibration.

    Raises:
        DepthError: The frame has no depth or no calibration, or they are of another view than the image.
    """
    if frame.depth is None:
        raise DepthError(
            "no depth goes with the image: set use_depth, remap depth to a topic that is published, and see "
            "that its stamps match the images'"
        )
    if frame.camera is None:
        raise DepthError("no calibration goes with the image: remap camera_info, or calibrate the camera")
    rows, columns = frame.size
    camera_size: Size = (frame.camera.height, frame.camera.width)
    if not same_view(camera_size, frame.size):
        raise DepthError(
            f"camera_info of {camera_size[1]}x{camera_size[0]} is not of the image of {columns}x{rows}: "
            "remap camera_info to the image's own"
        )
    height, width = frame.depth.shape
    if not same_view((height, width), frame.size):
        raise DepthError(
            f"depth of {width}x{height} shows another view than the image of {columns}x{rows}: give "
            "the depth's own camera_info, or take depth that is registered to the image"
        )
    return MeasuredFrame(resize_labels(frame.depth, frame.size), resized_camera(frame.camera, frame.size))


class FrameBoxes:
    """Makes boxes of the detections of one camera's frames. Not for several threads at once."""

    def __init__(self) -> None:
        self._scale = DepthScaleCheck()

    def boxes(
        self, frame: Frame, detections: Sequence[Detection], near: float = NEAR, far: float = FAR
    ) -> tuple[Box3D | None, ...]:
        """The box of the visible side of each detection, along the axes of the camera's optical frame.

        Args:
            frame: With depth and calibration; its depth covers the image's view.
            detections: Of the frame.
            near: Least metres of usable depth.
            far: Largest metres of usable depth.

        Returns:
            One for each detection, in their order; None where depth says too little.

        Raises:
            DepthError: Depth or calibration is missing, of another view, or of a wrong unit.
        """
        seen = measured(frame)
        if problem := self._scale.check(seen.depth).problem:
            raise DepthError(problem)
        lifted = (lift(one, seen.depth, seen.camera, near=near, far=far) for one in detections)
        return tuple(Box3D.aligned(points) if len(points) else None for points in lifted)
