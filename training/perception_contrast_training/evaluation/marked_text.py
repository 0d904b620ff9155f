"""Tables that a command writes into a page, between two markers."""

from __future__ import annotations

from pathlib import Path

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def between_markers(page: str, text: str) -> str:
    """The page with ``text`` between its markers. Raises ValueError unless each is there once, in order."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after or END in after:
        raise ValueError(f"it must hold {BEGIN} and then {END}, each once")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def put_between_markers(path: Path, text: str) -> None:
    """As ``between_markers``, in a file. Raises PerceptionError for one that cannot be, or has no markers."""
    try:
        atomic_write(path, between_markers(path.read_text("utf-8"), text).encode())
    except (OSError, ValueError) as error:
        raise PerceptionError(f"'{path}' cannot be written: {error}") from error
