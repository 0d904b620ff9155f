"""timm and open_clip, imported without torch's compiler, which neither needs to run a model."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo"
_ASKED_OF = f"{_COMPILER}.utils"


def import_timm() -> ModuleType:
    """timm; to be called before ``timm`` or ``open_clip`` are imported.

    timm marks a function as not to be compiled, and torchvision, which it imports, asks whether another one
    could be. For that both import the compiler, which takes longer than both together, and 200 MB. Here
    they do so when those functions are called. Whoever compiles imports the compiler as always.
    """
    if "timm" in sys.modules or _COMPILER in sys.modules:
        return importlib.import_module("timm")
    stands_in = {name: _StandIn(name) for name in (_COMPILER, _ASKED_OF)}
    sys.modules.update(stands_in)
    try:
        return importlib.import_module("timm")
    finally:
        for name, module in stands_in.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class _StandIn(ModuleType):
    """In the place of a module of the compiler during that import; gives way to it for all else."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []  # as of any package

    def __getattr__(self, name: str) -> Any:
        if name in _DEFERRED:
            return _DEFERRED[name]
        if name.startswith("__"):
            raise AttributeError(name)
        for one in (_COMPILER, _ASKED_OF):
            if isinstance(sys.modules.get(one), _StandIn):
                del sys.modules[one]
        return getattr(importlib.import_module(self.__name__), name)


def _is_compile_supported(device: Any) -> Any:
    return importlib.import_module(_ASKED_OF).is_compile_supported(device)


def _disable(fn: Callable[..., Any], *args: Any, **options: Any) -> Callable[..., Any]:
    """As ``torch._dynamo.disable`` of a function, once anything was compiled."""

    @functools.wraps(fn)
    def called(*given: Any, **named: Any) -> Any:
        compiler = sys.modules.get(_COMPILER)
        chosen = fn if compiler is None else compiler.disable(fn, *args, **options)
        return chosen(*given, **named)

    return called


_DEFERRED: dict[str, Any] = {"is_compile_supported": _is_compile_supported, "disable": _disable}


def import_open_clip() -> ModuleType:
    """open_clip, which imports timm, as ``import_timm`` does."""
    import_timm()
    return importlib.import_module("open_clip")
