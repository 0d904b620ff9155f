"""The images behind vectors, for people: small pictures of some frames, read from where they came from."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.curation.contact_sheet import Image, tile_of
from perception_contrast_training.embedding.find_data import Source
from perception_contrast_training.embedding.sources import DatasetFrames, RecordingFrames, VideoFrames
from perception_contrast_training.vectors.vector_set import VectorSet

_log = logging.getLogger(__name__)
_GREY = np.full((112, 150, 3), 200, np.uint8)


def sources_of(about: Mapping[str, Any]) -> dict[str, Source]:
    """By name, the sources that a file of vectors was made from."""
    found: dict[str, Source] = {}
    for one in about.get("sources", ()):
        name, place = str(one["name"]), str(one["place"])
        if one["kind"] == "video":
            found[name] = VideoFrames(name, place)
        elif one["kind"] == "recording":
            found[name] = RecordingFrames(name, place, str(one["topic"]))
        elif one["kind"] == "dataset":
            found[name] = DatasetFrames(name, place, str(one["part"]))
    return found


def tiles_of(vectors: VectorSet, labels: Mapping[int, str]) -> dict[int, Image]:
    """Small pictures of frames by their numbers; grey where the image is gone, which is told once a source.

    Args:
        vectors: Whose frames.
        labels: By number of the frame, the line below its picture.
    """
    wanted: dict[str, dict[int, int]] = defaultdict(dict)
    for number in labels:
        source = vectors.rows["source"][number].as_py()
        wanted[source][vectors.rows["index"][number].as_py()] = number
    sources, found = sources_of(vectors.about), dict[int, Image]()
    for name, numbers in wanted.items():
        try:
            if name not in sources:
                raise PerceptionError("the file of vectors does not say where it is")
            for index, image in _images(sources[name], sorted(numbers)):
                found[numbers[index]] = tile_of(image, labels[numbers[index]])
        except PerceptionError as error:
            _log.warning("images of '%s' cannot be shown: %s", name, error)
    return {number: found.get(number, tile_of(_GREY, label)) for number, label in labels.items()}


def _images(source: Source, indices: Sequence[int]) -> Iterable[tuple[int, Image]]:
    """Images of a source at sorted indices."""
    if source.sequential:
        wanted = set(indices)
        for item in source.frames(indices[0], indices[-1] + 1):
            if item.index in wanted and item.frame is not None:
                yield item.index, item.frame.image
        return
    for index in indices:
        for item in source.frames(index, index + 1):
            if item.frame is not None:
                yield index, item.frame.image


def label_of(vectors: VectorSet, number: int, text: str = "") -> str:
    """A line for a frame's picture: what is told of it, and its name."""
    key = str(vectors.rows["key"][number].as_py())
    return f"{text} {key[-24:]}".strip()
