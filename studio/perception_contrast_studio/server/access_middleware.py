"""Holds each request and each WebSocket against the access policy before anything else sees it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perception_contrast_studio.server.access import AccessPolicy, Rights

LOGIN = "/login"
MAX_BODY = 32 * 1024 * 1024
SESSION_SECONDS = 30 * 24 * 3600
# Vue compiles templates in the browser and NiceGUI's pages carry inline scripts; all else stays on this host.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_CLOSE_POLICY_VIOLATION = 1008


class BodyTooLargeError(Exception):
    """A request's body exceeds MAX_BODY."""


class AccessMiddleware:
    """An ASGI application around another.

    The visitor's rights stand in ``scope["studio_rights"]`` for what comes after.

    Args:
        app: The application that is guarded.
        policy: Decides.
    """

    def __init__(self, app: ASGIApp, policy: AccessPolicy) -> None:
        self.app, self._policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _BoundedBody(receive)

        async def guarded_send(message: Message) -> None:
            if body.exceeded:
                return  # What the application makes of the error is of no interest.
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
                message["headers"] = [
                    *message["headers"],
                    *(pair for pair in added if pair[0] not in present),
                ]
            await send(message)

        headers = Headers(scope=scope)
        rights = self._policy.rights(headers.get("cookie", ""))
        scope["studio_rights"] = rights
        with contextlib.suppress(BodyTooLargeError), _gone_visitors():
            response = (
                self._refusal(headers)
                or await self._login(scope, body.receive)
                or self._without_rights(scope, headers, rights)
            )
            await (response or self.app)(scope, body.receive, guarded_send)
        if body.exceeded:
            await _too_large()(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        rights = self._policy.rights(headers.get("cookie", ""))
        if self._refusal(headers) is not None or not rights.see:
            await receive()
            await send({"type": "websocket.close", "code": _CLOSE_POLICY_VIOLATION})
            return
        scope["studio_rights"] = rights
        await self.app(scope, receive, send)

    def _refusal(self, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not self._policy.host_allowed(host):
            return PlainTextResponse(
                f"The studio is not known as '{host[:100]}'. Open it by its address, or start it with "
                "--host-name NAME.\n",
                status_code=421,
            )
        if not self._policy.origin_allowed(headers.get("origin"), host):
            return PlainTextResponse("Requests of other sites are refused.\n", status_code=403)
        if int(headers.get("content-length", "0") or 0) > MAX_BODY:
            return _too_large()
        return None

    async def _login(self, scope: Scope, receive: Receive) -> Response | None:
        """A session for who brings the token, in the address once or by the form of LOGIN."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["method"] == "GET" and "token" in query:
            given = query.pop("token")[0]
            rest = urlencode(query, doseq=True)
            place = scope["path"] + (f"?{rest}" if rest else "")
        elif scope["method"] == "POST" and scope["path"] == LOGIN:
            form = await Request(scope, receive).body()
            given = parse_qs(form.decode("utf-8", "replace")).get("token", [""])[0].strip()
            place = "/"
        else:
            return None
        if not self._policy.has_token(given):
            return _login_page("This token is wrong.", 403)
        # "//host" would lead to another site.
        response = RedirectResponse("/" + place.lstrip("/\\"), status_code=303)
        response.set_cookie(
            self._policy.cookie,
            self._policy.session,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=scope.get("scheme") == "https",
        )
        return response

    def _without_rights(self, scope: Scope, headers: Headers, rights: Rights) -> Response | None:
        if scope["path"] == LOGIN:
            return _login_page("", 200)
        if not rights.see:
            wants_page = "text/html" in headers.get("accept", "")
            if wants_page:
                return _login_page("", 401)
            return PlainTextResponse("The studio's token is needed.\n", status_code=401)
        return None


@contextlib.contextmanager
def _gone_visitors() -> Iterator[None]:
    """Starlette's middleware raises this where a browser went away before it got its answer."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != "No response returned.":
            raise


class _BoundedBody:
    """The body of a request, whose length need not be told before."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._size = receive, 0
        self.exceeded = False

    async def receive(self) -> Message:
        """Raises BodyTooLargeError."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            if self._size > MAX_BODY:
                self.exceeded = True
                raise BodyTooLargeError
        return message


def _too_large() -> Response:
    return PlainTextResponse(f"At most {MAX_BODY >> 20} MB can be sent at once.\n", status_code=413)


def _login_page(problem: str, status: int) -> Response:
    alert = f'<p role="alert" class="problem">{problem}</p>' if problem else ""
    return Response(_LOGIN_PAGE.replace("{alert}", alert), status_code=status, media_type="text/html")


_LOGIN_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Studio: token</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
main { max-width: 26rem; margin: 15vh auto; padding: 0 1rem; }
input, button { font: inherit; padding: .5rem; width: 100%; box-sizing: border-box; margin-top: .5rem; }
.problem { color: #d55e00; font-weight: 600; }
</style></head><body><main>
<h1>perception_contrast studio</h1>{alert}
<form method="post" action="/login">
<label for="token">Token. The terminal that started the studio shows it, or names
the file that holds it.</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Open</button></form></main></body></html>
"""
