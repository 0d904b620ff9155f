"""TransformBuffer against what tf2 documents and its own tests assert, and against closed forms."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from perception_contrast.core.rigid_transform import PoseError, RigidTransform
from perception_contrast.mapping.poses.transform_buffer import TransformBuffer
from perception_contrast.mapping.poses.transform_errors import (
    DisconnectedError,
    ExtrapolationError,
    FrameLoopError,
    UnknownFrameError,
    extrapolation,
)
from perception_contrast.mapping.poses.transform_link import LATEST

SECOND = 1_000_000_000


def shift(x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> RigidTransform:
    rotation = np.asarray(Rotation.from_euler("z", yaw).as_matrix())
    return RigidTransform(rotation, np.array([x, y, 0.0]))


def drawn(rng: np.random.Generator) -> RigidTransform:
    return RigidTransform.of_quaternion(rng.normal(0, 5, 3), rng.normal(0, 1, 4))


def assert_equal(found: RigidTransform, expected: RigidTransform) -> None:
    metres, radians = found.difference(expected)
    assert metres < 1e-9
    assert radians < 1e-7


def chain(*frames: str, stamps: tuple[int, ...] = (SECOND,)) -> TransformBuffer:
    """Each frame 1 m ahead of the one before."""
    buffer = TransformBuffer()
    for parent, child in pairwise(frames):
        for stamp in stamps:
            assert buffer.set_transform(parent, child, stamp, shift(1.0))
    return buffer


@pytest.mark.parametrize(
    ("target", "source", "metres"),
    [("a", "b", 1), ("b", "a", -1), ("a", "c", 2), ("c", "a", -2), ("b", "b", 0)],
)
def test_a_chain_is_looked_up_in_both_directions(target: str, source: str, metres: float) -> None:
    found = chain("a", "b", "c").lookup(target, source, SECOND)
    assert_equal(found, shift(metres))


def test_frames_of_two_branches_meet_at_their_common_ancestor() -> None:
    buffer = TransformBuffer()
    for parent, child, place in (
        ("a", "b", shift(1)), ("b", "c", shift(1)), ("a", "d", shift(0, 1)), ("d", "e", shift(0, 1)),
    ):  # fmt: skip
        buffer.set_transform(parent, child, SECOND, place)
    assert_equal(buffer.lookup("e", "c", SECOND), shift(2, -2))
    assert_equal(buffer.lookup("c", "e", SECOND), shift(-2, 2))
    assert_equal(buffer.lookup("b", "d", SECOND), shift(-1, 1))


def test_eight_turns_of_45_degrees_close_the_ring() -> None:
    buffer, frames = TransformBuffer(), "abcdefghi"
    step = shift(np.sqrt(0.5) - 1, np.sqrt(0.5), np.pi / 4)
    for parent, child in pairwise(frames):
        buffer.set_transform(parent, child, SECOND, step)
    assert_equal(buffer.lookup("a", "i", SECOND), RigidTransform.identity())
    assert_equal(buffer.lookup("a", "c", SECOND), shift(-1, 1, np.pi / 2))
    assert_equal(buffer.lookup("c", "a", SECOND), shift(-1, -1, -np.pi / 2))
    assert_equal(buffer.lookup("a", "e", SECOND), shift(-2, 0, np.pi))


@given(st.integers(0, 10_000), st.integers(0, SECOND))
@settings(max_examples=40)
def test_a_random_tree_is_the_product_of_its_interpolated_links(seed: int, offset: int) -> None:
    rng = np.random.default_rng(seed)
    buffer, parents, count = TransformBuffer(), {}, 8
    ends = [(drawn(rng), drawn(rng)) for _ in range(count)]
    for child in range(1, count):
        parents[child] = int(rng.integers(0, child))
        for stamp, place in zip((SECOND, 2 * SECOND), ends[child], strict=True):
            buffer.set_transform(f"f{parents[child]}", f"f{child}", stamp, place)

    def in_root(frame: int) -> RigidTransform:
        if frame == 0:
            return RigidTransform.identity()
        first, last = ends[frame]
        return in_root(parents[frame]) @ first.interpolated(last, offset / SECOND)

    target, source = rng.integers(0, count, 2)
    found = buffer.lookup(f"f{target}", f"f{source}", SECOND + offset)
    assert_equal(found, in_root(int(target)).inverse() @ in_root(int(source)))


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), min_size=1, max_size=40), st.integers(1, 40)
)
@settings(max_examples=80)
def test_samples_in_any_order_answer_as_a_plain_list_does(added: list[tuple[int, int]], stamp: int) -> None:
    cache = 10
    buffer, kept = TransformBuffer(cache_time=cache), dict[int, float]()
    for time, place in added:
        kept = {one: x for one, x in kept.items() if one >= max(kept) - cache}
        taken = buffer.set_transform("a", "b", time, shift(place))
        assert taken == (not kept or time >= max(kept) - cache)
        if taken:
            kept[time] = place
    found: Any
    try:
        found = buffer.lookup("a", "b", stamp).translation[0]
    except ExtrapolationError as error:
        found = "future" if error.future else "past"
        assert error.available == (max(kept) if error.future else min(kept))
    repeated = len({time for time, _ in added}) < len(added)
    if stamp > max(kept):
        assert found == "future"
    elif stamp < min(kept):
        assert found == "past"
    elif not repeated:
        assert found == pytest.approx(np.interp(stamp, sorted(kept), [kept[one] for one in sorted(kept)]))


def test_one_sample_answers_its_own_stamp_and_the_latest_alone() -> None:
    buffer = chain("a", "b", stamps=(2 * SECOND,))
    assert_equal(buffer.lookup("a", "b", 2 * SECOND), shift(1))
    assert_equal(buffer.lookup("a", "b", LATEST), shift(1))
    for stamp, future in ((2 * SECOND + 1, True), (2 * SECOND - 1, False)):
        with pytest.raises(ExtrapolationError) as caught:
            buffer.lookup("a", "b", stamp)
        assert caught.value.future is future


def test_an_extrapolation_says_where_to_and_both_times() -> None:
    buffer = chain("odom", "base", stamps=(2 * SECOND, 3 * SECOND))
    with pytest.raises(ExtrapolationError, match=r"future.*'odom' to 'base'.*4\.500 s.*3\.000 s.*clocks"):
        buffer.lookup("odom", "base", 4 * SECOND + SECOND // 2)
    with pytest.raises(ExtrapolationError, match=r"past.*1\.000 s.*2\.000 s"):
        buffer.lookup("base", "odom", SECOND)
    assert not buffer.can_transform("odom", "base", SECOND)
    assert buffer.can_transform("odom", "base", 2 * SECOND + 1)


def test_a_link_above_the_common_ancestor_need_not_be_known() -> None:
    buffer = chain("base", "camera", stamps=(5 * SECOND,))
    buffer.set_transform("base", "lidar", 5 * SECOND, shift(0, 1))
    buffer.set_transform("odom", "base", SECOND, shift(9))
    assert_equal(buffer.lookup("lidar", "camera", 5 * SECOND), shift(1, -1))
    assert_equal(buffer.lookup("base", "camera", 5 * SECOND), shift(1))
    with pytest.raises(ExtrapolationError, match="'odom' to 'base'"):
        buffer.lookup("odom", "camera", 5 * SECOND)
    with pytest.raises(ExtrapolationError, match="'odom' to 'base'"):
        buffer.lookup("camera", "odom", 5 * SECOND)


def test_the_latest_is_the_newest_time_that_all_moving_links_share() -> None:
    buffer = chain("map", "odom", stamps=(SECOND, 4 * SECOND))
    for stamp in (SECOND, 2 * SECOND, 3 * SECOND):
        buffer.set_transform("odom", "base", stamp, shift(stamp / SECOND))
    buffer.set_transform("base", "camera", 77, shift(0, 1), static=True)
    assert buffer.latest_common_time("map", "camera") == 3 * SECOND
    assert buffer.latest_common_time("camera", "map") == 3 * SECOND
    assert buffer.latest_common_time("base", "camera") == LATEST
    assert_equal(buffer.lookup("map", "camera"), shift(4, 1))
    buffer.set_transform("base", "arm", 2 * SECOND, shift(0, 2))
    assert buffer.latest_common_time("camera", "arm") == 2 * SECOND


def test_a_static_transform_holds_at_every_time_and_the_last_one_counts() -> None:
    buffer = TransformBuffer()
    for x in (1.0, 2.0):
        buffer.set_transform("base", "camera", SECOND, shift(x), static=True)
    for stamp in (LATEST, 1, SECOND, 10**18):
        assert_equal(buffer.lookup("base", "camera", stamp), shift(2))


def test_a_child_changes_between_static_and_moving() -> None:
    buffer = chain("base", "camera")
    buffer.set_transform("base", "camera", 0, shift(5), static=True)
    assert_equal(buffer.lookup("base", "camera", 9 * SECOND), shift(5))
    buffer.set_transform("base", "camera", 3 * SECOND, shift(6))
    with pytest.raises(ExtrapolationError):
        buffer.lookup("base", "camera", 9 * SECOND)


def test_nothing_is_interpolated_across_a_change_of_parent() -> None:
    buffer = TransformBuffer()
    buffer.set_transform("world", "table", SECOND, shift(10), static=True)
    buffer.set_transform("world", "hand", SECOND, shift(20), static=True)
    buffer.set_transform("table", "mug", SECOND, shift(1))
    buffer.set_transform("hand", "mug", 3 * SECOND, shift(2))
    assert_equal(buffer.lookup("world", "mug", 3 * SECOND - 1), shift(11))
    assert_equal(buffer.lookup("world", "mug", 3 * SECOND), shift(22))


def test_data_older_than_the_cache_are_refused_and_what_grew_old_leaves_with_the_next() -> None:
    buffer = chain("a", "b", stamps=(SECOND, 11 * SECOND))
    assert not buffer.set_transform("a", "b", SECOND - 1, shift())
    assert buffer.refused == {"older_than_cache": 1}
    buffer.set_transform("a", "b", 12 * SECOND, shift())
    assert buffer.can_transform("a", "b", SECOND)
    buffer.set_transform("a", "b", 12 * SECOND + 1, shift())
    with pytest.raises(ExtrapolationError, match=r"from 11\.000 s on"):
        buffer.lookup("a", "b", SECOND)


def test_after_clear_moving_frames_have_no_data_and_static_ones_stay() -> None:
    buffer = chain("a", "b", stamps=(100 * SECOND,))
    buffer.set_transform("b", "c", 0, shift(3), static=True)
    buffer.clear()
    assert_equal(buffer.lookup("b", "c", 7), shift(3))
    with pytest.raises(ExtrapolationError, match="cleared") as caught:
        buffer.lookup("a", "b", SECOND)
    assert caught.value.available is None
    with pytest.raises(DisconnectedError):
        buffer.lookup("a", "b", LATEST)
    assert buffer.set_transform("a", "b", SECOND, shift(1)), "an older clock begins anew"
    assert_equal(buffer.lookup("a", "c", SECOND), shift(4))


@pytest.mark.parametrize(
    ("parent", "child", "place", "reason"),
    [
        ("a", "a", shift(), "self_transform"),
        ("/a", "a", shift(), "self_transform"),
        ("a", "", shift(), "no_child_frame"),
        ("a", "/", shift(), "no_child_frame"),
        ("", "a", shift(), "no_parent_frame"),
        ("a", "b", shift(np.nan), "not_finite"),
    ],
)
def test_what_is_no_transform_is_refused_and_counted(
    parent: str, child: str, place: RigidTransform, reason: str
) -> None:
    buffer = TransformBuffer()
    assert not buffer.set_transform(parent, child, SECOND, place)
    assert buffer.refused == {reason: 1}
    assert buffer.frames == frozenset()


@pytest.mark.parametrize(
    ("quaternion", "reason"),
    [
        ((0, 0, 0, 0), "invalid_quaternion"),
        ((0, 0, np.nan, 1), "not_finite"),
        # As tf2, whose tolerance of the squared length is 0.01.
        ((0, 0, 0, 1.2), "invalid_quaternion"),
        ((0, 0, 3, 4), "invalid_quaternion"),
        ((0, 0, 0, 0.994), "invalid_quaternion"),
        ((0, 0, 0, 0.996), None),
        ((0, 0, 0, 1.004), None),
        ((0.5, -0.5, 0.5, -0.5), None),
    ],
)
def test_quaternions_become_rotations_and_what_is_none_is_told(
    quaternion: tuple[float, ...], reason: str | None
) -> None:
    told: list[tuple[str, str]] = []
    buffer = TransformBuffer(on_refused=lambda *told_of: told.append(told_of))
    taken = buffer.set_quaternion("a", "b", SECOND, np.zeros(3), np.array(quaternion))
    assert taken == (reason is None)
    assert dict(buffer.refused) == ({} if reason is None else {reason: 1})
    assert [one for one, _ in told] == ([] if reason is None else [reason])
    assert all("the pose of 'b' in 'a': the quaternion (0, 0, " in message for _, message in told)
    if taken:
        rotation = buffer.lookup("a", "b", SECOND).rotation
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


def test_a_leading_slash_is_left_out_of_what_comes_and_refused_in_what_is_asked() -> None:
    buffer = TransformBuffer()
    buffer.set_transform("/a", "/b", SECOND, shift(1))
    assert_equal(buffer.lookup("a", "b", SECOND), shift(1))
    with pytest.raises(UnknownFrameError, match="name it 'b'"):
        buffer.lookup("a", "/b", SECOND)
    with pytest.raises(UnknownFrameError, match="empty"):
        buffer.lookup("a", "", SECOND)


def test_unknown_and_unjoined_frames_are_named() -> None:
    buffer = chain("map", "base")
    buffer.set_transform("world", "arm", SECOND, shift())
    with pytest.raises(UnknownFrameError, match=r"'camera'.*Known: arm, base, map, world"):
        buffer.lookup("map", "camera", SECOND)
    for stamp in (SECOND, LATEST):
        with pytest.raises(DisconnectedError, match=r"'base' and 'arm'.*'map' and 'world'"):
            buffer.lookup("base", "arm", stamp)


def test_a_frame_is_its_own_identity_whether_it_is_known_or_not() -> None:
    assert_equal(TransformBuffer().lookup("nowhere", "nowhere", 5), RigidTransform.identity())


def test_a_loop_ends_with_an_error() -> None:
    buffer = chain("a", "b", "c", "a")
    buffer.set_transform("x", "y", SECOND, shift())
    for stamp in (SECOND, LATEST):
        with pytest.raises(FrameLoopError, match="loop"):
            buffer.lookup("y", "a", stamp)


def test_frames_that_are_not_joined_now_are_told_so_though_they_form_a_loop_later() -> None:
    buffer = TransformBuffer()
    for parent, child, second in (("r", "a", 1), ("r", "a", 2), ("b", "a", 3), ("a", "b", 3)):
        buffer.set_transform(parent, child, second * SECOND, shift())
    buffer.set_transform("s", "y", 0, shift(), static=True)
    with pytest.raises(DisconnectedError, match=r"'a' and 'y'"):
        buffer.lookup("a", "y", SECOND)


def test_a_repeated_sample_is_kept_once_and_the_last_of_a_stamp_counts() -> None:
    """Of the oldest stamp the first counts, as in tf2, once there is a newer one."""
    buffer = TransformBuffer()
    for x in (1.0, 1.0, 2.0, 1.0):
        assert buffer.set_transform("a", "b", 5, shift(x))
    assert buffer.lookup("a", "b", 5).translation[0] == 2.0
    buffer.set_transform("a", "b", 9, shift(6.0))
    assert buffer.lookup("a", "b", 5).translation[0] == 1.0
    assert buffer.lookup("a", "b", 7).translation[0] == 4.0


def test_readers_and_writers_do_not_disturb_each_other() -> None:
    buffer, problems = chain("a", "b", stamps=(1,)), list[BaseException]()

    def write() -> None:
        for stamp in range(2, 800):
            buffer.set_transform("a", "b", stamp, shift(1))

    def read() -> None:
        try:
            for _ in range(800):
                assert_equal(buffer.lookup("a", "b"), shift(1))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=one) for one in (write, read, read)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert problems == []


@pytest.mark.parametrize(
    ("error", "slug"),
    [
        (UnknownFrameError("x"), "unknown_frame"),
        (DisconnectedError("x"), "disconnected_frames"),
        (extrapolation("a", "b", 1, 2), "extrapolation_past"),
        (extrapolation("a", "b", 3, 2), "extrapolation_future"),
        (FrameLoopError("x"), "frame_loop"),
    ],
)
def test_every_error_is_a_pose_error_with_a_slug(error: PoseError, slug: str) -> None:
    assert error.reason == slug
