"""What a page is: a path, a title and a function that builds it for one visitor."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from nicegui import ui

from perception_contrast_studio.robot.robot_link import RobotLink
from perception_contrast_studio.server.access import Rights
from perception_contrast_studio.server.blobs import BlobStore
from perception_contrast_studio.server.folders import Folders
from perception_contrast_studio.workers.worker_pool import WorkerPool

_LOG = logging.getLogger(__name__)


@dataclass
class Studio:
    """What all pages share.

    Attributes:
        folders: What pages may read and write.
        robot: The robot's nodes, or None in a studio of files alone.
        workers: Where pages compute.
        blobs: Data for JavaScript.
        notes: Values that pages pass to each other, such as the run that another page should open.
    """

    folders: Folders
    robot: RobotLink | None
    workers: WorkerPool
    blobs: BlobStore
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Visit:
    """One visitor's view of a page.

    Attributes:
        studio: What all pages share.
        rights: What the visitor may do.
        client_id: Of this view.
        gone: Whether it was closed.
    """

    studio: Studio
    rights: Rights
    client_id: str
    gone: bool = False
    _on_leave: list[Callable[[], Any]] = field(default_factory=list)

    def publish(self, data: bytes, media_type: str = "application/octet-stream") -> str:
        """A URL of data for this view's JavaScript; it goes with the view. "" for a view that is gone."""
        if self.gone:
            return ""
        return self.studio.blobs.add(data, media_type, self.client_id)

    def on_leave(self, call: Callable[[], Any]) -> None:
        """Calls back when the view is closed; at once where it was while the page was built."""
        if self.gone:
            _call(call)
        else:
            self._on_leave.append(call)

    def leave(self) -> None:
        """Ends what the view used."""
        self.gone = True
        for call in self._on_leave:
            _call(call)
        self._on_leave.clear()
        self.studio.blobs.drop_owner(self.client_id)

    def changes(
        self, handler: Callable[..., Any], instead: Callable[[], Any] | None = None
    ) -> Callable[..., Any]:
        """A handler of an event that changes something, for those who have the token; tells the others.

        Args:
            handler: What changes something.
            instead: Called for those without the token, so that a control shows again what is in force.
        """

        @functools.wraps(handler)
        def guarded(*arguments: Any, **named: Any) -> Any:
            if self.rights.change:
                return handler(*arguments, **named)
            if instead is not None:
                instead()
            ui.notify(
                "This needs the token: open the address that the studio printed, or log in.",
                type="warning",
                actions=[
                    {"label": "Log in", ":handler": "() => { window.location = '/login' }", "color": "white"}
                ],
            )
            return None

        return guarded


def _call(call: Callable[[], Any]) -> None:
    """One that fails must not keep the others from giving back what they hold."""
    try:
        call()
    except Exception:
        _LOG.exception("a closed page could not give back all that it held")


Build = Callable[[Visit], Awaitable[None]]


def _no_routes(router: APIRouter, studio: Studio) -> None:
    """A page without routes of its own."""


@dataclass(frozen=True)
class StudioPage:
    """One page.

    Attributes:
        path: Such as "/live".
        title: In the menu.
        icon: Name of a Material icon.
        summary: One sentence, for the menu's tooltip.
        build: Builds it; called for each view, inside the page's frame.
        routes: Adds HTTP and WebSocket routes of the page's own.
    """

    path: str
    title: str
    icon: str
    summary: str
    build: Build
    routes: Callable[[APIRouter, Studio], None] = _no_routes
