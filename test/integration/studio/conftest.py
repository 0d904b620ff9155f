"""The browser for tests of the studio's pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from studio_browser import running_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, driven by Playwright, whose event loop would be in the way of later tests."""
    pytest.importorskip("nicegui")
    with running_browser() as found:
        yield found
