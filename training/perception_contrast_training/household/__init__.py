"""The simulated household: scenes with exact answers, the two heads of household-lit, their figures.

The one room that needs the package of the simulation; all others train and evaluate without it.
"""

from perception_contrast.core.errors import PerceptionError


class MissingSimulationError(PerceptionError, ImportError):
    """The simulated household is not installed."""


try:
    import perception_contrast_sim  # noqa: F401
except ImportError as error:
    raise MissingSimulationError(
        "household data is rendered by the package 'perception_contrast_sim', which is not installed; run "
        "`make setup` in the source tree, `pip install ./simulation`, or build it in your ROS 2 workspace"
    ) from error
