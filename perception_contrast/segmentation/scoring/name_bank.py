"""The bank of generic names, which stands for whatever else an image may show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources

import numpy as np

from perception_contrast.core.arrays import BoolMask, FloatArray
from perception_contrast.segmentation.scoring.class_negatives import SAME_WORD
from perception_contrast.text.base import TextEncoder
from perception_contrast.text.prompt_templates import PLAIN

NAMES_FILE = "generic_names.txt"
# New names up to which the bank is encoded as a whole, and each how many-th begins where more are new.
FEW_NEW_NAMES, AT_FIRST = 64, 5
RELATED_DEVIATIONS = 2.5  # above the mean of a name's text cosines with the bank
# Least distance above that mean, for banks whose names are all equally far from a name.
LEAST_RELATED = 0.05


def read_names(text: str) -> tuple[str, ...]:
    """The names of a file with one a line; empty lines and those that begin with # are left out."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def generic_names() -> tuple[str, ...]:
    """The names of the bank that comes with the package."""
    return read_names(resources.files(__package__).joinpath(NAMES_FILE).read_text("utf-8"))


def first_names(encoder: TextEncoder) -> tuple[str, ...]:
    """The generic names to begin with: all, or some of each kind where many have no vectors yet.

    Args:
        encoder: of the language model.
    """
    names = generic_names()
    new = encoder.with_templates(PLAIN).unknown(names)
    return names if len(new) <= FEW_NEW_NAMES else names[::AT_FIRST]


@dataclass(frozen=True)
class NameBank:
    """Embeddings of the generic names.

    Attributes:
        vectors: (k, c) float32 unit rows.
    """

    vectors: FloatArray

    @classmethod
    def encoded(cls, encoder: TextEncoder, names: Sequence[str] | None = None) -> NameBank:
        """Encodes names by one template: hundreds of names times dozens of templates take many seconds.

        Args:
            encoder: of the language model.
            names: None: those of the package.
        """
        return cls(encoder.with_templates(PLAIN).encode(list(generic_names() if names is None else names)))

    def others(self, names: FloatArray) -> BoolMask:
        """(n, k) which names of the bank compete with each of ``names`` (n, c).

        A name of the bank whose text is far nearer to the name's than those of the others names the same
        thing, a kind of it or a part of it, and is no rival.
        """
        cosines = names @ self.vectors.T
        mean, deviation = cosines.mean(axis=1, keepdims=True), cosines.std(axis=1, keepdims=True)
        bound = np.minimum(mean + np.maximum(RELATED_DEVIATIONS * deviation, LEAST_RELATED), SAME_WORD)
        return np.asarray(cosines <= bound)

    @cached_property
    def others_of_itself(self) -> BoolMask:
        """(k, k) ``others`` of the bank's own names; no name competes with itself."""
        others = self.others(self.vectors)
        np.fill_diagonal(others, False)
        return others
