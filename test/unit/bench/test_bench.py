"""The benchmark: its figures against what others count, its report, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from rescoring_models import rescoring_encoders
from small_models import encoders_of

from perception_contrast.bench import machine
from perception_contrast.bench.bench_models import (
    BENCH_QUERIES,
    BenchModels,
    bench_models_of,
    random_encoders,
)
from perception_contrast.bench.camera_messages import (
    ENCODINGS,
    camera_message,
    panned_photographs,
    photograph,
)
from perception_contrast.bench.dds_loopback import loopback
from perception_contrast.bench.flops import count_work
from perception_contrast.bench.result_messages import BENCH_REQUEST, message_builder
from perception_contrast.bench.stages import Stages, measure_stages
from perception_contrast.bench.timing import WARM_UPS, Limit, Probe, Timing, time_in_rounds
from perception_contrast.cli.demo.demo_graph import environment, free_domain
from perception_contrast.cli.main import main
from perception_contrast.core.errors import ModelError, PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.engines.export.export_check import graph_to_export
from perception_contrast.images.decode import decode_message
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.output_request import OutputRequest

CAMERA = (48, 64)
QUICK = ["--random-init", "--offline", "--engine", "torch", "--precision", "fp32", "--camera", "64x48"]
KEYS = {
    "machine": {"cpu", "cores", "threads", "device", "gpu", "load", "system", "versions"},
    "engine": {"name", "precision", "why", "refused", "measured_ms", "worst_cosine"},
    "walk": {"p50_ms", "p95_ms", "p99_ms", "rounds", "ends_at"},
    "memory": {"host_peak_mb", "host_peak_starting_mb", "gpu_peak_mb"},
}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short measurements of the machine's peaks."""
    monkeypatch.setattr(machine, "PEAK_SECONDS", 0.01)
    monkeypatch.setattr(machine, "MATRIX_SIDES", {"cpu": (256,)})
    monkeypatch.setattr(machine, "COPY_MB", {"cpu": 1})


def models(kind: str, size: tuple[int, int] | None) -> BenchModels:
    frame = Frame(photograph(CAMERA))
    return bench_models_of(
        encoders_of(kind), size=size, camera=CAMERA, frame=frame, engine="torch", precision="fp32"
    )


def stages_of(kind: str, size: tuple[int, int] | None, batch: int = 1) -> Stages:
    return stages_in(models(kind, size), batch)


def stages_in(made: BenchModels, batch: int = 1) -> Stages:
    messages = [camera_message(image, "bgr8") for image in panned_photographs(CAMERA)]
    return measure_stages(made, messages, Limit(rounds=2), batch=batch)


def test_percentiles_are_those_of_the_standard_library() -> None:
    samples = tuple(np.random.default_rng(0).gamma(2.0, 5.0, 37).tolist())
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    row = Timing(samples).summary()
    assert [row[f"p{q}_ms"] for q in (50, 95, 99)] == pytest.approx(
        [cuts[q - 1] for q in (50, 95, 99)], abs=1e-3
    )
    with pytest.raises(ValueError, match="no round"):
        Timing(()).summary()


def test_probes_time_in_rounds_and_warm_ups_do_not_count() -> None:
    calls: list[str] = []
    shares: list[float] = []

    def probe(name: str, values: Callable[[int], float | None]) -> Probe:
        def measure() -> float | None:
            calls.append(name)
            return values(calls.count(name))

        return Probe(name, measure)

    probes = [probe("a", float), probe("b", lambda n: None if n == WARM_UPS + 2 else -float(n))]
    first, second = time_in_rounds(probes, Limit(rounds=3), "x", lambda _, share: shares.append(share))
    assert calls == ["a", "b"] * (WARM_UPS + 3)
    assert first.samples == (4.0, 5.0, 6.0)
    assert second.samples == (-4.0, -6.0)
    assert shares == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_a_time_limit_still_asks_for_a_few_rounds() -> None:
    assert Limit(seconds=1.0).share(done=1, elapsed=100.0) < 1.0
    assert Limit(seconds=1.0).share(done=100, elapsed=0.5) == 0.5
    assert Limit(rounds=3, seconds=1e-9).share(done=2, elapsed=100.0) < 1.0


