"""A text tower that another package brings: ``options.text.tower`` of a recipe and a model's card name it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from perception_contrast.core import plugins
from perception_contrast.core.errors import ModelError, PerceptionError


class TowerSize(Protocol):
    """Of a recipe or a card. width, depth, heads: of the network. context: tokens that are read at most."""

    @property
    def width(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def context(self) -> int: ...


@dataclass(frozen=True)
class TextTowerKind:
    """A text tower before it is made.

    Attributes:
        make: Of a size and the channels of the space shared with images: a network of ids (n, T) int64 to
            vectors (n, dim), not normalised, at random initialisation.
        tokenize: Texts and ``context`` to ids (n, context) int64.
        canonical: The form of a text that is encoded; two texts of one form have one vector.
    """

    make: Callable[[TowerSize, int], nn.Module]
    tokenize: Callable[[Sequence[str], int], Tensor]
    canonical: Callable[[str], str] = str.strip


def text_tower_kind(name: str, error: type[PerceptionError] = ModelError) -> TextTowerKind:
    """The text tower that an installed package registers under a name, as an entry point of the group
    ``perception_contrast.text_towers``.

    Modules are not named here: the name comes from a model's card too, which is data of somebody else.

    Raises:
        error: There is none, or it cannot be imported.
    """
    found = None
    if not plugins.is_module_name(name):
        found = plugins.find_plugin(plugins.TEXT_TOWERS, name, TextTowerKind, error)
    if found is not None:
        return found
    known = ", ".join(("transformer", "minilm", "own", *plugins.registered_names(plugins.TEXT_TOWERS)))
    raise error(
        f"text tower '{name}' is unknown; there are {known}; one of your own is an entry point of "
        f"{plugins.TEXT_TOWERS} in an installed package"
    )


class TowerTokens:
    """The canonical form and the tokens of such a tower, where others have sentence vectors."""

    def __init__(self, kind: TextTowerKind, context: int) -> None:
        self._kind, self._context = kind, context

    def canonical(self, text: str) -> str:
        """As ``TextTowerKind.canonical``."""
        return self._kind.canonical(text)

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Ids (n, context)."""
        ids: NDArray[np.int64] = self._kind.tokenize(texts, self._context).numpy()
        return ids
