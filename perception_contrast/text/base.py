"""The text encoder protocol: phrases to unit vectors of one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import ModelError
from perception_contrast.text.prompt_templates import PLAIN


class TextEncoder(Protocol):
    """Turns phrases into vectors of one space.

    An implementation that subclasses this protocol inherits ``with_templates`` for encoders without
    prompt templates.

    Attributes:
        model: id of the model.
        space: identity of the vectors' space, ``<model>@<sha256>``.
        dim: numbers in a vector.
        wording: identifies the prompt templates, "" without; vectors of two wordings differ.
        sentences_per_text: that are encoded for each phrase: one for each prompt template.
    """

    model: str
    space: str
    dim: int
    wording: str
    sentences_per_text: int = 1

    def canonical(self, text: str) -> str:
        """The form of a phrase that is encoded; two phrases of one form have one vector."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encodes phrases.

        Returns:
            (n, dim) float32, rows of unit length.
        """
        ...

    def unknown(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Those of ``texts`` that ``encode`` would compute and keep; none, for one that keeps no vectors."""
        return ()

    def with_templates(self, templates: tuple[str, ...]) -> TextEncoder:
        """The same encoder with other prompt templates.

        Raises:
            ModelError: a template has no place for the phrase, or the encoder takes phrases alone.
        """
        if templates != PLAIN:
            raise ModelError(f"'{self.model}' was fitted to phrases alone; leave the templates empty")
        return self
