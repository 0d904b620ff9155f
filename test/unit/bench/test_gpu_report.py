"""The report of a GPU's figures: its parts at a tiny size, in processes that may fail, and its page."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from small_models import encoders_of

from perception_contrast.bench.bench_models import BenchModels, bench_models_of
from perception_contrast.bench.camera_messages import photograph
from perception_contrast.bench.gpu import serving
from perception_contrast.bench.gpu.figures import Figure, PartResult
from perception_contrast.bench.gpu.page import page_of
from perception_contrast.bench.gpu.setup import quick_setup
from perception_contrast.core.frame import Frame
from perception_contrast_training.methods.registry import METHODS

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "gpu_report.py"
WRITES = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
ONE = PartResult([Figure("a rate", 12.5, "images/s")], {"another": "no memory"}, ["random weights"])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_report", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_report", module)
    spec.loader.exec_module(module)
    return module


def children(script: ModuleType, monkeypatch: pytest.MonkeyPatch, **programs: str) -> None:
    """Gives parts programs of Python; "" is one that writes a result."""
    written = json.dumps(ONE.as_mapping())

    def command_of(name: str, options: object, result: Path) -> list[str]:
        return [sys.executable, "-S", "-c", programs[name] or WRITES, str(result), written]

    monkeypatch.setattr(script, "command_of", command_of)


def reported(folder: Path) -> dict[str, dict[str, object]]:
    return json.loads((folder / "report.json").read_text())["parts"]


def test_every_learning_method_has_a_part(script: ModuleType) -> None:
    # A student's rate is that of its teachers, which another part measures.
    own = set(METHODS) - {"distill"}
    assert set(script.METHODS) == own
    assert {f"train.{name}" for name in own} < set(script.PARTS)


def test_a_part_that_fails_or_hangs_loses_only_itself(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    children(
        script, monkeypatch, pair="raise SystemExit('out of memory')", embedding="while True: pass", onnx=""
    )
    slow = replace(script.PARTS["embedding"], limit=0.3)
    monkeypatch.setitem(script.PARTS, "embedding", slow)
    words = ["--device", "cpu", "--quick", "--output", str(tmp_path), "--parts", "pair", "embedding", "onnx"]
    assert script.main(words) == 1
    parts = reported(tmp_path)
    assert {name: part["state"] for name, part in parts.items()} == {
        "pair": "failed", "embedding": "failed", "onnx": "done",
    }  # fmt: skip
    assert "exit code 1: out of memory" in parts["pair"]["problem"]
    assert "not done within 0 s" in parts["embedding"]["problem"]
    page = (tmp_path / "report.md").read_text()
    assert "| a rate | 12.5 images/s |" in page and "not measured: another: no memory" in page
    assert "out of memory" in page and "**quick**" in page


def test_parts_that_are_done_are_kept_and_the_others_taken(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--device", "cpu", "--quick", "--output", str(tmp_path), "--parts", "pair", "onnx"]
    children(script, monkeypatch, pair="", onnx="raise SystemExit('busy')")
    assert script.main(words) == 1
    children(script, monkeypatch, pair="raise SystemExit('it was kept')", onnx="")
    assert script.main(words) == 0
    assert "pair: kept" in capsys.readouterr().out
    assert script.main([*words, "--again"]) == 1
    # Figures of another size are not those of this one.
    children(script, monkeypatch, pair="raise SystemExit('new')", onnx="raise SystemExit('new')")
    assert script.main([word for word in words if word != "--quick"]) == 1
    assert reported(tmp_path)["onnx"]["problem"].endswith("new")


def test_what_there_is_no_time_for_is_named(script: ModuleType, tmp_path: Path) -> None:
    words = ["--device", "cpu", "--quick", "--output", str(tmp_path), "--minutes", "-1", "--parts", "pair"]
    assert script.main(words) == 1
    part = reported(tmp_path)["pair"]
    assert part["state"] == "left out" and "run again" in part["problem"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_it_says_how_to_try_it(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["--output", str(tmp_path)]) == 2
    assert "--device cpu --quick" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    children(script, monkeypatch, pair="")
    assert script.main(["--device", "cpu", "--quick", "--output", f"{__file__}/x", "--parts", "pair"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_training_part_at_a_tiny_size(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # However busy the machine is.
    monkeypatch.setitem(script.PARTS, "train.simclr", replace(script.PARTS["train.simclr"], limit=500.0))
    words = ["--device", "cpu", "--quick", "--output", str(tmp_path), "--minutes", "9"]
    words += ["--parts", "train.simclr"]
    assert script.main(words) == 0
    result = PartResult.from_mapping(reported(tmp_path)["train.simclr"]["result"])
    assert [one.name for one in result.figures] == [
        "simclr, float32", "simclr, float32, checkpointing", "simclr, bfloat16",
        "simclr, bfloat16, checkpointing",
    ]  # fmt: skip
    assert all(one.value > 0 and one.unit == "images/s" for one in result.figures)


def test_frames_of_one_and_of_four_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = quick_setup("cpu")

    def loaded(*_: object) -> BenchModels:
        return bench_models_of(
            encoders_of("apart"), size=(56, 56), camera=setup.camera, frame=Frame(photograph(setup.camera)),
            engine="torch",
        )  # fmt: skip

    monkeypatch.setattr(serving, "_loaded", loaded)
    result = serving.pair_frames(setup)
    one, _, four, _, ratio = result.figures
    assert (one.aim, four.aim, ratio.aim) == (3.0, None, 2.0)
    assert one.unit == four.unit == "ms" and one.value > 0.0 and four.value > 0.0
    assert ratio.unit == "" and "4 cameras" in ratio.name


def test_without_a_gpu_cuda_graphs_are_missing_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "WORDS", serving.SPATIAL)
    result = serving.captured(quick_setup("cpu"))
    assert result.figures == []
    assert "does not run" in result.missing["dinov2-s14, captured"]


@pytest.mark.parametrize(
    ("value", "kind", "reached"),
    [(2.9, "at most", True), (3.1, "at most", False), (3.1, "at least", True), (2.9, "at least", False)],
)
def test_a_figure_knows_whether_its_aim_is_reached(value: float, kind: str, reached: bool) -> None:
    figure = Figure("x", value, "ms", 3.0, kind)  # type: ignore[arg-type]
    assert figure.reached is reached
    part = {"title": "t", "state": "done", "seconds": 1.0, "result": PartResult([figure]).as_mapping()}
    machine = {"gpu": "G", "cpu": "C", "threads": 1, "cores": 2, "load": [0.0], "versions": {"torch": "2"}}
    page = page_of({"machine": machine, "quick": False, "parts": {"pair": part}})
    assert f"| {kind} 3 ms | {'yes' if reached else '**no**'} |" in page
    assert Figure("x", value).reached is None
