"""The robot's nodes as the pages see them: one client for all visitors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perception_contrast.core.errors import PerceptionError

if TYPE_CHECKING:
    from perception_contrast.client import PerceptionClient

# Visitors come and go; an output that nobody looks at is soon not computed any more.
LINGER_SECONDS = 3.0


@dataclass(frozen=True)
class RobotOptions:
    """Which nodes are looked at.

    Attributes:
        target: Name of the perception_node.
        map_target: Name of the map_node.
        ros_arguments: As of a node's command line, from ``--ros-args`` on.
    """

    target: str = "perception_node"
    map_target: str = "map_node"
    ros_arguments: Sequence[str] = ()


class RobotLink:
    """Connects when it is first used, so that a studio starts before its robot.

    Args:
        options: Which nodes are looked at.
    """

    def __init__(self, options: RobotOptions) -> None:
        self.options = options
        self._client: PerceptionClient | None = None
        self._lock = threading.Lock()

    @property
    def client(self) -> PerceptionClient:
        """The client.

        Raises:
            PerceptionError: ROS 2 is not there.
        """
        from perception_contrast.client import PerceptionClient

        with self._lock:
            if self._client is None:
                self._client = PerceptionClient(
                    target=self.options.target,
                    map_target=self.options.map_target,
                    linger=LINGER_SECONDS,
                    args=list(self.options.ros_arguments),
                )
            return self._client

    async def connected(self) -> PerceptionClient:
        """The client; made in a thread, for that takes a while. Raises PerceptionError."""
        return await asyncio.to_thread(lambda: self.client)

    async def cameras(self) -> tuple[str, ...]:
        """Names of the node's cameras; ("",) for one without a name.

        Raises:
            PerceptionError: The node does not answer.
        """
        client = await self.connected()
        return camera_names(await client.start.parameters.get(["cameras"]))

    async def camera(self, name: str = "") -> PerceptionClient:
        """The client of a camera, of the first for an empty name.

        Raises:
            PerceptionError: The node does not answer, or has no such camera.
        """
        names = await self.cameras()
        if name and name not in names:
            raise PerceptionError(f"the node has no camera '{name}', but {', '.join(names)}")
        client = await self.connected()
        wanted = name or names[0]
        return client.for_camera(wanted) if wanted else client

    def close(self) -> None:
        """Ends the client."""
        with self._lock:
            if self._client is not None:
                self._client.close()


def camera_names(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """The names in the node's parameter ``cameras``; ("",) for one camera without a name."""
    given = parameters.get("cameras")
    return (tuple(map(str, given)) if isinstance(given, list | tuple) else ()) or ("",)


def connect(options: RobotOptions) -> RobotLink:
    """A link.

    Raises:
        PerceptionError: The Python module of ROS 2 or of our messages is missing.
    """
    try:
        import perception_contrast_msgs  # noqa: F401
        import rclpy  # noqa: F401
    except ImportError as error:
        raise PerceptionError(
            f"the studio needs ROS 2 to look at a robot ({error}); source your ROS 2 workspace or env.sh, "
            "or open files alone with --dataset, --run or --map"
        ) from error
    return RobotLink(options)
