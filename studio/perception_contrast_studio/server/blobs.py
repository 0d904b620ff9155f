"""Binary data of pages, fetched by their JavaScript: points, images. They go with the page."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

BLOB_PATH = "/blob/{name}"
MAX_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class _Blob:
    data: bytes
    media_type: str
    owner: str


class BlobStore:
    """Keeps data under names that cannot be guessed.

    Above ``max_bytes`` the oldest are dropped first.

    Args:
        max_bytes: Of all data together.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._blobs: OrderedDict[str, _Blob] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes kept."""
        with self._lock:
            return sum(len(one.data) for one in self._blobs.values())

    def add(self, data: bytes, media_type: str = "application/octet-stream", owner: str = "") -> str:
        """Keeps data until its owner is dropped. Returns the URL to fetch it from."""
        name = secrets.token_urlsafe(18)
        with self._lock:
            self._blobs[name] = _Blob(data, media_type, owner)
            total = sum(len(one.data) for one in self._blobs.values())
            while total > self._max_bytes and len(self._blobs) > 1:
                total -= len(self._blobs.popitem(last=False)[1].data)
        return BLOB_PATH.format(name=name)

    def remove(self, url: str) -> None:
        """Drops what was added under this URL, if it is still there."""
        with self._lock:
            self._blobs.pop(url.rpartition("/")[2], None)

    def drop_owner(self, owner: str) -> None:
        """Drops all that belongs to a page."""
        with self._lock:
            for name in [name for name, one in self._blobs.items() if one.owner == owner]:
                del self._blobs[name]

    async def respond(self, request: Request) -> Response:
        """Serves one."""
        with self._lock:
            blob = self._blobs.get(request.path_params["name"])
        if blob is None:
            return PlainTextResponse("This data is gone; reload the page.\n", status_code=404)
        return Response(blob.data, media_type=blob.media_type, headers={"cache-control": "private, no-store"})
