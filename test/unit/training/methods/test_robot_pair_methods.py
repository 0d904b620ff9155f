"""Second views from partner frames, and near frames that are no negatives: from the recipe to the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from recordings import COLOR, SECOND, START, color, drive, image, jpeg, text, write
from scipy.spatial.transform import Rotation
from shipped_methods import OPTIONS, OWN, SMALL
from tiny_runs import same
from torch import Tensor

from perception_contrast.core.errors import FrameError, PerceptionError, RecipeError
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe, read_recipe, recipe_of
from perception_contrast_training.data.bags.extract import extract
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.datasets.frame_table import Frames
from perception_contrast_training.data.datasets.shards import ShardDataset
from perception_contrast_training.data.datasets.subset import Chosen
from perception_contrast_training.data.loading.batches import PARTNERED, UNREADABLE, batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.data.pairs.positive_pairs import (
    PairSettings,
    PositivePairs,
    find_positive_pairs,
)
from perception_contrast_training.engine import negative_mask
from perception_contrast_training.engine.checkpoint import Checkpoints, Snapshot, read_snapshot
from perception_contrast_training.engine.journal import read_log
from perception_contrast_training.engine.negative_mask import FRAME_POSITIONS, NegativeMask, may_be_negatives
from perception_contrast_training.engine.pretraining import check, resume, start
from perception_contrast_training.engine.pretraining_data import open_data, positive_pairs_in
from perception_contrast_training.engine.trainer import Trainer

OTHER = "/cam/side/image_raw/compressed"
KEEP_ALL = ExtractOptions(every=0.0, min_change=0.0, novelty="none", min_sharpness=0.0)


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of 12 s with two cameras; half a metre a second; each frame has a caption."""
    folder = tmp_path_factory.mktemp("robot")
    bags = []
    for number in range(2):
        messages = drive(12, first=20 * number)
        for frame in range(20 * number, 20 * number + 12):
            stamp = START + frame * SECOND
            messages.append(color(stamp + 20_000_000, jpeg(image(100 + frame)), OTHER))
            messages.append(text(stamp, f"thing number {frame}"))
        bags.append(write(folder / f"bag{number}", sorted(messages, key=lambda one: one.stamp)))
    options = ExtractOptions(
        topics=(COLOR, OTHER), text=("/narration",), every=0.0, novelty="none", text_window=0.1
    )
    extract(bags, folder / "set", options, workers=1)
    return folder / "set"


class AsTheyAre:
    """views (2, 3, h, w): the image and its partner, unchanged."""

    def __call__(
        self, image: Tensor, generator: torch.Generator, partner: Tensor | None = None
    ) -> dict[str, Tensor]:
        return {"views": torch.stack([image, image if partner is None else partner]).float()}


def fed(images: Any, positives: PositivePairs, batch: int = 6, **options: Any) -> list[dict[str, Any]]:
    source = batches(images, AsTheyAre(), Order(len(images), batch, 3), positives=positives, **options)
    return list(islice(source, 8 - options.get("start", 0)))


# What a batch holds.


@pytest.mark.parametrize("kind", ["time", "camera", "place", "any"])
def test_second_views_show_a_frame_of_the_kind_that_was_asked_for(robot: Path, kind: Any) -> None:
    dataset = ShardDataset(robot)
    settings = PairSettings(kind, seconds=1.5, metres=0.6, degrees=10)
    positives = find_positive_pairs(dataset, settings, str(robot), negatives=True)
    assert positives is not None
    topics, kinds = dataset.rows["topic"].to_pylist(), set()
    for batch in fed(dataset, positives):
        for row, (index, second) in enumerate(batch[FRAME_POSITIONS][:, :, 0].T.long().tolist()):
            assert index == batch["index"][row] and second != index and batch[PARTNERED][row] == 1
            assert torch.equal(batch["views"][1, row], dataset[second]["image"].float())
            assert dataset.groups[index] == dataset.groups[second]
            apart = abs(int(dataset.stamps[index]) - int(dataset.stamps[second])) / SECOND
            metres = np.linalg.norm(dataset.poses[index, :3] - dataset.poses[second, :3])
            found = {
                "time": topics[index] == topics[second] and apart <= 1.5,
                "camera": topics[index] != topics[second] and apart <= 0.05,
                "place": metres <= 0.6,
            }
            assert any(found.values()) if kind == "any" else found[kind]
            kinds |= {name for name, true in found.items() if true}
    assert kind in kinds or len(kinds) == 3


