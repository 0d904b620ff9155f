"""YAML checked against dataclasses, with ``--set key=value`` on top."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.renamed_keys import with_current_keys

Recipe = TypeVar("Recipe")

_TOO_DEEP = "is nested too deeply, or contains itself; a recipe has three levels of keys"


def read_mapping(path: Path, changes: Sequence[str] = ()) -> dict[str, Any]:
    """What stands in a recipe's file, with changes "key.deeper=value" made.

    Old spellings of keys (``renamed_keys``) are taken with a warning, in the file and in the changes.

    Raises:
        RecipeError: The file cannot be read, a change is none, or an old key stands beside the new one.
    """
    try:
        stored = yaml.safe_load(path.read_text())
        if not isinstance(stored, dict):
            raise RecipeError(f"recipe '{path}' is not a mapping of keys to values")
        stored = with_current_keys(stored, f"recipe '{path}'")
    except (OSError, ValueError, OverflowError, yaml.YAMLError) as error:
        raise RecipeError(f"recipe '{path}' cannot be read: {error}") from error
    except RecursionError as error:  # an alias of YAML may stand inside of what it stands for
        raise RecipeError(f"recipe '{path}' {_TOO_DEEP}") from error
    for change in changes:
        _apply(stored, change)
    return stored


def checked(kind: type[Recipe], stored: Any, where: str = "") -> Recipe:
    """``stored`` as the dataclass ``kind``; a key that is not there has its default.

    where: what stands before the keys in messages, with a dot at its end. Raises RecipeError that names
    the key and the nearest valid one.
    """
    made: Recipe = _checked(kind, stored, where)
    return made


def nearest(word: str, known: Sequence[str]) -> str:
    """ "; did you mean 'x'?", or all that is known where nothing is near."""
    near = difflib.get_close_matches(word, known, 1)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known)}"


def _apply(stored: dict[str, Any], change: str) -> None:
    key, separator, value = change.partition("=")
    if not separator:
        raise RecipeError(f"'{change}' is not key=value")
    try:
        made: Any = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # of PyYAML: 2024-13-45 is a date to it
        raise RecipeError(f"'{change}': the value is not YAML ({error})") from error
    except RecursionError as error:
        raise RecipeError(f"'{key}': the value {_TOO_DEEP}") from error
    put_key(stored, key.strip(), made, f"'{change}'")


def put_key(stored: dict[str, Any], key: str, value: Any, where: str = "") -> None:
    """Changes one value of a recipe's mapping.

    Args:
        stored: The mapping, which is changed.
        key: With dots between levels; old spellings are taken with a warning.
        value: As YAML holds it.
        where: What wrote the change, for messages; "" for the key.

    Raises:
        RecipeError: A level above the key holds a value.
    """
    made = value
    for step in reversed(key.split(".")):
        made = {step: made}
    made = with_current_keys(made, where or f"'{key}'")
    if not _reaches(made, key.count(".") + 1):
        return  # of a key that nothing reads any more
    _put(stored, made, key.count(".") + 1, key)


def _reaches(change: Any, depth: int) -> bool:
    """Whether ``change`` still holds a value ``depth`` keys deep."""
    for _ in range(depth):
        if not isinstance(change, Mapping) or not change:
            return False
        (change,) = change.values()
    return True


def _put(stored: dict[str, Any], change: Mapping[str, Any], depth: int, key: str) -> None:
    """Puts the value that lies ``depth`` keys deep in ``change`` into the same place of ``stored``."""
    ((step, value),) = change.items()
    if depth == 1:
        stored[step] = value
        return
    place = stored.setdefault(step, {})
    if not isinstance(place, dict):
        raise RecipeError(f"'{key}': '{step}' holds a value, not more keys")
    _put(place, value, depth - 1, key)


def plain(value: Any) -> Any:
    """A dataclass's mapping as YAML holds it: tuples as lists."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(inner) for inner in value]
    return value


def _checked(kind: Any, stored: Any, where: str) -> Any:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(stored, dict):
            raise RecipeError(f"'{where.rstrip('.')}' must hold keys, not {stored!r}")
        hints = get_type_hints(kind)
        for key in stored:
            if key not in hints:
                raise RecipeError(f"unknown key '{where}{key}'{nearest(str(key), list(hints))}")
        make: Callable[..., Any] = kind
        return make(**{key: _checked(hints[key], value, f"{where}{key}.") for key, value in stored.items()})
    return _value(kind, stored, where.rstrip("."))


def _value(kind: Any, stored: Any, where: str) -> Any:
    if kind is float and (number := _number(stored)) is not None:
        return number
    if kind is bool and isinstance(stored, bool):
        return stored
    if get_origin(kind) is Literal:
        if stored in get_args(kind) and not isinstance(stored, bool):
            return stored
        known = [str(one) for one in get_args(kind)]
        raise RecipeError(f"'{where}' cannot be {stored!r}{nearest(str(stored), known)}")
    if kind in (int, str) and isinstance(stored, kind) and not isinstance(stored, bool):
        return stored
    if getattr(kind, "__origin__", None) is tuple and isinstance(stored, list):
        inner = kind.__args__
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_value(inner[0], item, where) for item in stored)
        if len(inner) == len(stored):
            return tuple(_value(i, item, where) for i, item in zip(inner, stored, strict=True))
    raise RecipeError(f"'{where}' cannot be {stored!r}; expected {getattr(kind, '__name__', kind)}")


def _number(stored: Any) -> float | None:
    """A finite number; also one like 1e-3, which YAML 1.1 reads as text."""
    if isinstance(stored, bool) or not isinstance(stored, int | float | str):
        return None
    try:
        number = float(stored)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
