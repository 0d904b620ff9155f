"""What DINO and DINOv2, which compare prototypes of a network and its slow twin, make of fewer data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from perception_contrast_training.methods.dino import DinoSettings
from perception_contrast_training.methods.dinov2 import Dinov2Settings
from perception_contrast_training.methods.scaling import (
    SMALL,
    Scale,
    blurred,
    change_sentence,
    epochs_for,
    momentum_for,
    prototypes_for,
)

# Times the memory of the centre that the teacher's has to be: a teacher that is as quick swings from one
# prototype for all to all alike, and what it teaches is lost.
SLOWER = 10.0

Settings = TypeVar("Settings", bound=DinoSettings | Dinov2Settings)


def fit_ema_teacher(settings: Settings, scale: Scale) -> tuple[Settings, list[str]]:
    """Fewer prototypes for fewer images, warm-ups that end within the run, no blur of small images."""
    new = replace(
        settings,
        prototypes=prototypes_for(settings.prototypes, scale),
        momentum=momentum_for(settings.momentum, scale, SLOWER / (1 - settings.center_momentum)),
        warm_up_epochs=epochs_for(settings.warm_up_epochs, 0.3, scale),
        frozen_epochs=epochs_for(settings.frozen_epochs, 0.1, scale),
    )
    if scale.size <= SMALL:
        views: Any = replace(new.views, blur=(0.0, 0.0, 0.0))
        new = replace(new, views=views)
    many = f"there are {scale.images} images"
    short = f"the run has {scale.epochs:g} epochs of {scale.steps / max(scale.epochs, 1e-9):.0f} steps"
    return new, [
        *change_sentence("prototypes", settings.prototypes, new.prototypes, many),
        *change_sentence("momentum", settings.momentum, new.momentum, short),
        *change_sentence("warm_up_epochs", settings.warm_up_epochs, new.warm_up_epochs, short),
        *change_sentence("frozen_epochs", settings.frozen_epochs, new.frozen_epochs, short),
        *change_sentence("views.blur", settings.views.blur, new.views.blur, blurred(scale)),
    ]
