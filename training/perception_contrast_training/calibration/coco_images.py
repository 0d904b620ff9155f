"""Images of a COCO file with names to ask for, as people draw boxes on a robot's frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.vocabulary import MAX_QUERIES
from perception_contrast.segmentation.place_level import absent_names
from perception_contrast_training.calibration.asked_images import Asked, AskedImage, vocabularies
from perception_contrast_training.evaluation.readers.coco import CocoSet
from perception_contrast_training.evaluation.readers.types import Skipped, ThingsImage
from perception_contrast_training.photographs.base import LEAST_SHARE
from perception_contrast_training.photographs.naming import Truth

LEAST_IMAGES = 2  # one to fit to, one to measure on


def coco_halves(
    file: Path, images: Path | None, skipped: Skipped, seed: int, absent: int
) -> tuple[Iterator[AskedImage], Iterator[AskedImage]]:
    """The first and the second half of a COCO file's images: neighbours stay together.

    Args:
        file: Categories that an image has no annotation of count as absent from it.
        images: Their folder; None looks beside the file.
        skipped: Notes images that cannot be read, which are left out.
        seed: Of the names that are asked for.
        absent: Names asked for that are not there, of each image.

    Raises:
        PerceptionError: The file is none of COCO's form, or has fewer than two images.
    """
    coco = CocoSet(file, images, skipped)
    if len(coco) < LEAST_IMAGES:
        raise PerceptionError(f"'{file}' has {len(coco)} labelled images; two or more are needed")
    middle = (len(coco) + 1) // 2
    return (
        _asked_images(coco, slice(None, middle), seed, absent),
        _asked_images(coco, slice(middle, None), seed + 1, absent),
    )


def _asked_images(coco: CocoSet, part: slice, seed: int, absent: int) -> Iterator[AskedImage]:
    """Names of the file, and among many names things that no robot meets."""
    rng = np.random.default_rng(seed)
    said = {name.casefold() for name in coco.names}
    never_met = [name for name in absent_names() if name.casefold() not in said]
    for entry in coco.entries[part]:
        for image in coco.images([entry]):
            missing = [image.absent[int(i)] for i in rng.permutation(len(image.absent))[:absent]]
            own = [*asked_of_things(image, exact=coco.is_outlined(entry)), *_nowhere(image, missing)]
            others = [never_met[int(i)] for i in rng.permutation(len(never_met))]
            many = (*own, *_nowhere(image, others[: max(absent - len(missing), 0)]))[:MAX_QUERIES]
            if own:
                yield AskedImage(image.image, (many, vocabularies(own, rng)[-1]), "images")


def asked_of_things(image: ThingsImage, *, exact: bool) -> list[Asked]:
    """The names of things that are there; little ones are left out.

    Args:
        image: With all its things of the names.
        exact: Whether their masks are outlines. In a box lies background too, so a region has to lie in it.
    """
    found = []
    for name in dict.fromkeys(name for thing in image.things for name in thing.names):
        truth = np.full(image.image.shape[:2], Truth.FALSE, np.int8)
        own = [thing for thing in image.things if name in thing.names]
        # A crowd's box says that some are there and not where.
        for thing in sorted(own, key=lambda one: not one.ignored):
            truth[thing.mask] = Truth.UNKNOWN if thing.ignored else Truth.TRUE
        if (truth == Truth.TRUE).mean() >= LEAST_SHARE:
            found.append(Asked(name, truth, exact))
    return found


def _nowhere(image: ThingsImage, names: Sequence[str]) -> Iterator[Asked]:
    nothing = np.full(image.image.shape[:2], Truth.FALSE, np.int8)
    return (Asked(name, nothing, exact=False) for name in names)
