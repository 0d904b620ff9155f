"""A shown cloud as the bytes of a PLY file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from perception_contrast.mapping.storage.exports import write_ply
from perception_contrast_studio.maps.map_types import Cloud


def ply_bytes(cloud: Cloud) -> bytes:
    """Of the points and their colours. Raises StorageError."""
    with tempfile.TemporaryDirectory(prefix="perception_contrast_") as folder:
        path = Path(folder) / "cloud.ply"
        write_ply(path, cloud.points, cloud.rgb)
        return path.read_bytes()
