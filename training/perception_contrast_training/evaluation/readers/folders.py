"""A folder of images and label images: images/ and labels/, matched by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.orientation import orientation_note
from perception_contrast.recordings.image_folder import ImageFolderSource
from perception_contrast_training.evaluation.readers.types import IGNORED, LabelledImage, Skipped


class LabelFolder:
    """``images/NAME.png|jpg`` with ``labels/NAME.png``, whose pixels are numbers of classes.

    names: of the classes. ignore: numbers that do not count, 255 always among them. limit: of the first
    images, 0 for all. Raises PerceptionError for a folder that is missing or empty, an image without
    labels, labels of another size than their image, and numbers without a name.
    """

    def __init__(
        self, folder: Path, names: Sequence[str], ignore: Collection[int], skipped: Skipped, limit: int = 0
    ) -> None:
        self.folder, self.names = folder, tuple(names)
        self._ignore, self._skipped = frozenset(ignore), skipped
        self.pairs = labelled_pairs(folder, skipped)[: limit or None]

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[LabelledImage]:
        for path, labels in self.pairs:
            image = self._skipped.image(path)
            if image is None:
                continue
            numbers = self._skipped.labels(labels)
            if numbers is None:
                continue
            self.require_size(numbers, labels, image, path)
            yield LabelledImage(path.stem, image, self._classes(numbers, labels))

    @staticmethod
    def require_size(numbers: NDArray[np.int64], labels: Path, image: NDArray[np.uint8], path: Path) -> None:
        """Refuses labels (H, W) of another size than their image (H, W, 3). Raises PerceptionError."""
        if numbers.shape != image.shape[:2]:
            raise PerceptionError(
                f"'{labels}' is {_size(numbers)}, its image '{path.name}' {_size(image)}; "
                f"labels must have their image's size{orientation_note(path)}"
            )

    def _classes(self, numbers: NDArray[np.int64], path: Path) -> NDArray[np.int64]:
        ignored = np.isin(numbers, list(self._ignore))
        unknown = np.unique(numbers[~ignored & (numbers >= len(self.names))])
        if len(unknown):
            raise PerceptionError(
                f"'{path}' holds the class {int(unknown[0])}, but there are {len(self.names)} names, "
                f"0 to {len(self.names) - 1}; name it in the class list or leave it out with "
                f"--ignore {int(unknown[0])}"
            )
        return np.where(ignored, IGNORED, numbers)


def labelled_pairs(folder: Path, skipped: Skipped) -> list[tuple[Path, Path]]:
    """(image, labels) of a folder in natural order. Raises PerceptionError."""
    if not folder.is_dir():
        raise PerceptionError(f"folder '{folder}' does not exist; check --data")
    for part in ("images", "labels"):
        if not (folder / part).is_dir():
            raise PerceptionError(
                f"folder '{folder}' has no '{part}/'; put images in images/ and label PNGs in labels/"
            )
    files = image_files(folder / "images", skipped)
    pairs = [(file, folder / "labels" / f"{file.stem}.png") for file in files]
    for image, labels in pairs:
        if not labels.is_file() and not labels.is_symlink():
            raise PerceptionError(f"image '{image}' has no labels '{labels}'; add them or remove the image")
    return pairs


def image_files(folder: Path, skipped: Skipped) -> tuple[Path, ...]:
    """Images of a folder in natural order; notes those left out. Raises PerceptionError for none."""
    source = ImageFolderSource(folder)
    skipped.files.update(source.lost)
    return source.files


def numbers_in(folder: Path, ignore: Collection[int], skipped: Skipped) -> int:
    """One more than the highest class number of a folder's labels that is not ignored."""
    highest = -1
    for _, labels in labelled_pairs(folder, skipped):
        numbers = skipped.labels(labels)
        if numbers is None:
            continue
        counted = numbers[~np.isin(numbers, list(ignore))]
        highest = max(highest, int(counted.max(initial=-1)))
    return highest + 1


def _size(array: NDArray[np.generic]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
