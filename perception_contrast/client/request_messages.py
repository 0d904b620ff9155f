"""Arguments of users to messages of requests, and responses to values. Raises QueryError."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from perception_contrast_msgs.srv import AddExemplar, Similarity
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from perception_contrast.client.result_types import Vectors
from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Query, parse_query
from perception_contrast.ros.messages.image_messages import image_message
from perception_contrast.ros.messages.query_messages import query_from_message

Box = tuple[float, float, float, float]
RgbImage = NDArray[np.uint8]


def parse_queries(given: Iterable[str | Query]) -> list[Query]:
    """A string is a line like ``mug`` or ``seat: a sofa; a chair; !stool``."""
    if isinstance(given, str):
        raise QueryError(f"queries are a list: give ['{given}']")
    return [parse_query(one) if isinstance(one, str) else one for one in given]


def queries_from_message(message: Any) -> tuple[Query, ...]:
    """The queries of a QuerySet; the exemplars of one node are all of one space."""

    def space(query: Any) -> str:
        return str(query.exemplars[0].space) if query.exemplars else ""

    return tuple(query_from_message(one, space(one)) for one in message.queries)


def optional_image(image: RgbImage | None) -> Image:
    """image: (H, W, 3) uint8 RGB, or None for an Image without pixels (the node's newest frame)."""
    if image is None:
        return Image()
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise QueryError(f"image is {image.dtype} {image.shape}; give uint8 (height, width, 3) RGB")
    return image_message(image, Header())


def region_of_interest(box: Box) -> RegionOfInterest:
    """box: x0, y0, x1, y1 in pixels; grown to whole ones. What leaves the image the node refuses."""
    if len(box) != 4 or not all(math.isfinite(one) for one in box):
        raise QueryError(f"box {box} is not four finite numbers x0, y0, x1, y1")
    x0, y0, x1, y1 = math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])
    if x0 < 0 or y0 < 0 or x1 <= x0 or y1 <= y0:
        raise QueryError(f"box {box} is empty or leaves the image; give x0 < x1, y0 < y1, none below 0")
    return RegionOfInterest(x_offset=x0, y_offset=y0, width=x1 - x0, height=y1 - y0)


def exemplar_request(
    label: str,
    box: Box | None,
    point: tuple[float, float] | None,
    image: RgbImage | None,
    negative: bool = False,
) -> Any:
    """Makes a request of AddExemplar.

    Raises:
        QueryError: The example is not given in exactly one way, or is invalid.
    """
    kinds = AddExemplar.Request
    start = partial(kinds, label=label, negative=negative)
    if image is not None and point is None:
        where = {} if box is None else {"box": region_of_interest(box)}
        return start(kind=kinds.IMAGE, image=optional_image(image), **where)
    if image is None and box is not None and point is None:
        return start(kind=kinds.BOX, box=region_of_interest(box))
    if image is None and point is not None and box is None:
        return start(kind=kinds.POINT, point=_point_message(point))
    raise QueryError("an example is a box or a point of the newest frame, or an image with or without a box")


def similarity_request(point: tuple[float, float] | None, text: str | None, label: str | None) -> Any:
    """Makes a request of Similarity.

    Raises:
        QueryError: Not exactly one of point, text and label is given.
    """
    kinds = Similarity.Request
    if sum(one is not None for one in (point, text, label)) != 1:
        raise QueryError("give one of point, text and label")
    if point is not None:
        return kinds(kind=kinds.POINT, point=_point_message(point))
    kind = kinds.TEXT if text is not None else kinds.LABEL
    return kinds(kind=kind, text=text if text is not None else label)


def vectors_from_embeddings(embeddings: Sequence[Any]) -> Vectors:
    """Reads perception_contrast_msgs/Embedding messages of one space."""
    rows = np.stack([np.asarray(one.data, np.float32) for one in embeddings])
    return Vectors(rows, embeddings[0].model, embeddings[0].space)


def _point_message(point: tuple[float, float]) -> Point:
    return Point(x=float(point[0]), y=float(point[1]))
