"""Things of PASCAL VOC's XML files and of YOLO's text files, in the form of ``ThingsSet``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from perception_contrast.core.errors import PerceptionError, QueryError
from perception_contrast.core.vocabulary import checked_text
from perception_contrast.images.orientation import orientation_note
from perception_contrast_training.evaluation.readers.types import Mask, Skipped, Thing, ThingsImage
from perception_contrast_training.photographs.yolo import (
    yolo_images,
    yolo_names,
    yolo_outlined,
    yolo_things,
)

_MOST_BYTES = 16 << 20  # of one XML file


class VocBoxes:
    """``Annotations/NAME.xml`` and ``JPEGImages/``, as PASCAL VOC and the tools that follow it write them.

    A thing that is marked difficult counts neither way, as in the benchmark.

    Attributes:
        names: Of the classes that occur, in alphabetical order.
        files: The XML files, in order.
    """

    def __init__(self, folder: Path, skipped: Skipped) -> None:
        """Reads all annotations.

        Raises:
            PerceptionError: A part is missing, or a file is none of VOC's.
        """
        self._skipped = skipped
        self.files = tuple(sorted((folder / "Annotations").glob("*.xml")))
        if not self.files:
            raise PerceptionError(f"'{folder}' has no Annotations/*.xml; export the labels as PASCAL VOC")
        self._images = folder / "JPEGImages" if (folder / "JPEGImages").is_dir() else folder / "images"
        if not self._images.is_dir():
            raise PerceptionError(f"'{folder}' has no JPEGImages/; put the images of Annotations/ there")
        self._read = {file: _voc_file(file) for file in self.files}
        found = {name for _, things in self._read.values() for name, _, _ in things}
        self.names = tuple(sorted(found))

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[ThingsImage]:
        for file in self.files:
            image = self.image(file)
            if image is not None:
                yield image

    def name_of(self, file: Path) -> str:
        """The name that ``image`` gives to the image of an XML file."""
        return self._read[file][0]

    def image(self, file: Path) -> ThingsImage | None:
        """The image of an XML file; None, and noted, where it cannot be read."""
        name, things = self._read[file]
        path = self._images / name
        image = self._skipped.image(path, name)
        if image is None:
            return None
        size = (image.shape[0], image.shape[1])
        found = []
        for label, box, difficult in things:
            mask = box_mask(box, size)
            if not mask.any():
                raise PerceptionError(
                    f"a box of '{label}' in '{file}' lies outside its image of {size[1]}x{size[0]}; "
                    f"export the labels again{orientation_note(path)}"
                )
            found.append(Thing((label,), mask, ignored=difficult))
        return ThingsImage(name, image, tuple(found))


class YoloThings:
    """``data.yaml``, ``images/`` and ``labels/*.txt`` with boxes or polygons, as ``YoloPhotos`` reads them.

    Attributes:
        names: Of the classes, by their numbers.
        files: The images, in order.
    """

    def __init__(self, folder: Path, skipped: Skipped) -> None:
        """Reads ``data.yaml`` and lists the images. Raises PerceptionError."""
        self._skipped, self._names = skipped, yolo_names(folder / "data.yaml")
        self._folder, self.files = folder, tuple(yolo_images(folder, skipped))
        self.names = tuple(dict.fromkeys(self._names.values()))

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[ThingsImage]:
        for file in self.files:
            image = self.image(file)
            if image is not None:
                yield image

    @cached_property
    def outlined(self) -> bool:
        """Whether all lines are polygons, and none a box alone."""
        return all(map(yolo_outlined, self.files))

    def name_of(self, file: Path) -> str:
        """The name that ``image`` gives to an image: its path below the folder."""
        return file.relative_to(self._folder).as_posix()

    def image(self, file: Path) -> ThingsImage | None:
        """One image; None, and noted, where it cannot be read."""
        name = self.name_of(file)
        image = self._skipped.image(file, name)
        if image is None:
            return None
        masks = yolo_things(file, (image.shape[0], image.shape[1]), self._names)
        return ThingsImage(name, image, tuple(Thing((label,), mask) for label, mask in masks if mask.any()))


def box_mask(box: Sequence[float], size: tuple[int, int]) -> Mask:
    """(H, W) mask of a box x0, y0, x1, y1, edges in pixels."""
    left, top, right, bottom = (max(0, round(edge)) for edge in box)
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


_VocThing = tuple[str, tuple[float, float, float, float], bool]


def _voc_file(path: Path) -> tuple[str, list[_VocThing]]:
    """The name of the image, and (label, box, difficult) of each thing."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES >> 20} MB")
        text = path.read_text("utf-8-sig")
        if "<!ENTITY" in text:  # which could grow to any size
            raise ValueError("it defines entities")
        root = ElementTree.fromstring(text)
        name = (root.findtext("filename") or "").strip() or f"{path.stem}.jpg"
        if Path(name).name != name:
            raise ValueError(f"its filename is '{name}', not a name alone")
        return name, [_voc_thing(one) for one in root.iter("object")]
    except (OSError, ValueError, QueryError, ElementTree.ParseError) as error:
        raise PerceptionError(f"labels '{path}' cannot be read ({error}); export them again") from error


def _voc_thing(stored: ElementTree.Element) -> _VocThing:
    label = checked_text(stored.findtext("name") or "", "a name")
    edges = [float(stored.findtext(f"bndbox/{key}") or "nan") for key in ("xmin", "ymin", "xmax", "ymax")]
    # VOC counts pixels from 1, and the last one is within.
    x0, y0, x1, y1 = edges[0] - 1, edges[1] - 1, edges[2], edges[3]
    if not (np.isfinite(edges).all() and x1 > x0 and y1 > y0):
        raise ValueError(f"a box of '{label}' is {edges}")
    return label, (x0, y0, x1, y1), (stored.findtext("difficult") or "0").strip() == "1"
