"""Recipes and the train command: what is refused, and that it is said in one line."""

from __future__ import annotations

import dataclasses
import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from perception_contrast.cli.main import main as command
from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.alignment_recipe import (
    AlignmentOptimisation,
    AlignmentRecipe,
    load_alignment_recipe,
)
from perception_contrast_training.engine.schedules import warmed_up
from perception_contrast_training.household.alignment import alignment_command as cli
from perception_contrast_training.household.alignment.alignment_training import shard_jobs


@pytest.fixture
def shipped(repository: Path) -> Path:
    return repository / "training" / "recipes" / "household_lit_rendered.yaml"


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


# What a recipe says.


@pytest.mark.parametrize(
    "name",
    [
        "household_lit",
        "household_lit_rendered",
        "household_lit_rooms",
        "household_things",
    ],
)
def test_the_shipped_recipes_say_what_they_say(repository: Path, name: str) -> None:
    shipped = repository / "training" / "recipes" / f"{name}.yaml"
    recipe, stored = load_alignment_recipe(shipped), yaml.safe_load(shipped.read_text())
    read = json.loads(json.dumps(dataclasses.asdict(recipe)))
    for key, value in stored.items():
        assert (read[key] | value if isinstance(value, dict) else value) == read[key]
    assert recipe.calibration.seed != recipe.evaluation.seed


def test_set_changes_values_at_any_depth(shipped: Path) -> None:
    recipe = load_alignment_recipe(
        shipped,
        ["seed=3", "optimisation.learning_rate=1e-3", "scenes.sizes=[[28, 42]]", "scenes.shares=[1]",
         "evaluation.unseen=false", "calibration.scenes=5", "output=elsewhere/run"],
    )  # fmt: skip
    assert (recipe.seed, recipe.output, recipe.calibration.scenes) == (3, "elsewhere/run", 5)
    assert recipe.optimisation.learning_rate == 1e-3 and recipe.evaluation.unseen is False
    assert recipe.scenes.sizes == ((28, 42),) and recipe.scenes.shares == (1.0,)


def test_an_empty_mapping_is_all_defaults(tmp_path: Path) -> None:
    assert load_alignment_recipe(written(tmp_path, "{}")) == AlignmentRecipe()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("optimisation.step=3", "'optimisation.step'; did you mean 'steps'"),
        ("sceness.seed=3", "'sceness'; did you mean 'scenes'"),
        ("zzz=3", "known: method, name"),
        ("calibration.offline=true", "unknown key 'calibration.offline'"),
        ("optimisation.steps=many", "'optimisation.steps' cannot be 'many'; expected int"),
        ("optimisation.steps=2.5", "'optimisation.steps' cannot be 2.5"),
        ("optimisation.steps=true", "'optimisation.steps' cannot be True"),
        ("optimisation.learning_rate=.nan", "optimisation.learning_rate"),
        ("optimisation.learning_rate=fast", "expected float"),
        ("evaluation.unseen=1", "'evaluation.unseen' cannot be 1; expected bool"),
        ("name=3", "'name' cannot be 3; expected str"),
        ("scenes.sizes=[[378]]", "scenes.sizes"),
        ("scenes.sizes=[[100, 126], [28, 28], [42, 42]]", "multiple of 14"),
        ("scenes.sizes=[[28, 42], [28, 28], [42, 42]]", "same height"),
        ("scenes.shares=[1.0]", "differ in length"),
        ("loss=0", "'loss' must hold keys, not 0"),
        ("seed.deeper=1", "'seed' holds a value"),
        ("steps", "'steps' is not key=value"),
        ("seed=[1", "is not YAML"),
        ("method=distil", "method 'distil' is unknown"),
        ("image_tower=dinov2-b14", "this version takes 'dinov2-s14'"),
        ("text_tower=clip", "this version takes 'minilm-l6'"),
        ("optimisation.precision=float16", "neither bfloat16 nor float32"),
        ("optimisation.dropout=1.0", "optimisation.dropout 1.0 is not in [0, 1)"),
        ("scenes.workers=0", "'scenes.workers' must be at least 1"),
        ("optimisation.steps=0", "'optimisation.steps' must be at least 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(shipped: Path, change: str, said: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        load_alignment_recipe(shipped, [change])
    assert said in str(refusal.value)


def test_keys_that_nothing_reads_any_more_are_left_out_with_a_warning(tmp_path: Path) -> None:
    path = written(tmp_path, "batch: {examples: 4, images: 8}\nloss: {example: 0.3}\n")
    with pytest.warns(FutureWarning, match=r"'batch\.examples' has no effect.*leave it out") as told:
        recipe = load_alignment_recipe(path)
    assert any("'loss.example'" in str(one.message) for one in told)
    assert recipe == dataclasses.replace(
        AlignmentRecipe(), batch=dataclasses.replace(AlignmentRecipe().batch, images=8)
    )
    changes = ["batch.examples=3", "calibration={example_scenes: 5, scenes: 7}", "loss={example: 1.0}"]
    with pytest.warns(FutureWarning, match=r"'calibration\.example_scenes' has no effect"):
        changed = load_alignment_recipe(written(tmp_path, "{}"), changes)
    assert changed.calibration.scenes == 7
    assert (changed.batch, changed.loss) == (AlignmentRecipe().batch, AlignmentRecipe().loss)


@pytest.mark.parametrize(
    "content", [b"- a\n- b\n", b"a: [1\n", b"\xff\xfe\x00\x01", b"", b"!!python/name:os.system x"]
)
def test_files_that_are_no_recipes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"broken\.yaml"):
        load_alignment_recipe(path)


