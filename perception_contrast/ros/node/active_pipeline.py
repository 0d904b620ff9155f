"""The pipeline of a node while the node is active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perception_contrast.core.errors import PerceptionError
from perception_contrast.ros.node.model_manager import ModelManager

if TYPE_CHECKING:
    from perception_contrast.pipeline.pipeline import Pipeline


class NotActiveError(PerceptionError):
    """A service was called before the node is active."""


class ActivePipeline:
    """Gives out the pipeline in use, but only while the node's lifecycle state is active.

    Attributes:
        state: Lifecycle state of the node, and "configuring" or "activating" while models load.
    """

    def __init__(self, models: ModelManager, node_name: str) -> None:
        """node_name: fully qualified, for messages."""
        self._models, self._node_name = models, node_name
        self.state = "unconfigured"

    @property
    def loaded(self) -> Pipeline | None:
        """The pipeline in use, whatever the state; None while no models are loaded."""
        return self._models.pipeline

    def get(self) -> Pipeline | None:
        """The pipeline in use; None while the node is not active."""
        return self._models.pipeline if self.state == "active" else None

    def require(self) -> Pipeline:
        """The pipeline in use. Raises NotActiveError while the node is not active."""
        pipeline = self.get()
        if pipeline is None:
            raise NotActiveError(
                f"not active: the node is {self.state}; "
                f"wait for it or use `ros2 lifecycle set {self._node_name}`"
            )
        return pipeline
