"""Small images of one part of a page, which go when the part shows others."""

from __future__ import annotations

from perception_contrast_studio.server.studio_page import Visit


class Thumbnails:
    """Publishes images for one visitor.

    Args:
        visit: Of the page.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._urls: list[str] = []

    def url(self, jpeg: bytes) -> str:
        """The address of an image; "" for an empty one."""
        if not jpeg:
            return ""
        self._urls.append(self._visit.publish(jpeg, "image/jpeg"))
        return self._urls[-1]

    def clear(self) -> None:
        """Drops all."""
        for url in self._urls:
            self._visit.studio.blobs.remove(url)
        self._urls.clear()
