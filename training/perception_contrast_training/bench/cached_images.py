"""Pictures that are decoded once, so that figures of speed are those of learning."""

from __future__ import annotations

from typing import Any

from perception_contrast_training.data.datasets.samples import Pictures
from perception_contrast_training.evaluation.progress import tracked


class Remembered:
    """All pictures of a data set, in memory."""

    def __init__(self, pictures: Pictures) -> None:
        self.classes: tuple[str, ...] = tuple(getattr(pictures, "classes", ()))
        shown = tracked(range(len(pictures)), "reading pictures", len(pictures))
        self._samples = [dict(pictures[index]) for index in shown]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        return dict(self._samples[index])
