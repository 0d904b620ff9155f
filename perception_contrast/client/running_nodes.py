"""Which perception_nodes and map_nodes run, by the services that they offer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rclpy.node import Node

from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.target import MAP, PERCEPTION, NodeKind


@dataclass(frozen=True)
class RunningNodes:
    """Full names of nodes, sorted.

    Attributes:
        perception: The perception_nodes.
        maps: The map_nodes.
    """

    perception: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()


def names_of_kind(node: Node, kind: NodeKind) -> tuple[str, ...]:
    """Full names of the nodes of a kind that ``node`` has discovered, sorted."""
    ending = f"/{kind.service}"
    return tuple(
        sorted(
            name.removesuffix(ending)
            for name, types in node.get_service_names_and_types()
            if name.endswith(ending) and kind.service_type in types
        )
    )


def running_nodes(node: Node) -> RunningNodes:
    """The nodes that ``node`` has discovered."""
    return RunningNodes(names_of_kind(node, PERCEPTION), names_of_kind(node, MAP))


def find_nodes(
    node: Node | None = None, *, seconds: float = 2.0, args: Sequence[str] | None = None
) -> RunningNodes:
    """Finds the running perception_nodes and map_nodes.

    Args:
        node: A node whose context is used; without one, a context is made from ``args``, as rclpy.init would.
        seconds: How long to look; discovery of a node takes up to a second.
        args: Command line, as of rclpy.init.

    Returns:
        The full names of the nodes.
    """
    background = BackgroundNode(node, args)
    try:
        time.sleep(seconds)
        return running_nodes(background.node)
    finally:
        background.close()
