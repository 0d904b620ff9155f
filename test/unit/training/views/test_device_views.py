"""Views made later, of many images at once, from the same draws: what the workers would have made."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.transforms import v2

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.data.loading.batches import batches, collate
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.methods.registry import METHODS
from perception_contrast_training.views import device_pixels, pixels
from perception_contrast_training.views.batch import SOURCES
from perception_contrast_training.views.device_views import (
    DeviceViews,
    DrawnViews,
    made_on_device,
    place_of_views,
)
from perception_contrast_training.views.draws import Draws
from perception_contrast_training.views.planned_views import MOST_SIDE, bounded
from perception_contrast_training.views.simclr import SimclrViews, SimclrViewSettings
from perception_contrast_training.views.view_transform import BackboneInput, ViewTransform

PLAIN = BackboneInput(32, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
CPU = torch.device("cpu")
LEVEL = 1 / 255


def photograph(height: int, width: int, seed: int) -> torch.Tensor:
    """Smooth colours with edges, as cameras give them."""
    chance = torch.Generator().manual_seed(seed)
    small = torch.rand(3, 6, 8, generator=chance)
    large = v2.functional.resize(small, [height, width], v2.InterpolationMode.BILINEAR, antialias=True)
    large[:, height // 3 :, width // 2 :] = 1 - large[:, height // 3 :, width // 2 :]
    return (large * 255).to(torch.uint8)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# A student's view is named by its pixels, so the workers make it.
@pytest.mark.parametrize("name", [name for name in METHODS if name != "distill"])
def test_views_made_later_are_those_of_the_workers(name: str) -> None:
    """Images of other sizes, some with partners: all that is drawn is the same, pixels to a level or so."""
    kind = METHODS[name]
    views: Any = kind.views(kind.settings().views, PLAIN)
    images = [photograph(60, 80, 1), photograph(33, 47, 2), photograph(90, 64, 3), photograph(40, 40, 4)]
    others = [(photograph(50, 70, 5),), ()] if kind.paired else [(), ()]
    given = [(image, *others[number % 2]) for number, image in enumerate(images)]
    expected, drawn = [], []
    for seed, (image, *partner) in enumerate(given):
        one, other = generator(seed), generator(seed)
        expected.append(views(image, one, *partner))
        drawn.append(DrawnViews(views)(image, other, *partner))
        assert torch.equal(one.get_state(), other.get_state()), "not one draw more or fewer"
    made = DeviceViews(views, CPU)(collate(drawn))
    whole = collate(expected)
    assert made.keys() == whole.keys()
    for key, value in whole.items():
        away = (made[key].float() - value.float()).abs()
        if value.dim() < 4:
            assert torch.equal(made[key], value), key
        else:
            # A level of the crop, widened by contrast and saturation and by where a bright part turns dark.
            assert float(away.mean()) < 0.15 * LEVEL and float(away.quantile(0.995)) < 3 * LEVEL, key


@pytest.mark.parametrize("kind", [pixels.BICUBIC, pixels.BILINEAR])
def test_crops_are_torchvisions_to_a_level(kind: Any) -> None:
    images = torch.stack([photograph(70, 90, seed) for seed in range(6)])
    boxes = torch.tensor(
        [[0, 0, 70, 90], [3, 5, 8, 9], [10, 20, 33, 40], [60, 80, 10, 10], [0, 0, 1, 1], [7, 0, 50, 90]]
    )
    flip = torch.tensor([False, True, True, False, True, False])
    made = device_pixels.resized_crops(images, boxes, flip, 24, kind)
    for image, box, mirrored, one in zip(images, boxes.tolist(), flip, made, strict=True):
        cut = v2.functional.resized_crop(image, *box, [24, 24], interpolation=kind, antialias=True)
        cut = cut.flip(-1) if mirrored else cut
        assert float((one * 255 - cut.float()).abs().max()) <= 1.01
        assert torch.equal((one * 255).round(), one * 255) or torch.allclose(one * 255, (one * 255).round())


def test_each_change_is_torchvisions() -> None:
    """With a parameter of its own for each image, black, white and grey ones among them."""
    images = torch.rand(5, 3, 20, 30, generator=generator(1))
    images[1], images[2], images[3] = 0.0, 1.0, images[3, :1]
    amounts = torch.tensor([0.3, 1.7, 0.9, 1.2, 0.6], dtype=torch.float64)
    turns = torch.tensor([-0.4, 0.1, 0.5, 0.2, -0.05], dtype=torch.float64)
    theirs = (v2.functional.adjust_brightness, v2.functional.adjust_contrast, v2.functional.adjust_saturation)
    for which, change in enumerate((*theirs, v2.functional.adjust_hue)):
        given = turns if which == 3 else amounts
        made = device_pixels.adjusted(images, which, given)
        expected = torch.stack([change(i, float(by)) for i, by in zip(images, given, strict=True)])
        assert torch.allclose(made, expected, atol=2e-5), which
    soft = device_pixels.blurred(images, 9, amounts)
    expected = [
        v2.functional.gaussian_blur(i, [9, 9], [float(s)] * 2) for i, s in zip(images, amounts, strict=True)
    ]
    assert torch.allclose(soft, torch.stack(expected), atol=1e-5)
    assert torch.equal(device_pixels.solarised(images), v2.functional.solarize(images, 0.5))


def test_draws_are_distributed_as_torchvisions() -> None:
    """Share of area, ratio, factors, order and probabilities of 3,000 draws beside those of torchvision."""
    look = ViewTransform(
        32, (0.2, 0.9), PLAIN, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, blur=0.5, solarise=0.2
    )
    from perception_contrast_training.views.random_source import RandomSource

    chance = RandomSource(generator(0))
    found = Draws(torch.stack([look.draw(60, 80, chance).row() for _ in range(3000)]))
    torch.manual_seed(0)
    crop = v2.RandomResizedCrop(32, scale=(0.2, 0.9))
    colour = v2.ColorJitter(0.4, 0.4, 0.2, 0.1)
    params = [crop.make_params([torch.zeros(3, 60, 80)]) for _ in range(3000)]
    area = torch.tensor([float(p["height"] * p["width"]) for p in params])
    ours = found.boxes[:, 2] * found.boxes[:, 3]
    assert float(ours.mean()) == pytest.approx(float(area.mean()), rel=0.03)
    assert float(ours.std()) == pytest.approx(float(area.std()), rel=0.05)
    changes = [colour.make_params([]) for _ in range(3000)]
    keys = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
    theirs = torch.tensor([[p[key] for key in keys] for p in changes])
    drawn = found.colours[found.jitter]
    assert torch.allclose(drawn.mean(0).float(), theirs.mean(0), atol=0.02)
    assert torch.allclose(drawn.std(0).float(), theirs.std(0), rtol=0.05)
    first = torch.bincount(found.order[found.jitter, 0], minlength=4) / int(found.jitter.sum())
    assert torch.allclose(first, torch.full((4,), 0.25), atol=0.04)
    happened = (found.flip, found.jitter, found.grey, found.sigma > 0, found.solarise)
    for one, share in zip(happened, (0.5, 0.8, 0.2, 0.5, 0.2), strict=True):
        assert float(one.float().mean()) == pytest.approx(share, abs=0.03)
    widths = found.sigma[found.sigma > 0]
    assert float(widths.mean()) == pytest.approx(1.05, abs=0.06) and float(widths.min()) >= 0.1


class _Photographs:
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < 12:
            raise IndexError(index)
        return {"image": photograph(40 + index, 50, index), "text": f"number {index}", "label": index}


def test_batches_go_on_at_any_number_with_the_same_views() -> None:
    """What a resumed run needs: all chance follows from the place, none from the device."""
    views, order = SimclrViews(SimclrViewSettings(blur=0.0), PLAIN), Order(12, 4, 3)

    def feed(start: int) -> Any:
        images: Any = _Photographs()
        return made_on_device(batches(images, DrawnViews(views), order, start=start), views, CPU)

    source, again = feed(0), feed(2)
    for _ in range(2):
        next(source)
    torch.manual_seed(7)
    first, second = next(source), next(again)
    assert SOURCES not in first and first["text"] == second["text"]
    assert torch.equal(first["views"], second["views"]) and first["views"].shape == (2, 4, 3, 32, 32)


def test_large_images_are_shrunk_before_they_travel() -> None:
    assert bounded(torch.zeros(3, 512, 4096, dtype=torch.uint8)).shape == (3, 128, MOST_SIDE)
    small = photograph(30, 40, 0)
    assert bounded(small) is small


def test_where_views_are_made() -> None:
    views = SimclrViews(SimclrViewSettings(), PLAIN)
    gpu = torch.device("cuda", 0)
    assert place_of_views("auto", views, CPU, begun=False) == "workers"
    assert place_of_views("auto", views, gpu, begun=False) == "device"
    # A run from before there was a choice goes on as it began.
    assert place_of_views("auto", views, gpu, begun=True) == "workers"
    assert place_of_views("workers", views, gpu, begun=False) == "workers"

    def own(image: Any, generator: Any) -> Any:
        return {"image": image}

    assert place_of_views("auto", own, gpu, begun=False) == "workers"
    with pytest.raises(RecipeError, match=r"data.views.*function.*leave data.views out"):
        place_of_views("device", own, CPU, begun=False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_makes_what_the_cpu_makes() -> None:
    views = SimclrViews(SimclrViewSettings(), PLAIN)
    drawn = collate([DrawnViews(views)(photograph(60, 80, k), generator(k)) for k in range(8)])
    here, there = (DeviceViews(views, torch.device(name))(drawn)["views"] for name in ("cpu", "cuda"))
    assert float((here - there.cpu()).abs().mean()) < 0.1 * LEVEL
