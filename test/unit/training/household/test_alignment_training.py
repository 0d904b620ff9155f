"""From labelled cells to a head that is served: batches, steps, files, and the whole command once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from alignment_batches import SETTINGS, Sentences, maker, shard
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_runs import after_each_step

from perception_contrast.cli.main import main as command
from perception_contrast.core.cache import sha256_of
from perception_contrast.core.errors import ModelError, PerceptionError
from perception_contrast.encoders.alignment_head import (
    AlignmentConfig,
    AlignmentHead,
    load_alignment,
    save_alignment,
)
from perception_contrast.encoders.household_lit import PACKAGED
from perception_contrast_training.calibration.household_calibration import fit_words
from perception_contrast_training.config.alignment_recipe import (
    AlignmentOptimisation,
    AlignmentRecipe,
    CalibrationSettings,
)
from perception_contrast_training.config.run_settings import CheckpointSettings
from perception_contrast_training.engine.journal import read_log
from perception_contrast_training.household.alignment.alignment_losses import LossWeights
from perception_contrast_training.household.alignment.alignment_training import AlignmentFit
from perception_contrast_training.household.alignment.baselines import closed_form_head
from perception_contrast_training.household.scene_shards import (
    load_shard,
    require_same_scenes,
    write_shard,
)
from perception_contrast_training.household.sentences import SentenceBank
from perception_contrast_training.household.token_arrays import cell_labels
from perception_contrast_training.household.words import SURFACES, Words


def fit(output: Path | str = "unused", **changes: object) -> AlignmentFit:
    optimisation = AlignmentOptimisation(steps=40, warm_up=2, precision="float32", text_noise=0.0)
    recipe = AlignmentRecipe(
        output=str(output), batch=SETTINGS, checkpoints=CheckpointSettings(every=5),
        optimisation=replace(optimisation, **changes),  # type: ignore[arg-type]
    )  # fmt: skip
    return AlignmentFit(recipe, SentenceBank(Sentences()), maker())


SPACES = {"image_space": "tower@1", "text_space": "sentences@1"}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """With more, PyTorch adds up gradients of looked-up rows in any order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# Labels and batches.


@pytest.mark.parametrize(("size", "grid"), [((12, 16), (3, 4)), ((13, 17), (4, 5)), ((6, 6), (6, 6))])
def test_cells_have_the_label_of_most_of_their_pixels(size: tuple[int, int], grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0])
    instances = rng.integers(-1, 7, size).astype(np.int32)
    numbers = [6, 2, 3]
    labels, purity = cell_labels(instances, numbers, *grid)
    for row, column in np.ndindex(*grid):
        inside = [
            numbers.index(v) + 1 if (v := int(instances[y, x])) in numbers else 0
            for y, x in np.ndindex(*size)
            if y * grid[0] // size[0] == row and x * grid[1] // size[1] == column
        ]
        counts = np.bincount(inside, minlength=4)
        assert counts[labels[row, column]] == counts.max()
        assert purity[row, column] == round(255 * counts.max() / len(inside))


