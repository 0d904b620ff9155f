"""Contrasts in a frame, against SciPy, and over the range of cosines that models differ by."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage, special, stats
from small_models import ColourWords, encoders_of, small_clip

from perception_contrast.bench import simulated_cosines as simulated
from perception_contrast.segmentation.scoring import frame_contrast, name_bank
from perception_contrast.segmentation.scoring.base import QueryVectors
from perception_contrast.segmentation.scoring.contrast_scorer import ContrastScorer
from perception_contrast.segmentation.scoring.name_bank import NameBank, generic_names, read_names
from perception_contrast.segmentation.searcher_factory import build_searcher
from perception_contrast.text.clip_text_encoder import ClipTextEncoder

NONE = np.zeros((0, 16), np.float32)


def unit(seed: int, *shape: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(*shape, 16)).astype(np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


# The parts of a contrast.


def test_levels_are_the_medians_of_normal_cells_whatever_a_third_of_them_shows() -> None:
    maps = np.random.default_rng(0).normal(0.2, 0.02, (1, 60, 80)).astype(np.float32)
    plain = frame_contrast.own_levels(maps)
    assert plain == pytest.approx(np.median(maps), abs=2e-3)
    maps[:, :20] += 0.1
    assert frame_contrast.own_levels(maps) == pytest.approx(plain, abs=0.01)


def test_a_name_that_fills_the_frame_keeps_a_level_like_those_of_other_names() -> None:
    bank = np.random.default_rng(0).normal(0.2, 0.005, 100).astype(np.float32)
    capped = frame_contrast.capped_levels(np.array([0.5, 0.21], np.float32), bank)
    assert capped == pytest.approx([bank.mean() + 0.06, 0.21])


def test_the_background_is_scipys_log_mean_over_the_names_that_compete() -> None:
    rng = np.random.default_rng(1)
    bank = rng.normal(0, 0.05, (40, 3, 4)).astype(np.float32)
    others = rng.random((6, 40)) < 0.8
    ours = frame_contrast.background(bank, others, 100.0)
    for row, kept in zip(ours, others, strict=True):
        theirs = (special.logsumexp(100.0 * bank[kept].astype(float), axis=0) - np.log(kept.sum())) / 100.0
        np.testing.assert_allclose(row, theirs, atol=1e-5)
    twice = frame_contrast.background(
        np.concatenate([bank, bank]), np.concatenate([others, others], 1), 100.0
    )
    np.testing.assert_allclose(twice, ours, atol=1e-6)


def test_what_is_needed_is_the_banks_median_peak_and_deviations_above_it() -> None:
    maps = np.random.default_rng(2).normal(0, 0.02, (200, 9, 12)).astype(np.float32)
    peaks = np.array(
        [ndimage.convolve(one, np.outer(*2 * [[0.25, 0.5, 0.25]]), mode="nearest").max() for one in maps]
    )
    expected = np.median(peaks) + 2.6 * stats.median_abs_deviation(peaks)
    assert frame_contrast.needed_contrast(maps) == pytest.approx(expected, rel=1e-4)
    assert frame_contrast.needed_contrast(np.zeros_like(maps)) == pytest.approx(0.012)


def test_a_region_ends_at_half_of_its_own_peak_and_one_that_just_reaches_has_logit_0() -> None:
    contrast = np.zeros((5, 20), np.float32)
    contrast[2, 3:6] = (0.055, 0.12, 0.065)  # outline at 0.06
    contrast[2, 13:16] = (
        0.022,
        0.04,
        0.016,
    )  # outline at 0.02: half of the highest peak would lose all of it
    logits = frame_contrast.contrast_logits(contrast, 0.04)
    assert np.flatnonzero(logits[2] >= frame_contrast.OUTLINE_LOGIT).tolist() == [4, 5, 13, 14]
    assert logits[2, 14] == pytest.approx(0.0, abs=1e-5) and logits[2, 4] == pytest.approx(4.0, abs=1e-5)
    inside, outside = logits[2, 5] - logits[2, 3], contrast[2, 5] - contrast[2, 3]
    assert inside / outside == pytest.approx(frame_contrast.SLOPE / 0.04, rel=1e-4)


def test_shifts_of_all_cosines_of_the_bank_or_of_the_query_cancel_out() -> None:
    """Common parts of cells with all names, with those of the bank, and with a query's."""
    rng = np.random.default_rng(3)
    names = np.linalg.qr(rng.normal(size=(40, 40)))[0][:31].astype(np.float32)
    bank, query = names[:30], names[30:]
    cosines = rng.normal(0.0, 0.02, (96, 31)).astype(np.float32)
    cosines[40:44, 30] += 0.2

    def logits(of_bank: float, of_query: float) -> np.ndarray:
        shifted = cosines.copy()
        shifted[:, :30] += of_bank
        shifted[:, 30] += of_query
        scorer = ContrastScorer(NameBank(bank), 100.0)
        return scorer.logits(shifted @ names, [QueryVectors(query, query[:0])], query[:0], (8, 12))

    plain = logits(0.0, 0.0)
    for shift in ((0.05, 0.0), (0.0, -0.05), (-0.1, -0.1)):
        np.testing.assert_allclose(logits(*shift), plain, atol=0.02)


