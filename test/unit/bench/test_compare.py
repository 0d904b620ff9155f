"""Ours beside other libraries: which peers count, and how sure the ratios are."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from cancelling_module import CancellingModule
from scipy.stats import quantile_test

from perception_contrast.bench import peers, timing
from perception_contrast.bench.compare import Comparison, LibraryComparison
from perception_contrast.bench.other_libraries import LibraryModule, library_modules
from perception_contrast.bench.peers import Peer, Peers, build_peers
from perception_contrast.bench.timing import (
    MIN_ROUNDS,
    WARM_UPS,
    Limit,
    Probe,
    Timing,
    median_uncertainty,
    time_in_rounds,
)
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.cpu_features import has_bfloat16
from perception_contrast.engines.export.export_check import graph_to_export

SIZE = (28, 42)


@pytest.fixture(scope="module")
def tower() -> EncoderGraph:
    return graph_to_export("dinov2-s14", random_init=True)


def built(tower: EncoderGraph, images: torch.Tensor) -> tuple[Peers, dict[str, object]]:
    with ExitStack() as stack:
        made = build_peers(tower, SIZE, images, 1, stack)
        return made, {one.name: one.run(images.to(one.dtype)) for one in made.passed}


@pytest.fixture
def small_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """One library with a module of no weights."""
    source = LibraryModule("timm", "made up", CancellingModule())
    monkeypatch.setattr(peers, "library_modules", lambda tower, size: ([source], {}))


def test_peers_see_all_the_patches_of_the_image(tower: EncoderGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MUCH_SLOWER", float("inf"))
    made, results = built(tower, torch.zeros(2, 3, *SIZE))
    there = {"timm", "timm bf16", "transformers", "onnxruntime"}
    assert there <= set(results) and set(made.skipped) <= {"open_clip", "openvino"}
    tokens = (2, 1 + 2 * 3, 384)
    assert results["timm"].shape == results["timm bf16"].shape == tokens
    assert results["timm bf16"].dtype == torch.bfloat16
    assert results["transformers"].last_hidden_state.shape == tokens
    assert results["onnxruntime"][0].shape == tokens
    by_name = {one.name: one for one in made.passed}
    assert by_name["onnxruntime"].worst > 0.9999 and 1.0 > by_name["timm bf16"].worst > 0.99
    assert by_name["timm bf16"].precision == "bf16"


@pytest.mark.usefixtures("small_source")
def test_openvino_says_at_which_precision_it_serves(tower: EncoderGraph) -> None:
    pytest.importorskip("openvino")
    made, results = built(tower, torch.ones(1, 3, *SIZE))
    # Where it would choose bfloat16, the module loses its features in it.
    if "openvino" in made.skipped:
        assert "left out in bf16" in made.skipped["openvino"]
        return
    (peer,) = (one for one in made.passed if one.name == "openvino")
    assert peer.precision == "fp32" or (peer.precision == "bf16" and has_bfloat16())
    assert peer.worst > (0.999 if peer.precision == "fp32" else 0.99)
    (values,) = results["openvino"].values()
    assert values.shape == (1, 2, 3, 588)


@pytest.mark.usefixtures("small_source")
def test_without_openvino_the_other_peers_are_there(
    tower: EncoderGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    made, results = built(tower, torch.ones(1, 3, *SIZE))
    assert "pip install openvino" in made.skipped["openvino"]
    assert {"timm", "onnxruntime"} <= set(results)


def test_timm_gets_the_weights_of_the_model(tower: EncoderGraph) -> None:
    modules, _ = library_modules(tower, SIZE)
    timms, transformers = modules
    assert timms.same_weights and not transformers.same_weights
    ours, theirs = tower.encoder.vit.state_dict(), timms.module.network.state_dict()
    assert theirs["pos_embed"].shape == (1, 1 + 2 * 3, 384)
    torch.testing.assert_close(theirs["blocks.3.mlp.fc1.weight"], ours["blocks.3.mlp.fc1.weight"])


@pytest.mark.usefixtures("small_source")
def test_a_peer_that_loses_its_features_in_bfloat16_is_left_out(
    tower: EncoderGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "MUCH_SLOWER", float("inf"))
    made, results = built(tower, torch.ones(1, 3, *SIZE))
    assert "timm" in results and "timm bf16" not in results
    assert "below 0.99" in made.skipped["timm bf16"]


@pytest.mark.usefixtures("small_source")
def test_a_precision_that_is_only_emulated_is_no_librarys_best(
    tower: EncoderGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "MUCH_SLOWER", 0.0)
    made, results = built(tower, torch.ones(1, 3, *SIZE))
    assert "timm" in results and "not its best" in made.skipped["timm bf16"]


def against(
    theirs: tuple[float, ...], ours: tuple[float, ...], same: float | None = None
) -> LibraryComparison:
    peer = Peer("x", "made up", lambda images: images)
    exact = None if same is None else Timing((same,) * len(theirs))
    return LibraryComparison(peer, Timing(theirs), Timing(ours), exact)


def test_throughputs_are_compared_round_by_round() -> None:
    one = against((20.0, 44.0, 500.0), (10.0, 22.0, 125.0), same=40.0)
    assert (one.ratio, one.same_ratio) == (2.0, 1.1)
    assert one.uncertainty is None


def test_the_headline_is_the_peer_that_is_nearest() -> None:
    slow, quick = against((30.0,) * 8, (10.0,) * 8), against((9.0,) * 8, (10.0,) * 8)
    comparison = Comparison({"timm": slow, "openvino": quick})
    assert comparison.best is quick and comparison.over_timm_fp32 == 3.0
    assert comparison.spread == 0.0 and comparison.steady
    shaky = against((5.0, 10.0, 15.0, 20.0, 25.0, 30.0), (10.0,) * 6)
    assert not Comparison({"timm": slow, "x": shaky}).steady
    assert not Comparison({"timm": against((1.0,), (1.0,))}).steady


@pytest.mark.parametrize("count", [6, 7, 20, 101])
def test_the_interval_of_a_median_is_scipys(count: int) -> None:
    samples = np.random.default_rng(count).gamma(2.0, 5.0, count)
    low, high = quantile_test(samples, p=0.5).confidence_interval(0.95)
    told = median_uncertainty(samples.tolist())
    assert told == pytest.approx((high - low) / 2 / np.median(samples), rel=1e-6)


def test_five_samples_are_too_few_for_an_interval() -> None:
    assert median_uncertainty([1.0] * 5) is None and median_uncertainty([]) is None


@pytest.mark.parametrize(("enough", "rounds"), [(0, MIN_ROUNDS), (MIN_ROUNDS + 3, MIN_ROUNDS + 3)])
def test_rounds_go_on_until_the_figures_are_steady(
    enough: int, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "PATIENCE", 1e15)
    calls: list[int] = []

    def measure() -> float:
        calls.append(1)
        return 1.0

    (found,) = time_in_rounds(
        [Probe("a", measure)], Limit(seconds=1e-9), steady=lambda now: len(now[0].samples) >= enough
    )
    assert len(found.samples) == rounds and len(calls) == WARM_UPS + rounds


def test_without_steady_figures_rounds_end_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PATIENCE", 2)
    (found,) = time_in_rounds([Probe("a", lambda: 1.0)], Limit(seconds=1e-9), steady=lambda now: False)
    assert len(found.samples) == MIN_ROUNDS


def test_a_number_of_rounds_that_was_given_stays() -> None:
    (found,) = time_in_rounds([Probe("a", lambda: 1.0)], Limit(rounds=3), steady=lambda now: False)
    assert len(found.samples) == 3
