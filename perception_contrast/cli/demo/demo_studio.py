"""The studio beside a demo: a page that shows it, in a process that may end without ending the demo."""

from __future__ import annotations

import importlib.util
import os
import secrets
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

from perception_contrast.cli.demo.child_processes import Children

STUDIO = "perception_contrast_studio"
TOKEN_VARIABLE = "PERCEPTION_CONTRAST_STUDIO_TOKEN"
_ADDRESS = "studio: "


def studio_problem() -> str:
    """Why there can be no studio; "" where there can."""
    for module, remedy in ((STUDIO, "`pip install ./studio`"), ("nicegui", "`make setup`")):
        if importlib.util.find_spec(module) is None:
            return f"no studio: the Python module '{module}' is not installed; {remedy} brings it"
    return ""


class DemoStudio:
    """The studio's process.

    Args:
        children: Start and end the process; apart from those whose end ends the demo.
        port: 0 for a free one.
        environment: Of the nodes, whose domain it joins.
        terminal: Whether people read the output: they are shown the address with its token.
    """

    def __init__(
        self, children: Children, port: int, environment: Mapping[str, str], *, terminal: bool
    ) -> None:
        self._terminal = terminal
        self._token = environment.get(TOKEN_VARIABLE, "") or secrets.token_urlsafe(24)
        command = [sys.executable, "-m", "perception_contrast.cli.main", "studio", "--robot", "--no-browser"]
        self._child = children.start(
            "studio", [*command, "--port", str(port)], {**environment, TOKEN_VARIABLE: self._token}
        )
        self._ended = False

    def news(self) -> list[str]:
        """Lines for the user since the last call: the address, warnings, and that it ended."""
        lines = [self._told(line) for line in self._child.new_lines()]
        if not self._ended and self._child.exit_code() is not None:
            self._ended = True
            lines.append(f"studio: it ended (exit code {self._child.exit_code()}); the demo goes on")
        return lines

    def _told(self, line: str) -> str:
        if not line.startswith(f"{_ADDRESS}http"):
            return f"studio: {line.removeprefix(_ADDRESS)}"
        if not self._terminal:
            return line
        address = f"{line.split()[1]}?token={self._token}"
        if _has_display():
            webbrowser.open(address)
        return f"studio: open {address}"


def _has_display() -> bool:
    """Whether a browser of this machine would be seen by who started the demo."""
    if sys.platform == "darwin":
        return True
    wsl = Path("/proc/sys/fs/binfmt_misc/WSLInterop").exists()
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) or wsl