def test_a_batch_says_what_is_true_where() -> None:
    source, batch = shard(), maker().draw()
    words = Words()
    images, count = len(batch.cells), len(batch.phrases)
    assert count == SETTINGS.phrases and batch.truth.shape == (images, 4, count)
    assert batch.layers[0].shape == (images, 4, 4, 384) and batch.cells.shape == (images, 64)
    assert (batch.truth[:, 0] == 0).all() and (batch.category[:, 0] == -1).all()
    assert set(batch.truth.unique().tolist()) <= {-1.0, 0.0, 1.0}
    names = [*words.names, *SURFACES]
    known = {tuple(np.asarray(c, np.float32)): o for c, o in zip(source.cls, source.objects, strict=True)}
    for b in range(images):
        things = known[tuple(batch.cls[b].numpy())]
        assert [names[int(i)] for i in batch.category[b, 1:]] == [o.category for o in things]
    # Half of the phrases describe something that is in the batch.
    assert (batch.truth[:, :, : count // 2] == 1).flatten(0, 1).any(dim=0).all()


def test_dropout_hides_from_a_step_what_it_does_not_hide_from_a_query() -> None:
    batch = maker().draw()
    head = fit(dropout=0.5).head
    seen = [head.grid(batch.layers, batch.colours)[0] for _ in range(2)]
    assert not torch.equal(*seen)
    head.eval()
    seen = [head.grid(batch.layers, batch.colours)[0] for _ in range(2)]
    assert torch.equal(*seen)
    assert head.state_dict().keys() == AlignmentHead().state_dict().keys()


def test_the_same_seed_draws_the_same_batches() -> None:
    one, two, other = maker().draw(), maker().draw(), maker(4).draw()
    assert one.phrases == two.phrases and one.captions == two.captions and one.phrases != other.phrases
    assert torch.equal(one.cells, two.cells) and torch.equal(one.truth, two.truth)


def test_sentences_are_encoded_once() -> None:
    class Counting(Sentences):
        asked = 0

        def encode(self, texts: Sequence[str]) -> np.ndarray:
            self.asked += len(texts)
            return super().encode(texts)

    tower = Counting()
    bank = SentenceBank(tower)
    rows = bank.vectors(["a mug", "a book", "a mug"])
    assert torch.equal(rows[0], rows[2]) and not torch.equal(rows[0], rows[1])
    bank.vectors(["a book"])
    assert tower.asked == len(bank) == 2


# Steps.


def test_a_few_steps_fit_a_batch() -> None:
    batch, trainer = vars(maker().draw()), fit().trainer
    figures = [trainer.step(batch).figures for _ in range(10)]
    weights = {name: weight for name, weight in asdict(LossWeights()).items() if weight}
    assert {f"loss/{name}" for name in weights} | {"loss"} <= set(figures[0])
    total = sum(weights[name] * figures[0][f"loss/{name}"] for name in weights)
    assert figures[0]["loss"] == pytest.approx(total, rel=1e-5)
    assert figures[-1]["loss"] < 0.7 * figures[0]["loss"]
    for name in ("loss/category", "loss/mask"):
        assert figures[-1][name] < figures[0][name]


def test_the_average_follows_the_head_with_short_memory_at_first() -> None:
    batch, made = vars(maker().draw()), fit(average=0.9)
    start = made.head.bias.detach().clone()
    made.trainer.step(batch)
    # After the first step its memory is 1 / 11.
    expected = start / 11 + made.head.bias.detach() * 10 / 11
    assert torch.allclose(made.kept_head().bias, expected, atol=1e-6)


@pytest.mark.parametrize("broken", ["cls", "purity"])
def test_a_run_that_is_not_finite_leaves_the_head_alone_and_ends(broken: str) -> None:
    batch, made = vars(maker().draw()), fit()
    batch = {**batch, broken: torch.full_like(batch[broken], float("nan"))}
    before = {k: v.clone() for k, v in made.head.state_dict().items()}
    with pytest.raises(PerceptionError, match="learning_rate"):
        for _ in range(100):
            made.trainer.step(batch)
    assert all(torch.equal(v, before[k]) for k, v in made.head.state_dict().items())


@pytest.mark.usefixtures("one_thread")
def test_a_fit_that_stops_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    """Noise on words, dropout, batches, moments and averages all go on."""
    settings = {"steps": 12, "dropout": 0.2, "text_noise": 0.05}
    whole, cut = fit(tmp_path / "whole", **settings), fit(tmp_path / "cut", **settings)
    whole.run(SPACES)

    def stopping(step: int) -> None:
        if step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), after_each_step(cut.trainer, stopping):
        cut.run(SPACES)
    torch.manual_seed(123)  # another process has drawn other numbers
    again = fit(tmp_path / "cut", **settings)
    again.run(SPACES)
    assert again.trainer.step_count == 12
    states = [load_file(tmp_path / name / "head.safetensors") for name in ("whole", "cut")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    logs = [read_log(tmp_path / name / "log.jsonl") for name in ("whole", "cut")]
    assert [line["loss"] for line in logs[0]] == [line["loss"] for line in logs[1]]
    # Another recipe in the same folder begins at its first step.
    other = fit(tmp_path / "cut", **settings, learning_rate=1e-4)
    other.run(SPACES)
    assert [line["step"] for line in read_log(tmp_path / "cut" / "log.jsonl")] == list(range(1, 13))
    assert read_log(tmp_path / "cut" / "log.jsonl")[-1]["loss"] != logs[0][-1]["loss"]


# Files.


def test_a_head_comes_back_as_it_was_written(tmp_path: Path) -> None:
    head, path = fit().head.eval(), tmp_path / "head.safetensors"
    save_alignment(head, path, {"image_space": "tower@1", "steps": "3"})
    again, facts, sha256 = load_alignment(path)
    assert (facts["image_space"], facts["steps"], sha256) == ("tower@1", "3", sha256_of(path))
    assert again.config == head.config and not again.training
    batch = maker().draw()
    with torch.no_grad():
        ours, theirs = (h.grid(batch.layers, batch.colours)[0] for h in (head, again))
    assert torch.allclose(ours, theirs, atol=5e-3), "weights are kept in half precision"
    assert list(tmp_path.iterdir()) == [path]


def test_what_heads_from_before_hold_of_exemplars_is_left_out(tmp_path: Path) -> None:
    """Two layers of an adapter and a calibration, beside what is served."""
    head, path = fit().head.eval(), tmp_path / "head.safetensors"
    save_alignment(head, path, {"steps": "3"})
    tensors, dim = load_file(path), head.config.dim
    with safe_open(str(path), framework="pt") as stored:
        facts = stored.metadata()
    adapter = {
        "example.0.weight": torch.randn(2 * dim, dim).half(), "example.0.bias": torch.zeros(2 * dim).half(),
        "example.2.weight": torch.randn(dim, 2 * dim).half(), "example.2.bias": torch.zeros(dim).half(),
    }  # fmt: skip
    old = tmp_path / "old.safetensors"
    save_file({**tensors, **adapter}, old, {**facts, "example_calibration": "{}"})
    now, then = load_alignment(path), load_alignment(old)
    assert now[1] == then[1] and now[1]["steps"] == "3"
    states = now[0].state_dict(), then[0].state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("name", sorted(PACKAGED))
def test_the_packages_heads_go_on_from_what_they_are(tmp_path: Path, name: str) -> None:
    """Read, written and read again: as for a recipe that starts from them."""
    head, facts, _ = load_alignment(PACKAGED[name].alignment)
    path = tmp_path / "head.safetensors"
    save_alignment(head, path, {key: text for key, text in facts.items() if key not in ("format", "config")})
    again, kept, _ = load_alignment(path)
    assert kept == facts and "calibration" in kept
    states = head.state_dict(), again.state_dict()
    assert all(torch.equal(states[0][one], states[1][one]) for one in states[0])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def _bare(path: Path) -> None:
    save_file(load_file(path), path)


def _short(path: Path) -> None:
    tensors = load_file(path)
    tensors.pop("bias")
    save_file(tensors, path, {"config": json.dumps(asdict(AlignmentConfig()))})


def _foreign(path: Path) -> None:
    save_file(load_file(path), path, {"config": json.dumps(asdict(AlignmentConfig(width=64)))})


def _odd(path: Path) -> None:
    save_file(load_file(path), path, {"config": '{"layers": [1], "depth": 3}'})


@pytest.mark.parametrize("damage", [_cut, _noise, _bare, _short, _foreign, _odd, Path.unlink])
def test_damaged_heads_are_refused_by_name(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "head.safetensors"
    save_alignment(fit().head, path, {})
    damage(path)  # type: ignore[operator]
    with pytest.raises(ModelError, match=r"head\.safetensors"):
        load_alignment(path)


def test_shards_appear_whole_and_come_back(tmp_path: Path) -> None:
    made, folder = shard(), tmp_path / "shards" / "56x56_0000"
    names = ("tokens", "cls", "colours", "cells", "purity")
    arrays = {name: getattr(made, name) for name in names}
    things = [[asdict(o) for o in image] for image in made.objects]
    write_shard(folder, arrays, things)
    again = load_shard(folder)
    assert all(np.array_equal(getattr(again, n), getattr(made, n)) for n in names)
    assert again.objects == made.objects
    # A second process that made the same shard leaves the first one's; nothing half-made stays.
    write_shard(folder, {n: v[:1] for n, v in arrays.items()}, things[:1])
    assert len(load_shard(folder).cls) == len(made.cls)
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
    (folder / "cls.npy").write_bytes(b"cut")
    with pytest.raises(PerceptionError, match="delete it"):
        load_shard(folder)


def test_shards_of_other_settings_are_not_mixed_in(tmp_path: Path) -> None:
    require_same_scenes(tmp_path, {"scene seed": 1, "images a shard": 50})
    require_same_scenes(tmp_path, {"scene seed": 1, "images a shard": 50})
    with pytest.raises(PerceptionError, match="other settings"):
        require_same_scenes(tmp_path, {"scene seed": 2, "images a shard": 50})


# Baselines and calibration.


def test_the_closed_form_map_names_the_categories_it_was_fitted_to() -> None:
    source, tower = shard(images=30), Sentences()
    head = closed_form_head([source], tower, seed=0)
    texts = ["blue mug", "red mug", "blue book", "red book", "blue chair", "red chair", "floor"]
    words = head.text_embedding(torch.from_numpy(tower.encode(texts)))
    layers = torch.from_numpy(source.tokens.astype(np.float32)).chunk(3, dim=-1)
    grid = head.grid(layers, torch.zeros(30, 6, 8, 8))[0]
    assert torch.allclose(grid.norm(dim=-1), torch.ones(30, 8, 8), atol=1e-4)
    right = total = 0
    for image, things in zip(range(30), source.objects, strict=True):
        for k, thing in enumerate(things):
            text = f"{thing.color} {thing.category}".strip()
            if text in texts:
                cells = grid[image][torch.from_numpy(source.cells[image] == k + 1)]
                right += int(((cells @ words.T).argmax(-1) == texts.index(text)).sum())
                total += len(cells)
    assert right / total > 0.9


def test_a_head_that_finds_nothing_is_calibrated_all_the_same() -> None:
    calibration, facts = fit_words([], None, CalibrationSettings())  # type: ignore[arg-type]
    assert facts["regions"] == 0 and 0 < calibration.detection < 1


# The command.


@pytest.mark.slow
def test_one_command_ends_with_a_head_that_is_served(tmp_path: Path, repository: Path) -> None:
    from perception_contrast.encoders.dinov2 import load_dino
    from perception_contrast.encoders.household_lit import load_household_lit
    from perception_contrast.text.sentence_encoder import load_minilm
    from perception_contrast_sim.objects import assets

    try:
        tower, sentences = load_dino("dinov2-s14", pinned=True), load_minilm()
        assets.prepare()
    except ModelError as error:
        pytest.skip(str(error))
    changes = (
        f"output={tmp_path}", "scenes.images=4", "scenes.per_shard=2", "scenes.workers=1",
        "scenes.sizes=[[112, 154], [84, 112]]", "scenes.shares=[0.5, 0.5]", "batch.images=2",
        "batch.crop=6", "batch.phrases=20", "optimisation.steps=3",
        "optimisation.threads=1", "calibration.scenes=2", "calibration.absent=2", "evaluation.scenes=2",
        "evaluation.held_out_scenes=2", "evaluation.absent=2",
    )  # fmt: skip
    recipe = str(repository / "training" / "recipes" / "household_lit.yaml")
    arguments = ["train", "--recipe", recipe]
    for change in changes:
        arguments += ["--set", change]
    assert command(arguments) == 0
    shards = sorted(p for p in (tmp_path / "shards").iterdir() if p.is_dir())
    assert [p.name for p in shards] == ["112x154_0000", "84x112_0000"]
    path = tmp_path / "head.safetensors"
    served = load_household_lit(tower, sentences, path=path)
    assert served.facts["steps"] == "3" and served.facts["text_space"] == sentences.space
    assert "calibration" in served.facts
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["head"] == sha256_of(path)
    measured = figures["household-lit"]["unseen scenes"]
    assert measured["questions"]["category"] > 0 and measured["questions"]["absent name"] == 4
    assert all(0 <= v <= 1 for v in measured["iou"].values())
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 3
    # A second run finds its shards; other scenes are not mixed with them.
    stamps = [p.stat().st_mtime_ns for p in shards]
    assert command([*arguments, "--only", "train"]) == 0
    assert [p.stat().st_mtime_ns for p in shards] == stamps
    assert command([*arguments, "--set", "scenes.seed=2", "--only", "train"]) == 2
