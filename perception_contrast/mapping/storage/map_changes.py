"""Changes of a map: as records of the journal, and applied to a state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.mapping.storage.map_state import PARTS, Arrays, MapChanges, MapError, MapState
from perception_contrast.mapping.storage.packed_values import pack, unpack

KEYS, REMOVED = "keys", "removed"
# Parts whose changed rows the journal takes, by their keys.
_KEYED = ("voxels", "far_rays")


def to_record(changes: MapChanges) -> bytes:
    """Changes as the content of a journal's record."""
    record = {
        **{part: getattr(changes, part) for part in _KEYED},
        "objects": list(changes.objects),
        "removed_objects": [int(one) for one in changes.removed_objects],
        "replaced": dict(changes.replaced),
        "facts": dict(changes.facts or {}),
    }
    return pack({name: value for name, value in record.items() if value})


def from_record(content: bytes) -> MapChanges:
    """The changes of a record. Raises MapError if it holds no changes."""
    try:
        record = dict(unpack(content))
        unknown = set(record["replaced"]) - set(PARTS) if "replaced" in record else set()
        if unknown:
            raise ValueError(f"unknown part '{min(unknown)}'")
        return MapChanges(**record)
    except (ValueError, TypeError) as error:
        raise MapError(f"a record of the journal holds no changes of a map ({error})") from error


def applied(state: MapState, changes: Iterable[MapChanges]) -> MapState:
    """A state after some changes, in their order; the given one stays as it is.

    Raises:
        MapError: The changes do not fit the state.
    """
    several = list(changes)
    if not several:
        return state
    objects = {int(one["id"]): one for one in state.objects}
    replaced: dict[str, Any] = {}
    tables = {part: [getattr(state, part)] for part in _KEYED}
    facts = state.facts
    for one in several:
        for gone in one.removed_objects:
            objects.pop(gone, None)
        objects.update({int(record["id"]): record for record in one.objects})
        replaced.update(one.replaced)
        for part in _KEYED:
            if part in one.replaced:
                tables[part] = [one.replaced[part]]
            if changed := getattr(one, part):
                tables[part].append(changed)
        facts = {**facts, **(one.facts or {})}
    replaced |= {part: upserted(changed) for part, changed in tables.items()}
    return replace(state, **replaced, objects=[objects[key] for key in sorted(objects)], facts=facts)


def upserted(parts: Sequence[Arrays]) -> Arrays:
    """The last row of each key over some tables, without the keys that a later table removes.

    Args:
        parts: Tables with "keys" (n, 3) int32, arrays of n rows, and maybe "removed" (m, 3) int32 keys, which
            go before the table's own rows come. Rows of one table have different keys.

    Returns:
        One table without "removed", its rows in the order of the last time that each was written.

    Raises:
        MapError: The tables have other columns, or columns of other shapes.
    """
    parts = [part for part in parts if part]
    if not parts:
        return {}
    if len(parts) == 1:
        return {name: array for name, array in parts[0].items() if name != REMOVED}
    keep = _last_rows(parts)
    try:
        return {name: _gathered([part[name] for part in parts], keep) for name in _columns(parts)}
    except (KeyError, ValueError, IndexError) as error:
        raise MapError(f"the journal's rows do not fit those of the map ({error}); restore a copy") from error


def _columns(parts: Sequence[Arrays]) -> list[str]:
    """Names of the columns; tables that only remove have none beside their keys."""
    return [name for name in max(parts, key=len) if name != REMOVED]


def _gathered(arrays: Sequence[NDArray[Any]], keep: Sequence[NDArray[np.int64]]) -> NDArray[Any]:
    """The kept rows of some arrays one after the other; large ones are copied once."""
    first, ends = arrays[0], np.cumsum([0, *(len(rows) for rows in keep)])
    if any(array.dtype != first.dtype or array.shape[1:] != first.shape[1:] for array in arrays):
        raise ValueError("columns of other types or shapes")
    result = np.empty((ends[-1], *first.shape[1:]), first.dtype)
    for array, rows, begin, end in zip(arrays, keep, ends[:-1], ends[1:], strict=True):
        # Without "clip" numpy takes into a buffer first; the rows are all there.
        np.take(array, rows, axis=0, out=result[begin:end], mode="clip")
    return result


def _last_rows(parts: Sequence[Arrays]) -> list[NDArray[np.int64]]:
    """For each table its rows that no later one replaces or removes."""
    keys, rows = [], []
    for part in parts:
        for name in (REMOVED, KEYS):
            held = part.get(name)
            if held is not None:
                keys.append(np.asarray(held).reshape(-1, 3))
                rows.append(np.arange(len(held)) if name == KEYS else np.full(len(held), -1))
    every, row = np.concatenate(keys), np.concatenate(rows)
    # lexsort is stable, so that of equal keys the last written comes last.
    order = np.lexsort((every[:, 2], every[:, 1], every[:, 0]))
    ordered = every[order]
    last = np.ones(len(order), bool)
    last[:-1] = (ordered[1:] != ordered[:-1]).any(axis=1)
    kept = np.zeros(len(order), bool)
    kept[order[last]] = True
    kept &= row >= 0
    result, at = [], 0
    for part in parts:
        at += len(part.get(REMOVED, ()))
        count = len(part[KEYS]) if KEYS in part else 0
        result.append(np.flatnonzero(kept[at : at + count]))
        at += count
    return result


def table_size(table: Arrays) -> int:
    """Bytes of a table's arrays."""
    return sum(int(array.nbytes) for array in table.values())


def rows_of(table: Arrays) -> int:
    """Rows of a table, by its keys or its first array."""
    first: Any = table.get(KEYS, next(iter(table.values()), ()))
    return len(first)
