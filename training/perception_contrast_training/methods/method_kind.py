"""What a learning method says of itself: ours, and those of other packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.methods.base import Method, Views
from perception_contrast_training.methods.paper_defaults import PaperDefaults
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.views.view_transform import BackboneInput

Settings = Any
"""One of the methods' frozen dataclasses; ``MethodKind.settings`` says which."""


@dataclass(frozen=True)
class MethodKind:
    """The description of a learning method, ours or one of another package.

    Attributes:
        settings: Its dataclass of settings, whose defaults are those of the paper.
        make: Makes the method from a backbone (with captions also from both encoders of a model) and
            settings.
        views: Makes its views from its settings and the backbone's input.
        fit_to_data: Fits settings to the number of images, and gives sentences about the changes.
        paper_defaults: The optimiser's settings of its authors.
        texts: Whether it needs captions.
        locks: Whether the backbone stays frozen.
        paired: Whether its views are ``PairedViews``.
        negatives: Whether its loss has negatives and uses FRAME_POSITIONS of a batch.
        vit_defaults: The optimiser's settings for a ViT, if ``paper_defaults`` are for ResNets; None for the
            same.
    """

    settings: type
    make: Callable[[Any, Settings], Method]
    views: Callable[[Settings, BackboneInput], Views]
    fit_to_data: Callable[[Settings, Scale], tuple[Settings, list[str]]]
    paper_defaults: PaperDefaults
    texts: bool = False
    locks: bool = False
    paired: bool = False
    negatives: bool = False
    vit_defaults: PaperDefaults | None = None

    def __post_init__(self) -> None:
        """Raises RecipeError for settings that are no dataclass with ``views``: a recipe's ``options``."""
        if not is_dataclass(self.settings) or "views" not in {one.name for one in fields(self.settings)}:
            raise RecipeError(
                f"the settings '{self.settings.__name__}' of a method are no dataclass with a field 'views'; "
                "give it one, such as views: SimclrViewSettings = field(default_factory=SimclrViewSettings)"
            )

    def defaults_for(self, optimiser: str) -> PaperDefaults:
        """Selects the published settings for an optimiser.

        Args:
            optimiser: Name of the optimiser.

        Returns:
            ``vit_defaults`` if they use it, otherwise ``paper_defaults``.
        """
        if self.vit_defaults is not None and self.vit_defaults.optimiser == optimiser:
            return self.vit_defaults
        return self.paper_defaults