def test_batches_go_on_anywhere_and_are_the_same_in_any_process(robot: Path) -> None:
    dataset = ShardDataset(robot)
    positives = PositivePairs(Frames.of(dataset), PairSettings("any"), negatives=True)
    whole = fed(dataset, positives)
    late = fed(dataset, positives, start=5, workers=2)
    halves = [fed(dataset, positives, rank=rank, processes=2) for rank in range(2)]
    for one, other in zip(whole[5:], late, strict=True):
        assert torch.equal(one["views"], other["views"]) and torch.equal(
            one[FRAME_POSITIONS], other[FRAME_POSITIONS]
        )
    for one, first, second in zip(whole, *halves, strict=True):
        assert torch.equal(one["views"], torch.cat([first["views"], second["views"]], dim=1))
    seen = {tuple(pair) for batch in whole for pair in batch[FRAME_POSITIONS][:, :, 0].T.tolist()}
    assert len(seen) > len(dataset) * 0.8, "a frame gets another partner in another pass"


def test_images_without_a_partner_show_themselves_twice(robot: Path) -> None:
    """Every other frame of one camera: none is within a second and a half of another."""
    dataset = ShardDataset(robot)
    own = np.flatnonzero(np.array(dataset.rows["topic"].to_pylist()) == COLOR)
    some = Chosen(dataset, [*own[:3], *own[3::2]])
    positives = find_positive_pairs(some, PairSettings("time", seconds=1.5), "x", negatives=False)
    assert positives is not None and positives.share() == pytest.approx(4 / len(some))
    for batch in fed(some, positives, batch=4):
        assert FRAME_POSITIONS not in batch, "a method without negatives needs no places"
        for row, partnered in enumerate(batch[PARTNERED].tolist()):
            first, second = batch["views"][:, row]
            assert torch.equal(first, second) != bool(partnered)


class Damaged(Chosen):
    def __getitem__(self, index: int, /) -> Any:
        if index == 1:
            raise FrameError("damaged", "image is damaged")
        return super().__getitem__(index)


def test_a_partner_that_cannot_be_read_gives_way_to_the_image(robot: Path) -> None:
    damaged = Damaged(ShardDataset(robot), [0, 1])
    order = Order(2, 1, 0)
    with pytest.raises(PerceptionError, match="no frame of 'x' has a partner"):
        find_positive_pairs(damaged, PairSettings("time", seconds=0.1), "x", negatives=True)
    positives = PositivePairs(
        Frames.of(damaged.images).at(damaged.indices), PairSettings("any"), negatives=True
    )
    for batch in islice(batches(damaged, AsTheyAre(), order, positives=positives), 2):
        # Number 1 gives way to number 0, whose partner is number 1.
        first, second = batch["views"][:, 0]
        assert batch["index"].tolist() == [0] and torch.equal(first, second)
        assert batch[PARTNERED].tolist() == [0] and int(batch[UNREADABLE]) in (1, 2)
        assert batch[FRAME_POSITIONS][:, 0, 0].tolist() == [0, 0]


def test_no_partner_comes_from_what_is_kept_back(robot: Path) -> None:
    recipe = recipe_of(
        {"method": "simclr", "data": {"path": str(robot), "held_out": 0.25, "pairs": {"kind": "any"}}}
    )
    data = open_data(recipe)
    positives = positive_pairs_in(recipe, data)
    assert positives is not None and data.held is not None
    learned, dataset = data.learned, ShardDataset(robot)
    assert isinstance(learned, Chosen) and len(learned) < len(dataset)
    for batch in fed(learned, positives):
        for row, number in enumerate(batch[FRAME_POSITIONS][1, :, 0].long().tolist()):
            own = dataset[int(learned.indices[number])]["image"].float()
            assert torch.equal(batch["views"][1, row], own)


