"""Console command of the node: it handles signals first, and only then imports the node."""

from __future__ import annotations

from perception_contrast.core.process.early_exit import exit_on_signals


def sim_camera() -> None:
    """Runs sim_camera."""
    exit_on_signals()
    from perception_contrast_sim.nodes.sim_camera import main

    main()
