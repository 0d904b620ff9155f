"""Installs the browser that tests of the studio drive, where that is possible; they are skipped without."""

from __future__ import annotations

import os
import shutil

import system_packages

# Names of the same program on Debian and elsewhere.
COMMANDS = ("chromium", "chromium-browser", "google-chrome")
PACKAGE = "chromium"


def main() -> None:
    """Never fails: a machine without a browser runs the other tests."""
    if any(shutil.which(command) for command in COMMANDS):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"tests of the studio need a browser; `sudo apt-get install {PACKAGE}` brings one")
        return
    try:
        system_packages.install([PACKAGE])
    except SystemExit as error:
        print(f"tests of the studio are skipped: {error}")


if __name__ == "__main__":
    main()
