"""What the measurements of training compare: steps of the other libraries on the same weights and inputs."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_methods import FIRST, SIZE, gradients, images, largest_difference, small_vit

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.bench.captions import Budget, OpenClipLoss, figures, report, small_method
from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.data.datasets.tables import TableDataset
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.household.close_ups import CloseUps, close_ups, things, write_table
from perception_contrast_training.methods.byol import Byol, ByolSettings
from perception_contrast_training.methods.mae import Mae, MaeSettings

FEW = CloseUps(things=3, looks=1, views=2, size=32, offline=True)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_losses_of_open_clip_in_the_same_loop_have_the_same_gradients(name: str) -> None:
    torch.manual_seed(0)
    method, _ = small_method(name, 16, Budget(batch=8), 8)
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


def test_mae_of_lightly_has_our_loss_on_the_same_weights() -> None:
    pytest.importorskip("lightly")
    from perception_contrast_training.bench.lightly_methods import lightly_method

    settings = MaeSettings(width=24, depth=1, heads=2)
    theirs: Any = lightly_method("mae", small_vit(), settings).double()
    ours = Mae(copy.deepcopy(theirs.backbone), MaeSettings(width=24, depth=1, heads=2, start="own")).double()
    decoder = theirs.decoder.state_dict()
    renamed = {"embed": "decoder_embed", "blocks": "decoder_blocks", "norm": "decoder_norm"}
    renamed["pixels"] = "decoder_pred"
    state = {
        key: decoder[".".join([renamed.get(key.split(".")[0], key.split(".")[0]), *key.split(".")[1:]])]
        for key in ours.decoder.state_dict()
    }
    state["mask_token"] = state["mask_token"].flatten()
    ours.decoder.load_state_dict(state)
    patches = (SIZE // theirs.backbone.patch) ** 2
    batch = {"image": images(4, 3, SIZE, SIZE), "noise": torch.rand(4, patches)}
    expected = theirs.loss(batch, FIRST).total.detach()
    assert float(ours.loss(batch, FIRST).total.detach()) == pytest.approx(float(expected), abs=1e-6)


def test_byol_of_lightly_takes_our_steps_from_the_same_weights() -> None:
    """Ten steps of AdamW with clipping, target and batch norm included: what is left is lightly's biases."""
    pytest.importorskip("lightly")
    from perception_contrast_training.bench.lightly_methods import lightly_method

    settings = ByolSettings(momentum=0.9, hidden=20, dim=12)
    ours = Byol(small_vit(), settings)
    theirs: Any = lightly_method("byol", copy.deepcopy(ours.backbone), settings)
    for name in ("projector", "predictor", "target_projector"):
        layers = getattr(theirs, name).layers
        layers.load_state_dict(getattr(ours, name).state_dict(), strict=False)
        torch.nn.init.zeros_(layers[3].bias).requires_grad_(False)
    optimisation = Optimisation(steps=10, batch=8, learning_rate=1e-2, warm_up=2, clip=3.0)
    trainers = [Trainer(method.double(), optimisation, epoch_steps=5) for method in (ours, theirs)]
    losses, norms = [], []
    for number in range(10):
        steps = [trainer.step({"views": images(2, 8, 3, SIZE, SIZE, seed=number)}) for trainer in trainers]
        losses.append([step.figures["loss"] for step in steps])
        norms.append(steps[0].figures["gradient norm"])
    assert max(norms) > optimisation.clip, "the gradient's size counts as well as its direction"
    assert max(abs(a - b) for a, b in losses) < 1e-9
    for name in ("backbone", "target_backbone", "projector", "target_projector", "predictor"):
        mine, other = (dict(getattr(method, name).state_dict()) for method in (ours, theirs))
        for key, value in mine.items():
            there = other[key if "backbone" in name else f"layers.{key}"]
            torch.testing.assert_close(there, value, rtol=0, atol=1e-8)


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
    from perception_contrast.images.files import save_image

    rows = []
    for number, name in enumerate(["cup", "cup", "hat", "pen"]):
        rgb = torch.randint(0, 256, (16, 16, 3), dtype=torch.uint8).numpy()
        save_image(tmp_path / f"{number}.png", rgb)
        rows.append({"path": f"{number}.png", "caption": f"a {name}", "class": name})
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    method, _ = small_method("clip", 16, Budget(batch=2), 4)
    found = figures(method, TableDataset(tmp_path / "t.jsonl"))
    assert found["zero-shot chance"] == found["R@1 chance"] == pytest.approx(1 / 3)
    told = report({"ours clip 0": found | {"pairs per second": 9.0}})
    assert "| chance" in told and "0.333" in told