# As published: 6.1 and 46.8 billion multiply-accumulates, each two operations.
@pytest.mark.parametrize(("side", "gflops"), [(224, 12.2), (518, 93.6)])
def test_the_work_of_a_model_is_what_is_published(side: int, gflops: float) -> None:
    graph = graph_to_export("dinov2-s14", random_init=True)
    work = count_work(graph, (side, side))
    assert work.flops / 1e9 == pytest.approx(gflops, rel=0.05)
    assert work.bytes_of("fp32", 1) == 4 * work.weights + work.moved


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_camera_images_decode_to_the_photograph(encoding: str) -> None:
    image = photograph((120, 160))
    shown = decode_message(camera_message(image, encoding)).astype(int)
    wanted = image.astype(int)
    if encoding == "mono8":
        wanted = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(int)
    assert shown.shape == wanted.shape
    lossy = encoding == "jpeg" or encoding.startswith(("bayer", "nv12", "yuv"))
    assert np.abs(shown - wanted).mean() <= (6.0 if lossy else 0.0)


def test_a_jpeg_is_one_that_others_read() -> None:
    packed = camera_message(photograph((120, 160)), "jpeg").data
    with Image.open(io.BytesIO(packed)) as read:
        assert (read.format, read.size) == ("JPEG", (160, 120))


def test_the_network_sees_the_size_that_was_asked_for() -> None:
    made = models("apart", (56, 84))
    result = made.pipeline.process(Frame(photograph((50, 200))), BENCH_REQUEST)
    assert result.features is not None
    assert result.features.shape[:2] == (4, 6)
    # The other tower has patches of 16 pixels.
    assert [one.size for one in made.encoders] == [(56, 84), (64, 80)]
    assert made.main.tower.model == "dinov2-s14"
    assert result.masks is not None
    assert result.masks.shape == (50, 200)
    assert len(made.pipeline.vocabulary.queries) == len(BENCH_QUERIES) == 10


def test_without_a_size_the_network_sees_what_the_node_would_give_it() -> None:
    assert models("none", None).main.size == (378, 504)


def test_stages_of_one_shared_pass() -> None:
    stages = stages_of("lit", (56, 56))
    assert list(stages.timings)[:4] == ["decode", "decode.jpeg", "preprocess", "upload"]
    assert {"encode.dinov2-s14", "encode.household-lit", "head", "postprocess", "walk"} <= set(stages.timings)
    # The head counts as the frame's own cost.
    assert stages.forwards == ("encode.household-lit",) and stages.towers == ("encode.dinov2-s14",)
    for name, told in (
        ("household-lit", stages.frame_over_forwards),
        ("dinov2-s14", stages.frame_over_towers),
    ):
        rounds = zip(stages.whole_frame.samples, stages.timings[f"encode.{name}"].samples, strict=True)
        assert told == pytest.approx(statistics.median(whole / forward for whole, forward in rounds))
    assert "rescores no crops" in stages.skipped["zoom"] and stages.crops == ()
    whole, bare, head = (
        stages.timings[name].samples for name in ("encode.household-lit", "encode.dinov2-s14", "head")
    )
    assert head == pytest.approx([a - b for a, b in zip(whole, bare, strict=True)])
    assert all(len(timing.samples) == 2 for timing in stages.timings.values())
    few, track, many = (stages.timings[name].p50 for name in ("postprocess", "track", "postprocess.20"))
    assert stages.postprocess_share == many / (stages.whole_frame.p50 - few - track + many)
    assert stages.skipped["dds"]


def test_stages_of_two_towers_and_of_a_batch() -> None:
    stages = stages_of("apart", (56, 56), batch=3)
    assert stages.forwards == ("encode.dinov2-s14", "encode.clip-vit-b16")
    assert set(stages.batched) == {"dinov2-s14", "clip-vit-b16"}
    assert "head" in stages.skipped
    passes = [stages.timings[name].samples for name in stages.forwards]
    rounds = zip(stages.whole_frame.samples, *passes, strict=True)
    told = statistics.median(whole / (first + second) for whole, first, second in rounds)
    assert stages.frame_over_forwards == pytest.approx(told)


