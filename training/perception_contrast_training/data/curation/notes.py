"""What `data dedup` and `data split` found, as numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from perception_contrast_training.data.datasets.manifest import DUPLICATES, SPLIT, read_facts, read_table


def noted(folder: Path) -> dict[str, Any]:
    """ "parts" and "duplicates" of a dataset or a folder of images, as far as the commands have run."""
    found: dict[str, Any] = {}
    if (folder / SPLIT).is_file():
        found["parts"] = dict(Counter(read_table(folder / SPLIT, ["part"])["part"].to_pylist()))
    if (folder / DUPLICATES).is_file():
        flags = read_table(folder / DUPLICATES, ["duplicate"])["duplicate"].to_pylist()
        facts = read_facts(folder / DUPLICATES)
        found["duplicates"] = {"frames": sum(flags), "space": facts["space"], "threshold": facts["threshold"]}
    return found
