"""HTTP routes that tell a browser of one point: its picture and its line of text."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import OrderedDict

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.embedding.point_colours import time_text
from perception_contrast_studio.points.pictures import thumbnail
from perception_contrast_studio.points.point_set import PointSet
from perception_contrast_studio.server.byte_cache import ByteCache
from perception_contrast_studio.server.studio_page import Studio

_PATH = "/embedding/points/{name}"
_NOTE = "point pictures"
MOST_SETS = 32
MOST_BYTES = 64 * 1024 * 1024


class PointPictures:
    """Point sets under names that cannot be guessed, and their thumbnails; both bounded.

    Args:
        max_bytes: Of all thumbnails together.
    """

    def __init__(self, max_bytes: int = MOST_BYTES) -> None:
        self._sets: OrderedDict[str, PointSet] = OrderedDict()
        self._names: dict[str, str] = {}
        self._thumbnails: ByteCache[tuple[str, int]] = ByteCache(max_bytes)
        self._lock = threading.Lock()

    def add(self, key: str, points: PointSet) -> str:
        """The path of a set; that of an earlier call with the same key."""
        with self._lock:
            name = self._names.setdefault(key, secrets.token_urlsafe(12))
            self._sets[name] = points
            self._sets.move_to_end(name)
            while len(self._sets) > MOST_SETS:
                self._drop(self._sets.popitem(last=False)[0])
        return _PATH.format(name=name)

    def _drop(self, name: str) -> None:
        self._names = {key: one for key, one in self._names.items() if one != name}
        self._thumbnails.drop(lambda place: place[0] == name)

    def points(self, name: str) -> PointSet | None:
        """The set of a name."""
        with self._lock:
            return self._sets.get(name)

    def picture(self, name: str, points: PointSet, index: int) -> bytes:
        """A small JPEG of a point.

        Raises:
            PerceptionError: There is none, or it cannot be read.
        """
        if (found := self._thumbnails.get((name, index))) is not None:
            return found
        if points.pictures is None:
            raise PerceptionError("these points have no pictures")
        made = thumbnail(points.pictures.read(index), points.name_of(index))
        with self._lock:
            if name in self._sets:
                self._thumbnails.put((name, index), made)
        return made


def point_pictures(studio: Studio) -> PointPictures:
    """Those of the studio, for all visitors."""
    found: PointPictures = studio.notes.setdefault(_NOTE, PointPictures())
    return found


def about(points: PointSet, index: int) -> str:
    """A line on a point: label, time, bag and name."""
    parts = (points.label_of(index), points.bag_of(index), points.name_of(index))
    stamp = time_text(int(points.stamps[index])) if len(points.stamps) else ""
    return " · ".join(part for part in (*parts[:1], stamp, *parts[1:]) if part)


def add_routes(router: APIRouter, studio: Studio) -> None:
    """The routes ``/picture/INDEX`` and ``/about/INDEX`` of each set's path."""
    pictures = point_pictures(studio)

    def found(request: Request) -> tuple[str, PointSet, int] | None:
        name, index = str(request.path_params["name"]), int(request.path_params["index"])
        points = pictures.points(name)
        return (name, points, index) if points is not None and index < len(points) else None

    async def picture(request: Request) -> Response:
        if (one := found(request)) is None:
            return PlainTextResponse("There is no such point; reload the page.\n", status_code=404)
        try:
            data = await asyncio.to_thread(pictures.picture, *one)
        except PerceptionError as error:
            return PlainTextResponse(f"{error}\n", status_code=404)
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    async def line(request: Request) -> Response:
        if (one := found(request)) is None:
            return PlainTextResponse("There is no such point; reload the page.\n", status_code=404)
        return JSONResponse({"text": about(one[1], one[2])})

    router.add_route(_PATH + "/picture/{index:int}", picture, methods=["GET"])
    router.add_route(_PATH + "/about/{index:int}", line, methods=["GET"])