def test_a_distractor_and_a_negative_that_win_a_cell_take_it_and_no_other() -> None:
    names = np.eye(16, dtype=np.float32)
    cosines = np.random.default_rng(4).normal(0.0, 0.005, (96, 16)).astype(np.float32)
    cosines[:, 0] += np.where(np.arange(96) % 12 < 3, 0.1, 0.0)  # shown in columns 0 to 2
    cosines[:, 0] += np.where(np.arange(96) % 12 >= 9, 0.1, 0.0)  # and, less than the rival, in 9 to 11
    cosines[:, 1] += np.where(np.arange(96) % 12 >= 9, 0.15, 0.0)
    scorer = ContrastScorer(NameBank(names[2:]), 100.0)
    asked, rival = names[:1], names[1:2]

    def found(query: QueryVectors, distractors: np.ndarray) -> np.ndarray:
        return scorer.logits(cosines, [query], distractors, (8, 12)).reshape(8, 12)

    plain = found(QueryVectors(asked, NONE), NONE)
    assert (plain[:, [0, 1, 10, 11]] > 0).all()
    for lowered in (found(QueryVectors(asked, NONE), rival), found(QueryVectors(asked, NONE, rival), NONE)):
        assert (lowered[:, 10:] < -1).all(), "the rival explains these"
        np.testing.assert_allclose(lowered[:, :2], plain[:, :2], atol=0.1)


@pytest.mark.parametrize("size", [None, (4, 4)])
def test_vectors_that_are_no_frame_are_refused(size: tuple[int, int] | None) -> None:
    scorer = ContrastScorer(NameBank(unit(0, 20)), 10.0)
    with pytest.raises(ValueError, match="12 cells"):
        scorer.logits(unit(1, 12), [QueryVectors(unit(2, 1), NONE)], NONE, size)


# The bank.


def test_the_bank_is_several_hundred_names_without_one_twice() -> None:
    names = generic_names()
    assert 250 <= len(names) == len(set(names)) and all(name == name.strip().lower() for name in names)
    assert read_names("# a comment\n\n wall \nfloor\n") == ("wall", "floor")


def test_names_of_the_same_thing_are_no_rivals() -> None:
    bank = unit(5, 100)
    near = (bank[7] + 0.3 * bank[8]) / np.linalg.norm(bank[7] + 0.3 * bank[8])
    others = NameBank(bank).others(np.stack([near, bank[3]]))
    assert not others[0, 7] and others[0].sum() >= 95
    assert not others[1, 3] and others[1].sum() >= 95
    assert not NameBank(bank).others_of_itself.diagonal().any()


def test_the_bank_is_encoded_plainly_and_only_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    true = ClipTextEncoder.encode

    def encode(self: ClipTextEncoder, texts: list[str]) -> np.ndarray:
        encoded.append(len(texts) * len(self.templates))
        return true(self, texts)

    monkeypatch.setattr(ClipTextEncoder, "encode", encode)
    NameBank.encoded(ClipTextEncoder(small_clip()))
    assert encoded == [len(generic_names())]
    read: list[str] = []
    monkeypatch.setattr(name_bank, "generic_names", lambda: read.append("bank") or ("wall", "floor"))
    build_searcher(encoders_of("lit"))
    assert not read, "a fitted head needs no bank"
    build_searcher(encoders_of("colours"))
    assert read and len(NameBank.encoded(ColourWords()).vectors) == 2


# Simulated cosines.


@cache
def figures(family: str, setting: str) -> simulated.Figures:
    simulation, one = _simulation(), simulated.FAMILIES[family]
    searcher = simulated.contrast_searcher(one, simulation)
    return simulation.figures(searcher, simulated.settings_of(one.means)[setting])


@cache
def _simulation() -> simulated.Simulation:
    return simulated.Simulation(frames=4)


def test_simulated_cosines_have_the_means_that_were_set() -> None:
    simulation, means = _simulation(), simulated.Means(0.3, 0.1, 0.17)
    for scene in simulation.scenes(means):
        assert np.allclose(np.linalg.norm(scene.grid.values, axis=-1), 1.0, atol=1e-5)
        cosines = scene.grid.values @ simulation.texts.rows.T
        asked = simulation.present + simulation.absent
        assert np.median(cosines[..., :asked]) == pytest.approx(means.false, abs=0.005)
        assert np.median(cosines[..., asked:]) == pytest.approx(means.neutral, abs=0.005)
        shown = [cosines[y0:y1, x0:x1, k].mean() for k, (x0, y0, x1, y1) in enumerate(scene.boxes)]
        assert np.mean(shown) == pytest.approx(means.true, abs=0.02)


CLOSEST = 0.05  # gaps from which things are to be found


@pytest.mark.slow
@pytest.mark.parametrize("family", list(simulated.FAMILIES))
def test_shifts_and_gaps_change_recall_and_false_names_little(family: str) -> None:
    means = simulated.FAMILIES[family].means
    for setting, shifted in simulated.settings_of(means).items():
        one = figures(family, setting)
        assert one.false_names <= 1.5, (setting, one)  # of 30: five per cent
        if shifted.true - shifted.false >= CLOSEST - 1e-9:
            assert one.recall >= 0.85, (setting, one)


@pytest.mark.slow
@pytest.mark.parametrize("family", list(simulated.FAMILIES))
def test_names_are_told_apart_however_near_the_background_lies(family: str) -> None:
    every = [figures(family, setting) for setting in ("as it is", "neutral -0.05", "neutral +0.05")]
    assert np.ptp([one.recall for one in every]) <= 0.1
    assert np.ptp([one.false_names for one in every]) <= 0.5
