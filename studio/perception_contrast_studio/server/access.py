"""Who may see the studio and who may change something: token, cookie, host and origin."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

from perception_contrast.core.errors import PerceptionError

TOKEN_VARIABLE = "PERCEPTION_CONTRAST_STUDIO_TOKEN"
MIN_TOKEN_LENGTH = 12
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class AccessError(PerceptionError):
    """The studio cannot be started as it was asked for."""


@dataclass(frozen=True)
class Rights:
    """What a visitor may do.

    Attributes:
        see: Open pages.
        change: Use what writes: parameters, queries, maps, files.
    """

    see: bool
    change: bool


@dataclass(frozen=True)
class AccessPolicy:
    """Decides about requests.

    Whoever has the token may see and change. On a loopback address anyone on this machine may see. Requests
    are answered only under names of this machine, so that a foreign page cannot reach the studio by a name
    of its own that it lets point here (DNS rebinding).

    Attributes:
        host: Address that the server listens on.
        port: Its port.
        token: Known to those who may change something.
        names: Further host names under which the studio may be opened.
    """

    host: str
    port: int
    token: str
    names: tuple[str, ...] = ()

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def cookie(self) -> str:
        """Name of the session's cookie: browsers share cookies between ports."""
        return f"perception_contrast_studio_{self.port}"

    @property
    def session(self) -> str:
        """Value of the cookie, from which the token cannot be told."""
        return hmac.new(self.token.encode(), b"studio session", hashlib.sha256).hexdigest()

    def has_token(self, given: str) -> bool:
        """Compares in constant time."""
        return hmac.compare_digest(given.encode(), self.token.encode())

    def rights(self, cookie_header: str) -> Rights:
        """What who sends these cookies may do."""
        try:
            morsel = SimpleCookie(cookie_header).get(self.cookie)
        except CookieError:
            morsel = None
        known = morsel is not None and hmac.compare_digest(morsel.value.encode(), self.session.encode())
        return Rights(see=known or self.loopback, change=known)

    def host_allowed(self, header: str) -> bool:
        """Whether a Host header names this machine."""
        name = _host_name(header)
        if name in LOOPBACK_NAMES or name in self.names or name == self.host.lower():
            return True
        if self.loopback:
            return False
        own = socket.gethostname().lower()
        return _is_address(name) or name in (own, own.partition(".")[0], f"{own.partition('.')[0]}.local")

    def origin_allowed(self, origin: str | None, host: str) -> bool:
        """Whether the page that sends a request is one of ours; programs send no Origin."""
        if origin is None:
            return True
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _host_name(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def read_token(path: Path | None, environment: Mapping[str, str] = os.environ) -> str:
    """The token of a file, else of the environment, else a new one.

    Raises:
        AccessError: The file cannot be read, is readable by others, or the token is short.
    """
    if path is not None:
        try:
            token = path.read_text(encoding="utf-8").strip()
            others = path.stat().st_mode & 0o077
        except (OSError, UnicodeDecodeError) as error:
            raise AccessError(f"the token file '{path}' cannot be read: {error}") from error
        if others:
            raise AccessError(f"the token file '{path}' can be read by others; run `chmod 600 {path}`")
        source = f"the token in '{path}'"
    elif token := environment.get(TOKEN_VARIABLE, ""):
        source = f"the token in {TOKEN_VARIABLE}"
    else:
        return secrets.token_urlsafe(24)
    if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable():
        raise AccessError(f"{source} needs at least {MIN_TOKEN_LENGTH} printable ASCII characters")
    return token
