"""What is forgotten is gone from the files; limits keep what matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from map_examples import SECOND, SPACE, jpeg, keyframe, sighting, unit

from perception_contrast.core.errors import StorageError
from perception_contrast.memory import forgetting, memory_database
from perception_contrast.memory.forgetting import Forgotten, Retention, forget, retain
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.sightings import Filters, RecallError


@pytest.fixture
def memory(tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path / "memory.sqlite")


def stamps(memory: MemoryStore) -> tuple[list[int], list[int]]:
    return (
        [one.stamp // SECOND for one in memory.sightings(oldest_first=True)],
        [one.stamp // SECOND for one in memory.keyframes(oldest_first=True)],
    )


def bytes_on_disk(memory: MemoryStore) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(memory.path.parent.iterdir()))


def vector_bytes(seed: int) -> bytes:
    return unit(seed).astype("<f2").tobytes()


@pytest.mark.parametrize(
    ("filters", "sightings", "keyframes"),
    [
        # The keyframe of second 2 shows object 2 in the same image, that of second 5 has the label.
        (Filters(label="person"), [1, 3, 4], [1, 4]),
        (Filters(object_id=1), [2, 4], [2, 4, 5]),
        (Filters(since=3 * SECOND), [1, 2], [1, 2]),
        (Filters(near=(9, 0, 0), radius=1.0), [1, 2, 4], [1, 2, 5]),
        (Filters(place="bath"), [1, 2, 3, 4], [1, 2, 5]),
    ],
)
def test_what_is_forgotten_is_gone_with_its_images(
    memory: MemoryStore, filters: Filters, sightings: list[int], keyframes: list[int]
) -> None:
    memory.add(
        [
            sighting(1, 1),
            sighting(2, 2, label="person", vector=unit(92)),
            sighting(3, 1, (9, 0, 0)),
            sighting(4, 3, (0, 4, 0)),
        ],
        [
            keyframe(1, thumbnail=jpeg(101)),
            keyframe(2, thumbnail=jpeg(102)),
            keyframe(4, (9, 0, 0), thumbnail=jpeg(104), place="bath"),
            keyframe(5, (0, 2, 1), thumbnail=jpeg(105), labels=("person",)),
        ],
    )
    forgotten = forget(memory, filters)
    assert stamps(memory) == (sightings, keyframes)
    assert forgotten == Forgotten(4 - len(sightings), 4 - len(keyframes))
    held = bytes_on_disk(memory)
    for second in (1, 2, 3, 4):
        assert (jpeg(second) in held) == (second in sightings), second
    for second in (1, 2, 4, 5):
        assert (jpeg(100 + second) in held) == (second in keyframes), second
    assert (vector_bytes(92) in held) == (2 in sightings)


def test_bytes_that_span_many_pages_are_gone_too(memory: MemoryStore) -> None:
    pattern = np.random.default_rng(0).bytes(100_000)
    memory.add([sighting(1, 1, thumbnail=pattern), sighting(2, 2)])
    pieces = [pattern[at : at + 64] for at in range(0, len(pattern), 997)]
    assert any(piece in bytes_on_disk(memory) for piece in pieces)
    forget(memory, Filters(object_id=1))
    held = bytes_on_disk(memory)
    assert not any(piece in held for piece in pieces)


def test_a_reader_that_stays_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_database, "_BUSY_SECONDS", 0.05)
    memory = MemoryStore(tmp_path / "memory.sqlite")
    memory.add([sighting(1, 1), sighting(2, 2)])
    with MemoryStore(memory.path, read_only=True) as reader, reader.reading() as database:
        database.execute("BEGIN")
        database.execute("SELECT count(*) FROM sightings").fetchone()
        with pytest.raises(StorageError, match=r"read by another process.*stop the reader and forget again"):
            forget(memory, Filters(object_id=1))
        database.execute("ROLLBACK")
    assert stamps(memory)[0] == [2]


def test_nothing_to_forget_writes_nothing(memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.add([sighting(1, 1)])
    monkeypatch.setattr(forgetting, "scrub", lambda _: pytest.fail("the file was written anew"))
    assert forget(memory, Filters(label="person")) == Forgotten(0, 0)


def test_ids_are_not_used_again(memory: MemoryStore) -> None:
    memory.add([sighting(1, 1), sighting(2, 2)])
    memory.search_sightings(unit(1), SPACE)
    forget(memory, Filters(object_id=2))
    memory.add([sighting(3, 3)])
    assert memory.sightings()[0].id == 3


def test_too_many_sightings_leave_the_first_and_last_of_each_object(memory: MemoryStore) -> None:
    memory.add([sighting(second, 1) for second in range(6)] + [sighting(second, 2) for second in (1, 2, 7)])
    assert retain(memory, Retention(sightings=6), now=0) == Forgotten(3, 0)
    assert stamps(memory)[0] == [0, 1, 3, 4, 5, 7]
    retain(memory, Retention(sightings=4), now=0)
    assert [one.stamp // SECOND for one in memory.sightings(Filters(object_id=1))] == [5, 0]
    assert [one.stamp // SECOND for one in memory.sightings(Filters(object_id=2))] == [7, 1]
    retain(memory, Retention(sightings=1), now=0)
    assert stamps(memory)[0] == [7]


def test_too_many_keyframes_leave_the_best_of_each_place(memory: MemoryStore) -> None:
    memory.add(
        keyframes=[
            keyframe(1, (0.2, 0, 0), quality=9),
            keyframe(2, (0.4, 0, 0), quality=1),
            keyframe(3, (-0.2, 0, 0), quality=1),
            keyframe(4, (-0.3, 0, 0), quality=5),
            keyframe(5, (0.6, 0, 0), quality=2),
        ]
    )
    assert retain(memory, Retention(keyframes=3), now=0) == Forgotten(0, 2)
    assert stamps(memory)[1] == [1, 4, 5]
    retain(memory, Retention(keyframes=2), now=0)
    assert stamps(memory)[1] == [1, 4]
    retain(memory, Retention(keyframes=1), now=0)
    assert stamps(memory)[1] == [4]


def test_what_is_too_old_goes(memory: MemoryStore) -> None:
    memory.add([sighting(second) for second in (1, 5, 9)], [keyframe(second) for second in (1, 9)])
    assert retain(memory, Retention(age=5 * SECOND), now=10 * SECOND) == Forgotten(1, 1)
    assert stamps(memory) == ([5, 9], [9])
    assert not memory.keyframes(Filters(until=SECOND))


def test_age_and_count_together(memory: MemoryStore) -> None:
    memory.add([sighting(second) for second in range(10)])
    retain(memory, Retention(sightings=4, age=5 * SECOND), now=9 * SECOND)
    assert stamps(memory)[0] == [4, 7, 8, 9]


def test_within_its_limits_nothing_goes(memory: MemoryStore) -> None:
    memory.add([sighting(1)], [keyframe(1)])
    assert retain(memory, Retention(), now=10 * SECOND) == Forgotten(0, 0)
    assert retain(memory, Retention(None, None), now=10 * SECOND) == Forgotten(0, 0)
    with pytest.raises(RecallError, match="negative"):
        Retention(sightings=-1)
