"""From a run to a folder that everything else takes by its path; and what the guard lets through."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from perception_contrast.cli.main import main as command
from perception_contrast.core.cache import sha256_of
from perception_contrast.core.errors import ModelError, PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.engines.export.exported_encoder import ExportedEncoder
from perception_contrast.models.folder_models import folder_model
from perception_contrast.models.registry import model_spec
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast_training.config.pretraining_recipe import recipe_of
from perception_contrast_training.engine.checkpoint import Checkpoints, read_snapshot, write_snapshot
from perception_contrast_training.engine.load_run import TrainedRun, load_run
from perception_contrast_training.engine.pretraining import check, start
from perception_contrast_training.engine.regression_guard import RegressionError, judge, require_no_regression
from perception_contrast_training.evaluation.held_out_figures import HeldOutScores
from perception_contrast_training.export.export_files import served_by, write_model
from perception_contrast_training.export.export_run import export_run, spec_of
from perception_contrast_training.networks.backbones import BackboneSettings, make_backbone

VIT = {"name": "vit_tiny_patch16_224", "size": 32, "patch": 8, "width": 48, "depth": 2, "heads": 3}


@pytest.fixture(scope="module")
def source_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes: red and green noise."""
    folder, chance = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number, name in enumerate(("green", "red")):
        (folder / name).mkdir()
        for index in range(24):
            noise = chance.integers(0, 120, (32, 32, 3), np.uint8)
            noise[..., 1 - number] += 130
            Image.fromarray(noise).save(folder / name / f"{index}.png")
    return folder


