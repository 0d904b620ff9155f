"""The serving parts: frames from bytes to label maps, embeddings, engines beside each other, ONNX parity."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from torch import Tensor

from perception_contrast.bench.bench_models import BenchModels, load_bench_models
from perception_contrast.bench.camera_messages import camera_message, panned_photographs, photograph
from perception_contrast.bench.gpu.figures import Figure, PartResult
from perception_contrast.bench.gpu.setup import Setup
from perception_contrast.bench.machine import synchroniser
from perception_contrast.bench.timing import Probe, Timing, ratios, time_in_rounds, timed
from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.engines.accuracy_gate import LIMITS, gate_photographs
from perception_contrast.engines.base import Engine
from perception_contrast.engines.choice import EngineChoice, choose_engine
from perception_contrast.engines.export.export_check import graph_to_export
from perception_contrast.images.decode import decode_message
from perception_contrast.images.resize import fitted_size
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.preprocessing.to_tensor import image_tensor

SPATIAL, WORDS, HOUSEHOLD, CAMERAS = "dinov2-s14", "clip-vit-b16", "household-lit", 4
# Milliseconds of a frame of the pair and of an embedding, on an H100 or H200.
PAIR_AIM, EMBEDDING_AIM = 3.0, 1.6
CAPTURED_AIM, CAMERAS_AIM = 3.0, 2.0


def pair_frames(setup: Setup) -> PartResult:
    """DINOv2-S and CLIP-B/16 with its dense head: bytes of 1 and of 4 cameras to label maps."""
    return _frames(setup, WORDS, PAIR_AIM)


def household_frames(setup: Setup) -> PartResult:
    """The same of the default pair, household-lit on DINOv2-S, with crop rescoring as it comes."""
    return _frames(setup, HOUSEHOLD, None)


def _frames(setup: Setup, language: str, aim: float | None) -> PartResult:
    result = PartResult()
    models = _loaded(setup, language, result)
    messages = [camera_message(image, "rgb8") for image in panned_photographs(setup.camera)]
    camera, request = itertools.cycle(messages), OutputRequest(masks=True)

    def label_maps(count: int) -> None:
        frames = [Frame(decode_message(next(camera))) for _ in range(count)]
        for outcome in models.pipeline.process_batch(frames, request):
            if isinstance(outcome, Exception):
                raise outcome

    try:
        counts = (1, CAMERAS)
        timings = _in_rounds(setup, {f"{n} cameras": partial(label_maps, n) for n in counts})
    finally:
        models.pipeline.close()
    one, many = timings
    what = f"{SPATIAL} + {language} at {setup.side}, bytes to label map"
    result.figures += [
        *_milliseconds(f"{what}, 1 camera", one, aim),
        *_milliseconds(f"{what}, {CAMERAS} cameras", many),
        Figure(f"{CAMERAS} cameras over one", ratios(many, one).p50, "", CAMERAS_AIM),
    ]
    result.notes.append(f"engine {setup.engine} {setup.precision}")
    return result


def _loaded(setup: Setup, language: str, result: PartResult) -> BenchModels:
    """With the weights of this machine's cache, else random ones, which ``result`` notes."""
    side = setup.side

    def load(random_init: bool) -> BenchModels:
        return load_bench_models(
            SPATIAL,
            language,
            size=(side, side),
            camera=setup.camera,
            frame=Frame(photograph(setup.camera)),
            engine=setup.engine,
            precision=setup.precision,
            device=setup.device,
            random_init=random_init,
            offline=True,
        )

    return _or_random(load, result, f"{SPATIAL} + {language}")


def _or_random(load: Callable[[bool], BenchModels], result: PartResult, what: str) -> BenchModels:
    try:
        return load(False)
    except ModelError:
        result.notes.append(f"{what}: random weights, since its own are not in this machine's cache")
        return load(True)


def _graph(setup: Setup, name: str, result: PartResult) -> EncoderGraph:
    """As ``_loaded``, of one encoder, on the device."""
    try:
        graph = graph_to_export(name, offline=True)
    except ModelError:
        result.notes.append(f"{name}: random weights, since its own are not in this machine's cache")
        graph = graph_to_export(name, random_init=True)
    return graph.to(setup.device)


