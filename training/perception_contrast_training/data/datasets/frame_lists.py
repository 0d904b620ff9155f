"""Which images a run learned from and which it kept back: noted at its start, used ever after."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import Chosen, image_names

logger = logging.getLogger(__name__)

FRAME_LISTS = "frames.json"


@dataclass(frozen=True)
class FrameLists:
    """Hashes of the names of images within their data, in the order in which the run numbers them.

    Attributes:
        learned: Of those that are learned from.
        held: Of those that are kept back; empty where none are.
    """

    learned: tuple[str, ...]
    held: tuple[str, ...]


def frame_lists_of(learned: Images, held: Images | None) -> FrameLists:
    """The lists of a run that begins with these images."""
    return FrameLists(_hashes(learned), () if held is None else _hashes(held))


def write_frame_lists(folder: Path, lists: FrameLists) -> None:
    """Writes them into a run's output folder."""
    stored = {"learned": lists.learned, "held": lists.held}
    atomic_write(folder / FRAME_LISTS, (json.dumps(stored) + "\n").encode())


def read_frame_lists(folder: Path) -> FrameLists | None:
    """Those of a run's output folder, None for a run of before there were any.

    Raises:
        PerceptionError: The file is damaged.
    """
    path = folder / FRAME_LISTS
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text())
        return FrameLists(tuple(map(str, stored["learned"])), tuple(map(str, stored["held"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PerceptionError(
            f"'{path}', which lists the images of the run, cannot be read: {error}; restore it, or delete it "
            "to split the images anew"
        ) from error


def chosen_by(hashes: Sequence[str], images: Images, where: str, *, exact: bool) -> Images | None:
    """The listed images, in the order of the list.

    Args:
        hashes: ``learned`` or ``held`` of the lists.
        images: All images of the data.
        where: The data's path, for messages.
        exact: Whether every image of the list must be there.

    Returns:
        None where the list is empty.

    Raises:
        PerceptionError: Listed images are gone, with ``exact`` any, else all.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(_hashes(images)):
        places[name].append(index)
    # A table may name an image twice: each row is taken once.
    found = [places[name].pop(0) for name in hashes if places.get(name)]
    gone = len(hashes) - len(found)
    if gone and (exact or not found):
        raise PerceptionError(
            f"{gone} of the {len(hashes)} images that the run listed at its start are not in '{where}'; put "
            "them back, or say with --data where the images are now"
        )
    if gone:
        logger.warning("%d of %d images of the run are not in '%s' any more", gone, len(hashes), where)
    return Chosen(images, np.array(found, np.int64)) if hashes else None


def _hashes(images: Images) -> tuple[str, ...]:
    return tuple(
        blake2b(name.encode(errors="surrogateescape"), digest_size=8).hexdigest()
        for name in image_names(images)
    )