def test_tables_of_negatives_are_made_in_strips_and_are_the_definition(monkeypatch: Any) -> None:
    rng = np.random.default_rng(2)
    count = 40
    stamps = (rng.integers(0, 60, count) * SECOND + START).astype(np.int64)
    places = np.where(rng.random(count)[:, None] < 0.3, np.nan, rng.random((count, 3)) * 8)
    sources = rng.integers(0, 2, count)
    frames = Frames(stamps, sources, sources, places, places, sources % 1)
    for seconds, metres in ((10.0, 2.0), (0.0, 2.0), (10.0, 0.0), (0.0, 0.0)):
        apart = np.abs(stamps[:, None] - stamps) / SECOND
        near = np.eye(count, dtype=bool) | ((sources[:, None] == sources) & (apart < seconds))
        near |= np.linalg.norm(places[:, None] - places, axis=-1) < metres
        where = frames.where(seconds, metres)
        assert torch.equal(may_be_negatives(where, where), torch.from_numpy(~near))
        monkeypatch.setattr(negative_mask, "STRIP", 130)
        assert torch.equal(NegativeMask(where)(7, 31), torch.from_numpy(~near)[7:31])


# What a recipe may say.


@pytest.mark.parametrize(
    ("method", "pairs", "said"),
    [
        ("simclr", {"kind": "tim"}, "'data.pairs.kind' cannot be 'tim'; did you mean 'time'"),
        ("simclr", {"second": 1}, "unknown key 'data.pairs.second'; did you mean 'seconds'"),
        ("simclr", {"kind": "time", "seconds": 0}, "'data.pairs.seconds' must be above 0"),
        ("simclr", {"kind": "time", "seconds": 20}, "'data.pairs.apart_seconds' 10 is less than the 20"),
        ("simclr", {"kind": "any", "apart_metres": 0}, "'data.pairs.apart_metres' 0 is less than the 0.5"),
        ("simclr", {"apart_seconds": -2}, "'data.pairs.apart_seconds' must not be negative"),
        ("byol", {"apart_seconds": 5}, "byol has none"),
        ("mae", {"kind": "time"}, "mae takes one of an image"),
        ("clip", {"kind": "time"}, "clip takes one of an image"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(method: str, pairs: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        recipe_of({"method": method, "data": {"pairs": pairs}})
    assert said in str(refusal.value)


def test_data_without_what_is_asked_for_is_refused_with_a_remedy(tmp_path: Path) -> None:
    for number in range(4):
        Image.fromarray(image(number)).save(tmp_path / f"{number}.png")
    blind = [one for one in drive(6) if "tf" not in one.topic]
    extract([write(tmp_path / "bag", blind)], tmp_path / "set", KEEP_ALL, workers=1)

    def refusal(path: Path, **pairs: Any) -> str:
        recipe = recipe_of({"method": "simclr", "data": {"path": str(path), "held_out": 0, "pairs": pairs}})
        with pytest.raises(PerceptionError) as found:
            positive_pairs_in(recipe, open_data(recipe))
        return str(found.value)

    assert "needs the times of frames" in refusal(tmp_path, kind="time")
    assert "needs the times of frames" in refusal(tmp_path, apart_seconds=3)
    assert "kind=place needs poses" in refusal(tmp_path / "set", kind="place")
    assert "apart_metres needs poses" in refusal(tmp_path / "set", kind="time", apart_metres=1)
    assert "needs two cameras" in refusal(tmp_path / "set", kind="camera")
    assert "no frame of" in refusal(tmp_path / "set", kind="time", seconds=0.3)
    assert "no two frames" in refusal(tmp_path / "set", kind="time")
    for pairs in ({"kind": "time", "apart_seconds": 2.0}, {"kind": "any", "apart_seconds": 2.0},
                  {"apart_seconds": 3.0}):  # fmt: skip
        found = find_positive_pairs(
            ShardDataset(tmp_path / "set"), PairSettings(**pairs), "x", negatives=True
        )
        assert found is not None and found.sentences()
    assert find_positive_pairs(ShardDataset(tmp_path / "set"), PairSettings(), "x", negatives=True) is None


# Runs.

RUNS = {
    "simclr": ["data.pairs.kind=any", "data.pairs.apart_seconds=2", "data.pairs.apart_metres=0.75"],
    "byol": ["data.pairs.kind=camera"],
    "dino": ["data.pairs.kind=time"],
    "dinov2": ["data.pairs.kind=place"],
    "clip": ["data.pairs.apart_seconds=2.5"],
    "siglip": ["data.pairs.apart_metres=1"],
}


def recipe_for(method: str, data: Path, output: Path, *changes: str) -> PretrainRecipe:
    every = ["checkpoints.every=2", "measure.every=0", "optimisation.precision=float32"]
    settings = [*SMALL, *every, *OPTIONS.get(method, []), f"data.path={data}", f"output={output}"]
    return read_recipe(OWN[f"{method}_scratch"], [*settings, *changes])


def end_of(folder: Path, step: int = 5) -> Snapshot:
    return read_snapshot(Checkpoints(folder / "checkpoints", 2).path_of(step))


@pytest.mark.parametrize("method", RUNS)
def test_a_run_that_broke_off_ends_as_one_that_did_not(
    robot: Path, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ["optimisation.steps=5", *RUNS[method]]
    assert start(recipe_for(method, robot, tmp_path / "whole", *changes)) == "finished"
    assert start(recipe_for(method, robot, tmp_path / "plain", "optimisation.steps=5")) == "finished"
    real = Trainer.step

    def breaks_off(self: Trainer, batch: Any) -> Any:
        if self.step_count == 3:
            raise RuntimeError("the plug was pulled")
        return real(self, batch)

    monkeypatch.setattr(Trainer, "step", breaks_off)
    with pytest.raises(RuntimeError, match="plug"):
        start(recipe_for(method, robot, tmp_path / "cut", *changes))
    monkeypatch.undo()
    assert end_of(tmp_path / "cut", 2).step == 2 and resume(tmp_path / "cut") == "finished"
    assert same(end_of(tmp_path / "whole"), end_of(tmp_path / "cut"))
    assert not same(end_of(tmp_path / "whole"), end_of(tmp_path / "plain")), "pairs changed what was learned"
    log = read_log(tmp_path / "whole" / "log.jsonl")
    assert all(np.isfinite(line["loss"]) for line in log)
    # A frame just before what is kept back may have its only partner beyond.
    shares = [line.get("share with a partner", 0.0) for line in log]
    assert min(shares) > 0.7 if "kind" in RUNS[method][0] else max(shares) == 0.0


def test_caching_gradients_gives_the_run_of_the_whole_batch(robot: Path, tmp_path: Path) -> None:
    losses = []
    for part in (0, 2):
        changes = [*RUNS["simclr"], "options.batch_norm=false", f"optimisation.micro_batch={part}"]
        start(recipe_for("simclr", robot, tmp_path / str(part), *changes))
        losses.append([line["loss"] for line in read_log(tmp_path / str(part) / "log.jsonl")])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_what_the_rules_make_of_the_data_is_told_before_a_run(robot: Path, tmp_path: Path) -> None:
    said = check(recipe_for("simclr", robot, tmp_path, "data.pairs.kind=time", "data.pairs.apart_metres=0"))
    assert "100% of the images have a partner (time)" in said
    # Within 10 s is all of one recording, which leaves the pairs across the two.
    left_out = float(said.partition("(time)\npairs: ")[2].partition("%")[0])
    assert 45 < left_out < 50 and "no negatives: nearer than 10 s or 0 m" in said
    near = recipe_for("simclr", robot, tmp_path, "data.pairs.kind=time", "data.pairs.apart_metres=10")
    assert "lower data.pairs.apart_* to learn from more" in check(near)


_COMMAND = [sys.executable, "-m", "perception_contrast.cli.main", "train"]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}


def _settings(recipe: str, changes: list[str]) -> list[str]:
    sets = [one for change in changes for one in ("--set", change)]
    return ["run", "--recipe", str(OWN[recipe]), *sets]


@pytest.mark.slow
def test_killed_and_resumed_equals_never_killed(robot: Path, tmp_path: Path) -> None:
    # With more threads PyTorch adds up in another order than the process that is killed.
    changes = ["optimisation.steps=40", "optimisation.threads=1", "checkpoints.every=2", "measure.every=0"]
    changes += RUNS["simclr"]
    start(recipe_for("simclr", robot, tmp_path / "whole", *changes))
    cut = tmp_path / "cut"
    arguments = _settings(
        "simclr_scratch",
        [*SMALL, "optimisation.precision=float32", *changes, f"data.path={robot}", f"output={cut}"],
    )
    process = subprocess.Popen([*_COMMAND, *arguments], env=_environment())
    log = cut / "log.jsonl"
    while process.poll() is None and (not log.is_file() or log.read_text().count("\n") < 5):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert resume(cut) == "finished"
    assert same(end_of(tmp_path / "whole", 40), end_of(cut, 40))


@pytest.mark.slow
def test_two_processes_run_as_one(robot: Path, tmp_path: Path) -> None:
    start(recipe_for("simclr", robot, tmp_path / "one", *RUNS["simclr"]))
    both = tmp_path / "two"
    changes = [*SMALL, "measure.every=0", "optimisation.precision=float32", *RUNS["simclr"],
               f"data.path={robot}", f"output={both}"]  # fmt: skip
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m",
              "perception_contrast.cli.main", "train"]  # fmt: skip
    done = subprocess.run(
        [*launch, *_settings("simclr_scratch", changes)],
        env=_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (
        [line["loss"] for line in read_log(folder / "log.jsonl")] for folder in (tmp_path / "one", both)
    )
    assert one == pytest.approx(two, rel=1e-4)


def test_a_real_kitchen(shared: Path, tmp_path: Path) -> None:
    """Partners and negatives of real camera paths, told anew from the poses by scipy; and a run on them."""
    extract([shared / "data" / "kitchen_rgbd"], tmp_path / "set", KEEP_ALL, workers=1)
    dataset = ShardDataset(tmp_path / "set")
    settings = PairSettings("any", seconds=0.7, metres=0.4, degrees=20, apart_seconds=3, apart_metres=0.5)
    positives = find_positive_pairs(dataset, settings, "kitchen", negatives=True)
    assert positives is not None and len(dataset) == 50
    turns = Rotation.from_quat(dataset.poses[:, 3:])
    looks = turns.apply([0.0, 0.0, 1.0])  # optical frame
    angles = np.degrees(np.arccos(np.clip(looks @ looks.T, -1, 1)))
    metres = np.linalg.norm(dataset.poses[:, None, :3] - dataset.poses[:, :3], axis=-1)
    seconds = np.abs(dataset.stamps[:, None] - dataset.stamps) / SECOND
    positive = (seconds <= 0.7) | ((metres <= 0.4) & (angles <= 20))
    near = (seconds < 3) | (metres < 0.5)
    assert (positive & (seconds > 3)).any(), "the camera comes back to a place"
    for batch in fed(dataset, positives, batch=10):
        first, second = batch[FRAME_POSITIONS][:, :, 0].long().numpy()
        assert positive[first, second].all() and not np.any(
            (first == second) & (batch[PARTNERED] == 1).numpy()
        )
        views = batch[FRAME_POSITIONS].flatten(0, 1)
        numbers = views[:, 0].long().numpy()
        assert np.array_equal(~may_be_negatives(views, views).numpy(), near[np.ix_(numbers, numbers)])
    changes = ["data.pairs.kind=any", "data.pairs.seconds=0.7", "data.pairs.apart_seconds=3",
               "data.pairs.apart_metres=0.5"]  # fmt: skip
    assert start(recipe_for("simclr", tmp_path / "set", tmp_path / "run", *changes)) == "finished"
    log = read_log(tmp_path / "run" / "log.jsonl")
    assert all(0 < line["loss"] < 10 and line["share with a partner"] > 0.7 for line in log)
