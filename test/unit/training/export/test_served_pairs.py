"""A run that learned from captions is served with its words; what does not belong together is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_pairs import (
    CAPTIONS,
    COLOURS,
    RUNS,
    SCRATCH,
    SIZE,
    VIT,
    Sentences,
    colour_table,
    finished,
    know_tiny_models,
    settings,
    weights_of,
)
from tiny_pairs import (
    images as source_images,
)
from torch.nn import functional

from perception_contrast.cli.main import main as command
from perception_contrast.core.errors import ModelError, SpaceError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.clip import load_clip
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.engines.export.exported_encoder import ExportedEncoder
from perception_contrast.models.folder_models import folder_model
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast_training.engine.checkpoint import Checkpoints, read_snapshot, write_snapshot
from perception_contrast_training.engine.load_run import load_run
from perception_contrast_training.engine.regression_guard import RegressionError
from perception_contrast_training.export.export_run import export_run

SAID = ("{}",)  # phrases as they are, for what is compared with training


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    know_tiny_models(monkeypatch)
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_table(tmp_path_factory.mktemp("colours"))


@pytest.mark.parametrize("kind", RUNS)
def test_an_exported_pair_gives_what_the_run_gave(kind: str, table: Path, tmp_path: Path) -> None:
    run = finished(RUNS[kind], table, tmp_path)
    done = export_run(run, tmp_path / "mine", accept_regression=True)
    trained = load_run(run)
    pair: Any = trained.pair
    language = load_encoders(str(tmp_path / "mine"), str(tmp_path / "mine"), offline=True).language
    assert language is not None
    side = trained.backbone.size
    with torch.inference_mode():
        image = functional.normalize(pair.image_vectors(source_images(side=side)), dim=-1)
        words = functional.normalize(pair.text_vectors(CAPTIONS), dim=-1)
        served = language.image_encoder.image_embedding(source_images(side=side))
    text: Any = language.text
    torch.testing.assert_close(served, image, rtol=0, atol=1e-5)
    said = torch.from_numpy(text.with_templates(SAID).encode(CAPTIONS))
    torch.testing.assert_close(said, words, rtol=0, atol=1e-5)
    method: Any = trained.method
    assert language.logit_scale.scale == pytest.approx(float(method.log_scale.detach().exp()), rel=1e-5)
    assert (language.logit_scale.bias is None) == ("siglip" not in kind)
    assert language.space == text.space == done.shared and language.space.startswith("mine@")
    file = next(path for path in (tmp_path / "mine").glob("*.onnx") if "-words-" in path.name or
                not (tmp_path / "mine" / "words.safetensors").exists())  # fmt: skip
    alone = ExportedEncoder(file)
    assert alone.facts.space == language.space
    given = torch.from_numpy(alone.run(source_images(side=side).numpy())["image"])
    torch.testing.assert_close(given, image, rtol=0, atol=1e-4)


def test_a_locked_image_tower_is_exported_as_it_was(table: Path, tmp_path: Path) -> None:
    run = finished(RUNS["lit"], table, tmp_path)
    done = export_run(run, tmp_path / "mine", accept_regression=True)
    parent = load_file(str(weights_of("tiny-clip", tmp_path)))
    mine = load_file(str(tmp_path / "mine" / "model.safetensors"))
    same = {name for name, value in parent.items() if torch.equal(value, mine[name])}
    assert {name for name in parent if name.startswith("visual.")} <= same
    assert "text_projection" not in same
    before = load_clip("tiny-clip", weights=tmp_path / "tiny-clip.safetensors").space
    assert done.space.partition("@")[2] != before.partition("@")[2]
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "all weights of its words" in card and "language_model:=" in card and "open_clip's names" in card


def test_a_pair_goes_on_from_where_an_exported_one_ended(table: Path, tmp_path: Path) -> None:
    """Of a model's own towers, and of a tower of images with the words that an earlier run gave it."""
    for kind in ("clip", "scratch"):
        place = tmp_path / kind
        (place / "again").mkdir(parents=True)
        export_run(finished(RUNS[kind], table, place), place / "mine", accept_regression=True)
        backbone = {"name": str(place / "mine"), "pretrained": True}
        again = settings("clip", backbone, text={"tower": "own"}) | {"lora": {"rank": 2}}
        run = finished(again, table, place / "again")
        done = export_run(run, place / "again" / "mine", accept_regression=True)
        first, second = (load_clip(str(one)) for one in (place / "mine", place / "again" / "mine"))
        pair: Any = load_run(run).pair
        with torch.inference_mode():
            expected = functional.normalize(pair.image_vectors(source_images()), dim=-1)
            torch.testing.assert_close(second.image_embedding(source_images()), expected, rtol=0, atol=1e-5)
            assert (first.image_embedding(source_images()) - expected).abs().max() > 1e-3
        assert done.shared == second.space != first.space


