"""Methods, readers, encoders and text towers outside of the package, from their names to a pipeline."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from example_methods import FOLDER
from PIL import Image
from plugin_packages import installed
from tiny_pairs import CAPTIONS, colour_table, finished, settings

from perception_contrast.cli.main import main as command
from perception_contrast.core import plugins
from perception_contrast.core.errors import ModelError, RecipeError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.models.registry import model_spec
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast_training import finetune, pretrain
from perception_contrast_training.engine import pretraining
from perception_contrast_training.engine.load_run import load_run
from perception_contrast_training.engine.resume import checkpoints_of
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.export.export_run import export_run

VIT = {"name": "vit_tiny_patch16_224", "size": 32, "patch": 8, "width": 48, "depth": 2, "heads": 3}
RECIPE: dict[str, Any] = {
    "backbone": VIT, "tensorboard": False, "options": {"hidden": 32, "dim": 16},
    "optimisation": {"steps": 4, "batch": 8, "learning_rate": 1e-3, "warm_up": 1},
    "checkpoints": {"every": 1, "keep": 9}, "measure": {"every": 0}, "monitors": {"alarms": "none"},
}  # fmt: skip
QUICK = {"data.workers": 0, "data.held_out": 0.25}
READER = '''
import numpy as np, torch
from perception_contrast_training.data.datasets.reader_kind import ReaderKind
from perception_contrast_training.data.datasets.samples import Sample, no_pose

class Halves:
    """Images of an array, two of each row."""
    classes = ()
    def __init__(self, path, part):
        self.images = np.load(path)
        self.names = [f"row {n}" for n in range(len(self.images))]
    def __len__(self):
        return len(self.images)
    def __getitem__(self, index):
        return Sample(image=torch.from_numpy(self.images[index]), text="", stamp=-1, pose=no_pose(), group=0,
                      label=-1, index=index, key=self.names[index])

READER = ReaderKind(Halves)
NAMELESS = ReaderKind(lambda path, part: [1, 2])
'''
ENCODER = """
import torch
from perception_contrast.encoders.base import EncoderOutput, ImageEncoder, Role
from perception_contrast.models.encoder_kind import EncoderKind
from perception_contrast.models.specs import ModelSpec

class Means(torch.nn.Module, ImageEncoder):
    model, family, dim, patch, space = "means", "plugin", 3, 8, "means@0123456789ab"
    mean, std = (0.5,) * 3, (0.5,) * 3
    outputs = (EncoderOutput("grid", (Role.SPATIAL,), space),
               EncoderOutput("all", (Role.SPATIAL_POOLED,), space))
    def encode(self, images, layers=()):
        grid = torch.nn.functional.avg_pool2d(images, 8).permute(0, 2, 3, 1)
        return grid, grid.mean((1, 2))

SPEC = ModelSpec("means", "plugin", "means", 8, 3, 64, (0.5,) * 3, (0.5,) * 3, "MIT", "mean colours")
KIND = EncoderKind(SPEC, lambda request: Means().eval())
"""

TOWER = '''
import torch
from perception_contrast.text.text_tower_kind import TextTowerKind

class Letters(torch.nn.Module):
    """The mean of what stands for each letter."""
    def __init__(self, size, dim):
        super().__init__()
        self.letters = torch.nn.Embedding(128, size.width, padding_idx=0)
        self.out = torch.nn.Linear(size.width, dim)
    def forward(self, ids):
        return self.out(self.letters(ids).sum(1) / (ids > 0).sum(1, keepdim=True))

def tokenize(texts, context):
    rows = [[ord(letter) % 128 for letter in text[:context].ljust(context, chr(0))] for text in texts]
    return torch.tensor(rows)

KIND = TextTowerKind(Letters, tokenize, str.lower)
'''


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, chance = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for index in range(16):
        Image.fromarray(chance.integers(0, 255, (32, 32, 3), np.uint8)).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The module of a method of one's own in a folder that is on the path, and allowed by nobody yet."""
    shutil.copy(FOLDER / "vicreg.py", tmp_path / "kitchen_vicreg.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_allowed", set())
    yield "kitchen_vicreg"


def weights(run: Path) -> dict[str, torch.Tensor]:
    found = checkpoints_of(run).newest()
    assert found is not None and found.snapshot.step == 4
    return dict(found.snapshot.method)


