"""VICReg, Barlow Twins and SwAV of examples/methods: beside lightly's losses, whole and in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightly.loss
import pytest
import torch
from example_methods import NAMES, method_module
from small_methods import FIRST, gradients, images, largest_difference, small_vit, step
from torch import Tensor

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.engine.grad_cache import cached_backward
from perception_contrast_training.engine.trainer import split
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.networks.batch_norm import BatchNorm
from perception_contrast_training.views.view_transform import BackboneInput

vicreg, barlow_twins, swav = map(method_module, NAMES)
Loss = Callable[..., Tensor]


def value_and_gradients(loss: Loss, *given: Tensor) -> tuple[float, dict[str, Tensor | None]]:
    tensors = [one.clone().requires_grad_() for one in given]
    total = loss(*tensors)
    total.backward()
    return float(total.detach()), {str(n): one.grad for n, one in enumerate(tensors)}


def require_alike(ours: Loss, theirs: Loss, *given: Tensor) -> None:
    (one, mine), (other, yours) = value_and_gradients(ours, *given), value_and_gradients(theirs, *given)
    assert one == pytest.approx(other, rel=1e-12)
    assert largest_difference(mine, yours) < 1e-12


@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (10.0, 5.0, 3.0)])
def test_vicregs_loss_is_lightlys(weights: tuple[float, float, float]) -> None:
    first = images(24, 16)
    second = first + 0.3 * images(24, 16, seed=2)
    theirs = lightly.loss.VICRegLoss(*weights)
    require_alike(lambda a, b: vicreg.vicreg_loss(a, b, *weights), theirs, first, second)


def test_barlow_twins_loss_is_lightlys() -> None:
    first = images(24, 16) * torch.linspace(0.1, 4, 16) + 1
    second = first + 0.3 * images(24, 16, seed=2)
    require_alike(barlow_twins.barlow_twins_loss, lightly.loss.BarlowTwinsLoss(), first, second)


@pytest.mark.parametrize("queued", [0, 9])
def test_swavs_loss_is_lightlys(queued: int) -> None:
    """Of two large views and three small ones, with and without a queue."""
    scores = [0.3 * images(20, 12, seed=seed) for seed in range(5)]
    queue = [0.3 * images(queued, 12, seed=9 + view) for view in range(2)] if queued else None

    def ours(*views: Tensor) -> Tensor:
        codes = [swav.codes_of(views[n], 0.05, 3, queue and queue[n]) for n in range(2)]
        return swav.swapped_prediction(views, codes, 0.1) / 20

    def theirs(*views: Tensor) -> Tensor:
        return lightly.loss.SwaVLoss()(list(views[:2]), list(views[2:]), queue).squeeze()

    require_alike(ours, theirs, *scores)


def small(name: str, **more: Any) -> Any:
    """A small one in float64, without batch norm."""
    settings: dict[str, dict[str, Any]] = {
        "vicreg": {"hidden": 16, "dim": 12},
        "barlow_twins": {"hidden": 16, "dim": 12},
        "swav": {"hidden": 16, "dim": 8, "prototypes": 6, "frozen_epochs": 0.0},
    }
    kind = method_module(name).KIND
    torch.manual_seed(1)
    made = kind.make(small_vit(), kind.settings(**{"batch_norm": False, **settings[name], **more}))
    return made.double()


def batch_of(name: str, rows: int = 8) -> dict[str, Tensor]:
    if name != "swav":
        return {"views": images(2, rows, 3, 16, 16)}
    return {"globals": images(2, rows, 3, 16, 16), "locals": images(3, rows, 3, 8, 8, seed=2)}


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_in_parts_has_the_gradient_of_the_whole(name: str) -> None:
    whole, parts, batch = small(name), small(name), batch_of(name)
    losses = whole.loss(batch, FIRST)
    losses.total.backward()
    found = cached_backward(parts, list(split(batch, 2)))
    assert float(found.total) == pytest.approx(float(losses.total.detach()), rel=1e-9)
    # Positions of small crops are resampled in float32; gradients are of up to a hundred.
    assert largest_difference(gradients(parts), gradients(whole)) < (1e-6 if name == "swav" else 1e-11)
    with pytest.raises(RecipeError, match="batch_norm: false"):
        cached_backward(small(name, batch_norm=True).train(), list(split(batch, 2)))


def test_swav_keeps_unit_prototypes_and_the_newest_vectors() -> None:
    method = small("swav", queue=10, queue_epochs=0.0)
    before = method.prototypes.weight.detach().clone()
    step(method, batch_of("swav"))
    assert not bool(method.queue[0, -1].any()), "not full yet"
    step(method, batch_of("swav"))
    assert bool(method.queue[:, -1].any()) and not torch.equal(before, method.prototypes.weight)
    length = method.prototypes.weight.norm(dim=1)
    torch.testing.assert_close(length, torch.ones_like(length))
    vectors = method.embed(batch_of("swav"))["large"].detach()
    without = method._codes(vectors[:, 0], 0)
    method.queue_counts.fill_(0.0)
    assert not torch.allclose(without, method._codes(vectors[:, 0], 0)), "the queue counts"
    step(small("swav", frozen_epochs=9.0), batch_of("swav"))


def test_swavs_prototypes_stay_at_first() -> None:
    method = small("swav", frozen_epochs=9.0)
    before = method.prototypes.weight.detach().clone()
    step(method, batch_of("swav"))
    torch.testing.assert_close(method.prototypes.weight.detach(), before)


def test_biases_of_barlow_twins_learn_slowly_where_lars_does_not_scale_them() -> None:
    method = small("barlow_twins")
    assert {group.rate for group in method.groups()} == {1.0}, "a ViT is moved by AdamW"
    method.backbone.is_vit = False
    assert {(group.rate, group.decay) for group in method.groups()} == {(1.0, 1.0), (0.024, 0.0)}


@pytest.mark.parametrize("name", NAMES)
def test_few_small_images_change_the_published_settings_with_reasons(name: str) -> None:
    kind = method_module(name).KIND
    published = kind.settings()
    assert kind.fit_to_data(published, Scale(1_281_167, 4096, 100))[0] == published
    small_ones, said = kind.fit_to_data(published, Scale(2000, 128, 20, 32))
    assert small_ones != published and all(": " in sentence for sentence in said) and len(said) >= 2
    assert kind.fit_to_data(small_ones, Scale(2000, 128, 20, 32)) == (small_ones, [])


@pytest.mark.parametrize("name", NAMES)
def test_views_repeat_and_heads_have_batch_norm(name: str) -> None:
    kind = method_module(name).KIND
    views = kind.views(kind.settings().views, BackboneInput(16, 4, (0.5,) * 3, (0.5,) * 3))
    image = (images(3, 20, 24).abs() * 80).clamp(0, 255).to(torch.uint8)
    one, other = (views(image, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    norms = [part for part in small(name, batch_norm=True).head if isinstance(part, BatchNorm)]
    assert len(norms) == (1 if name == "swav" else 2)