def test_the_whole_frame_counts_the_crops_that_it_rescored() -> None:
    made = bench_models_of(
        rescoring_encoders(), size=(56, 56), camera=CAMERA, frame=Frame(photograph(CAMERA)), engine="torch"
    )
    crop_encoder = made.pipeline.frame_search.crop_encoder
    assert crop_encoder is not None
    session, batches, frames = crop_encoder.served, [], []
    run, process = session.run, made.pipeline.process

    def counted(images: torch.Tensor) -> dict[str, torch.Tensor]:
        batches.append(len(images))
        return run(images)

    def processed(frame: Frame, request: OutputRequest) -> FrameResult:
        before = len(batches)
        result = process(frame, request)
        frames.append(sum(batches[before:]))
        return result

    session.run = counted  # type: ignore[method-assign]
    made.pipeline.process = processed  # type: ignore[method-assign]
    stages = stages_in(made)
    assert crop_encoder.served is session
    assert min(stages.crops) > 0
    assert stages.crops == tuple(frames[-2:])
    # The last stage of the last round runs the batches of its frame once more.
    again = next(n for n in range(1, len(batches)) if sum(batches[-n:]) == frames[-1])
    assert batches[-again:] == batches[-2 * again : -again]
    assert stages.forwards[-1] == stages.towers[-1] == "encode.zoom"
    assert len(stages.timings["zoom"].samples) == len(stages.timings["encode.zoom"].samples) == 2
    assert all(took > 0.0 for took in stages.timings["zoom"].samples)
    assert made.rescoring is not None and made.rescoring.engine.name == "torch"


def test_a_panning_camera_never_shows_the_same_image_twice_in_turn() -> None:
    images = panned_photographs((24, 64))
    assert {image.shape for image in images} == {(24, 64, 3)}
    for image, following in zip(images, [*images[1:], images[0]], strict=True):
        assert (image != following).any()


def test_without_words_ten_examples_are_searched_for() -> None:
    made = models("none", (56, 56))
    assert all(query.exemplars for query in made.pipeline.vocabulary.queries)
    assert len(made.pipeline.vocabulary.queries) == 10


def test_without_ros_the_frame_ends_at_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    # An import of a module that is None here fails as one that is not installed.
    monkeypatch.setitem(sys.modules, "perception_contrast.ros.messages.detection_messages", None)
    stages = stages_of("none", (56, 56))
    assert stages.ends_at == "arrays"
    assert "detection_messages" in stages.skipped["message"]
    assert "message" not in stages.timings


@pytest.mark.ros
def test_messages_reach_another_process() -> None:
    frame = Frame(photograph(CAMERA))
    built = message_builder()(models("lit", (56, 56)).pipeline.process(frame, BENCH_REQUEST))
    domain = os.environ["ROS_DOMAIN_ID"]
    with loopback(environment(free_domain())) as link:
        times = [link.send(built) for _ in range(3)]
    assert link.lost == 0
    assert all(time is not None and 0.0 < time < 2000.0 for time in times)
    assert link.receiver_exit_code == 0
    assert os.environ["ROS_DOMAIN_ID"] == domain


def test_threads_are_given_back() -> None:
    before, allowed = torch.get_num_threads(), os.sched_getaffinity(0)
    with machine.limited_threads(1):
        assert (torch.get_num_threads(), len(os.sched_getaffinity(0))) == (1, 1)
    assert (torch.get_num_threads(), os.sched_getaffinity(0)) == (before, allowed)
    with pytest.raises(ModelError, match="--threads"), machine.limited_threads(10_000):
        pass


