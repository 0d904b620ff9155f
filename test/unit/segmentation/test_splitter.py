"""Regions of several things: parted where a head, depth or looks tell them apart, left whole otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from perception_contrast.core.errors import ModelError
from perception_contrast.segmentation.instances.median import median
from perception_contrast.segmentation.instances.split_classifier import (
    SplitClassifier,
    load_split_classifiers,
)
from perception_contrast.segmentation.instances.split_cues import SplitCues
from perception_contrast.segmentation.instances.split_evidence import (
    MAX_DEPTH_STEP,
    SplitEvidence,
    evidence_terms,
)
from perception_contrast.segmentation.instances.splitter import Splitter
from perception_contrast.segmentation.instances.two_means import two_means
from perception_contrast.segmentation.regions.region import Region, measure_region
from perception_contrast.segmentation.upsampling.logit_upsampler import LogitUpsampler

SIZE, CELLS = (240, 320), (30, 40)


def region_of(mask: np.ndarray, upsampler: LogitUpsampler) -> Region:
    """The region of a mask (H, W) of the image, on the coarse map."""
    small = (
        cv2.resize(mask.astype(np.uint8), upsampler.coarse_size[::-1], interpolation=cv2.INTER_NEAREST) > 0
    )
    x, y, w, h = cv2.boundingRect(small.astype(np.uint8))
    inside = np.ascontiguousarray(small[y : y + h, x : x + w])
    return measure_region(np.ones(inside.shape, np.float32), (x, y), inside, small.size)


def votes_for(truth: np.ndarray) -> np.ndarray:
    """What a perfect head says of instances (H, W), 0 for none: middles, radii, edges of each cell."""
    cells = cv2.resize(truth, CELLS[::-1], interpolation=cv2.INTER_NEAREST)
    things = np.zeros((*CELLS, 4), np.float32)
    things[..., 3] = -4.0
    for number in np.unique(cells[cells > 0]):
        rows, columns = np.nonzero(cells == number)
        radius = np.sqrt(len(rows) / np.pi)
        things[rows, columns, 0] = (rows.mean() - rows) / radius
        things[rows, columns, 1] = (columns.mean() - columns) / radius
        things[rows, columns, 2] = np.log(radius)
        inner = cv2.erode((cells == number).astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0)
        things[(cells == number) & (inner == 0), 3] = 4.0
    return things


def blocks(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Instances (H, W) int32 from 1 on, of boxes (x0, y0, x1, y1)."""
    truth = np.zeros(SIZE, np.int32)
    for number, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        truth[y0:y1, x0:x1] = number
    return truth


def painted(truth: np.ndarray, colours: list[tuple[int, int, int]]) -> np.ndarray:
    image = np.full((*SIZE, 3), 128, np.uint8)
    for number, colour in enumerate(colours, start=1):
        image[truth == number] = colour
    return image


def parts_of(truth: np.ndarray, image: np.ndarray, split_cues: SplitCues) -> list[np.ndarray]:
    upsampler = LogitUpsampler(image, CELLS)
    region = region_of(truth > 0, upsampler)
    parts = Splitter(upsampler, image, split_cues)(region)
    assert np.array_equal(np.sum(parts, axis=0), region.mask)  # every pixel belongs to one part
    return parts


TWO = blocks((90, 90, 140, 140), (140, 90, 190, 140))
THREE = blocks((80, 90, 125, 135), (125, 90, 170, 135), (170, 90, 215, 135))
ONE = blocks((80, 70, 180, 140))
WIDE = blocks((20, 60, 160, 200), (160, 60, 300, 200))
GREEN, RED, BLUE, TEAL = (40, 160, 60), (190, 40, 40), (40, 60, 190), (40, 150, 120)


@pytest.mark.parametrize(("truth", "count"), [(ONE, 1), (TWO, 2), (THREE, 3)])
def test_things_that_touch_are_told_apart_by_their_middles_and_colours(truth: np.ndarray, count: int) -> None:
    image = painted(truth, [GREEN, RED, BLUE][:count])
    parts = parts_of(truth, image, SplitCues(instance_votes=votes_for(truth)))
    assert len(parts) == count
    areas = sorted(int(part.sum()) for part in parts)
    assert areas[-1] < 1.15 * areas[0]


