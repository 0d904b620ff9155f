"""The topics of a map_node that a client subscribes to."""

from __future__ import annotations

from typing import Any

from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import Marker

from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.identified_results import detections_3d_from_message
from perception_contrast.client.map_layers import cloud_from_message, grid_from_message, mesh_from_bytes
from perception_contrast.client.node_topics import NodeTopics
from perception_contrast.client.target import Target
from perception_contrast.client.topic_subscription import Source, TopicSubscription
from perception_contrast.ros.qos import latched_qos


class MapTopics(NodeTopics):
    """Subscriptions to the outputs of a map, which late subscribers get the last message of.

    Args:
        linger: Seconds that a subscription outlives its last use.
    """

    def __init__(self, background: BackgroundNode, target: Target, linger: float) -> None:
        super().__init__(background, target, linger)
        self.cloud = self._output(PointCloud2, "cloud", cloud_from_message)
        self.detections = self._output(Detection3DArray, "detections", detections_3d_from_message)
        self.grid = self._output(OccupancyGrid, "grid", grid_from_message)
        self.semantic_grid = self._output(OccupancyGrid, "semantic_grid", grid_from_message)
        # As a message it would hold an object for each corner, which takes seconds for a room.
        self.mesh = self._output(Marker, "mesh", mesh_from_bytes, raw=True)

    def _output(self, kind: Any, name: str, convert: Any, *, raw: bool = False) -> TopicSubscription:
        return self._subscription(Source(self._target.service(name), kind), convert, latched_qos(), raw=raw)
