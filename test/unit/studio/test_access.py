"""Who may see and change the studio: names of hosts, origins, cookies, tokens, sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nicegui")
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from perception_contrast_studio.server.access import AccessError, AccessPolicy, read_token
from perception_contrast_studio.server.access_middleware import MAX_BODY, AccessMiddleware

TOKEN = "correct horse battery"
LOOPBACK = AccessPolicy("127.0.0.1", 8080, TOKEN)
NETWORK = AccessPolicy("0.0.0.0", 8080, TOKEN, ("robot.example",))


async def rights(request: Request) -> PlainTextResponse:
    await request.body()
    found = request.scope["studio_rights"]
    return PlainTextResponse(f"{found.see} {found.change}")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(str(socket.scope["studio_rights"].change))
    await socket.close()


def client(policy: AccessPolicy, host: str) -> TestClient:
    routes = [Route("/page", rights, methods=["GET", "POST"]), WebSocketRoute("/socket", echo)]
    return TestClient(
        AccessMiddleware(Starlette(routes=routes), policy), base_url=f"http://{host}", follow_redirects=False
    )


def test_on_loopback_all_see_and_the_token_changes() -> None:
    visitor = client(LOOPBACK, "localhost:8080")
    assert visitor.get("/page").text == "True False"
    answer = visitor.get("/page", params={"token": TOKEN, "tab": "2"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/page?tab=2")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
    assert visitor.get("/page").text == "True True"


def test_on_a_network_nobody_sees_without_the_token() -> None:
    visitor = client(NETWORK, "192.168.1.5:8080")
    assert visitor.get("/page").status_code == 401
    form = visitor.get("/page", headers={"accept": "text/html"})
    assert form.status_code == 401 and "<form" in form.text
    assert visitor.post("/login", data={"token": "wrong"}).status_code == 403
    assert visitor.post("/login", data={"token": TOKEN}).status_code == 303
    assert visitor.get("/page").text == "True True"


@pytest.mark.parametrize("cookie", ["", "x", TOKEN, '"; \\"', "a=b; a=c"])
def test_a_wrong_cookie_is_no_session(cookie: str) -> None:
    header = {"cookie": f"{NETWORK.cookie}={cookie}"}
    assert client(NETWORK, "10.0.0.2").get("/page", headers=header).status_code == 401


@pytest.mark.parametrize(
    ("policy", "host", "status"),
    [
        (LOOPBACK, "localhost:8080", 200),
        (LOOPBACK, "127.0.0.1:8080", 200),
        (LOOPBACK, "evil.example", 421),
        (LOOPBACK, "localhost.evil.example", 421),
        (LOOPBACK, "192.168.1.5", 421),
        (NETWORK, "evil.example", 421),
        (NETWORK, "robot.example:8080", 401),
    ],
)
def test_names_of_other_hosts_are_refused(policy: AccessPolicy, host: str, status: int) -> None:
    assert client(policy, "localhost").get("/page", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8080", 200),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://localhost:9", 403),
    ],
)
def test_requests_of_other_sites_are_refused(origin: str, status: int) -> None:
    visitor = client(LOOPBACK, "localhost:8080")
    assert visitor.post("/page", headers={"origin": origin}).status_code == status


def test_web_sockets_obey_the_same_rules() -> None:
    visitor = client(LOOPBACK, "localhost:8080")
    with visitor.websocket_connect("/socket", headers={"host": "localhost:8080"}) as socket:
        assert socket.receive_text() == "False"
    for headers in ({"origin": "http://evil.example"}, {"host": "evil.example"}):
        with (
            pytest.raises(WebSocketDisconnect),
            visitor.websocket_connect("/socket", headers={"host": "localhost:8080", **headers}),
        ):
            pass
    with (
        pytest.raises(WebSocketDisconnect),
        client(NETWORK, "10.0.0.2").websocket_connect("/socket", headers={"host": "10.0.0.2"}),
    ):
        pass


@pytest.mark.parametrize("told", [True, False])
def test_large_bodies_are_refused(told: bool) -> None:
    """Also where their length is not told before."""
    visitor = client(LOOPBACK, "localhost")
    data = bytes(MAX_BODY + 1)
    content = data if told else (data[start : start + (1 << 20)] for start in range(0, len(data), 1 << 20))
    assert visitor.post("/page", content=content).status_code == 413


def test_a_redirect_after_the_token_stays_here() -> None:
    answer = client(LOOPBACK, "localhost").get(f"http://localhost//evil.example/?token={TOKEN}")
    assert answer.headers["location"] == "/evil.example/"


def test_pages_may_not_be_framed_nor_load_from_elsewhere() -> None:
    headers = client(LOOPBACK, "localhost").get("/page").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "default-src 'self'" in headers["content-security-policy"]


def test_tokens_of_files_and_of_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("long enough token\n")
    path.chmod(0o644)
    with pytest.raises(AccessError, match="chmod 600"):
        read_token(path)
    path.chmod(0o600)
    assert read_token(path) == "long enough token"
    assert (
        read_token(None, {"PERCEPTION_CONTRAST_STUDIO_TOKEN": "from the environment"})
        == "from the environment"
    )
    with pytest.raises(AccessError, match="12"):
        read_token(None, {"PERCEPTION_CONTRAST_STUDIO_TOKEN": "short"})
    assert read_token(None, {}) != read_token(None, {})
