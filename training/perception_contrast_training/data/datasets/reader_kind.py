"""A reader of image data that another package brings: what ``data.reader`` of a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from perception_contrast.core import plugins
from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.datasets.samples import ImageDataset


@dataclass(frozen=True)
class ReaderKind:
    """How data of another layout is read.

    Attributes:
        open: Gives the images at a path, of one of its parts ("train") or, with None, all, with ``names``:
            one of each image, the same whichever part, by which a run finds its images again. They
            may be sent to other processes. Raises PerceptionError for a path or a part that cannot be read.
    """

    open: Callable[[Path, str | None], ImageDataset]


def reader_kind(name: str) -> ReaderKind:
    """A reader by name.

    Args:
        name: Registered by an installed package in the group of entry points
            ``perception_contrast.readers``, or ``my_package.module:READER``.

    Raises:
        PerceptionError: There is no such reader, or its module cannot be imported.
    """
    found = plugins.find_plugin(plugins.READERS, name, ReaderKind, PerceptionError)
    if found is not None:
        return found
    known = ", ".join(plugins.registered_names(plugins.READERS)) or "none"
    raise PerceptionError(
        f"reader '{name}' is unknown; installed packages register {known}; one of your own is named "
        "my_package.module:READER"
    )


def open_with(reader: str, path: Path, part: str | None) -> ImageDataset:
    """The images that a reader of another package gives.

    Args:
        reader: As of ``reader_kind``.
        path: Of the data.
        part: One of its parts, None for all.

    Raises:
        PerceptionError: There is no such reader, it refuses the path, or its images have no names.
    """
    images = reader_kind(reader).open(path, part)
    if len(getattr(images, "names", ())) != len(images):
        raise PerceptionError(
            f"reader '{reader}' gives {len(images)} images without 'names'; give it a name for each"
        )
    return images
