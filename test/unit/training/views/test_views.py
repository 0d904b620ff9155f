"""Views: sizes, chance from one generator alone, probabilities, masks, and torchvision's numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_teachers import know_a_tiny_teacher
from torch import Tensor
from torchvision.transforms import v2

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.methods.registry import METHODS, make_method
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.networks.backbones import BackboneSettings
from perception_contrast_training.views import VIEWED, collated, pixels
from perception_contrast_training.views.byol import ByolViews, ByolViewSettings
from perception_contrast_training.views.dino import DinoViews, DinoViewSettings
from perception_contrast_training.views.dinov2 import Dinov2Views, Dinov2ViewSettings
from perception_contrast_training.views.mae import MaeViews, MaeViewSettings
from perception_contrast_training.views.masks import block_mask
from perception_contrast_training.views.observer import CROP, SOURCE, ViewStep, observing
from perception_contrast_training.views.random_source import RandomSource
from perception_contrast_training.views.simclr import SimclrViews, SimclrViewSettings
from perception_contrast_training.views.view_transform import BackboneInput, ViewTransform

PLAIN = BackboneInput(32, 4, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
BACKBONE = BackboneSettings("vit_tiny_patch16_224", size=32, patch=4, width=24, depth=1, heads=2)


def chance(seed: int = 0) -> RandomSource:
    return RandomSource(torch.Generator().manual_seed(seed))


def photograph(height: int = 60, width: int = 80) -> Tensor:
    """A smooth coloured image, uint8, with no symmetry."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return (torch.stack([x, y, x * y]) * 200 + 20).to(torch.uint8)


@pytest.mark.parametrize("name", ["byol", "dino", "dinov2"])
def test_small_images_are_not_blurred(name: str) -> None:
    kind: Any = METHODS[name]
    (small, why), (large, _) = (
        kind.fit_to_data(kind.settings(), Scale(1000, 16, 2, side)) for side in (32, 224)
    )
    assert not any(small.views.blur) and large.views.blur == kind.settings().views.blur
    assert any("views.blur" in sentence for sentence in why)


@pytest.mark.parametrize("name", ["dino", "dinov2"])
@pytest.mark.parametrize("epochs", [0.1, 5, 300])
def test_a_teacher_is_slower_than_the_centre_that_keeps_it_from_saying_one_thing(
    name: str, epochs: float
) -> None:
    kind: Any = METHODS[name]
    fitted, _ = kind.fit_to_data(kind.settings(), Scale(8000, 128, epochs, 32))
    memory, centre = 1 / (1 - fitted.momentum), 1 / (1 - fitted.center_momentum)
    assert memory >= 9.99 * centre and fitted.momentum <= kind.settings().momentum


@pytest.mark.parametrize("name", METHODS)
def test_views_repeat_and_are_in_the_form_that_the_method_takes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    know_a_tiny_teacher(monkeypatch)
    kind = METHODS[name]
    settings, _ = kind.fit_to_data(kind.settings(), Scale(1000, 16, 2, 32))
    method, views = make_method(name, settings, BACKBONE)
    images = [photograph(), photograph(33, 47).flip(-1), torch.zeros(3, 20, 90, dtype=torch.uint8)]
    first = [views(p, torch.Generator().manual_seed(i)) for i, p in enumerate(images)]
    torch.manual_seed(99)
    again = [views(p, torch.Generator().manual_seed(i)) for i, p in enumerate(images)]
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
        assert all(value.isfinite().all() for value in one.values())
    batch: dict[str, Any] = collated(first)
    assert all(value.shape[int(key in VIEWED)] == 3 for key, value in batch.items())
    if kind.texts:
        batch["text"] = ["one", "two", "three"]
    from small_methods import FIRST

    assert torch.isfinite(method.loss(batch, FIRST).total)


@pytest.mark.parametrize("name", [name for name, kind in METHODS.items() if kind.paired])
def test_the_second_view_alone_shows_the_partner(name: str) -> None:
    """A black one of the same size, so that what is drawn stays the same."""
    kind = METHODS[name]
    _, views = make_method(name, kind.fit_to_data(kind.settings(), Scale(1000, 16, 2, 32))[0], BACKBONE)
    shown, black = photograph(), torch.zeros(3, 60, 80, dtype=torch.uint8)
    large = "globals" if "dino" in name else "views"
    for seed in range(5):
        make = lambda *given: views(given[0], torch.Generator().manual_seed(seed), *given[1:])  # noqa: B023, E731
        alone, paired, dark = make(shown), make(shown, black), make(black)
        assert torch.equal(paired[large][0], alone[large][0]) and torch.equal(
            paired[large][1], dark[large][1]
        )
        assert not torch.equal(paired[large][1], alone[large][1])
        assert all(torch.equal(paired[key], alone[key]) for key in alone.keys() - {large})


