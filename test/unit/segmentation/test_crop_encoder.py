"""What the crop encoder encodes, remembers and leaves out, with an image encoder that counts its passes."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from crop_doubles import colour_crop_encoder, crops_in_a_row, image_of

from perception_contrast.preprocessing.region_crops import View
from perception_contrast.segmentation.rescoring import crop_encoder as module
from perception_contrast.segmentation.rescoring.crop_batches import PADDED, UNPADDED, batch_sizes
from perception_contrast.segmentation.rescoring.rescoring_limits import RescoringCounts, RescoringLimits
from perception_contrast.segmentation.rescoring.view_memory import STREAMS, VIEWS, ViewMemory

ALL = RescoringLimits(32)


def noisy(image: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0.0, sigma, (*image.shape[:2], 1))
    return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("views", range(70))
def test_batches_hold_all_views_in_few_sizes(views: int) -> None:
    assert sum(batch_sizes(views, "cpu")) == views
    assert set(batch_sizes(views, "cpu")) <= set(UNPADDED)
    on_gpu = batch_sizes(views, "cuda:0")
    assert views <= sum(on_gpu) < views + min(PADDED) and set(on_gpu) <= set(PADDED)


def test_padding_changes_no_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    crops, image = crops_in_a_row(5), image_of(5)
    plain, _ = colour_crop_encoder()
    expected = plain.vectors(image, crops)
    padded, session = colour_crop_encoder()
    monkeypatch.setattr(module, "batch_sizes", lambda views, device: [8])
    assert np.allclose(padded.vectors(image, crops), expected, atol=1e-6) and session.batches == [8]


def test_a_still_scene_is_encoded_once() -> None:
    encoder, session = colour_crop_encoder()
    crops, image = crops_in_a_row(5), image_of(5)
    first = encoder.encode(image, crops, ALL, "front")
    assert first.counts == RescoringCounts(encoded=5) and sum(session.batches) == 5
    again = encoder.encode(noisy(image, 3.0, 1), crops, ALL, "front")
    assert again.counts == RescoringCounts(remembered=5) and sum(session.batches) == 5
    assert again.indices == [0, 1, 2, 3, 4] and (first.vectors * again.vectors).sum(1).min() > 0.99


def test_a_thing_replaced_in_its_place_gets_a_new_look() -> None:
    encoder, _ = colour_crop_encoder()
    crops, image = crops_in_a_row(5), image_of(5)
    encoder.encode(image, crops, ALL, "front")
    changed = image.copy()
    changed[20:40, 130:150] = 255 - changed[20:40, 130:150]
    now = encoder.encode(changed, crops, ALL, "front")
    fresh, _ = colour_crop_encoder()
    assert now.counts == RescoringCounts(encoded=1, remembered=4)
    assert np.allclose(now.vectors[2], fresh.vectors(changed, crops)[2], atol=1e-3)


def test_slow_changes_add_up() -> None:
    encoder, session = colour_crop_encoder()
    crops, image = crops_in_a_row(1), np.full((60, 60, 3), 100, np.uint8)
    for level in range(8):
        encoder.encode(image + np.uint8(level), crops, ALL, "front")
    assert 2 <= len(session.batches) <= 4


def test_the_present_mask_counts_though_the_view_is_remembered() -> None:
    encoder, session = colour_crop_encoder()
    (whole,), image = crops_in_a_row(1), image_of(1)
    image[:30] = 255
    half = module.RegionCrop(whole.box, np.arange(8)[:, None].repeat(8, 1) < 4, whole.share)
    encoder.encode(image, [whole], ALL, "front")
    seen = encoder.encode(image, [half], ALL, "front")
    fresh, _ = colour_crop_encoder()
    assert len(session.batches) == 1
    assert np.allclose(seen.vectors, fresh.vectors(image, [half]), atol=1e-3)


def test_the_head_runs_again_only_for_another_outline() -> None:
    encoder, _ = colour_crop_encoder()
    image = image_of(3)
    crops = [replace(one, mask=np.ones((40, 40), bool)) for one in crops_in_a_row(3)]
    first = encoder.encode(image, crops, ALL, "front").vectors
    ran: list[int] = []
    encoder._head.register_forward_pre_hook(lambda _, given: ran.append(len(given[0].inside)))
    assert np.array_equal(encoder.encode(image, crops, ALL, "front").vectors, first) and not ran
    frayed = crops[1].mask.copy()
    frayed[0, 0] = False
    left = replace(crops[2], mask=np.arange(40)[None].repeat(40, 0) < 25)
    seen = encoder.encode(image, [crops[0], replace(crops[1], mask=frayed), left], ALL, "front").vectors
    assert ran == [1] and np.array_equal(seen[:2], first[:2]) and not np.array_equal(seen[2], first[2])


def test_cameras_and_single_images_are_apart_and_another_engine_begins_anew() -> None:
    encoder, session = colour_crop_encoder()
    crops, image = crops_in_a_row(2), image_of(2)
    for stream, encoded in (("front", 2), ("back", 2), ("front", 0), ("", 2), ("", 2)):
        assert encoder.encode(image, crops, ALL, stream).counts.encoded == encoded
    session.switched = True
    assert encoder.encode(image, crops, ALL, "front").counts.encoded == 2


def test_what_was_left_out_comes_first_until_all_are_seen() -> None:
    encoder, _ = colour_crop_encoder()
    crops, image, limits = crops_in_a_row(7), image_of(7), RescoringLimits(3)
    seen = [encoder.encode(image, crops, limits, "front") for _ in range(4)]
    assert [one.counts.encoded for one in seen] == [3, 3, 1, 0]
    assert [one.counts.left_out for one in seen] == [4, 1, 0, 0]
    assert [len(one.indices) for one in seen] == [3, 6, 7, 7]
    # In a scene that never looks the same the turn goes round as well.
    encoder, _ = colour_crop_encoder()
    turns = [encoder.encode(image_of(7, seed), crops, limits, "front").indices for seed in range(2)]
    assert turns == [[0, 1, 2], [3, 4, 5]]


def test_a_limit_in_milliseconds_holds_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, session = colour_crop_encoder()
    now = 0.0

    def later(size: int) -> None:
        nonlocal now
        now += 0.010 * size  # 10 ms a view

    session.on_run = later
    monkeypatch.setattr(module.time, "perf_counter", lambda: now)
    crops = crops_in_a_row(9)

    def encoded(milliseconds: float, frames: int) -> list[int]:
        seeds = itertools.count()
        limits = RescoringLimits(32, milliseconds)
        return [
            encoder.encode(image_of(9, next(seeds)), crops, limits, "front").counts.encoded
            for _ in range(frames)
        ]

    assert encoded(50.0, 3) == [1, 6, 5]  # the first of all measures, and leaves time over for one
    assert sum(encoded(4.0, 10)) in (4, 5) and max(encoded(4.0, 10)) == 1
    assert encoded(0.0, 3) == [0, 0, 0]
    assert encoded(math.inf, 2) == [9, 9]


def test_memory_is_bounded() -> None:
    memory = ViewMemory()
    one = memory.of("0")
    image, tokens = np.zeros((112, 200, 3), np.uint8), module.torch.zeros(2, 2, 3)
    views = [View(float(x), 0.0, 32.0) for x in range(VIEWS + 5)]
    for view in views:
        one.store(image, view, tokens)
    kept = [x for x, view in enumerate(views) if one.recall(image, view) is not None]
    assert kept == list(range(5, VIEWS + 5))
    for number in range(1, STREAMS + 1):
        memory.of(str(number))
    assert memory.of("0") is not one