def test_the_method_of_the_page_trains_by_its_recipe(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (FOLDER.parents[1] / "docs" / "add_a_learning_method.md").read_text("utf-8")
    for suffix, language in ((".py", "python"), (".yaml", "yaml")):
        found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
        assert found is not None
        (tmp_path / f"align_uniform{suffix}").write_text(found[1], "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_allowed", set())
    run = tmp_path / "run"
    given = {
        "data.path": pictures, "data.workers": 0, "output": run, "optimisation.steps": 4,
        "backbone.size": 32, "monitors.alarms": "none",
    }  # fmt: skip
    changes = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    recipe = str(tmp_path / "align_uniform.yaml")
    assert command(["train", "run", "--recipe", recipe, *changes]) == 0
    assert any(name.startswith("head.") for name in weights(run))


def test_a_method_outside_of_the_package_trains_resumes_is_exported_and_served(
    outside: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    name, recipe = f"{outside}:KIND", tmp_path / "mine.yaml"
    data = {"path": str(pictures), "workers": 0, "held_out": 0.25}
    recipe.write_text(yaml.safe_dump(RECIPE | {"method": name, "data": data}))
    whole, broken, model = tmp_path / "whole", tmp_path / "broken", tmp_path / "served"
    assert command(["train", "run", "--recipe", str(recipe), "--set", f"output={whole}"]) == 0
    assert f"train export {whole} --to DIR --plugin {name}" in capsys.readouterr().out

    step = Trainer.step

    def interrupted(self: Trainer, batch: Any) -> Any:
        if self.step_count == 2:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(Trainer, "step", interrupted)
    assert command(["train", "run", "--recipe", str(recipe), "--set", f"output={broken}"]) == 130
    monkeypatch.setattr(Trainer, "step", step)
    # Another process would know nothing of what this one was asked for.
    monkeypatch.setattr(plugins, "_allowed", set())
    capsys.readouterr()
    for words in (["resume", str(broken)], ["export", str(whole), "--to", str(model)]):
        assert command(["train", *words]) == 2
        assert f"say so: --plugin {name}" in capsys.readouterr().err
    assert command(["train", "resume", str(broken), "--plugin", name]) == 0
    left, right = weights(whole), weights(broken)
    assert left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)

    assert command(["train", "export", str(broken), "--to", str(model), "--plugin", name]) == 0
    encoders = load_encoders(str(model), "none", offline=True)
    assert encoders.spatial.model == outside and name not in (model / "model.json").read_text()
    seen = Pipeline(encoders, PipelineSettings(short_side=32)).process(
        Frame(np.zeros((32, 40, 3), np.uint8)), OutputRequest(features=True)
    )
    assert seen.features.values.shape == (4, 5, 48) and seen.features.space == encoders.spatial.space


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("method=kitchen_vicreg:KNID", "has no 'KNID'; did you mean 'KIND'"),
        ("method=kitchen_vicreg:Vicreg", "is a type, not a MethodKind"),
        ("method=kitchen_vicrge:KIND", "there is no module 'kitchen_vicrge'"),
        ("method=vicrge", "method 'vicrge' is unknown"),
        ("options.hiden=3", "unknown key 'options.hiden'; did you mean 'hidden'"),
        ("data.reader=nobodys", "reader 'nobodys' is unknown; installed packages register none"),
        ("loggers=[wandbb]", "did you mean 'wandb'"),
    ],
)
def test_a_wrong_name_is_one_line(
    outside: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, said: str
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(yaml.safe_dump({"method": f"{outside}:KIND", "data": {"path": str(pictures)}}))
    assert command(["train", "run", "--recipe", str(recipe), "--set", change, "--check"]) == 2
    told = capsys.readouterr().err.strip()
    assert said in told and "\n" not in told


def test_registered_names_of_methods_readers_and_encoders_are_found(pictures: Path, tmp_path: Path) -> None:
    source = (FOLDER / "vicreg.py").read_text()
    places = [tmp_path / name for name in ("a", "b", "c")]
    for place in places:
        place.mkdir()
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 255, (16, 3, 32, 32), np.uint8))
    reading = {"halves": "others_reader:READER", "nameless": "others_reader:NAMELESS"}
    with (
        installed(places[0], "others_vicreg", source, {plugins.METHODS: {"vicreg": "others_vicreg:KIND"}}),
        installed(places[1], "others_reader", READER, {plugins.READERS: reading}),
        installed(places[2], "others_encoder", ENCODER, {plugins.ENCODERS: {"means": "others_encoder:KIND"}}),
    ):
        done = pretrain(
            tmp_path / "images.npy", "vicreg", tmp_path / "run", export=False,
            **RECIPE, **QUICK, **{"data.reader": "halves", "data.part": "train"},
        )  # fmt: skip
        assert done.ended == "finished" and done.model is None and done.figures["loss/vicreg"] > 0
        assert pretraining.resume(tmp_path / "run", steps=5) == "finished", (
            "no flag: its package is installed"
        )
        with pytest.raises(plugins.PerceptionError, match="'nameless' gives 2 images without 'names'"):
            pretrain(tmp_path / "images.npy", "vicreg", tmp_path / "no", **{"data.reader": "nameless"})
        encoders = load_encoders("means", "none", offline=True)
        white = Frame(np.full((16, 24, 3), 255, np.uint8))
        request = OutputRequest(features=True)
        seen = Pipeline(encoders, PipelineSettings(short_side=16), precision="fp32").process(white, request)
        np.testing.assert_allclose(seen.features.values, np.ones((2, 3, 3)), atol=1e-5)
        with pytest.raises(ModelError, match="serves it and does not train it"):
            pretrain(pictures, "simclr", tmp_path / "no", backbone={"name": "means", "pretrained": True})
    with pytest.raises(ModelError, match="unknown model 'means'"):
        model_spec("means")
    with pytest.raises(ModelError, match="unknown model 'others_encoder:KIND'"):
        model_spec("others_encoder:KIND")


