"""Ids against known motion: crossings, occlusion, a moving camera, odd clocks, and a rendered household."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torchvision.ops import box_iou

from perception_contrast.core.detection import Detection, Scores
from perception_contrast.tracking.camera_motion import CameraMotion
from perception_contrast.tracking.kalman_filter import BoxKalmanFilter
from perception_contrast.tracking.multi_camera_tracker import MultiCameraTracker
from perception_contrast.tracking.tracker import Tracker, TrackSettings

RATE = 10
BLANK = np.full((480, 640, 3), 90, np.uint8)
Box = tuple[float, float, float, float]


def look(seed: int, noise: float = 0.0, rng: np.random.Generator | None = None) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(64)
    vector /= np.linalg.norm(vector)
    if rng is not None:
        vector += noise * rng.standard_normal(64) / 8
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def found(box: Box, kind: int = 0, p: float = 0.9, label: str = "", space: str = "s@1") -> Detection:
    x0, y0, x1, y1 = (round(v) for v in box)
    mask = np.ones((y1 - y0, x1 - x0), bool)
    return Detection(label or f"kind {kind}", Scores(0.3, 0.6, p), (x0, y0, x1, y1), mask, look(kind), space)


def square(x: float, y: float, side: float = 40) -> Box:
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def ids(tracker: Tracker, detections: Sequence[Detection], k: int, image: np.ndarray = BLANK) -> list[str]:
    """Of frame k at RATE frames a second."""
    return [d.track_id for d in tracker.update(detections, image, 10**9 + k * 10**9 // RATE)]


def test_nothing_but_the_id_changes() -> None:
    detections = [found(square(100, 100)), found(square(300, 100), 1)]
    tracked = Tracker().update(detections, BLANK, 1)
    assert [d.track_id for d in tracked] == ["1", "2"]
    for before, after in zip(detections, tracked, strict=True):
        assert {**vars(before), "track_id": after.track_id} == vars(after)
    assert Tracker().update([], BLANK, 1) == ()


@pytest.mark.parametrize("kinds", [(0, 1), (0, 0)])
@pytest.mark.parametrize("order", [1, -1])
def test_things_that_cross_keep_their_ids(kinds: tuple[int, int], order: int) -> None:
    tracker, seen = Tracker(), []
    for k in range(50):
        pair = [found(square(100 + 9 * k, 200), kinds[0]), found(square(541 - 9 * k, 212), kinds[1])]
        seen.append(ids(tracker, pair[::order], k)[::order])
    assert seen == [["1", "2"][::order]] * 50


@pytest.mark.parametrize("speed", [0.0, 60.0, 150.0])
def test_a_thing_hidden_for_a_second_has_its_id_again(speed: float) -> None:
    tracker, seen = Tracker(), set()
    for k in range(40):
        visible = not 15 <= k < 15 + RATE
        thing = [found(square(60 + speed * k / RATE, 200))] if visible else []
        seen |= set(ids(tracker, [*thing, found(square(400, 400), 1)], k)[: len(thing)])
    assert seen == {"1"}


def test_a_thing_hidden_for_longer_than_is_remembered_is_new() -> None:
    tracker = Tracker(TrackSettings(seconds=1.0))
    assert ids(tracker, [found(square(100, 100))], 0) == ["1"]
    assert ids(tracker, [], 1) == []
    assert ids(tracker, [found(square(100, 100))], 11) == ["2"]


def test_what_stops_behind_something_is_known_by_its_look() -> None:
    """The filter expects it 120 pixels on; another thing of another look lies nearer to there."""
    tracker = Tracker()
    for k in range(10):
        ids(tracker, [found(square(100 + 12 * k, 200), 0)], k)
    for k in range(10, 20):
        ids(tracker, [], k)
    assert ids(tracker, [found(square(300, 200), 5), found(square(230, 200), 0)], 20) == ["2", "1"]


def test_two_alike_side_by_side_do_not_swap() -> None:
    rng, tracker, seen = np.random.default_rng(0), Tracker(), []
    for k in range(100):
        pair = [found(square(*(c + rng.normal(0, 2, 2))), 0) for c in ((200, 200), (245, 200))]
        shown = pair if k % 7 else pair[k % 2 : k % 2 + 1]
        order = 1 if k % 3 else -1
        seen.append(ids(tracker, shown[::order], k)[::order])
    assert {s for one in seen for s in one} == {"1", "2"}
    assert len({tuple(one) for one in seen if len(one) == 2}) == 1


def test_a_new_thing_has_a_new_id_and_none_is_used_again() -> None:
    tracker, given = Tracker(), []
    for k in range(0, 400, 40):
        given += ids(tracker, [found(square(100, 100)), found(square(300, 300), k)], k)
    assert len(set(given)) == len(given) == 20
    tracker.update([found(square(100, 100))], BLANK, 5)
    assert ids(tracker, [found(square(100, 100)), found(square(400, 100))], 401)[1] not in given


def test_duplicates_of_a_label_have_ids_of_their_own_and_keep_them() -> None:
    tracker = Tracker()
    same = [found(square(100, 100)), found(square(100, 100)), found(square(100, 100), label="a cup")]
    assert [ids(tracker, same, k) for k in range(10)] == [["1", "2", "1"]] * 10


def test_one_thing_keeps_one_id_whatever_labels_name_it() -> None:
    """A fast thing under two labels, of which now one and now the other is more probable or alone."""
    tracker, seen = Tracker(), []
    for k in range(30):
        place = square(60 + 15 * k, 200)
        mug = found(place, p=0.9 if k % 2 else 0.6, label="mug")
        cup = found(square(62 + 15 * k, 201), p=0.75, label="cup")
        shown = [mug, cup] if k % 5 else [cup]
        seen.append(ids(tracker, [*shown, found(square(500, 400), 3, label="cup")], k))
    assert {number for one in seen for number in one[:-1]} == {"1"}
    assert {one[-1] for one in seen} == {"2"}


def test_what_covers_less_of_the_same_pixels_is_another_thing() -> None:
    whole, part = found(square(100, 100, 40), label="chair"), found(square(100, 92, 24), label="cushion")
    assert ids(Tracker(), [whole, part], 0) == ["1", "2"]


def test_another_name_for_the_same_thing_is_the_same_thing() -> None:
    tracker = Tracker()
    seen = [ids(tracker, [found(square(100, 100), label="mug" if k % 2 else "cup")], k) for k in range(6)]
    assert seen == [["1"]] * 6
    other = Tracker()
    ids(other, [found(square(100, 100), 0)], 0)
    assert ids(other, [found(square(125, 100), 1)], 1) == ["2"]


def test_a_weak_detection_keeps_the_id_but_not_its_look() -> None:
    tracker = Tracker()
    assert ids(tracker, [found(square(100, 100), 0)], 0) == ["1"]
    hidden = found(square(102, 100), 3, p=0.1, label="kind 0")
    assert [ids(tracker, [hidden], k) for k in (1, 2, 3)] == [["1"]] * 3
    assert ids(tracker, [found(square(103, 100), 0)], 4) == ["1"]
    # The confident one chooses first.
    both = [found(square(104, 100), 0, p=0.1), found(square(108, 100), 0)]
    assert ids(tracker, both, 5) == ["2", "1"]


def test_looks_of_another_space_are_not_compared() -> None:
    tracker = Tracker()
    ids(tracker, [found(square(100, 100), 0)], 0)
    assert ids(tracker, [found(square(100, 100), 9, label="kind 0", space="other@2")], 1) == ["1"]
    bare = found(square(100, 100), 0)
    assert ids(tracker, [Detection(bare.label, bare.scores, bare.box, bare.mask)], 2) == ["1"]
    wrong = Tracker()
    ids(wrong, [found(square(100, 100), 0)], 0)
    assert ids(wrong, [found(square(112, 100), 9, label="kind 0")], 1) == ["2"]


def test_a_clock_that_jumps_back_starts_anew() -> None:
    tracker = Tracker()
    things = [found(square(100, 100)), found(square(300, 100), 1)]
    assert ids(tracker, things, 900) == ["1", "2"]
    assert ids(tracker, things, 0) == ["3", "4"]
    assert ids(tracker, things, 1) == ["3", "4"]
    assert ids(tracker, things, 1) == ["3", "4"]  # the same stamp twice
    assert ids(tracker, things, 1 + 600 * RATE) == ["5", "6"]  # ten minutes on
    assert tracker.update(things, BLANK[:240], 10**9 + 601 * 10**9)[0].track_id == "7"  # another size


def test_stamps_of_zero_count_frames() -> None:
    tracker = Tracker()
    thing = [found(square(100, 100))]
    for _ in range(30):
        assert [d.track_id for d in tracker.update(thing, BLANK, 0)] == ["1"]
    for _ in range(15):
        assert tracker.update([], BLANK, 0) == ()
    assert tracker.update(thing, BLANK, 0)[0].track_id == "1"
    for _ in range(25):
        tracker.update([], BLANK, 0)
    assert tracker.update(thing, BLANK, 0)[0].track_id == "2"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(1, 30)), max_size=6),
            st.one_of(st.integers(-(2**31), 2**31), st.sampled_from([0, 1, 10**18])),
        ),
        max_size=8,
    )
)
def test_any_input_gives_each_detection_one_id(
    frames: list[tuple[list[tuple[int, int, int]], int]],
) -> None:
    tracker, image = Tracker(), np.zeros((48, 64, 3), np.uint8)
    for boxes, stamp in frames:
        detections = [found((x, y, x + s, y + s), s % 3, p=s / 30) for x, y, s in boxes]
        given_ids = [d.track_id for d in tracker.update(detections, image, stamp)]
        assert len(set(given_ids)) == len(given_ids) == len(boxes) and all(given_ids)


def test_no_two_tracks_in_sight_have_one_value_in_an_instance_image() -> None:
    numbers = iter([5, 65_534 + 5, 65_534 + 6])
    tracker = Tracker(numbers=numbers)
    first, second = found(square(100, 100)), found(square(300, 100), 1)
    assert ids(tracker, [first], 0) == ["5"]
    assert ids(tracker, [first, second], 1) == ["5", str(65_534 + 6)]


def test_cameras_share_numbers_and_nothing_else() -> None:
    numbers = itertools.count(7)
    trackers, options = MultiCameraTracker(numbers), TrackSettings()
    thing = [found(square(100, 100))]
    for k in (1, 2):
        assert trackers.update("left", thing, BLANK, k, options)[0].track_id == "7"
        assert trackers.update("right", thing, BLANK, k, options)[0].track_id == "8"
    for number in range(100):
        trackers.update(f"camera {number}", [], BLANK, 1, options)
    assert trackers.update("left", thing, BLANK, 3, options)[0].track_id == "9"


# The camera.


def warped(matrix: np.ndarray, size: tuple[int, int] = (480, 640)) -> np.ndarray:
    """What a camera sees of a photograph; matrix: (2, 3), photograph to image."""
    return cv2.warpAffine(PHOTOGRAPH, matrix, size[::-1], flags=cv2.INTER_LINEAR)


PHOTOGRAPH = cv2.resize(data.coffee(), (1800, 1200), interpolation=cv2.INTER_LINEAR)


def similarity(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((320, 240), angle, scale)
    return matrix + np.array([[0, 0, x], [0, 0, y]])


@pytest.mark.parametrize(
    "motion",
    [(0, 1, 0, 0), (0, 1, -20, 0), (0, 1, 31, -12), (3, 1, 5, 5), (0, 1.05, 0, 0), (-2, 0.96, 20, 9)],
)
def test_the_cameras_motion_is_found(motion: tuple[float, float, float, float]) -> None:
    start = np.array([[1.0, 0, -500], [0, 1, -300]])
    truth = similarity(*motion)
    moved = truth @ np.vstack([start, [0, 0, 1]])
    camera = CameraMotion()
    assert np.array_equal(camera.step(warped(start)), np.eye(2, 3))
    seen = camera.step(warped(moved))
    corners = np.array([[50, 50, 1], [590, 50, 1], [50, 430, 1], [590, 430, 1], [320, 240, 1]]).T
    assert np.abs(seen @ corners - truth @ corners).max() < 1.5


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (480, 640)])
def test_an_image_that_shows_nothing_has_not_moved(size: tuple[int, int]) -> None:
    camera = CameraMotion()
    for value in (0, 255, 90):
        assert np.array_equal(camera.step(np.full((*size, 3), value, np.uint8)), np.eye(2, 3))
    noise = np.random.default_rng(0).integers(0, 256, (2, 480, 640, 3), dtype=np.uint8)
    camera.step(noise[0])
    assert np.array_equal(camera.step(noise[1]), np.eye(2, 3))


@pytest.mark.parametrize("still", [False, True])
def test_ids_stay_while_the_camera_pans(still: bool) -> None:
    """Alike things 60 pixels apart, 20 pixels a frame, one way and back without a warning."""
    tracker = Tracker()
    seen: list[list[str]] = []
    for k in range(40):
        x = -300 - 20 * (k if k < 20 else 40 - k)
        image = BLANK if still else warped(np.array([[1.0, 0, x], [0, 1, -300]]))
        things = [found(square(px + x, 200 + py)) for px in (740, 800, 860) for py in (0, 60)]
        seen.append(ids(tracker, things, k, image))
    same = all(one == seen[0] for one in seen)
    # On an image that shows nothing of the motion, the turn comes as a surprise.
    assert same is not still


def test_the_filter_is_kalmans() -> None:
    """The closed forms against the textbook's matrices."""
    rng, motion = np.random.default_rng(1), BoxKalmanFilter()
    motion.add(np.array([[100.0, 50, 140, 90]]))
    state = np.array([120.0, 0.0])
    noise = (0.05 * 40 + 0.5) ** 2
    covariance = np.diag([noise, (2.0 * 40) ** 2])
    for step in range(20):
        t = float(rng.uniform(0.02, 0.3))
        forward, push = np.array([[1, t], [0, 1]]), (1.5 * 40) ** 2
        covariance = forward @ covariance @ forward.T
        covariance += push * np.array([[t**3 / 3, t**2 / 2], [t**2 / 2, t]])
        state = forward @ state
        motion.predict(t)
        x = 120.0 + 8 * step + float(rng.normal(0, 2))
        gain = covariance[:, 0] / (covariance[0, 0] + noise)
        state = state + gain * (x - state[0])
        covariance = covariance - np.outer(gain, covariance[0])
        motion.correct(np.array([0]), np.array([[x - 20, 50, x + 20, 90]]))
        assert (motion.centre[0, 0], motion.velocity[0, 0]) == pytest.approx(tuple(state))
        assert motion.variance[0] == pytest.approx(covariance[[0, 0, 1], [0, 1, 1]])