def test_words_find_what_the_run_learned(table: Path, tmp_path: Path) -> None:
    """Through the pipeline, as a node asks: which colour an image has, by its name alone."""
    stored = settings("clip", VIT, dim=16, text=SCRATCH)
    export_run(finished(stored, table, tmp_path, steps=60), tmp_path / "mine")
    folder = str(tmp_path / "mine")
    encoders = load_encoders(folder, folder, offline=True)
    assert encoders.spatial.space != encoders.language.space, "patches by themselves, and shared with words"
    pipeline = Pipeline(encoders, PipelineSettings(short_side=SIZE))
    chance = np.random.default_rng(5)
    for number, colour in enumerate(COLOURS):
        image = chance.integers(0, 100, (SIZE, SIZE, 3), np.uint8)
        image[..., number] += 150
        found = pipeline.classify(Frame(image), COLOURS, templates=["A {} wall."])
        assert found.labels[int(np.argmax(found.probabilities))] == colour
        assert found.space == encoders.language.space


def test_an_adapted_pair_can_be_taken_in_under_a_name(table: Path, tmp_path: Path, capsys: Any) -> None:
    export_run(finished(RUNS["clip"], table, tmp_path), tmp_path / "mine", accept_regression=True)
    file = str(tmp_path / "mine" / "model.safetensors")
    assert command(["models", "add", "robot-clip", file, "--like", "tiny-clip"]) == 0
    assert load_clip("robot-clip", offline=True).space.startswith("robot-clip@")
    assert command(["models", "info", str(tmp_path / "mine")]) == 0
    assert "shared with words" in capsys.readouterr().out


# What is damaged, and what does not belong together.


@pytest.fixture(scope="module")
def folders(table: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of a model's own towers, one of a tower of images that was given words."""
    patch = pytest.MonkeyPatch()
    know_tiny_models(patch)
    found = {}
    for kind in ("siglip lora", "scratch"):
        place = tmp_path_factory.mktemp("served")
        export_run(finished(RUNS[kind], table, place), place / "mine", accept_regression=True)
        found[kind] = place / "mine"
    patch.undo()
    return found


def card(folder: Path, **changes: Any) -> None:
    stored = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(stored | changes))


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4] + b"\1\2\3\4")


def reseal(folder: Path, file: str) -> None:
    from perception_contrast.core.cache import sha256_of

    stored = json.loads((folder / "model.json").read_text())
    stored["beside"][file] = sha256_of(folder / file)
    (folder / "model.json").write_text(json.dumps(stored))


def without(folder: Path, name: str) -> None:
    from safetensors import safe_open

    path = folder / "words.safetensors"
    with safe_open(str(path), framework="pt") as file:
        about = file.metadata()
    tensors = load_file(str(path))
    del tensors[name]
    save_file(tensors, str(path), about)
    reseal(folder, path.name)


def of_others(folder: Path) -> None:
    path = folder / "words.safetensors"
    save_file(load_file(str(path)), str(path), {"pictures": "0" * 64})
    reseal(folder, path.name)


def longer(folder: Path) -> None:
    stored = json.loads((folder / "model.json").read_text())
    card(folder, words=stored["words"] | {"context": 40})