def recipe(source_images: Path, output: Path, **more: Any) -> Any:
    return recipe_of(
        {
            "method": "simclr", "name": "tiny", "output": str(output), "backbone": VIT, "tensorboard": False,
            "data": {"path": str(source_images), "workers": 0, "held_out": 0.25},
            "optimisation": {"steps": 4, "batch": 8, "optimiser": "adamw", "learning_rate": 1e-3},
            "checkpoints": {"every": 2}, "measure": {"every": 0}, "monitors": {"alarms": "none"}, **more,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def exported(source_images: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run and its export."""
    place = tmp_path_factory.mktemp("exported")
    assert start(recipe(source_images, place / "run")) == "finished"
    export_run(place / "run", place / "tiny")
    return place / "run", place / "tiny"


def test_the_folder_is_served_by_its_path(exported: tuple[Path, Path]) -> None:
    """What nodes do: the same vectors as the network that was trained."""
    run, folder = exported
    encoders = load_encoders(str(folder), "none", offline=True)
    sha256 = sha256_of(folder / "model.safetensors")
    assert encoders.spatial.space == f"tiny@{sha256[:12]}" and encoders.spatial.model == "tiny"
    images = torch.randn(2, 3, 32, 32)
    backbone = load_run(run).backbone.eval()
    torch.testing.assert_close(encoders.spatial(images).cls, backbone(images).pooled, rtol=1e-4, atol=1e-5)
    pipeline = Pipeline(encoders, PipelineSettings(short_side=32))
    seen = pipeline.process(Frame(np.zeros((48, 64, 3), np.uint8)), OutputRequest(features=True))
    assert seen.features is not None and seen.features.space == encoders.spatial.space


def test_the_onnx_file_gives_the_same(exported: tuple[Path, Path]) -> None:
    _, folder = exported
    encoder = ExportedEncoder(folder / "tiny-32x32-fp32.onnx")
    tower = load_dino(str(folder))
    assert (encoder.facts.space, encoder.facts.family) == (tower.space, "timm")
    images = torch.randn(1, 3, 32, 32)
    given = torch.from_numpy(encoder.run(images.numpy())["tokens"])
    torch.testing.assert_close(given, tower(images).tokens, rtol=1e-3, atol=1e-4)


def test_cards_say_what_it_is(exported: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run, folder = exported
    card, figures = (folder / "README.md").read_text(), json.loads((folder / "figures.json").read_text())
    assert figures["space"] in card and "36 learned from, 12 kept back" in card
    assert "random weights" in card and "unknown" in card
    assert figures["recipe"]["optimisation"]["steps"] == figures["step"] == 4
    assert command(["models", "info", str(folder)]) == 0
    assert "simclr from scratch" in capsys.readouterr().out
    assert command(["train", "export", str(run), "--to", str(folder)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("is_file", [True, False])
def test_nothing_but_a_model_is_replaced(exported: tuple[Path, Path], tmp_path: Path, is_file: bool) -> None:
    mine = tmp_path / "mine" if is_file else tmp_path / "mine" / "notes.txt"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("years of work")
    with pytest.raises(PerceptionError, match=r"holds no exported model .*name a folder that does not exist"):
        export_run(exported[0], tmp_path / "mine", replace=True)
    assert mine.read_text() == "years of work"


def test_an_export_is_replaced_whole_or_not_at_all(
    exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perception_contrast_training.export import export_run as module

    run, _ = exported
    export_run(run, tmp_path / "tiny")
    space = folder_model(tmp_path / "tiny").sha256
    monkeypatch.setattr(module, "model_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_run(run, tmp_path / "tiny", replace=True, step=2)
    assert folder_model(tmp_path / "tiny").sha256 == space
    monkeypatch.undo()
    export_run(run, tmp_path / "tiny", replace=True, step=2)
    assert folder_model(tmp_path / "tiny").sha256 != space
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "model.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "model.json").write_text("{}"), "no card of a model"),
        (lambda folder: (folder / "model.json").unlink(), "has no model.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights file"),
        (lambda folder: _cut(folder / "model.safetensors"), "is damaged"),
        (lambda folder: _card(folder, patch="8"), "'patch' is '8'"),
        (lambda folder: _card(folder, family="lit"), "cannot be served from a folder"),
        (lambda folder: _card(folder, version=2), "has version 2"),
        (lambda folder: _card(folder, mean=[1, 2]), "not three numbers"),
    ],
)  # fmt: skip
def test_what_is_damaged_is_refused(
    exported: tuple[Path, Path], tmp_path: Path, damage: Any, said: str
) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    for path in exported[1].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    damage(folder)
    with pytest.raises(ModelError, match=said):
        load_dino(str(folder))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7] + b"\0" * 7)


def _card(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | changes))


@pytest.mark.parametrize(
    "settings",
    [
        BackboneSettings(**{**VIT, "registers": 2}),
        BackboneSettings(name="resnet10t", size=64),
        BackboneSettings(name="resnet18", size=32, cifar_stem=True),
        BackboneSettings(name="convnext_atto", size=64),
        BackboneSettings(name="dinov2-s14", size=56, depth=2),
    ],
    ids=lambda one: one.name + ("-cifar" if one.cifar_stem else ""),
)
def test_every_kind_of_network_is_served_as_it_was_trained(tmp_path: Path, settings: Any) -> None:
    backbone = make_backbone(settings).eval()

    class Method:
        def exported(self) -> Any:
            return backbone

    plain = recipe(Path("x"), tmp_path)
    trained = TrainedRun(plain, Method(), 0)  # type: ignore[arg-type]
    written = write_model(tmp_path, spec_of(trained), served_by(trained), settings.size)
    assert min(written.cosines.values()) > 0.999
    tower = load_dino(str(tmp_path))
    images = torch.randn(2, 3, settings.size, settings.size)
    seen, trained = tower(images), backbone(images)
    assert tower.space == written.space and not written.shared
    torch.testing.assert_close(seen.cls, trained.pooled, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(seen.tokens.flatten(1, 2), trained.tokens, rtol=1e-3, atol=1e-4)
    again = make_backbone(BackboneSettings(name=str(tmp_path), pretrained=True, size=settings.size)).eval()
    torch.testing.assert_close(again(images).pooled, trained.pooled, rtol=1e-4, atol=1e-5)


def test_names_of_models_that_there_are_cannot_be_taken(exported: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a model already"):
        export_run(exported[0], tmp_path / "x", name="dinov2-s14")
    assert not list(tmp_path.iterdir())


def test_paths_are_told_from_names() -> None:
    with pytest.raises(ModelError, match="is no model: it has no"):
        model_spec("./nowhere")
    with pytest.raises(ModelError, match="did you mean dinov2-s14"):
        model_spec("dinov2-s1")


# The guard.


def without_rows(**figures: float) -> HeldOutScores:
    return HeldOutScores({name.replace("_", " "): value for name, value in figures.items()})


def right(correct: int, count: int) -> HeldOutScores:
    """kNN of so many images; the first ones are right."""
    scores = HeldOutScores({})
    scores.add("kNN", torch.arange(count) < correct)
    return scores


def test_a_fall_of_what_decides_is_a_regression() -> None:
    before = without_rows(kNN=0.8, linear_probe=0.9, rank=100.0, spread=0.9)
    fine = judge(before, without_rows(kNN=0.79, linear_probe=0.91, rank=20.0, spread=0.1), 0.02)
    assert not fine.regressed and list(fine.before) == ["kNN", "linear probe", "rank"]
    worse = judge(before, without_rows(kNN=0.78, linear_probe=0.95, rank=200.0), 0.02)
    assert worse.worse == ("kNN",)
    with pytest.raises(RegressionError, match=r"kNN 0\.800 to 0\.780"):
        require_no_regression(worse, accepted=False)
    require_no_regression(worse, accepted=True)
    rank = judge(without_rows(rank=50.0), without_rows(rank=20.0), 0.02)
    assert rank.worse == ("rank",), "where nothing else is known"
    assert "Rank alone decides" in rank.sentences()[0]
    assert not judge(HeldOutScores({}), HeldOutScores({}), 0.02).judged
    assert judge(without_rows(kNN=0.8), without_rows(kNN=math.nan), 0.02).regressed, "no number is no better"
    assert not judge(without_rows(kNN=math.nan), without_rows(kNN=0.1), 0.02).judged


def test_few_held_out_images_say_how_many_are_needed() -> None:
    """Ten of twelve right before and after is no proof; 1,500 of 1,800 of the same is one."""
    few, many = (judge(right(correct, count), right(correct, count), 0.02) for correct, count in
                 ((10, 12), (1500, 1800)))  # fmt: skip
    assert not few.regressed and few.undecided == ("kNN",)
    # With z = 1.96 and no image that changed: z / (n + 2) <= 0.02 * 10 / 12.
    assert few.changes["kNN"].needed == math.ceil(1.959964 / (0.02 * 10 / 12) - 2) == 116
    assert "fell by more than 2.0%: 12, and about 116 are needed" in few.sentences()[0]
    assert not many.undecided and not many.sentences()
    table = few.table()
    assert table.headings[-3:] == ("95 % interval", "images", "needed")
    assert table.rows[0][-3:] == ("-0.140 to +0.140", 12, 116)
    json.dumps(few.stored())


def test_a_fall_by_few_images_is_refused_with_its_interval() -> None:
    fell = judge(right(10, 12), right(9, 12), 0.02)
    assert fell.worse == ("kNN",) and not fell.undecided
    with pytest.raises(RegressionError, match=r"interval of the change .* by 12 images, of which about"):
        require_no_regression(fell, accepted=False)


def test_images_that_vanished_in_between_leave_no_interval() -> None:
    assert not judge(right(10, 12), right(10, 11), 0.02).changes


@pytest.fixture
def adapted(exported: tuple[Path, Path], source_images: Path, tmp_path: Path) -> Path:
    """A run that starts from the exported encoder, and whose checkpoint has forgotten all it knew."""
    start(
        recipe(
            source_images, tmp_path / "run", name="adapted",
            backbone={"name": str(exported[1]), "pretrained": True, "size": 32},
        )
    )  # fmt: skip
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", 3)
    for step in checkpoints.steps():
        snapshot = read_snapshot(checkpoints.path_of(step))
        blank = {name: value * ("network" not in name) for name, value in snapshot.method.items()}
        write_snapshot(checkpoints.path_of(step), replace(snapshot, method=blank))
    return tmp_path / "run"


def test_an_encoder_that_got_worse_is_not_exported_unless_told_to(
    adapted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "export", str(adapted), "--to", str(tmp_path / "out")]
    assert command(arguments) == 2
    said = capsys.readouterr().err
    assert "worse than the one it started from" in said and "--accept-regression" in said
    assert "by 12 images, of which about" in said
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))
    assert command([*arguments, "--accept-regression"]) == 0
    said = capsys.readouterr().out
    assert "before" in said and "95 % interval" in said
    assert "**Worse than before** in" in (tmp_path / "out" / "README.md").read_text()


def test_a_run_with_few_held_out_images_says_so_at_its_start(
    exported: tuple[Path, Path], source_images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    adapting = {"name": str(exported[1]), "pretrained": True, "size": 32}
    few = recipe(source_images, tmp_path / "run", backbone=adapting)
    said = "by 12 held-out images; it cannot tell a loss of 2.0% by fewer than 96"
    assert said in check(few)
    start(few)
    assert said in caplog.text
    assert "cannot tell" not in check(recipe(source_images, tmp_path / "scratch")), "nothing to guard"


def test_low_rank_additions_are_worked_in(
    exported: tuple[Path, Path], source_images: Path, tmp_path: Path
) -> None:
    start(
        recipe(
            source_images, tmp_path / "run", lora={"rank": 2}, name="small",
            backbone={"name": str(exported[1]), "pretrained": True, "size": 32},
        )
    )  # fmt: skip
    done = export_run(tmp_path / "run", tmp_path / "out", accept_regression=True)
    assert done.verdict is not None and {"kNN", "linear probe"} <= done.verdict.before.keys()
    trained = load_run(tmp_path / "run").backbone.eval()
    tower, start_tower = load_dino(str(tmp_path / "out")), load_dino(str(exported[1]))
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(tower(images).cls, trained(images).pooled, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(tower(images).cls, start_tower(images).cls, atol=1e-4)


# The command.


def test_a_run_is_one_command_after_the_other(
    source_images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = recipe(source_images, tmp_path / "run")
    stored = yaml.safe_load(yaml.safe_dump({"method": "simclr", "backbone": VIT}))
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(stored))
    sets = [
        f"output={wanted.output}", f"data.path={source_images}", "data.workers=0", "optimisation.batch=8",
        "optimisation.steps=4", "optimisation.optimiser=adamw", "tensorboard=false", "measure.every=2",
        "checkpoints.every=2",
    ]  # fmt: skip
    arguments = ["--recipe", str(path), *(part for one in sets for part in ("--set", one))]
    assert command(["train", "run", *arguments, "--check"]) == 0
    assert "43 images to learn from, 5 kept back" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    assert command(["train", *arguments]) == 0, "the form without `run`"
    assert command(["train", "run", *arguments]) == 2
    assert "train resume" in capsys.readouterr().err
    assert command(["train", "resume", str(tmp_path / "run"), "--steps", "6"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert "held out/kNN" in lines[1]
    capsys.readouterr()
    evaluated = ["train", "evaluate", str(tmp_path / "run"), "--data", str(source_images), "--task", "knn"]
    assert command([*evaluated, "--output", str(tmp_path / "figures")]) == 0
    assert "kNN" in capsys.readouterr().out
    assert (tmp_path / "figures" / "compare.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--recipe", "simclr_scrach"], "did you mean 'simclr_scratch'"),
        (["resume", "/nowhere"], "holds no run"),
        (["export", "/nowhere", "--to", "/x"], "holds no run"),
        (["run", "--recipe", "simclr_scratch"], "names no data"),
        (["run", "--recipe", "simclr_scratch", "--set", "optimisation.btch=3"], "did you mean 'batch'"),
        (["run", "--recipe", "simclr_scratch", "--set", "options.temprature=3"], "mean 'temperature'"),
        (["run", "--recipe", "simclr_scratch", "--set", "method=simcrl"], "did you mean 'simclr'"),
        (["run", "--recipe", "simclr_scratch", "--set", "optimisation.optimiser=adam"], "mean 'adamw'"),
        (["run", "--recipe", "simclr_scratch", "--set", "lora.rank=4"], "LoRA adds a little"),
        (["evaluate", "/nowhere/x", "--data", "/nowhere"], "is no model"),
    ],
)  # fmt: skip
def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert command(["train", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ") and said in lines[-1]


def test_learning_words_needs_captions(source_images: Path, tmp_path: Path) -> None:
    wanted = recipe(source_images, tmp_path / "run")
    with pytest.raises(PerceptionError, match="has no captions, and clip learns from images with captions"):
        start(recipe_of({"method": "clip", "data": {"path": str(source_images)}, "output": wanted.output}))
    assert replace(wanted, seed=1) != wanted


def test_too_few_images_say_so_before_anything_starts(source_images: Path, tmp_path: Path) -> None:
    with pytest.raises(PerceptionError, match="36 images to learn from do not fill a batch of 64"):
        start(recipe(source_images, tmp_path / "run", optimisation={"batch": 64, "steps": 2}))
    assert not (tmp_path / "run").exists()