def test_views_of_one_image_differ() -> None:
    views = SimclrViews(SimclrViewSettings(), PLAIN)(photograph(), torch.Generator().manual_seed(0))["views"]
    assert views.shape == (2, 3, 32, 32) and not torch.allclose(views[0], views[1])


def test_without_chance_a_look_is_torchvisions_resize() -> None:
    look = ViewTransform(32, (1.0, 1.0), PLAIN, flip=0.0, jitter=0.0, grey=0.0)
    source_image = photograph(64, 64)
    expected = v2.functional.resize(source_image, [32, 32], v2.InterpolationMode.BICUBIC, antialias=True)
    # A square image in full is one of the crops; others have other sides.
    boxes = [pixels.crop_box(64, 64, (1.0, 1.0), chance(seed), (1.0, 1.0)) for seed in range(5)]
    assert set(boxes) == {(0, 0, 64, 64)}
    seen = pixels.cropped(source_image, (0, 0, 64, 64), 32)
    assert torch.equal(seen, expected)
    assert look.of(source_image, chance()).shape == (3, 32, 32)


def test_crops_are_drawn_as_torchvision_draws_them() -> None:
    """Mean share of the area and ratio of the sides over many draws, beside torchvision's own."""
    area, source_image = (0.2, 0.9), photograph(60, 80)
    theirs = v2.RandomResizedCrop(32, scale=area)
    torch.manual_seed(0)
    drawn = [theirs.make_params([source_image]) for _ in range(3000)]
    one = chance()
    ours = [pixels.crop_box(60, 80, area, one, (3 / 4, 4 / 3)) for _ in range(3000)]
    for measure in (lambda h, w: h * w / 4800, lambda h, w: w / h):
        expected = torch.tensor([measure(d["height"], d["width"]) for d in drawn]).mean()
        found = torch.tensor([measure(h, w) for _, _, h, w in ours]).mean()
        assert float(found) == pytest.approx(float(expected), rel=0.03)
    assert all(t >= 0 and t + h <= 60 and left >= 0 and left + w <= 80 for t, left, h, w in ours)
    # Nothing with such sides fits into a strip: the middle of it is taken.
    assert pixels.crop_box(10, 100, (1.0, 1.0), one, (3 / 4, 4 / 3)) == (0, 43, 10, 13)


@pytest.mark.parametrize("turn", [-0.4, -0.1, 0.05, 0.5])
def test_hues_and_blur_are_torchvisions(turn: float) -> None:
    image = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(1))
    expected = v2.functional.adjust_hue(image, turn)
    assert torch.allclose(pixels.turned(image, turn), expected, atol=1e-5)
    sigma = chance(4).uniform(0.1, 2.0)
    expected = v2.functional.gaussian_blur(image, [9, 9], [sigma, sigma])
    assert torch.allclose(pixels.blurred(image, 9, sigma), expected, atol=1e-5)


def test_solarised_is_torchvisions() -> None:
    image = torch.rand(3, 5, 5)
    assert torch.equal(pixels.solarised(image), v2.functional.solarize(image, 0.5))


def greys(views: Any, count: int, view: int) -> float:
    """Share of views without colour."""
    found = 0
    for seed in range(count):
        image = views(photograph(), torch.Generator().manual_seed(seed))["views"][view]
        found += bool(torch.allclose(image[0], image[1], atol=1e-5))
    return found / count


def test_a_fifth_of_views_is_grey() -> None:
    assert greys(SimclrViews(SimclrViewSettings(blur=0.0), PLAIN), 400, 0) == pytest.approx(0.2, abs=0.07)


def test_left_stays_left_and_colours_keep_their_names_when_asked() -> None:
    source_image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    source_image[0, :, 20:] = 200  # red on the right
    settings = SimclrViewSettings(flip=0.0, hue=0.0, grey=0.0, blur=0.0, area=(0.9, 1.0))
    views = SimclrViews(settings, PLAIN)
    for seed in range(40):
        for image in views(source_image, torch.Generator().manual_seed(seed))["views"]:
            assert image[0, :, 20:].mean() > image[0, :, :12].mean()
            red = image[:, :, -4:].mean((1, 2))
            assert red[0] > red[1] and float(red[1]) == pytest.approx(float(red[2]), abs=1e-4)


