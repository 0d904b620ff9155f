"""The node and camera that a client's requests go to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A perception_node, and one of its cameras.

    Attributes:
        node: Full name of the node.
        camera: Name of the camera where the node has several, else "".
    """

    node: str
    camera: str

    def service(self, name: str) -> str:
        """Full name of a service of the whole node."""
        return f"{self.node}/{name}"

    def of_camera(self, name: str) -> str:
        """Full name of a topic or service of the camera."""
        return self.service(f"{self.camera}/{name}" if self.camera else name)
