"""What other packages add by name: entry points of installed packages, and modules that a recipe names.

An entry point is found in installed packages alone: who installed the package agreed to run it. A module's
name in a text (``my_package.vicreg:KIND``) is imported only if the command line, the recipe that it runs or
the program itself asked for that name (``allow_modules``), never because a message, a parameter or a stored
file has it.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from perception_contrast.core.errors import PerceptionError

METHODS = "perception_contrast.methods"
ENCODERS = "perception_contrast.encoders"
TEXT_TOWERS = "perception_contrast.text_towers"
READERS = "perception_contrast.readers"

Kind = TypeVar("Kind")

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_allowed: set[str] = set()


def is_module_name(name: str) -> bool:
    """Whether a name is that of a module and an attribute, ``my_package.vicreg:KIND``."""
    return bool(_DOTTED.fullmatch(name))


def allow_modules(names: Iterable[str]) -> None:
    """Lets this process import what these names say; others than modules' are left out.

    Args:
        names: As ``my_package.vicreg:KIND``, from a command line, a recipe that is run, or a program.
    """
    _allowed.update(name for name in names if is_module_name(name))


def registered_names(group: str) -> tuple[str, ...]:
    """The names that installed packages register in a group, sorted; nothing is imported."""
    return tuple(sorted(_entries(group)))


def find_plugin(group: str, name: str, kind: type[Kind], error: type[PerceptionError]) -> Kind | None:
    """What a name stands for in a group.

    Args:
        group: Such as ``METHODS``.
        name: Registered by an installed package, or of a module and an attribute.
        kind: What it must be an instance of.
        error: What is raised.

    Returns:
        The object; None where nothing has this name.

    Raises:
        error: The module was not asked for, cannot be imported or has no such attribute, the object is
            none of ``kind``, or two packages register the name.
    """
    what = f"'{name}' of {group}"
    if is_module_name(name):
        if name not in _allowed:
            raise error(
                f"'{name}' would run code that only a stored file asks for; if you trust it, say so: "
                f"--plugin {name}, or in a program perception_contrast.core.plugins.allow_modules(['{name}'])"
            )
        module, _, attribute = name.partition(":")
        found = _attribute(name, module, attribute, error)
    else:
        entries = _entries(group).get(name, ())
        if not entries:
            return None
        if len({entry.value for entry in entries}) > 1:
            packages = ", ".join(sorted(str(e.dist.name if e.dist else e.value) for e in entries))
            raise error(f"{what} is registered by {packages}; uninstall all but one of them")
        found = _attribute(name, entries[0].module, entries[0].attr, error)
    if not isinstance(found, kind):
        raise error(
            f"{what} is a {type(found).__name__}, not a {kind.__name__}; name the attribute that holds one"
        )
    return found


def _attribute(name: str, module: str, attribute: str, error: type[PerceptionError]) -> Any:
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as failure:
        if failure.name and (module == failure.name or module.startswith(f"{failure.name}.")):
            raise error(
                f"'{name}': there is no module '{failure.name}'; install its package, or put the folder that "
                "holds it on PYTHONPATH"
            ) from failure
        raise error(f"'{name}' needs the module '{failure.name}', which is not installed") from failure
    except Exception as failure:  # whatever somebody else's module does when it is imported
        text = " ".join(str(failure).split())
        raise error(f"'{name}' cannot be imported: {type(failure).__name__}: {text}; mend it") from failure
    for step in attribute.split("."):
        if not hasattr(found, step):
            near = difflib.get_close_matches(step, vars(found), 1)
            remedy = f"did you mean '{near[0]}'?" if near else "name the attribute after the colon"
            raise error(f"'{name}': module '{module}' has no '{step}'; {remedy}")
        found = getattr(found, step)
    return found


@cache
def _entries(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """By name; looked up once, for it reads the metadata of every installed package."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=group):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found