# A rendered household, judged by motmetrics.


def rendered(seed: int, seconds: float) -> Iterable[tuple[np.ndarray, dict[int, tuple[Box, str]]]]:
    """Images at RATE and the exact boxes of what is seen, by instance."""
    from perception_contrast_sim.render.scene_builder import STRUCTURE
    from perception_contrast_sim.rooms.household import Household

    household = Household(seed, offline=False)
    try:
        for k in range(round(seconds * RATE)):
            image = household.render(k / RATE, labels=True)
            truths = {}
            for number in np.unique(image.instances):
                ys, xs = np.nonzero(image.instances == number)
                if number >= len(STRUCTURE) and len(xs) >= 150:
                    box = (float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
                    truths[int(number)] = (box, household.objects[int(number)].category)
            yield image.rgb, truths
    finally:
        household.close()


class Identities:
    """Truths by name: one that was not shown for longer than is remembered counts as another thing."""

    def __init__(self, frames: int) -> None:
        self._frames, self._shown, self._turn = frames, dict[int, int](), dict[int, int]()

    def __call__(self, number: int, k: int) -> int:
        if k - self._shown.get(number, k) > self._frames:
            self._turn[number] = self._turn.get(number, 0) + 1
        self._shown[number] = k
        return number + 1000 * self._turn.get(number, 0)


def detected(box: Box, category: str, rng: np.random.Generator) -> Detection:
    """Off by 3 % of its size. One look a category: things alike are told apart by place alone."""
    side = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    x0, y0, x1, y1 = np.array(box) + rng.normal(0, 0.03 * side, 4)
    one = found((x0, y0, max(x1, x0 + 2), max(y1, y0 + 2)), label=category)
    return Detection(one.label, one.scores, one.box, one.mask, look(sum(category.encode()), 0.3, rng), "s@1")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 8])
