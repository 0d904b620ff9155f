"""A model hub of one repository on this machine, as far as huggingface_hub's client needs it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Line:
    """How the connection behaves, and what was asked of it.

    drop_after: bytes of a body after which it breaks, None for never. ranges: whether parts of a file
    are served. asked: the Range header of each GET, "" where there was none.
    """

    drop_after: int | None = None
    ranges: bool = True
    asked: list[str] = field(default_factory=list)


@contextmanager
def fake_hub(
    repo: str, files: dict[str, bytes], *, claimed: dict[str, str] | None = None, line: Line | None = None
) -> Iterator[str]:
    """Address of a hub that serves ``files``; ``claimed`` overrides the sha256 that it states for some."""
    behaviour = line or Line()
    sha256 = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()} | (claimed or {})

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            if self.path == "/":
                self.send_response(200)
                self.end_headers()
                return
            name = self.path.split("?")[0].rpartition("/")[2]
            if repo not in self.path or name not in files:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data, first = files[name], 0
            wanted = self.headers.get("Range", "")
            if body:
                behaviour.asked.append(wanted)
            if wanted and behaviour.ranges:
                first = int(wanted.removeprefix("bytes=").rstrip("-"))
                if first >= len(data):
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            self.send_header("ETag", f'"{sha256[name]}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(data) - first))
            self.end_headers()
            if body:
                self.wfile.write(data[first:][: behaviour.drop_after])
                self.close_connection = behaviour.drop_after is not None

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def point_at(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Makes ``address`` the hub that huggingface_hub's client knows."""
    from huggingface_hub import constants

    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
