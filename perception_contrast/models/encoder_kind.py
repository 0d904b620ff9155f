"""An image encoder that another package brings under a name, as nodes and commands take it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perception_contrast.core import plugins
from perception_contrast.core.errors import ModelError
from perception_contrast.models.download import Progress
from perception_contrast.models.specs import PLUGIN, ModelSpec


@dataclass(frozen=True)
class EncoderRequest:
    """What is wanted of an encoder.

    Attributes:
        spec: As its package declared it; ``models.weights.weights_file(spec)`` fetches what it names.
        device: "cpu", "cuda" or "cuda:1".
        offline: Never touch a network.
        weights: A local file in place of its own, None for those.
        progress: Told of downloads.
    """

    spec: ModelSpec
    device: str = "cpu"
    offline: bool = False
    weights: Path | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class EncoderKind:
    """An encoder before it is loaded.

    Attributes:
        spec: Its size, patch, normalisation and licence; ``family`` is "plugin".
        load: Gives an ``encoders.base.ImageEncoder`` in evaluation mode without gradients. Raises
            ModelError.
    """

    spec: ModelSpec
    load: Callable[[EncoderRequest], Any]

    def __post_init__(self) -> None:
        """Raises ModelError for a spec of another family, which would be built as our own are."""
        if self.spec.family != PLUGIN:
            raise ModelError(
                f"'{self.spec.name}' of another package has family '{self.spec.family}'; give it '{PLUGIN}'"
            )


def encoder_kind(name: str) -> EncoderKind | None:
    """The encoder that an installed package registers under a name, as an entry point of the group
    ``perception_contrast.encoders``; None where none does.

    Modules are not named here: the name may come from a parameter of a node.

    Raises:
        ModelError: It cannot be imported, or is declared under another name.
    """
    if plugins.is_module_name(name):
        return None
    found = plugins.find_plugin(plugins.ENCODERS, name, EncoderKind, ModelError)
    if found is not None and found.spec.name != name:
        raise ModelError(f"'{name}' is registered for a model called '{found.spec.name}'; give both one name")
    return found
