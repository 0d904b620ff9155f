"""Embedding spaces: how one is named, and the check before vectors are compared."""

from __future__ import annotations

from perception_contrast.core.errors import SpaceError


def space_name(model: str, sha256: str) -> str:
    """The identity of an embedding space: ``<model id>@<first 12 hex digits of the weights' sha256>``."""
    return f"{model}@{sha256[:12]}"


def require_same_space(left: str, right: str, what: str) -> None:
    """Checks that two vectors may be compared.

    Args:
        left: Space of one vector, as ``space_name`` gives it.
        right: Space of the other.
        what: What is compared, for the error.

    Raises:
        SpaceError: The spaces differ.
    """
    if left != right:
        raise SpaceError(
            f"{what}: space '{left}' cannot be compared with '{right}'; "
            "make both with the same model and weights"
        )