@pytest.mark.usefixtures("hasty")
def test_the_command_writes_all_figures_and_an_image(tmp_path: Path) -> None:
    told, drawn = tmp_path / "bench.json", tmp_path / "bench.png"
    words = [
        "bench",
        *QUICK,
        "--size",
        "28x42",
        "--batch",
        "2",
        "--rounds",
        "2",
        "--no-dds",
        "--compare",
        "--threads",
        "1",
    ]
    assert main([*words, "--json", str(told), "--plot", str(drawn)]) == 0
    report = json.loads(told.read_text())
    for key, names in KEYS.items():
        assert names <= set(report[key]), key
    assert {"decode", "preprocess", "encode.dinov2-s14", "head", "postprocess", "track"} <= set(
        report["stages"]
    )
    assert 0 < report["postprocess_share"] < 1
    for timing in report["stages"].values():
        assert timing["p50_ms"] <= timing["p95_ms"] <= timing["p99_ms"]
        assert timing["rounds"] == 2
    assert report["throughput_hz"] == pytest.approx(1e3 / report["walk"]["p50_ms"], rel=1e-2)
    assert report["walk_over_forwards"] > 0.0 and report["walk"]["rescored_crops"] == 0.0
    assert (report["engine"]["name"], report["engine"]["precision"]) == ("torch", "fp32")
    assert report["settings"]["size"] == [28, 42]
    assert report["settings"]["random_init"] is True
    encoder = report["encoders"]["dinov2-s14"]
    assert encoder["pictures_per_second"] == pytest.approx(2e3 / encoder["forward"]["p50_ms"], rel=1e-2)
    rate = report["gflops"] * encoder["pictures_per_second"]
    assert report["fraction_of_peak"] == pytest.approx(rate / report["peak_gflops"], rel=2e-2)
    assert report["roofline_ms"] > 0.0
    there = {"timm", "transformers", "onnxruntime"}
    assert there <= set(report["compare"]) == set(report["compared"])
    assert there <= set(report["compare_same_precision"])
    headline = report["headline"]
    assert headline["over_best"] == min(report["compare"].values())
    assert headline["over_timm_fp32"] == report["compare"]["timm"]
    # Two rounds are too few to be sure of.
    assert headline["steady"] is False and any("spread" in note for note in report["notes"])
    assert report["skipped"]["dds"] == "--no-dds"
    with Image.open(drawn) as image:
        assert image.format == "PNG"
        assert len(image.convert("RGB").getcolors(1 << 24)) > 10


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--size", "330x336"], "322x336, 336x336"),
        (["--model", "dinov2-s15"], "dinov2-s14"),
        (["--engine", "warp"], "unknown engine 'warp'"),
        (["--engine", "captured", "--device", "cpu"], "does not run"),
        (["--engine", "torch", "--precision", "int8", "--device", "cpu"], "does not run"),
        (["--encoding", "rgb5"], "unknown|not made here"),
        (["--threads", "4096"], "--threads 4096"),
        (["--json", "."], "is a folder"),
        (["--plot", f"{__file__}/x.png"], "cannot be written"),
        (["--language-model", "dinov2-s14"], "knows no words"),
        (["--model", "household-lit"], "name dinov2-s14 as model"),
    ],
)
def test_what_does_not_fit_is_refused(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--random-init", "--offline", "--rounds", "1", "--no-dds", *words]) == 2
    assert re.search(problem, capsys.readouterr().err)


@pytest.mark.parametrize(
    "words", [["--size", "336"], ["--rounds", "0"], ["--seconds", "-1"], ["--batch", "x"]]
)
def test_what_is_no_number_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *words])
    assert ended.value.code == 2


def test_random_weights_still_need_a_model_that_knows_words() -> None:
    with pytest.raises(PerceptionError, match="knows no words"):
        random_encoders("dinov2-s14", "dinov2-s14", "cpu")


@pytest.mark.gpu
@pytest.mark.usefixtures("hasty")
def test_a_gpu_says_how_much_of_its_memory_was_taken(tmp_path: Path) -> None:
    told = tmp_path / "bench.json"
    words = ["bench", "--random-init", "--device", "cuda", "--engine", "torch", "--size", "28x28"]
    assert main([*words, "--rounds", "2", "--no-dds", "--json", str(told)]) == 0
    report = json.loads(told.read_text())
    assert report["memory"]["gpu_peak_mb"] > 0.0
    assert report["machine"]["gpu"]
    assert "fp16" in report["peaks_gflops"]
