"""What the measurements of training compare: steps of the other libraries on the same weights and inputs."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_methods import FIRST, PATCHES, SIZE, gradients, images, largest_difference, small_vit

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.bench.learning import command, words
from perception_contrast_training.bench.learning.captioned_images import photographs
from perception_contrast_training.bench.learning.command import Budget
from perception_contrast_training.bench.learning.images_alone import Images as ImagesBudget
from perception_contrast_training.bench.learning.open_clip_loss import OpenClipLoss
from perception_contrast_training.bench.learning.pieces import Deadline, OutOfTimeError, Steps
from perception_contrast_training.bench.learning.results import Results
from perception_contrast_training.bench.learning.words import Words
from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.household.close_ups import CloseUps, close_ups, things, write_table
from perception_contrast_training.methods.byol import Byol, ByolSettings
from perception_contrast_training.methods.dino import Dino, DinoSettings
from perception_contrast_training.methods.dinov2 import Dinov2, Dinov2Settings
from perception_contrast_training.methods.mae import Mae, MaeSettings
from perception_contrast_training.methods.simclr import Simclr, SimclrSettings
from perception_contrast_training.networks.backbones import BackboneSettings

FEW = CloseUps(things=3, looks=1, views=2, size=32, offline=True)


@pytest.mark.parametrize("name", ["clip", "siglip", "lit"])
def test_losses_of_open_clip_in_the_same_loop_have_the_same_gradients(name: str) -> None:
    torch.manual_seed(0)
    tower = BackboneSettings("vit_tiny_patch16_224", size=16, patch=8, width=24, depth=1, heads=3)
    method, _ = words.made(name, Words(tower=tower, frozen=tower), 8)
    batch = {"image": torch.randn(8, 3, 16, 16), "text": [f"thing number {n}" for n in range(8)]}
    ours = method.double()
    batch["image"] = batch["image"].double()
    found = ours.loss(batch, FIRST)
    found.total.backward()
    expected = {k: None if v is None else v.clone() for k, v in gradients(ours).items()}
    ours.zero_grad()
    theirs = OpenClipLoss(ours).loss(batch, FIRST)
    theirs.total.backward()
    assert float(theirs.total.detach()) == pytest.approx(float(found.total.detach()), abs=1e-9)
    assert largest_difference(gradients(ours), expected) < 1e-9


HEADS = {"prototypes": 16, "hidden": 16, "bottleneck": 8, "frozen_epochs": 1.0}
OURS: dict[str, Any] = {
    "simclr": lambda: Simclr(small_vit(), SimclrSettings(dim=8)),
    "byol": lambda: Byol(small_vit(), ByolSettings(momentum=0.9, hidden=20, dim=12)),
    "dino": lambda: Dino(small_vit(), DinoSettings(**HEADS, warm_up_epochs=1.5, momentum=0.9)),
    # As lightly has it: centred, for its patches too.
    "dinov2": lambda: Dinov2(small_vit(), Dinov2Settings(**HEADS, warm_up_epochs=1.5, sinkhorn=0)),
    "mae": lambda: Mae(small_vit(), MaeSettings(width=24, depth=1, heads=2)),
}


def batch_of(name: str, seed: int) -> dict[str, torch.Tensor]:
    if name in ("simclr", "byol"):
        return {"views": images(2, 8, 3, SIZE, SIZE, seed=seed)}
    if name == "mae":
        noise = torch.rand(8, PATCHES, generator=torch.Generator().manual_seed(seed))
        return {"image": images(8, 3, SIZE, SIZE, seed=seed), "noise": noise}
    found = {
        "globals": images(2, 8, 3, SIZE, SIZE, seed=seed),
        "locals": images(2, 8, 3, 8, 8, seed=seed + 100),
    }
    if name == "dinov2":
        found["masks"] = torch.rand(2, 8, PATCHES, generator=torch.Generator().manual_seed(seed)) < 0.4
    return found


@pytest.mark.parametrize("name", OURS)
def test_methods_of_lightly_take_our_steps_from_the_same_weights(name: str) -> None:
    """Ten steps of AdamW with clipping, targets, centres and running statistics included.

    What is left are biases of lightly's BYOL, which are held, and that its KoLeo counts a distance otherwise.
    """
    pytest.importorskip("lightly")
    from perception_contrast_training.bench.learning.lightly_methods import lightly_method

    ours = OURS[name]()
    theirs: Any = lightly_method(name, copy.deepcopy(ours))
    if name == "byol":
        for head in (theirs.projector, theirs.predictor, theirs.target_projector):
            head.layers[3].bias.requires_grad_(False)
    optimisation = Optimisation(steps=10, batch=8, learning_rate=1e-2, warm_up=2, clip=1.0)
    trainers = [Trainer(method.double(), optimisation, epoch_steps=5) for method in (ours, theirs)]
    losses, norms = [], []
    for number in range(10):
        steps = [trainer.step(batch_of(name, number)) for trainer in trainers]
        losses.append([step.figures["loss"] for step in steps])
        norms.append(steps[0].figures["gradient norm"])
    assert name == "mae" or max(norms) > optimisation.clip, "the gradient's size counts as well"
    bound = 1e-5 if name == "dinov2" else 1e-7
    assert max(abs(a - b) for a, b in losses) < bound
    mine, other = ours.exported().state_dict(), theirs.exported().state_dict()
    for key, value in mine.items():
        torch.testing.assert_close(other[key], value, rtol=0, atol=100 * bound)


def tiny_budget() -> Budget:
    """Of a few steps on little networks; the tables are the same."""
    tower = BackboneSettings("vit_tiny_patch16_224", size=32, patch=8, width=24, depth=1, heads=3)
    nets = {"vit_tiny": tower, "resnet18": BackboneSettings("test_resnet", size=32)}
    few = Steps(3, 8)
    heads = {"mae": {"width": 24, "depth": 1, "heads": 2}}
    return Budget(
        ImagesBudget(few, Steps(1, 8), 24, 12, nets, heads), Words(Steps(3, 4), tower, tower, dim=8)
    )


def folder_of_images(path: Path) -> Path:
    """Three classes of 12 coloured images."""
    from perception_contrast.images.files import save_image

    chance = np.random.default_rng(0)
    for place, name in enumerate(("cup", "hat", "pen")):
        for number in range(12):
            rgb = chance.integers(0, 120, (32, 32, 3), dtype=np.uint8)
            rgb[..., place] += 100
            save_image(path / name / f"{number}.png", rgb)
    return path


def test_cells_go_on_where_they_stopped_and_fill_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In pieces of one step each the figures are those of one piece; what cannot be run is named."""
    data, page = folder_of_images(tmp_path / "images"), tmp_path / "page.md"
    page.write_text("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n")
    choice = ["--seeds", "0", "--methods", "mae", "clip", "--on", "vit_tiny", "photographs", "--threads", "1"]
    given = [*choice, "--data", str(data), "--photographs", str(data)]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert command.main([*given, "--output", str(whole), "--makers", "ours"], tiny_budget()) == 0
    done = [0]

    def after_a_step(self: Deadline) -> None:
        done[0] += 1
        if done[0] % 5 == 0:
            raise OutOfTimeError

    monkeypatch.setattr(Deadline, "check", after_a_step)
    again = [*choice, "--makers", "ours", "--output", str(parts), "--page", str(page)]
    assert command.main([*given, "--makers", "ours", "--output", str(parts)], tiny_budget()) == 0
    capsys.readouterr()
    for _ in range(20):
        # Where the images are is known from the first call.
        assert command.main(again, tiny_budget()) == 0
        if "all cells are run" in capsys.readouterr().out:
            break
    found = [json.loads((one / "results.json").read_text())["cells"] for one in (whole, parts)]
    assert found[0].keys() == found[1].keys() == {"clip-photographs-0-ours", "mae-vit_tiny-0-ours"}
    for key, figures in found[0].items():
        assert found[1][key]["end"] == figures["end"], key
    assert done[0] > 10 and not any((parts / "cells").iterdir())
    text = page.read_text()
    assert text.startswith("before") and text.endswith("after\n") and "old" not in text
    assert (
        "| mae, fine-tuned " in text and "87.8" in text and "not run yet" in text and "2 of 84 cells" in text
    )