def test_a_household_is_followed(seed: int) -> None:
    """A camera's orbit; a tenth of the boxes are missing, and a third of the things for a second in ten."""
    motmetrics = pytest.importorskip("motmetrics")
    rng, tracker = np.random.default_rng(seed), Tracker()
    accumulator, identity = motmetrics.MOTAccumulator(auto_id=True), Identities(2 * RATE)
    for k, (image, truths) in enumerate(rendered(seed, 20.0)):
        shown = {
            number: truth
            for number, truth in truths.items()
            if rng.random() > 0.1 and not (number % 3 == 0 and 80 <= k % 100 < 90)
        }
        detections = [detected(box, category, rng) for box, category in shown.values()]
        tracked = tracker.update(detections, image, 10**9 + k * 10**9 // RATE)
        truth = torch.tensor([box for box, _ in shown.values()]).reshape(-1, 4)
        apart = 1 - box_iou(truth, torch.tensor([d.box for d in tracked], dtype=truth.dtype).reshape(-1, 4))
        distance = np.where(apart.numpy() > 0.5, np.nan, apart.numpy())
        accumulator.update([identity(n, k) for n in shown], [int(d.track_id) for d in tracked], distance)
    figures = motmetrics.metrics.create().compute(
        accumulator, metrics=["idf1", "mota", "num_switches", "num_objects", "num_unique_objects"]
    )
    print(figures)
    assert figures.idf1.item() >= 0.9
    assert figures.num_switches.item() <= 0.005 * figures.num_objects.item()
