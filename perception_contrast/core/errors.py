"""Errors that a user can act on: each names the thing and the remedy."""

from __future__ import annotations


def one_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class PerceptionError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class FrameError(PerceptionError):
    """An image that cannot be decoded.

    Attributes:
        reason: A short slug, such as "zero_size", by which counters count.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelError(PerceptionError):
    """A model that is unknown, or weights that are missing, unreachable or wrong."""


class StorageError(PerceptionError):
    """A file that cannot be written: no space, no rights, no such folder."""


class SpaceError(PerceptionError):
    """Vectors of two different embedding spaces were about to be compared."""


class QueryError(PerceptionError):
    """A query or vocabulary that is refused; the active one stays."""


class RecipeError(PerceptionError):
    """A training recipe with an unknown key or a value that is out of range."""
