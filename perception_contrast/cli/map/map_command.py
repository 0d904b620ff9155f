"""`perception-contrast map`: a 3D map of a recording, or something done with a saved map."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

# Each has ``main(argv) -> int``. Whatever else comes first is a source to be mapped.
COMMANDS = {
    name: f"perception_contrast.cli.map.{module}"
    for name, module in (
        ("build", "build_command"),
        ("compact", "saved_map_command"),
        ("delete", "saved_map_command"),
        ("export", "saved_map_command"),
        ("forget", "saved_map_command"),
        ("info", "saved_map_command"),
        ("list", "saved_map_command"),
        ("merge", "saved_map_command"),
        ("query", "saved_map_command"),
        ("recall", "saved_map_command"),
        ("reembed", "saved_map_command"),
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of the subcommand. Raises PerceptionError."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0] in COMMANDS and given[0] != "build":
        return int(importlib.import_module(COMMANDS[given[0]]).main(given))
    rest = given[1:] if given[:1] == ["build"] else given
    return int(importlib.import_module(COMMANDS["build"]).main(rest))
