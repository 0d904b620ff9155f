"""Console commands of the nodes: they handle signals first, and only then import the node."""

from __future__ import annotations

from perception_contrast.core.process.early_exit import exit_on_signals


def perception_node() -> None:
    """Runs perception_node."""
    exit_on_signals()
    from perception_contrast.nodes.perception_node import main

    main()


def map_node() -> None:
    """Runs map_node."""
    exit_on_signals()
    from perception_contrast.nodes.map_node import main

    main()


def bag_player() -> None:
    """Runs bag_player."""
    exit_on_signals()
    from perception_contrast.nodes.bag_player import main

    main()