def test_figures_of_another_budget_are_not_mixed(tmp_path: Path) -> None:
    results = Results(tmp_path / "r.json", {"steps": 3}, tmp_path / "locks")
    results.add("one", {"end": {}})
    with pytest.raises(PerceptionError, match=r"another budget \(steps differ\)"):
        Results(tmp_path / "r.json", {"steps": 4}, tmp_path / "locks").read()
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(PerceptionError, match="no file of results"):
        results.read()


def test_figures_outlive_a_setting_that_networks_got_later() -> None:
    assert Budget().noted()["networks"]["resnet18"] == {"name": "resnet18", "size": 32}


def test_two_processes_do_not_take_the_same_cell(tmp_path: Path) -> None:
    results = Results(tmp_path / "r.json", {}, tmp_path / "locks")
    with results.own("one") as first, results.own("one") as second, results.own("two") as other:
        assert first and not second and other
    with results.own("one") as free:
        assert free
        results.add("one", {"end": {}})
    with results.own("one") as free:
        assert not free


def test_close_ups_show_what_their_captions_say(tmp_path: Path) -> None:
    """The same seed gives the same images; a table that is whole is not made again."""
    pytest.importorskip("mujoco")
    try:
        first = list(close_ups(FEW, 3))
    except PerceptionError as error:
        pytest.skip(f"nothing can be rendered here: {error}")
    again = list(close_ups(FEW, 3))
    assert [one.concept for one in first] == [one.concept for one in again]
    assert all((a.rgb == b.rgb).all() for a, b in zip(first, again, strict=True))
    assert [one.concept.name for one in first] == [one.name for one in things(3)] * 2
    table = write_table(tmp_path / "few", FEW, 3, plain=True)
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert all(row["class"] in row["caption"] for row in rows) and len(rows) == len(first)
    stamp = table.stat().st_mtime_ns
    assert write_table(tmp_path / "few", FEW, 3, plain=True).stat().st_mtime_ns == stamp
    with pytest.raises(PerceptionError, match="other settings"):
        write_table(tmp_path / "few", FEW, 4, plain=True)


def test_figures_of_captions_stand_beside_chance(tmp_path: Path) -> None:
    """Images of one caption count once in retrieval, all of them in zero-shot."""
    data = photographs(folder_of_images(tmp_path))
    assert len(data.learned) == 27 and len(data.asked) == 9 and data.asked.classes == ("cup", "hat", "pen")
    assert data.asked[0]["text"] == "a photo of a cup" and "\n" in data.learned[0]["text"]
    torch.manual_seed(0)
    method, _ = words.made("clip", tiny_budget().words, 4)
    found = words.figures(method, data)
    assert found["zero-shot chance"] == found["R@1 chance"] == pytest.approx(1 / 3)
    with pytest.raises(PerceptionError, match="no classes to make captions of"):
        photographs(tmp_path / "cup")
