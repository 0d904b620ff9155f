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
    """What there is to know of a learning method before it is made.

    Attributes:
        settings: Its dataclass, whose defaults are those of the paper.
        make: Makes it of a backbone (with captions: of a model's own two towers too) and settings.
        views: Makes its views, of its settings and what the backbone takes.
        fit_to_data: Settings for the images there are, and sentences about what was changed.
        paper_defaults: How its authors moved its weights.
        vit_defaults: How a ViT's weights are moved, where the authors' way is for ResNets; None for the same.
        texts: Whether it needs captions.
        locks: Whether the backbone stays as it is.
        paired: Whether its views are ``PairedViews``.
        negatives: Whether its loss has any, and heeds FRAME_POSITIONS in a batch.
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
        """The published settings that belong to an optimiser."""
        if self.vit_defaults is not None and self.vit_defaults.optimiser == optimiser:
            return self.vit_defaults
        return self.paper_defaults