def test_one_thing_stays_whole_and_so_does_what_is_as_large_as_a_wall() -> None:
    assert len(parts_of(ONE, painted(ONE, [RED]), SplitCues())) == 1
    assert len(parts_of(ONE, painted(ONE, [RED]), SplitCues(instance_votes=votes_for(ONE)))) == 1
    assert len(parts_of(WIDE, painted(WIDE, [GREEN, RED]), SplitCues(instance_votes=votes_for(WIDE)))) == 1


def test_a_step_of_depth_tells_things_of_like_colours_apart_and_a_slope_does_not() -> None:
    image = painted(TWO, [GREEN, TEAL])
    step = np.where(np.arange(SIZE[1]) < 140, 1.0, 1.4).astype(np.float32) * np.ones(SIZE, np.float32)
    slope = np.linspace(1.0, 1.3, SIZE[1], dtype=np.float32) * np.ones(SIZE, np.float32)
    assert len(parts_of(TWO, image, SplitCues(depth=step))) == 2
    assert len(parts_of(TWO, image, SplitCues(depth=slope))) == 1


@pytest.mark.parametrize("unknown", [np.nan, 0.0])
def test_depth_that_is_unknown_everywhere_tells_nothing(unknown: float) -> None:
    image = painted(TWO, [GREEN, TEAL])
    assert len(parts_of(TWO, image, SplitCues(depth=np.full(SIZE, unknown, np.float32)))) == 1


@given(st.integers(0, 1000), st.booleans(), st.booleans())
@settings(max_examples=30, deadline=None)
def test_any_region_is_shared_out_whole(seed: int, voting: bool, deep: bool) -> None:
    rng = np.random.default_rng(seed)
    blob = cv2.GaussianBlur(rng.normal(size=SIZE).astype(np.float32), (0, 0), 12)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((blob > 0.02).astype(np.uint8))
    truth = (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.int32)
    image = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    things = rng.normal(size=(*CELLS, 4)).astype(np.float32) if voting else None
    depth = rng.uniform(0.5, 4.0, SIZE).astype(np.float32) if deep else None
    parts_of(truth, image, SplitCues(things, depth))


@given(st.integers(0, 500))
@settings(max_examples=25, deadline=None)
def test_two_means_are_scikit_learns_from_the_same_start(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.normal(0, 1, (40, 3)), rng.normal(9, 1, (30, 3))]).astype(np.float32)
    owner = two_means(points)
    theirs = KMeans(2, n_init=5, random_state=0).fit_predict(points)
    assert np.mean(owner == theirs) in (0.0, 1.0)


@example(
    {**dict.fromkeys(evidence_terms(SplitEvidence()), 0.0), "count_and_depth": 1.0},
    SplitEvidence(count=1.0, depth=MAX_DEPTH_STEP),
)
@example(
    {**dict.fromkeys(evidence_terms(SplitEvidence()), 0.0), "count_and_depth": -1.0},
    SplitEvidence(count=-1.0, depth=9.0),
)
@given(
    st.fixed_dictionaries({name: st.floats(-3, 3) for name in evidence_terms(SplitEvidence())}),
    st.builds(
        SplitEvidence,
        st.floats(-4, 4),
        *(st.floats(0, top) for top in (3.0, 4.0)),
        features=st.floats(0, 2),
        edge=st.floats(-1, 1),
        border=st.floats(0, 5),
        depth=st.floats(0, MAX_DEPTH_STEP),
    ),
)
@settings(max_examples=300, deadline=None)
def test_what_is_not_looked_at_to_the_end_would_not_have_been_parted(
    weights: dict[str, float], seen: SplitEvidence
) -> None:
    classifier = SplitClassifier(weights, offset=-2.0, split_from=0.3)
    if classifier(seen) >= classifier.split_from:
        assert classifier.can_still_split(replace(seen, features=0.0, depth=0.0))


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=9))
@settings(max_examples=50, deadline=None)
def test_medians_are_numpys(values: list[float]) -> None:
    given_ = np.array(values, np.float32)
    assert median(given_) == pytest.approx(float(np.median(given_)), rel=1e-6)


def test_a_file_of_classifiers_that_is_damaged_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "split_classifiers.json"
    for text in ("{", json.dumps({"looks": {"weights": {"hue": 1.0}, "offset": 0.0, "split_from": 0.5}})):
        path.write_text(text)
        load_split_classifiers.cache_clear()
        with pytest.raises(ModelError, match=r"split_classifiers\.json"):
            load_split_classifiers(path)
        assert path.read_text() == text
    load_split_classifiers.cache_clear()
    assert set(load_split_classifiers()) == {"votes", "votes+depth", "looks", "looks+depth"}
