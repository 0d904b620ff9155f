"""What a folder or a .zip of images holds, as numbers; every image is read once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from perception_contrast_training.data.curation.every_frame import readable
from perception_contrast_training.data.curation.notes import noted
from perception_contrast_training.data.datasets.folders import FolderDataset


def folder_info(frames: FolderDataset) -> dict[str, Any]:
    """Images by folder, class and size, files that cannot be read, parts and duplicates."""
    refused: dict[int, str] = {}
    sizes: Counter[str] = Counter()
    for _, sample in readable(frames, refused):
        _, height, width = sample["image"].shape
        sizes[f"{width}x{height}"] += 1
    classes = [frames.classes[label] for label in frames.labels if label >= 0]
    return {
        "path": str(frames.path),
        "images": len(frames),
        "bytes": _bytes(frames),
        "folders": dict(Counter(frames.folders)),
        "classes": dict(sorted(Counter(classes).items())),
        "sizes": dict(sizes.most_common()),
        "unreadable": [*frames.left_out, *refused.values()],
        **noted(frames.path),
    }


def _bytes(frames: FolderDataset) -> int:
    if frames.path.is_file():
        return frames.path.stat().st_size
    files = (frames.path / name for name in frames.names)
    return sum(file.stat().st_size for file in files if Path(file).is_file())