def _images(setup: Setup, graph: EncoderGraph, side: int) -> Tensor:
    """A photograph as the network takes it, (1, 3, H, W) on the device."""
    image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = gate_photographs()[0]
    size = fitted_size((side, side), side, graph.patch, side * side)
    return image_tensor(image, size, graph.mean, graph.std).to(setup.device)


def embedding(setup: Setup) -> PartResult:
    """The embedding of one image, on the engine that serves."""
    result = PartResult()
    graph = _graph(setup, setup.embedding, result)
    images = _images(setup, graph, setup.embedding_side)
    engine = _chosen(setup, graph, images, setup.engine).engine
    (timing,) = _in_rounds(setup, {"embedding": partial(engine.run, images)})
    what = f"{setup.embedding} at {setup.embedding_side}, image embedding, batch 1"
    result.figures += _milliseconds(what, timing, EMBEDDING_AIM)
    result.notes.append(f"engine {setup.engine} {setup.precision}")
    return result


def captured(setup: Setup) -> PartResult:
    """CUDA graphs beside eager torch: both encoders of the pair, in the same precision."""
    return _beside(setup, "captured", "torch", "eager", CAPTURED_AIM)


def tensorrt(setup: Setup) -> PartResult:
    """TensorRT through ONNX Runtime beside CUDA graphs."""
    return _beside(setup, "tensorrt", setup.engine, setup.engine, None)


def _beside(setup: Setup, kind: str, other: str, other_name: str, aim: float | None) -> PartResult:
    """An engine beside another, for each encoder of the pair and for both together."""
    result, rounds = PartResult(), []
    for name in (SPATIAL, WORDS):
        graph = _graph(setup, name, result)
        images = _images(setup, graph, setup.side)
        engines: list[Engine] = []
        for wanted in (kind, other):
            try:
                engines.append(_chosen(setup, graph, images, wanted).engine)
            except ModelError as error:
                result.missing[f"{name}, {wanted}"] = str(error)
        if len(engines) == 2:
            calls = {str(number): partial(one.run, images) for number, one in enumerate(engines)}
            rounds.append(_in_rounds(setup, calls))
            for label, timing in zip((kind, other_name), rounds[-1], strict=True):
                result.figures += _milliseconds(f"{name} at {setup.side}, {label}", timing)
    if len(rounds) == 2:
        (first, first_other), (second, second_other) = rounds
        ratio = (first_other.p50 + second_other.p50) / (first.p50 + second.p50)
        figure = Figure(f"throughput of {kind} over {other_name}, both encoders", ratio, "", aim, "at least")
        result.figures.append(figure)
    return result


def onnx_parity(setup: Setup) -> PartResult:
    """Exported encoders on ONNX Runtime: the smallest cosine of any output with float32 torch."""
    result = PartResult()
    kind, precisions = ("onnxruntime-cuda", ("fp32", "fp16")) if setup.on_gpu else ("onnxruntime", ("fp32",))
    for name in setup.exported:
        graph = _graph(setup, name, result)
        images = _images(setup, graph, setup.side)
        for precision in precisions:
            what = f"{name} at {setup.side}, {kind} {precision}"
            try:
                choice = _chosen(setup, graph, images, kind, precision)
            except ModelError as error:
                result.missing[what] = str(error)
                continue
            worst = min(choice.worst.values())
            result.figures.append(Figure(f"{what}, worst cosine", worst, "", LIMITS[precision], "at least"))
    return result


def _chosen(
    setup: Setup, graph: EncoderGraph, images: Tensor, kind: str, precision: str = ""
) -> EngineChoice:
    """An engine by its name, past the gate. Raises ModelError with the reason where it does not serve."""
    height, width = images.shape[-2:]
    return choose_engine(
        graph, (height, width), device=setup.device, kind=kind, precision=precision or setup.precision
    )


def _in_rounds(setup: Setup, calls: Mapping[str, Callable[[], object]]) -> list[Timing]:
    wait = synchroniser(setup.device)
    return time_in_rounds([Probe(name, timed(call, wait)) for name, call in calls.items()], setup.limit)


def _milliseconds(name: str, timing: Timing, aim: float | None = None) -> list[Figure]:
    return [
        Figure(f"{name}, p50", round(timing.p50, 4), "ms", aim),
        Figure(f"{name}, p95", round(timing.percentile(95), 4), "ms"),
    ]
