"""A studio in a process of its own, and a headless browser that opens it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

TOKEN = "a-token-that-only-tests-know"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No request of the browser's own leaves the machine; WebGL is computed by the processor.
FLAGS = [
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]


@dataclass
class StudioProcess:
    """A running studio. url: without a path; token: of who may change things."""

    process: subprocess.Popen[bytes]
    url: str
    token: str = TOKEN

    def address(self, path: str = "/", *, token: bool = True) -> str:
        """Of a page, with the token in it once."""
        return f"{self.url}{path}" + (f"?token={self.token}" if token else "")


@contextmanager
def running_studio(
    arguments: Sequence[str] = (), cache: Path | None = None, environment: dict[str, str] | None = None
) -> Iterator[StudioProcess]:
    """Starts ``perception-contrast studio`` on a free port and ends it.

    Args:
        arguments: Of the command.
        cache: The cache folder, apart from the user's.
        environment: Further variables.
    """
    values = {**os.environ, "PERCEPTION_CONTRAST_STUDIO_TOKEN": TOKEN, **(environment or {})}
    if cache is not None:
        values["PERCEPTION_CONTRAST_CACHE"] = str(cache)
    command = [sys.executable, "-m", "perception_contrast.cli.main", "studio", "--port", "0", "--no-browser"]
    with TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, *arguments], env=values, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            if not line.startswith("studio: http"):
                errors.seek(0)
                raise RuntimeError(f"the studio did not start: {line}{errors.read().decode()[-3000:]}")
            yield StudioProcess(process, line.split()[1].rstrip("/"))
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            process.stdout.close()


def browser_path() -> str:
    """The system's browser; skips the test without one."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium: `make test` installs it as root, else `sudo apt-get install chromium`")


@contextmanager
def running_browser() -> Iterator[Any]:
    """A Playwright browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = browser_path()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class PageLog:
    """What a page wrote to its console, and the addresses that it asked for."""

    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def watched_page(browser: Any, studio_url: str, **options: Any) -> tuple[Any, PageLog]:
    """A page in a context of its own, whose errors and foreign requests are kept."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    page = context.new_page()
    page.set_default_timeout(15_000)
    log = PageLog()
    page.on("pageerror", lambda error: log.errors.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((studio_url, "data:", "blob:"))
            else log.foreign.append(request.url)
        ),
    )
    return page, log


def wait_for_answer(url: str, seconds: float = 10.0) -> int:
    """Status of a GET, tried until the server answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return int(error.code)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