@pytest.mark.parametrize(
    ("kind", "damage", "said"),
    [
        ("siglip lora", lambda f: spoil(f / "model.safetensors"), "is damaged"),
        ("siglip lora", lambda f: spoil(f / "tokenizer.json"), "is damaged"),
        ("siglip lora", lambda f: (f / "tokenizer.json").unlink(), "no file"),
        ("siglip lora", lambda f: card(f, arch="Tiny-CLIP"), "does not fit the model"),
        ("siglip lora", lambda f: card(f, beside={"../x": "0"}), "'beside' is"),
        ("scratch", lambda f: spoil(f / "words.safetensors"), "is damaged"),
        ("scratch", lambda f: (f / "words.safetensors").unlink(), "no file"),
        ("scratch", of_others, "was fitted to images' weights with sha256 000000000000"),
        ("scratch", lambda f: without(f, "visual.head.weight"), "does not fit the model"),
        ("scratch", longer, "does not fit the model"),
        ("scratch", lambda f: card(f, words={"tower": "bert"}), "does not say what the model is"),
        ("scratch", lambda f: card(f, words=None), "has no tower of words"),
    ],
)  # fmt: skip
def test_what_is_damaged_or_of_another_pair_is_refused(
    folders: dict[str, Path], tmp_path: Path, kind: str, damage: Any, said: str
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for path in folders[kind].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert load_clip(str(folder)).space
    damage(folder)
    with pytest.raises(ModelError, match=said):
        load_clip(str(folder))


def test_words_of_other_sentence_vectors_are_refused(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished(RUNS["sentences, hidden"], table, tmp_path)
    export_run(run, tmp_path / "mine")

    class Others(Sentences):
        space = "minilm-l6@other"

    monkeypatch.setattr("perception_contrast.encoders.clip.deferred_minilm", lambda **_: Others())
    with pytest.raises(SpaceError, match="minilm-l6@other"):
        load_clip(str(tmp_path / "mine"))


def test_a_tower_of_images_still_serves_by_itself(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spec = folder_model(folders["scratch"])
    assert spec.spatial and spec.knows_words and spec.dim == 48
    encoders = load_encoders(str(folders["scratch"]), "none", offline=True)
    assert encoders.spatial.dim == 48
    with pytest.raises(ModelError, match="knows no words"):
        load_encoders("dinov2-s14", "dinov2-s14", offline=True)
    assert "mine" not in MODELS and model_spec(str(folders["scratch"])) == spec
    assert command(["models", "info", str(folders["scratch"])]) == 0
    told = capsys.readouterr().out
    assert "48 numbers a vector; with words, of their file's, 16 numbers" in told
    assert "model.safetensors, words.safetensors" in told
    out = folders["scratch"].parent / "by_words.onnx"
    words = ["export", str(folders["scratch"]), "--size", "32x48", "--dense", "stock", "--output", str(out)]
    assert command(words) == 0
    facts = ExportedEncoder(out).facts
    assert facts.outputs == ("dense", "image") and facts.space == load_clip(str(folders["scratch"])).space


@pytest.mark.parametrize("method", ["stock", "maskclip", "sclip", "clearclip", "naclip", "proxyclip"])
def test_patches_are_compared_with_words(folders: dict[str, Path], method: str) -> None:
    """As published: what goes through the linear layer is each patch, in place of the class token."""
    folder = str(folders["scratch"])
    encoders = load_encoders(folder, folder, offline=True, dense=method)
    tower: Any = encoders.language.image_encoder
    images = source_images()
    if method == "proxyclip":
        seen = tower.by_proxy(tower(images).values, encoders.spatial(images).tokens)
    else:
        seen = tower.dense(images)
    assert seen.shape == (4, 4, 4, 16)
    torch.testing.assert_close(seen.norm(dim=-1), torch.ones(4, 4, 4))
    if method == "stock":
        head = load_file(str(folders["scratch"] / "words.safetensors"))["visual.head.weight"]
        patches = encoders.spatial(images).tokens @ head.T
        torch.testing.assert_close(seen, functional.normalize(patches, dim=-1), rtol=0, atol=1e-5)


def test_cells_of_a_convolution_go_alone_the_way_of_their_mean(table: Path, tmp_path: Path) -> None:
    export_run(finished(RUNS["sentences, hidden"], table, tmp_path), tmp_path / "mine")
    tower = load_clip(str(tmp_path / "mine"))
    head = load_file(str(tmp_path / "mine" / "words.safetensors"))["visual.head.weight"]
    images = source_images(2, 96)
    cells = tower.network.visual.trunk.forward_features(images).permute(0, 2, 3, 1) @ head.T
    torch.testing.assert_close(tower.dense(images), functional.normalize(cells, dim=-1), rtol=0, atol=1e-5)
    mean = functional.normalize(cells.mean((1, 2)), dim=-1)
    torch.testing.assert_close(tower.image_embedding(images), mean, rtol=0, atol=1e-5)
    with pytest.raises(ModelError, match="cannot make dense features by 'naclip'"):
        load_clip(str(tmp_path / "mine"), method="naclip")


def test_an_evaluation_asks_runs_and_exported_pairs_by_words(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(RUNS["scratch"], table, tmp_path, steps=20)
    export_run(run, tmp_path / "mine")
    words = ["train", "evaluate", str(run), str(tmp_path / "mine"), "--data", str(table),
             "--task", "zero-shot",
             "--output", str(tmp_path / "out")]  # fmt: skip
    assert command(words) == 0
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())["encoders"]
    assert [one["zero-shot"] for one in figures.values()] == [figures["mine"]["zero-shot"]] * 2
    assert "zero-shot" in capsys.readouterr().out


# The guard.


def test_what_captions_find_is_compared_with_the_start(table: Path, tmp_path: Path) -> None:
    """Spoiled words are a regression, though the image tower is as it was."""
    run = finished(RUNS["lit"], table, tmp_path, steps=40)
    done = export_run(run, tmp_path / "good", accept_regression=True)
    assert done.verdict is not None and {"R@1", "zero-shot"} <= done.verdict.before.keys()
    assert done.verdict.after["R@1"] > done.verdict.before["R@1"]
    checkpoints = Checkpoints(run / "checkpoints", 3)
    place = checkpoints.path_of(checkpoints.steps()[-1])
    snapshot = read_snapshot(place)
    spoiled = {
        name: -value if "text_projection" in name else value for name, value in snapshot.method.items()
    }
    write_snapshot(place, replace(snapshot, method=spoiled))
    with pytest.raises(RegressionError, match=r"R@1|zero-shot"):
        export_run(run, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()
