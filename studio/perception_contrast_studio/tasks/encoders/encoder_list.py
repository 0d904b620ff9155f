"""What the registry knows of encoders: their names, and whether they know words."""

from __future__ import annotations

from collections.abc import Callable

from perception_contrast.core.errors import ModelError

Report = Callable[[float, str], None]


def encoder_names(report: Report) -> list[str]:
    """Names of all models that give a vector for an image."""
    from perception_contrast.models.registry import MODELS

    return [name for name, spec in MODELS.items() if spec.family != "text"]


def words_refusal(model: str, space: str) -> str:
    """Why no words can be placed among vectors of a model; "" where they can."""
    if not space or not model:
        return (
            "These vectors do not say which model made them, so words cannot be encoded in their space. Add "
            "the texts 'space' and 'model' to the file, or encode a dataset here."
        )
    from perception_contrast.models.registry import IMAGE_TEXT_NAMES, model_spec

    try:
        spec = model_spec(model)
    except ModelError as error:
        return f"Words need the model that made these vectors: {error}"
    if not spec.knows_words:
        return (
            f"'{model}' learned from images alone: it has no text tower, so words have no place in its space "
            f"'{space}'. Encode the dataset with household-lit, or one of {IMAGE_TEXT_NAMES}."
        )
    return ""
