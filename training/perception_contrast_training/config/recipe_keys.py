"""The keys that recipes have, read from the source of their dataclasses.

The modules of methods and networks import torch, which takes seconds. So a mistyped key is told before they
are imported; what cannot be told this way, their own check tells.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import RecipeError
from perception_contrast.core.plugins import METHODS, is_module_name, registered_names
from perception_contrast_training.config.schema import nearest

Keys = Mapping[str, Any]
"""Key to the keys below it; None for a value, or where they are not known."""

_CONFIG = "perception_contrast_training.config"
_PRETRAINING = (f"{_CONFIG}.pretraining_recipe", "PretrainRecipe")
_HEADS = {
    "alignment": (f"{_CONFIG}.alignment_recipe", "AlignmentRecipe"),
    "rescoring": (f"{_CONFIG}.rescoring_recipe", "RescoringRecipe"),
}
_REGISTRY, _TABLE = "perception_contrast_training.methods.registry", "METHODS"


def require_known_keys(stored: Mapping[str, Any]) -> None:
    """Imports nothing that learns.

    Args:
        stored: A recipe's mapping, of any kind.

    Raises:
        RecipeError: A method or a key is not known; names the nearest one.
    """
    given = stored.get("method", "alignment")
    method = given if isinstance(given, str) else ""
    if method in _HEADS:
        _require(stored, _keys_of(*_HEADS[method]) or {}, "")
        return
    methods = _settings_of_methods()
    known = dict(_keys_of(*_PRETRAINING) or {})
    if method in methods:
        _require(stored, known | {"options": _keys_of(*methods[method])}, "")
        return
    others = registered_names(METHODS)
    if method not in others and not is_module_name(method):
        raise RecipeError(
            f"method {given!r} is unknown{nearest(str(given), [*methods, *others])}; one of your own is "
            "named my_package.module:KIND"
        )
    _require(stored, known, "")  # its options are told when its module is imported


def texts_in(stored: Mapping[str, Any]) -> Iterator[str]:
    """All texts among a recipe's values."""
    for value in stored.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from texts_in(value)


def _require(stored: Mapping[str, Any], known: Keys, where: str) -> None:
    for key, value in stored.items():
        if key not in known:
            raise RecipeError(f"unknown key '{where}{key}'{nearest(str(key), list(known))}")
        below = known[key]
        if below is not None and isinstance(value, Mapping):
            _require(value, below, f"{where}{key}.")


@dataclass(frozen=True)
class _Source:
    """A module that is not imported.

    Attributes:
        classes: by name.
        imported: name to module and name there.
        assigned: name to the expression.
    """

    classes: Mapping[str, ast.ClassDef]
    imported: Mapping[str, tuple[str, str]]
    assigned: Mapping[str, ast.expr]


@cache
def _source(module: str) -> _Source:
    package, *path = module.split(".")
    spec = find_spec(package)  # of the package alone: to find a module, Python imports what holds it
    assert spec is not None and spec.origin is not None
    file = Path(spec.origin).parent.joinpath(*path).with_suffix(".py")
    body = ast.parse(file.read_text("utf-8")).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom) and node.module]
    return _Source(
        {node.name: node for node in body if isinstance(node, ast.ClassDef)},
        {one.asname or one.name: (str(node.module), one.name) for node in imports for one in node.names},
        {
            node.target.id: node.value
            for node in body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value
        },
    )


@cache
def _keys_of(module: str, name: str) -> Keys | None:
    """The keys of a dataclass, those of its bases first; None for what is no class of ours."""
    if not module.startswith("perception_contrast"):
        return None
    source = _source(module)
    if name not in source.classes:
        return _keys_of(*source.imported[name]) if name in source.imported else None
    found: dict[str, Any] = {}
    node = source.classes[name]
    for base in node.bases:
        found |= _keys_of(module, base.id) or {} if isinstance(base, ast.Name) else {}
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            kind = field.annotation
            found[field.target.id] = _keys_of(module, kind.id) if isinstance(kind, ast.Name) else None
    return found


def _settings_of_methods() -> dict[str, tuple[str, str]]:
    """Method to the module and the name of its settings, which come first in the registry."""
    source = _source(_REGISTRY)
    table = source.assigned[_TABLE]
    assert isinstance(table, ast.Dict)
    found: dict[str, tuple[str, str]] = {}
    for key, value in zip(table.keys, table.values, strict=True):
        assert isinstance(key, ast.Constant) and isinstance(value, ast.Call)
        settings = value.args[0]
        assert isinstance(settings, ast.Attribute) and isinstance(settings.value, ast.Name)
        found[str(key.value)] = (".".join(source.imported[settings.value.id]), settings.attr)
    return found
