"""What a memory was given is found again by words, label, object, time and place."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from map_examples import SECOND, SPACE, keyframe, sighting, unit

from perception_contrast.core.errors import SpaceError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.sightings import Filters, RecallError, Sighting


@pytest.fixture
def memory(tmp_path: Path) -> MemoryStore:
    store = MemoryStore(tmp_path / "memory.sqlite")
    store.add(
        [
            sighting(1, 1, (0, 0, 0)),
            sighting(2, 2, (3, 0, 0), label="bowl", camera="rear"),
            sighting(3, 1, (1, 0, 0)),
            sighting(4, 3, (0, 5, 0), label="keys", vector=None, thumbnail=b""),
        ],
        [
            keyframe(1, (0, 0, 1), place="kitchen", labels=("mug", "a b")),
            keyframe(2, (4, 0, 1), place="hall"),
        ],
    )
    return store


def stamps(found: list[Sighting]) -> list[int]:
    return [one.stamp // SECOND for one in found]


def test_a_sighting_comes_back_as_it_was(memory: MemoryStore) -> None:
    pose = RigidTransform.of_quaternion((1.0, 2.0, 3.0), (0.0, 0.0, 0.6, 0.8))
    given = sighting(9, 7, (1, 2, 3), label="tëa\n pot", score=0.5, pose=pose)
    memory.add([given])
    back = memory.sightings(Filters(object_id=7))[0]
    assert back.id == 5
    for name in ("stamp", "object_id", "label", "camera", "score", "space", "thumbnail", "low", "high"):
        assert getattr(back, name) == getattr(given, name), name
    assert back.pose is not None and given.vector is not None and back.vector is not None
    assert back.pose.difference(pose) == pytest.approx((0, 0), abs=1e-7)
    np.testing.assert_array_equal(back.vector, given.vector.astype(np.float16))


def test_a_keyframe_comes_back_as_it_was(memory: MemoryStore) -> None:
    given = keyframe(9, (1, 2, 3), place="roof", labels=("b", "a"), quality=2.5, vector=None, space="")
    memory.add(keyframes=[given])
    back = memory.keyframes(Filters(place="roof"))[0]
    assert (back.labels, back.quality, back.vector, back.space) == (("a", "b"), 2.5, None, "")
    assert (back.position, back.thumbnail, back.stamp) == (given.position, given.thumbnail, given.stamp)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), [4, 3, 2, 1]),
        (Filters(label="mug"), [3, 1]),
        (Filters(label="MUG"), []),
        (Filters(object_id=2), [2]),
        (Filters(since=2 * SECOND), [4, 3, 2]),
        (Filters(until=2 * SECOND), [2, 1]),
        (Filters(since=2 * SECOND, until=3 * SECOND), [3, 2]),
        (Filters(camera="rear"), [2]),
        (Filters(low=(-0.5, -0.5, -0.5), high=(1.5, 0.5, 0.5)), [3, 1]),
        (Filters(high=(-0.5, -0.5, -0.5), low=(1.5, 0.5, 0.5)), [3, 1]),
        (Filters(near=(2.0, 0, 0), radius=0.95), [3, 2]),
        # The corner of the box around the point touches the object's, the object lies beyond the radius.
        (Filters(near=(0.8, 5.8, 0.0), radius=0.75), []),
        (Filters(near=(0.8, 5.8, 0.0), radius=1.0), [4]),
        (Filters(near=(0, 0, 0), radius=9, label="keys", since=1), [4]),
        (Filters(label="'; DROP TABLE sightings; --"), []),
    ],
)
def test_filters_of_sightings(memory: MemoryStore, filters: Filters, expected: list[int]) -> None:
    assert stamps(memory.sightings(filters)) == expected
    assert stamps(memory.sightings(filters, oldest_first=True)) == expected[::-1]
    assert stamps(memory.sightings(filters, limit=1)) == expected[:1]


def test_times_of_today_are_exact_where_places_are_searched_too(tmp_path: Path) -> None:
    now = 1_790_000_000
    with MemoryStore(tmp_path / "memory.sqlite") as memory:
        memory.add(
            [sighting(now + second, 1) for second in range(5)],
            [keyframe(now + second) for second in range(5)],
        )
        near = Filters(near=(0, 0, 0), radius=2.0, since=(now + 1) * SECOND, until=(now + 3) * SECOND)
        assert [one - now for one in stamps(memory.sightings(near))] == [3, 2, 1]
        assert [one.stamp // SECOND - now for one in memory.keyframes(near)] == [3, 2, 1]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), [2, 1]),
        (Filters(label="a b"), [1]),
        (Filters(label="b"), []),
        (Filters(place="hall"), [2]),
        (Filters(near=(3, 0, 1), radius=1.0), [2]),
        (Filters(near=(3, 0.5, 1), radius=1.1), []),
        (Filters(low=(-1, -1, 0), high=(1, 1, 2)), [1]),
        (Filters(until=SECOND, camera="front"), [1]),
    ],
)
def test_filters_of_keyframes(memory: MemoryStore, filters: Filters, expected: list[int]) -> None:
    assert [one.stamp // SECOND for one in memory.keyframes(filters)] == expected


def test_what_a_kind_does_not_have_is_refused(memory: MemoryStore) -> None:
    with pytest.raises(RecallError, match="a sighting has no place's name"):
        memory.sightings(Filters(place="hall"))
    with pytest.raises(RecallError, match="a keyframe shows many objects"):
        memory.keyframes(Filters(object_id=1))
    with pytest.raises(RecallError, match="both its corners"):
        Filters(low=(0, 0, 0))
    with pytest.raises(RecallError, match="not finite"):
        Filters(near=(float("nan"), 0, 0))


def test_vectors_find_sightings_objects_and_keyframes(memory: MemoryStore) -> None:
    found = memory.search_sightings(unit(1), SPACE, limit=2)
    assert stamps([one.item for one in found]) == [1, 3]
    assert found[0].score == pytest.approx(1.0, abs=2e-3)
    assert memory.search_sightings(unit(1), SPACE, Filters(label="bowl"))[0].item.object_id == 2
    assert memory.search_sightings(unit(1), SPACE, Filters(label="keys")) == []
    objects = memory.search_objects(unit(2), SPACE)
    assert [one.item for one in objects] == [2, 1]
    assert objects[1].score == pytest.approx(float(unit(1) @ unit(2)), abs=2e-3)
    assert [one.item for one in memory.search_objects(unit(2), SPACE, Filters(until=SECOND))] == [1]
    assert memory.search_keyframes(unit(2), SPACE, limit=1)[0].item.place == "hall"


def test_an_object_has_the_mean_of_its_vectors(memory: MemoryStore) -> None:
    memory.add([sighting(5, 4, vector=unit(20)), sighting(6, 4, vector=unit(21))])
    memory.search_objects(unit(20), SPACE)
    memory.add([sighting(7, 4, vector=unit(21))])
    mean = unit(20).astype(float) + 2 * unit(21)
    scores = {one.item: one.score for one in memory.search_objects(unit(20), SPACE)}
    assert scores[4] == pytest.approx(float(unit(20) @ mean / np.linalg.norm(mean)), abs=2e-3)


def test_vectors_of_other_spaces_are_not_compared(memory: MemoryStore) -> None:
    with pytest.raises(SpaceError, match=f"vectors of '{SPACE}'.*'other@0'.*map reembed"):
        memory.search_sightings(unit(1), "other@0")
    with pytest.raises(SpaceError, match="a vector of 5 numbers"):
        memory.search_sightings(unit(1, 5), SPACE)
    memory.add([sighting(8, 8, space="other@0", vector=unit(8, 5))])
    assert [one.item.object_id for one in memory.search_sightings(unit(8, 5), "other@0")] == [8]
    assert len(memory.search_sightings(unit(1), SPACE)) == 3


def test_search_in_an_empty_memory_finds_nothing(tmp_path: Path) -> None:
    with MemoryStore(tmp_path / "memory.sqlite") as memory:
        assert memory.search_sightings(unit(1), SPACE) == []
        assert memory.search_objects(unit(1), SPACE) == []
        assert memory.search_keyframes(unit(1), SPACE) == []
        assert memory.counts().newest is None


def test_a_reader_sees_what_is_added_and_forgotten_after_it_was_opened(memory: MemoryStore) -> None:
    from perception_contrast.memory.forgetting import forget

    with MemoryStore(memory.path, read_only=True) as reader:
        assert len(reader.search_sightings(unit(1), SPACE)) == 3
        memory.add([sighting(8, 8)])
        assert reader.search_sightings(unit(8), SPACE)[0].item.object_id == 8
        forget(memory, Filters(object_id=8))
        assert {one.item.object_id for one in reader.search_sightings(unit(8), SPACE)} == {1, 2}
        assert {one.item for one in reader.search_objects(unit(8), SPACE)} == {1, 2}
        with pytest.raises(RecallError, match="was opened to be read"):
            reader.add([sighting(9)])


def test_all_is_there_after_it_was_closed(memory: MemoryStore) -> None:
    memory.close()
    with MemoryStore(memory.path) as again:
        counts = again.counts()
        assert (counts.sightings, counts.keyframes, counts.objects) == (4, 2, 3)
        assert (counts.oldest, counts.newest) == (SECOND, 4 * SECOND)


def test_one_that_cannot_be_stored_stores_none_of_its_call(memory: MemoryStore) -> None:
    with pytest.raises(RecallError):
        memory.add([sighting(8), sighting(9, camera=None)])
    assert memory.counts().sightings == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vector": np.full(8, np.nan, np.float32)}, "not finite"),
        ({"space": ""}, "has no space"),
        ({"vector": unit(1, 5)}, "of 5 numbers is none of space .* have 8"),
    ],
)
def test_vectors_that_could_not_be_searched_are_refused(
    memory: MemoryStore, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(RecallError, match=message):
        memory.add([sighting(8, 8), sighting(9, 9, **changes)])
    assert memory.counts().sightings == 4


def test_files_of_others_are_refused_and_stay(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"no database at all, but long enough to look like one" * 20)
    with pytest.raises(RecallError, match=r"garbage\.sqlite' is damaged"):
        MemoryStore(garbage)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE x(y)")
    database.close()
    before = other.read_bytes()
    with pytest.raises(RecallError, match="of another program"):
        MemoryStore(other)
    assert other.read_bytes() == before
    with pytest.raises(RecallError, match="there is no memory"):
        MemoryStore(tmp_path / "none.sqlite", read_only=True)
    assert not (tmp_path / "none.sqlite").exists()


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite"
    MemoryStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(RecallError, match="of version 2, and this one reads up to 1; update"):
        MemoryStore(path)
