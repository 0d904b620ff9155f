"""Errors of handlers, told to the visitor."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec

from nicegui import ui

from perception_contrast.core.errors import PerceptionError

_P = ParamSpec("_P")


def tell(error: PerceptionError) -> None:
    """Shows an error, long enough to be read."""
    ui.notify(str(error), type="warning", multi_line=True, close_button="Close", timeout=12_000)


def tells_errors(handler: Callable[_P, Awaitable[None]]) -> Callable[_P, Awaitable[None]]:
    """A handler whose PerceptionErrors are told to the visitor."""

    @functools.wraps(handler)
    async def telling(*arguments: _P.args, **named: _P.kwargs) -> None:
        try:
            await handler(*arguments, **named)
        except PerceptionError as error:
            tell(error)

    return telling