def test_one_call_trains_exports_and_adapts(pictures: Path, tmp_path: Path) -> None:
    common = {**RECIPE, "options": {"dim": 16}, **QUICK}
    first = pretrain(pictures, "simclr", tmp_path / "first", name="first", **common)
    assert first.model == tmp_path / "first" / "model" and first.space.startswith("first@")
    assert first.worse == () and first.figures["loss"] == pytest.approx(first.figures["loss/nt_xent"])
    common.pop("backbone")
    second = finetune(
        pictures, str(first.model), "simclr", tmp_path / "second", name="second", accept_regression=True,
        **{**common, "lora.rank": 2, "backbone.size": 32},
    )  # fmt: skip
    recipe = yaml.safe_load((second.run / "recipe.yaml").read_text())
    assert recipe["lora"]["rank"] == 2 and recipe["backbone"]["name"] == str(first.model)
    assert recipe["optimisation"]["learning_rate"] == 1e-3, (
        "of the recipe simclr_lora, but for what is changed"
    )
    assert second.model is not None and second.space.startswith("second@")
    with pytest.raises(plugins.PerceptionError, match="leave out epochs"):
        pretrain(pictures, "simclr", tmp_path / "first", resume=True, epochs=3)
    again = pretrain(pictures, "simclr", tmp_path / "first", resume=True)
    assert again.ended == "finished" and again.space == first.space


def test_a_registered_text_tower_learns_and_is_served_with_its_words(tmp_path: Path) -> None:
    stored = settings("clip", VIT, dim=16, text={"tower": "letters", "width": 24, "context": 40})
    table = colour_table(tmp_path)
    (tmp_path / "package").mkdir()
    entries = {plugins.TEXT_TOWERS: {"letters": "others_letters:KIND"}}
    with pytest.raises(
        RecipeError, match="text tower 'letters' is unknown; there are transformer, minilm, own"
    ):
        finished(stored, table, tmp_path)
    with installed(tmp_path / "package", "others_letters", TOWER, entries):
        export_run(finished(stored, table, tmp_path), tmp_path / "mine")
        pair: Any = load_run(tmp_path / "run").pair
        served = load_encoders(str(tmp_path / "mine"), str(tmp_path / "mine"), offline=True)
        assert served.language is not None
        encoder: Any = served.language.text
        with torch.inference_mode():
            words = torch.nn.functional.normalize(pair.text_vectors([*CAPTIONS, "A Mug"]), dim=-1)
        said = torch.from_numpy(encoder.with_templates(("{}",)).encode([*CAPTIONS, "a mug"]))
        torch.testing.assert_close(said, words, rtol=0, atol=1e-5)
    with pytest.raises(
        ModelError, match="'letters' is not known; there are transformer, minilm, teacher; install the"
    ):
        model_spec(str(tmp_path / "mine"))
