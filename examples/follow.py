#!/usr/bin/env python3
"""Turns toward an object that is named, and drives up to it.

python3 follow.py --ros-args -p label:=mug -r depth:=/camera/depth/image_rect_raw \\
  -r camera_info:=/camera/color/camera_info -r cmd_vel:=/cmd_vel

Publishes the position of the object as geometry_msgs/PointStamped on ~/target, in the camera's optical frame
(REP 103: x right, y down, z forward), and a velocity on `cmd_vel` (x forward, z turns left). The camera is
taken to look along the robot's x axis; where it does not, use ~/target and TF. It drives only once `enabled`
is true, slowly, and stops when the object was not detected for `lost_after` seconds.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass

import numpy as np
import rclpy
from geometry_msgs.msg import PointStamped, Twist, TwistStamped
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from perception_contrast.client import ClientError, ClosedError, Detections, PerceptionClient, Thing
from perception_contrast.core.camera_model import camera_of_info
from perception_contrast.core.errors import FrameError
from perception_contrast.ros.messages.image_messages import depth_array

PERIOD = 0.1


@dataclass(frozen=True)
class Control:
    """distance: metres to keep; speeds: the most, in m/s and rad/s; gains: 1/s."""

    distance: float = 0.8
    speed: float = 0.2
    turn: float = 0.6
    speed_gain: float = 0.5
    turn_gain: float = 1.0

    def velocity(self, bearing: float, distance: float) -> tuple[float, float]:
        """(m/s forward, rad/s to the left) toward an object ``bearing`` rad to the left; NaN metres: unknown.

        It only turns while the object is more than 0.5 rad aside, and never drives backward.
        """
        turn = min(max(self.turn_gain * bearing, -self.turn), self.turn)
        if not math.isfinite(distance) or abs(bearing) > 0.5:
            return 0.0, turn
        forward = self.speed_gain * (distance - self.distance)
        return min(max(forward, 0.0), self.speed), turn


@dataclass(frozen=True)
class Aim:
    """Where the object was last: radians to the left, metres (NaN if unknown), monotonic seconds."""

    bearing: float
    distance: float
    time: float


def distance_to(thing: Thing, depth: np.ndarray, size: tuple[int, int]) -> float:
    """Median depth in metres in the middle of a box; NaN where there is none.

    depth: (H', W') metres of the same view. size: (H, W) of the image that the box is of.
    """
    y_scale, x_scale = depth.shape[0] / size[0], depth.shape[1] / size[1]
    x0, y0, x1, y1 = (value * scale for value, scale in zip(thing.box, (x_scale, y_scale) * 2, strict=True))
    left, right = x0 + (x1 - x0) / 4, x1 - (x1 - x0) / 4
    top, bottom = y0 + (y1 - y0) / 4, y1 - (y1 - y0) / 4
    middle = depth[int(top) : max(int(bottom), int(top) + 1), int(left) : max(int(right), int(left) + 1)]
    known = middle[np.isfinite(middle) & (middle > 0.0)]
    return float(np.median(known)) if known.size else math.nan


class Follow(Node):
    def __init__(self, **arguments: object) -> None:
        super().__init__("follow", **arguments)
        self._label = str(self.declare_parameter("label", "mug").value)
        self._minimum = float(self.declare_parameter("minimum_score", 0.0).value)
        self._lost_after = float(self.declare_parameter("lost_after", 0.7).value)
        self.declare_parameter("enabled", False)
        limits = Control()
        self._control = Control(
            distance=float(self.declare_parameter("distance", limits.distance).value),
            speed=float(self.declare_parameter("max_speed", limits.speed).value),
            turn=float(self.declare_parameter("max_turn", limits.turn).value),
        )
        stamped = bool(self.declare_parameter("stamped", False).value)
        self._velocity = self.create_publisher(TwistStamped if stamped else Twist, "cmd_vel", 1)
        self._target = self.create_publisher(PointStamped, "~/target", 1)
        self._stamped = stamped
        self._depth: Image | None = None
        self._info: CameraInfo | None = None
        self._aim: Aim | None = None
        self._track_id = ""
        self._lock = threading.Lock()
        self.create_subscription(Image, "depth", self._on_depth, qos_profile_sensor_data)
        self.create_subscription(CameraInfo, "camera_info", self._on_info, qos_profile_sensor_data)
        # Of its own clock: a robot must stop when the simulation's does.
        self.create_timer(PERIOD, self._drive, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._client = PerceptionClient(self)

    def begin(self) -> None:
        """Adds the label to the queries and follows the object. Raises ClientError."""
        self.get_logger().info(f"waiting for {self._client.target}")
        self._client.wait_until_active()
        self._client.also_ask([self._label])
        self._client.on_detections(self._on_detections)
        self.get_logger().info(f"looking for {self._label}")

    def _on_depth(self, message: Image) -> None:
        self._depth = message

    def _on_info(self, message: CameraInfo) -> None:
        self._info = message

    def _on_detections(self, detections: Detections) -> None:
        """In the client's thread."""
        things = detections.of(self._label, self._minimum)
        info = self._info
        if not things or info is None:
            return
        # The object that was followed before, as long as it is detected, even if another is more probable.
        thing = next((one for one in things if one.track_id and one.track_id == self._track_id), things[0])
        self._track_id = thing.track_id
        camera, depth = camera_of_info(info), self._depth
        if camera is None:
            self.get_logger().warning("the camera is not calibrated", throttle_duration_sec=5.0)
            return
        size = camera.height, camera.width
        try:
            distance = math.nan if depth is None else distance_to(thing, depth_array(depth), size)
        except FrameError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=5.0)
            distance = math.nan
        x, y = thing.centre
        # A pinhole without distortion: near enough to steer by.
        right, down = (x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy
        with self._lock:
            # Right of the optical axis is a negative angle about the robot's z axis (REP 103).
            self._aim = Aim(-math.atan(right), distance, time.monotonic())
        if math.isfinite(distance):
            target = PointStamped(header=detections.header)
            target.point.x, target.point.y, target.point.z = right * distance, down * distance, distance
            self._target.publish(target)

    def _drive(self) -> None:
        if not self.get_parameter("enabled").value:
            return
        with self._lock:
            aim = self._aim
        lost = aim is None or time.monotonic() - aim.time > self._lost_after
        forward, turn = (
            (0.0, 0.0) if aim is None or lost else self._control.velocity(aim.bearing, aim.distance)
        )
        twist = Twist()
        twist.linear.x, twist.angular.z = forward, turn
        if self._stamped:
            message = TwistStamped(twist=twist)
            message.header.stamp, message.header.frame_id = self.get_clock().now().to_msg(), "base_link"
            self._velocity.publish(message)
        else:
            self._velocity.publish(twist)

    def close(self) -> None:
        self._client.close()
        if self.context.ok():
            # Whatever was sent last must not be what the robot goes on doing.
            self._velocity.publish(TwistStamped() if self._stamped else Twist())
        self.destroy_node()


def main() -> None:
    rclpy.init()
    node = Follow()
    try:
        node.begin()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException, ClosedError):
        pass
    except ClientError as error:
        node.get_logger().error(str(error))
    finally:
        node.close()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
