"""VoxelStore: means, limits, moves and the journal, against a plain dict."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.language import key_index, mean_rows
from perception_contrast.mapping.language.voxel_store import VoxelStore

CHANNELS = 4
ROOMY = 1 << 20
SECOND = 10**9
CELL = st.integers(-3, 3)
FRAME = st.lists(st.tuples(CELL, CELL, CELL), unique=True, min_size=1, max_size=10)


def unit(rng: np.random.Generator, count: int, channels: int = CHANNELS) -> FloatArray:
    vectors = rng.standard_normal((count, channels)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def line(start: int, stop: int) -> np.ndarray:
    """Keys along x."""
    keys = np.zeros((stop - start, 3), np.int32)
    keys[:, 0] = np.arange(start, stop)
    return keys


def filled(count: int = 6, submap: int = 0, **options: float) -> VoxelStore:
    store = VoxelStore(CHANNELS, max_bytes=ROOMY, **options)
    vectors = unit(np.random.default_rng(1), count)
    store.add(line(0, count), vectors, np.full(count, 2, np.float32), SECOND, submap)
    return store


def small() -> VoxelStore:
    """A store with room for some hundred voxels."""
    return VoxelStore(CHANNELS, max_bytes=8_000)


@dataclass
class Model:
    """The same in a dict of float64, without a limit."""

    cap: float
    voxels: dict[tuple[int, ...], list[float]] = field(default_factory=dict)
    means: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict)

    def add(self, keys: np.ndarray, vectors: FloatArray, counts: FloatArray) -> None:
        for key, vector, count in zip(map(tuple, keys.tolist()), vectors, counts, strict=True):
            weight, hits = self.voxels.get(key, [0.0, 0.0])
            mean = self.means.get(key, np.zeros(CHANNELS))
            self.means[key] = (weight * mean + count * vector) / (weight + count)
            self.voxels[key] = [min(weight + count, self.cap), hits + 1]

    def remove(self, key: tuple[int, ...]) -> None:
        self.voxels.pop(key, None)
        self.means.pop(key, None)


@settings(deadline=None, max_examples=40)
@given(frames=st.lists(st.tuples(FRAME, FRAME), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_it_holds_what_a_dict_holds(
    frames: list[tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_index, "MOST_KEYS", 8)
        store, model = VoxelStore(CHANNELS, max_bytes=ROOMY, weight_cap=20.0), Model(20.0)
        for seen, taken in frames:
            keys = np.array(seen, np.int32)
            vectors, counts = unit(rng, len(keys)), rng.integers(1, 9, len(keys)).astype(np.float32)
            store.add(keys, vectors, counts, SECOND, 0)
            model.add(keys, vectors, counts)
            rows = store.rows(np.array(taken, np.int32))
            store.remove(rows[rows >= 0])
            for key in taken:
                model.remove(key)
    arrays = store.arrays()
    there = {tuple(key): number for number, key in enumerate(arrays["keys"].tolist())}
    assert there.keys() == model.voxels.keys() and len(store) == len(there)
    for key, (weight, hits) in model.voxels.items():
        number = there[key]
        assert arrays["weights"][number] == pytest.approx(weight)
        assert arrays["hits"][number] == hits
        # Half a unit in the last place of float16 for each frame.
        assert np.abs(arrays["vectors"][number] - model.means[key]).max() < 0.002


def test_scores_are_the_cosines_of_the_rows_in_use() -> None:
    store, texts = filled(10), 3.0 * unit(np.random.default_rng(5), 3)
    store.remove(store.rows(line(2, 5)))
    rows = store.live_rows()
    vectors = store.vectors(rows)
    expected = (texts / 3.0) @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
    assert store.scores(texts) == pytest.approx(expected, abs=1e-5)
    assert store.keys(rows)[:, 0].tolist() == [0, 1, 5, 6, 7, 8, 9]
    assert store.positions()[2] == pytest.approx([0.275, 0.025, 0.025])


def test_the_cap_lets_a_change_show() -> None:
    keys, store = line(0, 1), VoxelStore(CHANNELS, max_bytes=ROOMY, weight_cap=10.0)
    before, after = np.eye(CHANNELS, dtype=np.float32)[:1], np.eye(CHANNELS, dtype=np.float32)[1:2]
    counts = np.full(1, 5, np.float32)
    for _ in range(1000):
        store.add(keys, before, counts, SECOND, 0)
    for _ in range(5):
        store.add(keys, after, counts, SECOND, 0)
    assert store.scores(after)[0, 0] > 0.95 > store.scores(before)[0, 0]
    assert store.hits[0] == 1005


def test_seldom_seen_and_old_voxels_leave_first_and_are_counted() -> None:
    store = small()
    rng = np.random.default_rng(2)
    capacity = store.capacity
    often = line(0, 10)
    for second in range(20):
        store.add(often, unit(rng, 10), np.ones(10, np.float32), second * SECOND, 0)
    for start in range(1000, 1000 + 3 * capacity, 10):
        # A new voxel of now is worth more than one of long ago that was seen as seldom.
        stamp = start * SECOND
        store.add(line(start, start + 10), unit(rng, 10), np.ones(10, np.float32), stamp, 0)
        store.add(often, unit(rng, 10), np.ones(10, np.float32), stamp, 0)
        assert store.bytes <= store.max_bytes and len(store) <= capacity
    kept = store.keys()[:, 0]
    assert set(range(10)) <= set(kept.tolist())
    new = kept[kept >= 1000]
    added = len(range(1000, 1000 + 3 * capacity, 10)) * 10
    assert store.evicted == added - len(new)
    # Of the ten that came in one frame, any may be left.
    assert sorted(new.tolist())[10:] == list(range(1010 + store.evicted, 1000 + added))


def test_nothing_leaves_by_time_alone() -> None:
    store = filled()
    store.add(line(50, 51), unit(np.random.default_rng(0), 1), np.ones(1, np.float32), 10**18, 0)
    assert len(store) == 7 and store.evicted == 0


def test_a_frame_larger_than_the_limit_keeps_its_fullest_voxels() -> None:
    store = small()
    count = store.capacity + 50
    store.add(line(0, count), unit(np.random.default_rng(0), count), np.arange(count, dtype=np.float32), 0, 0)
    assert len(store) == count - 50 == store.capacity and store.evicted == 50
    assert store.keys()[:, 0].min() == 50


def test_rows_are_used_again_and_hold_nothing_of_what_was_removed() -> None:
    store = filled(6)
    before = store.bytes
    rows = store.rows(line(1, 4))
    store.remove(rows)
    assert not store.vectors(rows).any() and not store.hits[rows].any()
    store.add(line(20, 23), unit(np.random.default_rng(3), 3), np.ones(3, np.float32), 0, 0)
    assert set(store.rows(line(20, 23)).tolist()) == set(rows.tolist())
    assert store.bytes - before <= 3 * key_index.ENTRY_BYTES


def test_a_box_is_forgotten() -> None:
    store = filled(6)
    assert store.forget_box(np.array([0.06, -1.0, -1.0]), np.array([0.19, 1.0, 1.0])) == 3
    assert store.keys()[:, 0].tolist() == [0, 4, 5]


def test_a_move_turns_one_submap_and_leaves_the_others() -> None:
    store = filled(4, submap=1)
    still = np.array([[30, 30, 30]], np.int32)
    store.add(still, unit(np.random.default_rng(4), 1), np.ones(1, np.float32), SECOND, 2)
    vectors = store.vectors(store.rows(line(0, 4)))
    quarter = RigidTransform.of_quaternion(
        (1.0, 0.0, 0.5), (0.0, 0.0, math.sin(math.pi / 4), math.cos(math.pi / 4))
    )
    store.move({1: quarter, 7: quarter})
    # x becomes y, y becomes -x, and the shift is 20 and 10 voxels.
    moved = np.array([[19, number, 10] for number in range(4)], np.int32)
    assert (store.rows(line(0, 4)) == -1).all()
    assert np.array_equal(store.vectors(store.rows(moved)), vectors)
    assert store.rows(still)[0] >= 0 and len(store) == 5


def test_voxels_that_meet_in_a_move_become_one_mean() -> None:
    axes = np.eye(CHANNELS, dtype=np.float32)
    store = VoxelStore(CHANNELS, max_bytes=ROOMY)
    store.add(line(0, 1), axes[:1], np.full(1, 3, np.float32), SECOND, 1)
    store.add(line(10, 11), axes[1:2], np.full(1, 1, np.float32), 2 * SECOND, 2)
    store.take_changed()
    store.move({2: RigidTransform(np.eye(3), np.array([-0.5, 0.0, 0.0]))})
    row = store.rows(line(0, 1))
    assert len(store) == 1
    assert store.vectors(row)[0] == pytest.approx([0.75, 0.25, 0.0, 0.0], abs=1e-3)
    assert store.weights[row] == 4 and store.hits[row] == 2
    assert store.last_seen[row] == 2 * SECOND and store.submap[row] == 2
    changed = store.take_changed()
    assert changed["keys"].tolist() == [[0, 0, 0]] and changed["removed"].tolist() == [[10, 0, 0]]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 200))
def test_a_move_keeps_all_points_and_no_voxel_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keys = np.unique(rng.integers(-4, 4, (60, 3)).astype(np.int32), axis=0)
    store = VoxelStore(CHANNELS, max_bytes=ROOMY, weight_cap=1e6)
    for submap, part in enumerate(np.array_split(keys, 3)):
        store.add(part, unit(rng, len(part)), np.full(len(part), 2, np.float32), submap, submap)
    moves = {
        number: RigidTransform.of_quaternion(rng.uniform(-0.2, 0.2, 3), rng.standard_normal(4))
        for number in (0, 2)
    }
    store.move(moves)
    arrays = store.arrays()
    assert len(np.unique(arrays["keys"], axis=0)) == len(arrays["keys"]) == len(store)
    assert arrays["weights"].sum() == pytest.approx(2 * len(keys)) and arrays["hits"].sum() == len(keys)
    assert np.array_equal(store.rows(arrays["keys"]), store.live_rows())


@settings(deadline=None, max_examples=40)
@given(frames=st.lists(st.tuples(FRAME, FRAME, st.booleans()), max_size=8), seed=st.integers(0, 99))
def test_repeated_changes_make_the_same_map(
    frames: list[tuple[list[tuple[int, int, int]], list[tuple[int, int, int]], bool]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    store, replayed = VoxelStore(CHANNELS, max_bytes=ROOMY), dict[tuple[int, ...], tuple[object, ...]]()
    for number, (seen, taken, moves) in enumerate(frames):
        keys = np.array(seen, np.int32)
        store.add(keys, unit(rng, len(keys)), np.ones(len(keys), np.float32), number, number % 2)
        rows = store.rows(np.array(taken, np.int32))
        store.remove(rows[rows >= 0])
        if moves:
            store.move({0: RigidTransform(np.eye(3), np.array([0.1, 0.0, 0.0]))})
        changes = store.take_changed()
        for key in changes["removed"].tolist():
            replayed.pop(tuple(key), None)
        for place, key in enumerate(changes["keys"].tolist()):
            replayed[tuple(key)] = (changes["hits"][place], changes["vectors"][place].tobytes())
    arrays = store.arrays()
    assert replayed == {
        tuple(key): (arrays["hits"][place], arrays["vectors"][place].tobytes())
        for place, key in enumerate(arrays["keys"].tolist())
    }
    assert not any(len(array) for array in store.take_changed().values())


def test_arrays_come_back_as_the_same_store() -> None:
    store = filled(6, submap=3)
    store.add(line(2, 9), unit(np.random.default_rng(7), 7), np.ones(7, np.float32), 9 * SECOND, 4)
    store.remove(store.rows(line(0, 1)))
    loaded = VoxelStore.of_arrays(store.arrays(), max_bytes=ROOMY)
    expected = store.arrays()
    for name, array in loaded.arrays().items():
        assert array.dtype == expected[name].dtype and np.array_equal(array, expected[name])
    assert not len(loaded.take_changed()["keys"])
    loaded.add(line(40, 41), unit(np.random.default_rng(8), 1), np.ones(1, np.float32), 0, 5)
    assert loaded.take_changed()["keys"].tolist() == [[40, 0, 0]]


def test_a_smaller_limit_loads_the_most_valuable() -> None:
    store = filled(400)
    store.add(line(100, 200), unit(np.random.default_rng(7), 100), np.ones(100, np.float32), SECOND, 0)
    loaded = VoxelStore.of_arrays(store.arrays(), max_bytes=8_000)
    assert set(range(100, 200)) <= set(loaded.keys()[:, 0].tolist())
    assert len(loaded) + loaded.evicted == 400 and loaded.bytes <= loaded.max_bytes


def test_a_store_without_a_limit_takes_no_more_than_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mean_rows, "RESERVED_ROWS", 1_000)
    store = VoxelStore(CHANNELS, max_bytes=sys.maxsize)
    vectors = unit(np.random.default_rng(0), 70_000)
    store.add(line(0, 70_000), vectors, np.ones(70_000, np.float32), 0, 0)
    store.add(line(70_000, 140_000), vectors, np.ones(70_000, np.float32), 0, 1)
    assert len(store) == 140_000 and store.bytes < 100 * 140_000
    assert store.submap[store.rows(line(69_999, 70_001))].tolist() == [0, 1]


def test_an_empty_store_answers() -> None:
    store = VoxelStore(CHANNELS, max_bytes=ROOMY)
    assert store.scores(np.ones((2, CHANNELS), np.float32)).shape == (2, 0)
    assert store.rows(line(0, 2)).tolist() == [-1, -1] and store.positions().shape == (0, 3)
    store.move({0: RigidTransform.identity()})
    loaded = VoxelStore.of_arrays(store.arrays(), max_bytes=ROOMY)
    assert len(loaded) == 0 and loaded.channels == CHANNELS


def test_a_voxel_out_of_reach_is_not_known_and_cannot_be_added() -> None:
    store, far = filled(), np.array([[2**30, 0, 0], [1, 0, 0]], np.int32)
    assert store.rows(far).tolist() == [-1, 1]
    with pytest.raises(PerceptionError, match="poses"):
        store.add(far, unit(np.random.default_rng(0), 2), np.ones(2, np.float32), 0, 0)
    assert len(store) == 6


def test_vectors_that_do_not_fit_are_refused_and_the_store_stays() -> None:
    store, counts = filled(), np.ones(1, np.float32)
    with pytest.raises(PerceptionError, match="4 channels"):
        store.add(line(9, 10), np.ones((1, 5), np.float32), counts, 0, 0)
    with pytest.raises(PerceptionError, match="not finite"):
        store.add(line(9, 10), np.full((1, CHANNELS), np.nan, np.float32), counts, 0, 0)
    with pytest.raises(PerceptionError, match="raise max_bytes"):
        VoxelStore(CHANNELS, max_bytes=10)
    assert len(store) == 6


@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        ("keys", lambda array: np.zeros_like(array), "twice"),
        ("hits", lambda array: np.zeros_like(array), "hits"),
        ("weights", lambda array: array[:-1], "'weights' has 5 rows for 6"),
        ("vectors", lambda array: np.full_like(array, np.nan), "not finite"),
        ("vectors", lambda array: array.ravel(), "shape"),
        ("submap", lambda array: None, "lack the array 'submap'"),
    ],
)
def test_damaged_arrays_are_refused(name: str, damage: object, told: str) -> None:
    arrays = filled(6).arrays()
    damaged = damage(arrays.pop(name))  # type: ignore[operator]
    if damaged is not None:
        arrays[name] = damaged
    with pytest.raises(PerceptionError, match=told):
        VoxelStore.of_arrays(arrays, max_bytes=ROOMY)
