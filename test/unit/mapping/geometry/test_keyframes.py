"""Keyframes: exact depth, a bounded number spread by place, and arrays that come back."""

from __future__ import annotations

import numpy as np
import pytest
from map_frames import CAMERA, FORWARD, HEIGHT, WIDTH

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.geometry.keyframes import Keyframe, Keyframes, PinholeView


def view(x: float = 0.0, colors: bool = True, metres: float = 1.0) -> PinholeView:
    depth = np.full((HEIGHT, WIDTH), round(1000 * metres), np.uint16)
    depth[:, 56:] = 0
    image = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8) if colors else None
    if image is not None:
        image[depth == 0] = 0
    return PinholeView(depth, image, CAMERA, RigidTransform(FORWARD.rotation, np.array([x, 0.0, 0.0])), 7)


def test_depth_comes_back_exactly_and_colours_nearly() -> None:
    rng = np.random.default_rng(0)
    depth = rng.integers(0, 65_536, (HEIGHT, WIDTH)).astype(np.uint16)
    back = Keyframe.of_view(PinholeView(depth, view().colors, CAMERA, FORWARD, 3), 5).view()
    assert np.array_equal(back.depth, depth) and back.stamp == 3
    assert back.colors is not None and np.abs(back.colors.astype(int) - view().colors)[:, :40].max() < 8


def test_a_view_like_another_of_its_submap_is_not_kept() -> None:
    kept = Keyframes(10)
    assert kept.offer(view(0.0), 0) and not kept.offer(view(0.05), 0)
    assert kept.offer(view(0.05), 1) and kept.offer(view(0.5), 0)
    turned = RigidTransform.of_quaternion((0.0, 0.0, 0.0), (0.0, 0.0, 0.2, 0.98)) @ FORWARD
    assert kept.offer(PinholeView(view().depth, None, CAMERA, turned, 0), 0)
    assert len(kept) == 4


def test_a_full_set_stays_spread_by_place() -> None:
    kept = Keyframes(8)
    for submap, x in enumerate([*np.linspace(0.0, 14.0, 8), *np.linspace(0.01, 0.9, 40)]):
        kept.offer(view(float(x)), submap)
    places = sorted(float(one.pose.translation[0]) for one in kept)
    assert len(kept) == 8
    # A robot that lingers at one end does not push out what it saw at the other.
    assert places[-6:] == pytest.approx([4.0, 6.0, 8.0, 10.0, 12.0, 14.0])


def test_a_move_takes_the_keyframes_of_its_submap() -> None:
    kept = Keyframes(8)
    kept.offer(view(0.0), 1)
    kept.offer(view(1.0), 2)
    kept.move({2: RigidTransform(np.eye(3), np.array([0.0, 3.0, 0.0]))})
    assert [one.pose.translation.tolist() for one in kept] == [[0.0, 0.0, 0.0], [1.0, 3.0, 0.0]]


def test_what_was_in_a_box_is_in_no_image() -> None:
    kept = Keyframes(8)
    kept.offer(view(), 0)
    # The wall stands at x = 1; its left half at positive y.
    kept.blank(np.array([0.5, 0.0, -9.0]), np.array([1.5, 9.0, 9.0]))
    (one,) = (frame.view() for frame in kept)
    assert not one.depth[:, :32].any() and one.depth[:, 32:56].all()
    assert one.colors is not None and one.colors[:, :24].max() < 10 < one.colors[:, 40:48].min()


def test_arrays_come_back_as_the_same_keyframes() -> None:
    kept = Keyframes(8)
    kept.offer(view(0.0), 3)
    kept.offer(view(2.0, colors=False), 4)
    back = list(Keyframes.of_arrays(kept.arrays(), 8))
    for one, other in zip(kept, back, strict=True):
        assert (one.depth, one.colors, one.camera, one.submap, one.stamp) == (
            other.depth, other.colors, other.camera, other.submap, other.stamp,
        )  # fmt: skip
        assert one.pose.difference(other.pose) == pytest.approx((0.0, 0.0), abs=1e-7)
    assert len(list(Keyframes.of_arrays(Keyframes(2).arrays(), 2))) == 0


@pytest.mark.parametrize("name", ["lengths", "images", "poses", "stamps"])
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    kept = Keyframes(8)
    kept.offer(view(), 0)
    arrays = kept.arrays()
    arrays[name] = arrays[name][:-1]
    with pytest.raises(PerceptionError, match="damaged"):
        Keyframes.of_arrays(arrays, 8)


def test_a_damaged_image_is_named() -> None:
    one = Keyframe(b"no image", b"", CAMERA, FORWARD, 0, 0)
    with pytest.raises(PerceptionError, match="cannot be decoded"):
        one.view()
