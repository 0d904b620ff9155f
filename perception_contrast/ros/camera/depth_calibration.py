"""The calibration and place of a depth camera of its own, and depth brought to the image by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from perception_contrast.core.arrays import DepthImage
from perception_contrast.core.camera_model import CameraModel, camera_from_info
from perception_contrast.core.depth_registration import DepthRegistration
from perception_contrast.core.errors import FrameError
from perception_contrast.core.rigid_transform import PoseError, RigidTransform
from perception_contrast.mapping.poses.pose_source import TransformLookup
from perception_contrast.ros.camera.subscription import AdaptiveSubscription


@dataclass(frozen=True)
class _Made:
    """A registration and what it was made for."""

    depth: CameraModel
    color: CameraModel
    color_from_depth: RigidTransform | None
    registration: DepthRegistration

    def holds_for(
        self, depth: CameraModel, color: CameraModel, color_from_depth: RigidTransform | None
    ) -> bool:
        if (self.depth, self.color) != (depth, color):
            return False
        if self.color_from_depth is None or color_from_depth is None:
            return self.color_from_depth is color_from_depth
        return not any(self.color_from_depth.difference(color_from_depth))


class DepthCalibration:
    """Reads the depth camera's camera_info; registers depth to the image by both calibrations.

    Args:
        node: Owner of the subscription.
        topic: Of the depth camera's camera_info.
        on_malformed: Called with the reason and a message for a calibration that cannot be used.
        group: Callback group of the subscription.
        reliability: As of ``AdaptiveSubscription``.
        transforms: Where the transform between both cameras is looked up; None takes them for one optical
            centre.

    Attributes:
        subscription: To ``topic``; closed at first.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        on_malformed: Callable[[str, str], None],
        group: CallbackGroup,
        reliability: str,
        transforms: TransformLookup | None = None,
    ) -> None:
        self._node, self._on_malformed, self._transforms = node, on_malformed, transforms
        self._told: set[tuple[str, str]] = set()
        self.subscription = AdaptiveSubscription(node, CameraInfo, topic, self._on_info, group, reliability)
        self._camera: CameraModel | None = None
        self._made: _Made | None = None

    def registered(
        self, depth: DepthImage, color: CameraModel | None, depth_frame: str = "", color_frame: str = ""
    ) -> DepthImage:
        """Depth at the image's pixels; as it is where nothing says that it is of another view.

        Args:
            depth: (h, w) float32 metres.
            color: Intrinsics of the image, where they are known.
            depth_frame: frame_id of the depth.
            color_frame: frame_id of the image.

        Raises:
            FrameError: "size_mismatch" for depth of another size than its calibration.
        """
        camera = self._camera
        if camera is None or color is None:
            return depth
        between = self._color_from_depth(depth_frame, color_frame)
        if between is None and camera == color:
            return depth
        made = self._made
        if made is None or not made.holds_for(camera, color, between):
            registration = DepthRegistration.of_cameras(camera, color, between)
            made = self._made = _Made(camera, color, between, registration)
        return made.registration.apply(depth)

    def _color_from_depth(self, depth_frame: str, color_frame: str) -> RigidTransform | None:
        """The transform between two frames; None for one frame, and, told once, where it is not known."""
        if self._transforms is None or depth_frame == color_frame or not (depth_frame and color_frame):
            return None
        try:
            return self._transforms.lookup(color_frame, depth_frame)
        except PoseError as error:
            if (depth_frame, color_frame) not in self._told:
                self._told.add((depth_frame, color_frame))
                self._node.get_logger().warning(
                    f"depth in {depth_frame} and the image in {color_frame} count as one optical centre "
                    f"until /tf_static has a transform between them: {error}"
                )
            return None

    def _on_info(self, message: CameraInfo) -> None:
        """Keeps a calibration; one that cannot be used is reported and the last good one stays."""
        try:
            self._camera = camera_from_info(message)
        except FrameError as error:
            self._on_malformed(f"depth_camera_info_{error.reason}", f"camera_info of the depth: {error}")
