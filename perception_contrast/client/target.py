"""The node and camera that a client's requests go to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeKind:
    """A kind of node that a client speaks to.

    Attributes:
        name: Of its executable.
        argument: The argument of PerceptionClient that names such a node.
        service: Name of a service that each such node offers, and no other.
        service_type: Its type.
        silence: What to look at where such a node publishes nothing.
    """

    name: str
    argument: str
    service: str
    service_type: str
    silence: str


PERCEPTION = NodeKind(
    "perception_node",
    "target",
    "set_queries",
    "perception_contrast_msgs/srv/SetQueries",
    "does its camera send?",
)
MAP = NodeKind(
    "map_node",
    "map_target",
    "find",
    "perception_contrast_msgs/srv/FindObjects",
    "does it get images with depth and poses?",
)


@dataclass(frozen=True)
class Target:
    """A perception_node or a map_node, and one of its cameras.

    Attributes:
        node: Full name of the node.
        camera: Name of the camera where the node has several, else "".
        kind: What node it is.
    """

    node: str
    camera: str = ""
    kind: NodeKind = PERCEPTION

    def service(self, name: str) -> str:
        """Full name of a service of the whole node."""
        return f"{self.node}/{name}"

    def of_camera(self, name: str) -> str:
        """Full name of a topic or service of the camera."""
        return self.service(f"{self.camera}/{name}" if self.camera else name)