# What follows from it.


def test_the_learning_rate_warms_up_and_decays() -> None:
    settings = AlignmentOptimisation(steps=1000, warm_up=100, learning_rate=2.0).for_trainer(16)
    assert settings.scaling == "fixed" and settings.final_decay == settings.weight_decay

    def learning_rate(step: int, warm_up: int = 100) -> float:
        peak = settings.learning_rate
        return warmed_up(peak, peak * settings.final_rate, step, settings.steps, warm_up)

    assert learning_rate(0) == pytest.approx(0.02)
    assert learning_rate(49) == pytest.approx(1.0)
    assert learning_rate(99) == learning_rate(100) == pytest.approx(2.0)
    # Half of the way down the cosine is the mean of its ends: 2 and a hundredth of it.
    assert learning_rate(550) == pytest.approx((2.0 + 0.02) / 2)
    assert learning_rate(1000) == learning_rate(5000) == pytest.approx(0.02)
    falling = [learning_rate(step) for step in range(100, 1000)]
    assert all(a > b for a, b in pairwise(falling))
    assert math.isfinite(learning_rate(0, warm_up=0))


def test_no_two_shards_share_a_scene_nor_any_with_the_evaluation(shipped: Path) -> None:
    recipe = load_alignment_recipe(shipped)
    jobs = shard_jobs(recipe, offline=True)
    seeds = {job.seed for job in jobs}
    assert len(seeds) == len({job.folder for job in jobs}) == len(jobs)
    assert sum(job.images for job in jobs) >= recipe.scenes.images
    assert not any(job.unseen for job in jobs)
    apart = {s + more for s in (recipe.calibration.seed, recipe.evaluation.seed) for more in (0, 1)}
    assert len(apart) == 4 and not seeds & apart
    assert {job.size for job in jobs[:3]} == set(recipe.scenes.sizes), "every size is there from the start"


# The command.


def said_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command(["train", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ") and not any("Traceback" in line for line in lines)
    return lines[-1]


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], shipped: Path, tmp_path: Path) -> None:
    here = f"output={tmp_path}"
    only = ("--recipe", str(shipped), "--set", here, "--only")
    assert "cannot be read" in said_by(capsys, "--recipe", str(tmp_path / "none.yaml"))
    assert "run the train step first" in said_by(capsys, *only, "evaluate")
    assert "--only calibrate" in said_by(
        capsys, "--recipe", str(shipped), "--set", here, "--head", str(tmp_path / "h")
    )
    (tmp_path / "head.safetensors").write_bytes(b"no head at all")
    assert "not readable" in said_by(capsys, *only, "calibrate")
    (tmp_path / "file").write_text("")
    blocked = ("--recipe", str(shipped), "--set", f"output={tmp_path}/file/run", "--offline")
    assert "cannot be read or written" in said_by(capsys, *blocked)


def test_an_interrupt_is_no_traceback(
    capsys: pytest.CaptureFixture[str], shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert command(["train", "--recipe", str(shipped)]) == 130
    assert "Traceback" not in capsys.readouterr().err
