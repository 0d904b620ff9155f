"""Which models a pipeline has loaded, and the spaces that their vectors live in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # A name of a type alone: what serves a file does without torch.
    from perception_contrast.encoders.load_encoders import Encoders


class ModelSpace(NamedTuple):
    """A loaded model and the space of its vectors, ``<model id>@<first 12 hex of the weights' sha256>``."""

    model: str
    space: str


def loaded_models(encoders: Encoders) -> dict[str, ModelSpace]:
    """The models by role.

    Args:
        encoders: The loaded models.

    Returns:
        "spatial", the model of the dense features, and "semantic", the model that queries are compared in:
        the language model, or the spatial one where none is loaded.
    """
    spatial, language = encoders.spatial, encoders.language
    semantic = language if language is not None else spatial
    return {
        "spatial": ModelSpace(spatial.model, spatial.space),
        "semantic": ModelSpace(semantic.model, semantic.space),
    }
