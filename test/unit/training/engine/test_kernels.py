"""What makes a device faster changes no number that matters, and a run goes on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_methods import FIRST, SIZE, images, small_vit

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.pretraining_recipe import read_recipe
from perception_contrast_training.config.run_settings import Optimisation, require_sane
from perception_contrast_training.config.shipped_recipes import recipe_path
from perception_contrast_training.engine.checkpoint import StoredSnapshot, read_snapshot, write_snapshot
from perception_contrast_training.engine.kernels import compile_backbones
from perception_contrast_training.engine.overlap import overlapped
from perception_contrast_training.engine.resume import restore
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.methods.simclr import Simclr, SimclrSettings
from perception_contrast_training.networks.backbones import BackboneSettings, make_backbone


def trainer_of(**changes: Any) -> Trainer:
    torch.manual_seed(0)
    method = Simclr(make_backbone(BackboneSettings("test_resnet", size=SIZE)), SimclrSettings(dim=8))
    settings = Optimisation(steps=6, batch=4, learning_rate=1e-3, warm_up=1, **changes)
    return Trainer(method, settings, epoch_steps=3, seed=1)


def steps(trainer: Trainer, numbers: range) -> list[float]:
    batches = (images(2, 4, 3, SIZE, SIZE, seed=n, dtype=torch.float32) for n in numbers)
    return [trainer.step({"views": views}).figures["loss"] for views in batches]


@pytest.mark.parametrize(
    "changes", [{"fused": "always"}, {"channels_last": "always"}, {"fused": "always", "optimiser": "sgd"}]
)
def test_faster_kernels_take_the_same_steps(changes: dict[str, Any]) -> None:
    plain = {key: value for key, value in changes.items() if key == "optimiser"}
    expected, found = trainer_of(**plain), trainer_of(**changes)
    assert steps(found, range(4)) == pytest.approx(steps(expected, range(4)), rel=2e-4)
    options = found.optimiser.param_groups[0]
    assert bool(options["fused"]) == ("fused" in changes)
    # On a CPU nothing is switched on by itself: runs that began before go on to the same bits.
    assert not expected.optimiser.param_groups[0]["fused"]


def test_a_run_with_channels_last_and_fused_moments_goes_on_to_the_bit(tmp_path: Path) -> None:
    """Files hold plain tensors; moments get the layout of their weights back, as fused kernels want it."""
    faster = {"fused": "always", "channels_last": "always"}
    whole = trainer_of(**faster)
    expected = steps(whole, range(6))
    cut = trainer_of(**faster)
    steps(cut, range(3))
    write_snapshot(tmp_path / "a.safetensors", cut.snapshot())
    again = trainer_of(**faster)
    restore(again, StoredSnapshot(tmp_path / "a.safetensors", read_snapshot(tmp_path / "a.safetensors")))
    assert steps(again, range(3, 6)) == expected[3:]
    for name, value in whole.module.state_dict().items():
        assert torch.equal(again.module.state_dict()[name], value), name
    for parameter, slots in again.optimiser.state.items():
        assert slots["exp_avg"].stride() == parameter.stride()


def test_a_compiled_backbone_keeps_names_values_and_gradients() -> None:
    """By the tracer alone, which takes seconds; the kernels that it leads to are PyTorch's."""
    torch.manual_seed(0)
    plain = Simclr(small_vit(), SimclrSettings(dim=8, batch_norm=False))
    torch.manual_seed(0)
    compiled = Simclr(small_vit(), SimclrSettings(dim=8, batch_norm=False))
    compiled.load_state_dict(plain.state_dict())
    compile_backbones(compiled, "default", backend="aot_eager")
    batch = {"views": images(2, 3, 3, SIZE, SIZE, dtype=torch.float32)}
    losses = []
    for method in (plain, compiled):
        loss = method.loss(batch, FIRST).total
        loss.backward()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    for (name, one), other in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        if one.grad is not None and other.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_choices_that_cannot_be_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"optimisation.fused.*lars"):
        require_sane(Optimisation(steps=1, fused="always", optimiser="lars"))
    with pytest.raises(RecipeError, match=r"optimisation.compile"):
        read_recipe(recipe_path("simclr_scratch"), ["optimisation.compile=fast"])
    with pytest.raises(RecipeError, match=r"data.views"):
        read_recipe(recipe_path("simclr_scratch"), ["data.views=gpu"])
    method: Any = None
    assert overlapped(method, Optimisation(), 1) is None
    assert overlapped(method, Optimisation(overlap="never"), 4) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_gets_its_kernels_by_itself() -> None:
    from perception_contrast_training.engine.distributed import Processes

    torch.manual_seed(0)
    method = Simclr(make_backbone(BackboneSettings("test_resnet", size=SIZE)), SimclrSettings(dim=8))
    settings = Optimisation(steps=6, batch=4, precision="bfloat16", warm_up=1)
    trainer = Trainer(method, settings, epoch_steps=3, processes=Processes(device=torch.device("cuda", 0)))
    assert trainer.optimiser.param_groups[0]["fused"]
    assert method.backbone.network.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    steps(trainer, range(2))
