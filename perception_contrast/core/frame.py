"""Frame: one image of one camera. PosedFrame: the same with the place of the camera."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast.core.arrays import DepthImage, RgbImage, Size
from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.rigid_transform import RigidTransform


@dataclass(frozen=True)
class Frame:
    """One image of one camera.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        stamp: Time of the image in nanoseconds.
        frame_id: Name of the camera's optical frame (REP 103, REP 105).
        depth: (H', W') float32 metres along the optical axis, NaN where there is none. H', W' may differ
            from H, W, but the depth covers the same view.
        camera: Intrinsic parameters of ``image``.
        stream: Name of the camera, by which tracks and remembered crops are kept apart; if it is empty,
            ``frame_id`` serves.
    """

    image: RgbImage
    stamp: int = 0
    frame_id: str = ""
    depth: DepthImage | None = None
    camera: CameraModel | None = None
    stream: str = ""

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return int(self.image.shape[0]), int(self.image.shape[1])


@dataclass(frozen=True)
class PosedFrame:
    """An image with depth, and where its camera was.

    Attributes:
        frame: With depth at the image's pixels, and the camera of the image.
        pose: The camera's optical frame in the map.
    """

    frame: Frame
    pose: RigidTransform
