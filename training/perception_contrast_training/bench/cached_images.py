"""Images that are decoded once, so that figures of speed are those of learning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import Chosen
from perception_contrast_training.evaluation.progress import tracked


class CachedImages:
    """All images of a data set, in memory.

    Args:
        images: The data set.
        caption: Text of each image, with "{}" for the name of its class; "" for the data set's own texts.
    """

    def __init__(self, images: Images, caption: str = "") -> None:
        self.classes: tuple[str, ...] = tuple(getattr(images, "classes", ()))
        shown = tracked(range(len(images)), "reading images", len(images))
        self._samples = [dict(images[index]) for index in shown]
        for sample in self._samples if caption else ():
            sample["text"] = caption.replace("{}", self.classes[sample["label"]])

    def with_text(self, caption: str, indices: Iterable[int]) -> CachedImages:
        """Some of the images, with the name of their class in a caption."""
        return CachedImages(Chosen(self, [int(index) for index in indices]), caption)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        return dict(self._samples[index])
