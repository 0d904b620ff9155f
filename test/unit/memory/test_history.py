"""When was it last seen, what was here then, when was it moved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from map_examples import SECOND, sighting

from perception_contrast.memory.history import first_seen, last_seen, moves, remembered_objects, seen_then
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.sightings import Filters, RecallError

TABLE = Filters(low=(-1, -1, -1), high=(1, 1, 1))


def memory_of(path: Path, rows: Sequence[tuple[int, int, float]]) -> MemoryStore:
    """Rows of (second, object, x)."""
    memory = MemoryStore(path / "memory.sqlite")
    memory.add([sighting(stamp, number, (x, 0, 0)) for stamp, number, x in rows])
    return memory


def test_first_and_last(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, [(5, 1, 0), (2, 1, 3), (9, 2, 0)])
    first, last = first_seen(memory, Filters(object_id=1)), last_seen(memory, Filters(object_id=1))
    assert first is not None and last is not None
    assert (first.stamp, last.stamp) == (2 * SECOND, 5 * SECOND)
    assert last_seen(memory, Filters(label="keys")) is None


def test_objects_come_with_their_history_the_last_seen_first(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, [(1, 1, 0), (2, 2, 0), (3, 1, 0)])
    memory.add([sighting(4, 2, label="bowl"), sighting(5, 2, label="bowl")])
    found = remembered_objects(memory)
    assert [(one.object_id, one.label, one.count, one.first_seen // SECOND) for one in found] == [
        (2, "bowl", 3, 2),
        (1, "mug", 2, 1),
    ]
    assert [one.object_id for one in remembered_objects(memory, Filters(label="mug", until=2 * SECOND))] == [
        2,
        1,
    ]


def test_what_was_on_the_table_then(tmp_path: Path) -> None:
    rows = [(10, 1, 0.0), (11, 2, 0.5), (12, 3, 5.0), (20, 1, 5.0), (30, 3, 0.0)]
    memory = memory_of(tmp_path, rows)

    def there(second: int, window: int | None = None) -> list[int]:
        found = seen_then(memory, second * SECOND, TABLE, window=window)
        return [one.object_id for one in found]

    assert there(9) == []
    assert there(10) == [1]
    assert there(15) == [1, 2]
    assert there(25) == [2]
    assert there(35) == [2, 3]
    assert there(35, window=10 * SECOND) == [3]
    with pytest.raises(RecallError, match="takes one time"):
        seen_then(memory, 1, Filters(since=0))


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0.0, 0.1, 0.2, 0.1], []),
        ([0.0, 0.0, 2.0, 2.1, 2.0], [(1, 2)]),
        # One sighting elsewhere is an error of the eyes.
        ([0.0, 0.0, 2.0, 0.0, 0.0], []),
        ([0.0, 2.0, 2.0, 4.0, 4.0, 0.0, 0.0], [(0, 1), (2, 3), (4, 5)]),
        ([0.0, 2.0, 5.0, 0.1], []),
        ([0.0, 2.0], []),
        ([], []),
    ],
)
def test_moves(tmp_path: Path, places: list[float], expected: list[tuple[int, int]]) -> None:
    memory = memory_of(tmp_path, [(second, 1, x) for second, x in enumerate(places)])
    found = moves(memory, 1)
    assert [(one.after // SECOND, one.before // SECOND) for one in found] == expected
    for one, (after, before) in zip(found, expected, strict=True):
        assert one.origin[0] == pytest.approx(places[after], abs=0.2)
        assert one.destination[0] == pytest.approx(places[before], abs=0.2)
