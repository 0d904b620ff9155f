"""A folder, or a .zip, with a folder of images for each class."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path, PurePosixPath

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.vocabulary import checked_text
from perception_contrast.images.file_listing import is_image_name, list_images
from perception_contrast.images.files import decode_image_file
from perception_contrast_training.data.datasets.folders import archive_member, archive_names
from perception_contrast_training.evaluation.readers.types import Image, NamedImage, Skipped


class ClassFolder:
    """Images whose folder's name is their class; classes in the order of their names.

    limit: images at most, evenly from all classes; 0 for all. Raises PerceptionError.
    """

    def __init__(self, path: Path, skipped: Skipped, limit: int = 0) -> None:
        self.path, self._skipped = path, skipped
        by_class: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._listed()):
            by_class[_class_of(name)].append(name)
        if not by_class:
            raise PerceptionError(
                f"'{path}' holds no images in folders of their classes, such as {path.name}/mug/1.png"
            )
        self.names = tuple(by_class)
        # One of each class in turn, so that a limit leaves all classes in.
        turns = chain.from_iterable(zip_longest(*by_class.values()))
        self.files = [name for name in turns if name is not None][: limit or None]

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[NamedImage]:
        if not self.path.is_dir():
            with zipfile.ZipFile(self.path) as packed:
                yield from self._images(packed)
        else:
            yield from self._images(None)

    def class_of(self, name: str) -> str:
        """The class of one of ``files``."""
        return _class_of(name)

    def image(self, name: str) -> Image | None:
        """The image of one of ``files``; None, and noted, where it cannot be read."""
        if self.path.is_dir():
            return self._decoded(None, name)
        with zipfile.ZipFile(self.path) as packed:
            return self._decoded(packed, name)

    def _images(self, packed: zipfile.ZipFile | None) -> Iterator[NamedImage]:
        numbers = {name: number for number, name in enumerate(self.names)}
        for name in self.files:
            image = self._decoded(packed, name)
            if image is not None:
                yield NamedImage(name, image, numbers[_class_of(name)])

    def _decoded(self, packed: zipfile.ZipFile | None, name: str) -> Image | None:
        if packed is None:
            return self._skipped.image(self.path / name, name)
        try:
            return decode_image_file(archive_member(packed, name), name)
        except FrameError as error:
            self._skipped.note(name, error)
            return None

    def _listed(self) -> list[str]:
        """Names of all images in a class folder, relative to the folder or within the archive."""
        if self.path.is_dir():
            listing = list_images(self.path, recursive=True)
            for name, reason in listing.left_out.items():
                self._skipped.note(name, FrameError("unreadable_file", reason))
            names = [file.relative_to(self.path).as_posix() for file in listing.files]
        elif self.path.is_file():
            try:
                with zipfile.ZipFile(self.path) as packed:
                    names = archive_names(packed)
            except zipfile.BadZipFile as error:
                raise PerceptionError(
                    f"'{self.path}' is no .zip ({error}); give a folder or a .zip"
                ) from error
        else:
            raise PerceptionError(f"'{self.path}' does not exist; check --data")
        return [name for name in names if is_image_name(name) and PurePosixPath(name).parent.name]


def _class_of(name: str) -> str:
    """The folder of an image, in the form that labels have: some file systems take accents apart."""
    return checked_text(PurePosixPath(name).parent.name, "the name of a folder")
