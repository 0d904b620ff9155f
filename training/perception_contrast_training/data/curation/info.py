"""What a dataset or a recording holds, as numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.recordings.bags import BagSource
from perception_contrast_training.data.bags.messages import TEXT_TYPES
from perception_contrast_training.data.bags.options import NANOSECONDS
from perception_contrast_training.data.bags.plan import read_plan
from perception_contrast_training.data.bags.topics import IMAGE_TYPES
from perception_contrast_training.data.curation.notes import noted
from perception_contrast_training.data.datasets.manifest import SHARDS
from perception_contrast_training.data.datasets.shards import ShardDataset

_COUNTED = 5


def recording_info(path: Path) -> dict[str, Any]:
    """Duration, topics with their rates, what the image topics hold, and what is damaged."""
    bag = BagSource(path, recover=True)
    seconds = (bag.end - bag.start) / NANOSECONDS
    topics = []
    for one in bag.topics.values():
        holds = bag.kind_of(one.name) if one.type in IMAGE_TYPES else ""
        if one.type in TEXT_TYPES:
            holds = "text"
        rate = (one.count - 1) / seconds if one.count > 1 and seconds > 0 else 0.0
        topics.append({"name": one.name, "type": one.type, "count": one.count, "rate": rate, "holds": holds})
    return {
        "path": str(path),
        "start": bag.start,
        "seconds": seconds,
        "messages": sum(one.count for one in bag.topics.values()),
        "topics": topics,
        "lost": list(bag.lost),
    }


def dataset_info(frames: ShardDataset) -> dict[str, Any]:
    """Frames by recording and camera, what is known of them, parts, duplicates and options."""
    path, rows = frames.path, frames.rows
    cameras: dict[tuple[str, str], list[int]] = {}
    for index, key in enumerate(zip(rows["bag"].to_pylist(), rows["topic"].to_pylist(), strict=True)):
        cameras.setdefault(key, []).append(index)
    texts = Counter(text for found in rows["texts"].to_pylist() for text in found)
    plan = read_plan(path)
    found: dict[str, Any] = {
        "path": str(path),
        "frames": len(frames),
        "bytes": sum(file.stat().st_size for file in (path / SHARDS).glob("*.tar")),
        "shards": len(list((path / SHARDS).glob("*.tar"))),
        "with_pose": int(np.isfinite(frames.poses[:, 0]).sum()),
        "with_depth": len(frames) - rows["depth_offset"].null_count,
        "with_camera": len(frames) - rows["camera"].null_count,
        "with_text": sum(bool(one) for one in rows["texts"].to_pylist()),
        "commonest_texts": dict(texts.most_common(_COUNTED)),
        "sizes": dict(Counter(f"{w}x{h}" for w, h in zip(*_sizes(rows), strict=True))),
        "cameras": [
            {
                "bag": bag,
                "topic": topic,
                "frames": len(own),
                "seconds": float(np.ptp(frames.stamps[own])) / NANOSECONDS,
            }
            for (bag, topic), own in cameras.items()
        ],
        "options": None if plan is None else plan.options.stored(),
    }
    return found | noted(path)


def _sizes(rows: Any) -> tuple[list[int], list[int]]:
    return rows["width"].to_pylist(), rows["height"].to_pylist()
