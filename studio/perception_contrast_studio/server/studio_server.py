"""Assembles the web application and runs it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse

from perception_contrast.core.cache import cache_dir
from perception_contrast_studio.server.access import AccessError, AccessPolicy

# Read by NiceGUI when it is imported; its default is a folder where the user happens to stand.
os.environ.setdefault("NICEGUI_STORAGE_PATH", str(cache_dir() / "studio"))

from nicegui import Client, app, ui

from perception_contrast_studio.server.access_middleware import AccessMiddleware
from perception_contrast_studio.server.blobs import BLOB_PATH
from perception_contrast_studio.server.page_frame import show_page
from perception_contrast_studio.server.studio_page import Studio, StudioPage, Visit

_LOG = logging.getLogger(__name__)
GRACE_SECONDS = 2
# A view whose browser is away for longer is built anew when it comes back.
RECONNECT_SECONDS = 20.0


def create_app(studio: Studio, pages: Sequence[StudioPage], policy: AccessPolicy) -> AccessMiddleware:
    """The whole application, behind the access policy.

    Args:
        studio: What pages share.
        pages: In the order of the menu; the first is the home page.
        policy: Who may do what.
    """
    outer = FastAPI(title="perception_contrast studio", docs_url=None, redoc_url=None, openapi_url=None)
    router = APIRouter()
    router.add_route(BLOB_PATH, studio.blobs.respond, methods=["GET"])

    async def home(request: Request) -> RedirectResponse:
        return RedirectResponse(pages[0].path, status_code=303)

    router.add_route("/", home, methods=["GET"])
    for page in pages:
        page.routes(router, studio)
        _register(page, pages, studio)
    outer.include_router(router)
    app.on_shutdown(studio.workers.close)
    ui.run_with(
        outer,
        title="perception_contrast studio",
        dark=None,
        reconnect_timeout=RECONNECT_SECONDS,
        show_welcome_message=False,
        tailwind=False,
        message_history_length=200,
    )
    return AccessMiddleware(outer, policy)


def _register(page: StudioPage, pages: Sequence[StudioPage], studio: Studio) -> None:
    async def view(client: Client, request: Request) -> None:
        visit = Visit(studio, request.scope["studio_rights"], client.id)
        client.on_delete(visit.leave)
        await show_page(page, pages, visit)

    ui.page(page.path, title=f"{page.title} - studio", response_timeout=30.0)(view)


def free_port(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        AccessError: The port is taken, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise AccessError(
            f"the studio cannot listen on {host} port {port}: {error.strerror or error}; "
            "choose another with --host and --port (0 takes a free one)"
        ) from error
    return bound


def serve(application: AccessMiddleware, bound: socket.socket, on_started: Callable[[], None]) -> None:
    """Serves until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        application,
        log_level="warning",
        # Addresses may hold the token.
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws_max_size=64 * 1024 * 1024,
        server_header=False,
    )
    server = _Server(config, on_started)
    server.run(sockets=[bound])


class _Server(uvicorn.Server):
    """Tells when it answers."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()


def token_file(port: int, token: str) -> Path:
    """Writes the token where its user alone can read it. Returns the file."""
    folder = cache_dir() / "studio"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"token_{port}"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(token + "\n")
    temporary.replace(path)
    return path
