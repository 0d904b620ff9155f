"""The console command: it handles Ctrl-C first, and only then imports."""

from __future__ import annotations

from perception_contrast.core.process.early_exit import interrupt_quietly


def main() -> int:
    """Runs `perception-contrast`; the exit code."""
    interrupt_quietly()
    from perception_contrast.cli.main import main as command

    return command()
