"""The outputs of map_node, published while somebody listens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from nav_msgs.msg import OccupancyGrid
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import Marker, MarkerArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.grid.semantic_grid import semantic_cells
from perception_contrast.mapping.language.point_scores import scores_of_points
from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.mapping.semantic_map import VoxelScores
from perception_contrast.ros.mapping.map_control import MapControl
from perception_contrast.ros.mapping.map_messages import (
    grid_message,
    markers_message,
    object_transform,
    objects_message,
)
from perception_contrast.ros.mapping.surface_messages import cloud_message, mesh_bytes
from perception_contrast.ros.monitoring.statistics import Issues
from perception_contrast.ros.qos import checked_qos_overrides, latched_qos, output_qos, qos_overrides

TOPICS = {
    "cloud": PointCloud2,
    "mesh": Marker,
    "detections": Detection3DArray,
    "markers": MarkerArray,
    "grid": OccupancyGrid,
    "semantic_grid": OccupancyGrid,
}
# Cosines that become 0 and 100 in ``~/semantic_grid``.
_SPAN = (0.0, 0.4)


class MapOutputs:
    """Publishers that late subscribers get the last message of. They publish only while the node is active.

    Args:
        node: Owner of the publishers.
        control: The map.
        issues: Takes what is wrong with the queries.
    """

    def __init__(self, node: LifecycleNode, control: MapControl, issues: Issues) -> None:
        self._control, self._issues = control, issues
        self._publishers: dict[str, Any] = {}
        for name, kind in TOPICS.items():
            with checked_qos_overrides(node.resolve_topic_name(f"~/{name}")):
                self._publishers[name] = node.create_lifecycle_publisher(
                    kind, f"~/{name}", latched_qos(), qos_overriding_options=qos_overrides()
                )
        self._tf = node.create_lifecycle_publisher(TFMessage, "/tf", output_qos(10))

    def subscribers(self) -> dict[str, int]:
        """Output to its number of subscribers."""
        return {name: one.get_subscription_count() for name, one in self._publishers.items()}

    def publish(
        self, header: Header, queries: Sequence[str], max_points: int, frames: str, found: Collection[int]
    ) -> None:
        """Publishes what has subscribers.

        Args:
            header: Of the map.
            queries: Words that colour the cloud and fill the semantic grid; none leaves them out.
            max_points: Most points of the cloud.
            frames: Which objects get a TF frame, of ``map_parameters.FRAMES``.
            found: Ids of the objects that were found by request.
        """
        wanted = {name for name, count in self.subscribers().items() if count}
        own = self._control.map
        with own.lock:
            things = [one for one in own.objects.objects if one.status != "gone"]
            grid = own.grid.snapshot() if wanted & {"grid", "semantic_grid"} else None
            cloud = own.surface.cloud(max_points) if "cloud" in wanted and own.surface is not None else None
            mesh = own.surface.mesh() if "mesh" in wanted and own.surface is not None else None
        scores = self._scores(queries) if wanted & {"cloud", "semantic_grid"} else None
        if "detections" in wanted:
            sure = [one for one in things if one.status == "confirmed"]
            self._publishers["detections"].publish(objects_message(sure, header))
        if "markers" in wanted:
            self._publishers["markers"].publish(markers_message(things, header))
        if grid is not None and "grid" in wanted:
            self._publishers["grid"].publish(grid_message(grid, header))
        if grid is not None and "semantic_grid" in wanted and scores is not None:
            cells = semantic_cells(grid, scores.positions, scores.scores, _SPAN)
            self._publishers["semantic_grid"].publish(grid_message(grid, header, cells))
        if cloud is not None:
            intensity = self._intensity(cloud.points, scores)
            self._publishers["cloud"].publish(cloud_message(cloud.points, cloud.colors, header, intensity))
        if mesh is not None:
            self._publishers["mesh"].publish(mesh_bytes(mesh.vertices, mesh.triangles, mesh.colors, header))
        self._publish_frames(things, header, frames, found)

    def _publish_frames(
        self, things: Sequence[MapObject], header: Header, frames: str, found: Collection[int]
    ) -> None:
        chosen = [
            one
            for one in things
            if (frames == "confirmed" and one.status == "confirmed")
            or (frames == "found" and one.id in found)
        ]
        if chosen:
            self._tf.publish(TFMessage(transforms=[object_transform(one, header) for one in chosen]))

    def _scores(self, queries: Sequence[str]) -> VoxelScores | None:
        """Cosines of the voxels with the best of the queries; None without queries or their vectors."""
        words = [text for text in queries if text.strip()]
        if not words:
            return None
        try:
            scores = self._control.similarities(words)
        except PerceptionError as error:
            self._issues.add("queries", str(error))
            return None
        self._issues.clear("queries")
        return scores

    def _intensity(self, points: FloatArray, found: VoxelScores | None) -> FloatArray | None:
        """(n,) the score of the voxel that each point lies in; 0 where there is none."""
        voxels = self._control.map.voxels
        if found is None or voxels is None or not len(points) or not len(found.rows):
            return None
        with self._control.map.lock:
            return scores_of_points(voxels, points, found.rows, found.scores)