def test_byols_views_are_of_two_kinds() -> None:
    settings = ByolViewSettings(blur=(0.0, 0.0), solarise=(0.0, 1.0), grey=0.0, hue=0.0, area=(1.0, 1.0))
    white = torch.full((3, 40, 40), 255, dtype=torch.uint8)
    bright = [
        ByolViews(settings, PLAIN)(white, torch.Generator().manual_seed(seed))["views"].mean((1, 2, 3))
        for seed in range(10)
    ]
    assert all(first > 0.55 > 0.5 > second for first, second in bright)


def test_multi_crop_sizes() -> None:
    wanted = BackboneInput(224, 16, (0.5,) * 3, (0.5,) * 3)
    made = DinoViews(DinoViewSettings(), wanted)(photograph(), torch.Generator().manual_seed(0))
    assert made["globals"].shape == (2, 3, 224, 224) and made["locals"].shape == (8, 3, 96, 96)
    none = DinoViews(DinoViewSettings(locals=0), wanted)(photograph(), torch.Generator().manual_seed(0))
    assert set(none) == {"globals"}
    with pytest.raises(RecipeError, match="use 96"):
        DinoViews(DinoViewSettings(local_size=100), wanted)
    # A convolution takes any size.
    free = BackboneInput(32, 1, (0.5,) * 3, (0.5,) * 3)
    made = DinoViews(DinoViewSettings(), free)(photograph(), torch.Generator().manual_seed(0))
    assert made["locals"].shape == (8, 3, 14, 14)


def test_masks_hide_the_published_shares() -> None:
    """Half of the views not at all, the others from a tenth to a half of their patches."""
    wanted = BackboneInput(224, 14, (0.5,) * 3, (0.5,) * 3)
    views = Dinov2Views(Dinov2ViewSettings(locals=0), wanted)
    one = chance()
    shares = torch.tensor([float(views._mask(one).float().mean()) for _ in range(600)])
    hidden = shares[shares > 0]
    assert len(hidden) / 600 == pytest.approx(0.5, abs=0.08)
    assert hidden.min() > 0.05 and hidden.max() <= 0.5
    assert float(hidden.mean()) == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize(("rows", "columns", "hidden"), [(16, 16, 100), (4, 4, 6), (2, 2, 1), (16, 16, 0)])
def test_masks_are_blocks_and_never_too_large(rows: int, columns: int, hidden: int) -> None:
    counts = []
    for seed in range(30):
        mask = block_mask(rows, columns, hidden, chance(seed))
        assert mask.shape == (rows, columns) and int(mask.sum()) <= hidden
        counts.append(int(mask.sum()))
    assert max(counts) >= min(hidden, 1)
    if hidden == 100:
        inner = mask[1:-1, 1:-1]
        neighbours = torch.stack([mask[:-2, 1:-1], mask[2:, 1:-1], mask[1:-1, :-2], mask[1:-1, 2:]])
        assert bool((neighbours.any(0) | ~inner).all()), "a hidden patch stands alone"


def test_maes_noise_hides_other_patches_each_time() -> None:
    views = MaeViews(MaeViewSettings(), PLAIN)
    generator = torch.Generator().manual_seed(0)
    first, second = (views(photograph(), generator)["noise"] for _ in range(2))
    assert first.shape == (64,) and not torch.equal(first.argsort(), second.argsort())


@pytest.mark.parametrize("name", METHODS)
def test_views_are_the_same_when_their_steps_are_observed(name: str) -> None:
    kind: Any = METHODS[name]
    views = kind.views(kind.settings().views, PLAIN)
    plain = views(photograph(), torch.Generator().manual_seed(3))
    steps: list[ViewStep] = []
    with observing(steps.append):
        observed = views(photograph(), torch.Generator().manual_seed(3))
    assert plain.keys() == observed.keys() and all(torch.equal(plain[key], observed[key]) for key in plain)
    assert sum(step.name == SOURCE for step in steps) == sum(step.name == CROP for step in steps) > 0
    views(photograph(), torch.Generator().manual_seed(3))
    assert len(steps) < 200 and steps[-1].name != SOURCE
