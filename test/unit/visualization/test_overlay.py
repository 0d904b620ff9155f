"""Images for people: what is drawn where, and that odd input draws too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.visualization.overlay import caption, label_colour, overlay, to_ascii
from perception_contrast.visualization.pca import PcaRenderer


def detection(label: str, box: tuple[int, int, int, int]) -> Detection:
    mask = np.ones((box[3] - box[1], box[2] - box[0]), bool)
    return Detection(label, Scores(0.3, 0.6, 0.87), box, mask)


def grid_of(values: np.ndarray, size: tuple[int, int]) -> FeatureGrid:
    shape = values.shape[0], values.shape[1]
    return FeatureGrid(values.astype(np.float32), "m", "m@1", GridToImage.of_resize(size, shape), size)


def test_a_mask_is_tinted_and_the_original_is_kept() -> None:
    image = np.full((200, 300, 3), 100, np.uint8)
    drawn = overlay(image, [detection("mug", (50, 80, 150, 180))], {"mug": 3})
    assert (image == 100).all() and drawn.shape == image.shape
    towards = np.sign(np.array(label_colour(3)) - 100)
    assert (np.sign(drawn[170, 100].astype(int) - 100) == towards).all()
    assert (drawn[190, 200:] == 100).all() and (drawn[:60, 200:] == 100).all()


def test_a_large_surface_stays_visible_and_a_small_thing_is_tinted_more() -> None:
    image = np.full((480, 640, 3), 100, np.uint8)
    things = [detection("wall", (0, 0, 640, 400)), detection("cup", (20, 420, 60, 460))]
    drawn = overlay(image, things, {"wall": 3, "cup": 3}).astype(int)
    wall, cup = (np.abs(drawn[y, x] - 100).max() for y, x in ((20, 600), (450, 50)))
    assert 0 < wall <= 10 and cup >= 3 * wall


def test_the_caption_names_the_track_and_the_probability_where_it_is_wished_for() -> None:
    one = detection("mug", (0, 0, 9, 9))
    assert caption(one) == "mug" and caption(one, scores=True) == "mug 0.87"
    assert caption(replace(one, track_id="12")) == "mug #12"


def test_the_best_dozen_is_drawn() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    boxes = [(20 + 40 * n, 200, 50 + 40 * n, 230) for n in range(15)]
    found = [
        replace(detection("mug", box), scores=Scores(0.3, 0.6, 0.9 - 0.01 * n)) for n, box in enumerate(boxes)
    ]
    drawn = overlay(image, list(reversed(found)), {"mug": 3})
    shown = [bool(drawn[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].any()) for x0, y0, x1, y1 in boxes]
    assert shown == [True] * 12 + [False] * 3


def test_a_notice_is_written_along_the_lower_border_alone() -> None:
    image = np.full((480, 640, 3), 200, np.uint8)
    drawn = overlay(image, [], {}, notice="unlike the images that the model was trained on")
    assert (drawn[:440] == 200).all() and (drawn[470:].mean() < 100)


@pytest.mark.parametrize("label", ["☕ mug", "кружка", "x" * 512, "{}%s\\"])
@pytest.mark.parametrize("size", [(1, 1), (3, 900), (64, 48)])
def test_any_label_on_any_image(label: str, size: tuple[int, int]) -> None:
    drawn = overlay(np.zeros((*size, 3), np.uint8), [detection(label, (0, 0, size[1], size[0]))], {label: 1})
    assert drawn.shape == (*size, 3) and drawn.dtype == np.uint8


@pytest.mark.parametrize(
    ("label", "shown"), [("Tür", "Tur"), ("cafe\u0301 1/2", "cafe 1/2"), ("кот", "???"), ("mug %s", "mug %s")]
)
def test_accents_are_left_out_rather_than_letters(label: str, shown: str) -> None:
    assert to_ascii(label) == shown


def test_numbers_have_colours_apart() -> None:
    colours = np.array([label_colour(n) for n in range(1, 13)], int)
    gaps = np.abs(colours[:, None] - colours[None]).sum(-1) + 1000 * np.eye(12, dtype=int)
    assert gaps.min() > 30


def test_principal_colours_show_the_strongest_direction_and_stay_put() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.05, (20, 30, 16))
    values[:, 15:] += rng.normal(size=16)
    colours = PcaRenderer()
    first = colours(grid_of(values, (400, 600))).astype(int)
    assert first.shape == (400, 600, 3)
    left, right = first[:, :280].mean((0, 1)), first[:, 320:].mean((0, 1))
    assert np.abs(left - right).max() > 150
    for _ in range(5):
        again = colours(grid_of(values + rng.normal(0, 0.01, values.shape), (400, 600))).astype(int)
    strongest = int(np.abs(left - right).argmax())
    assert np.sign((again[:, :280] - again[:, 320:].mean()).mean((0, 1))[strongest]) == np.sign(
        (left - right)[strongest]
    )


@pytest.mark.parametrize("shape", [(1, 1, 8), (1, 9, 8), (4, 5, 8)])
def test_blank_features_draw_too(shape: tuple[int, int, int]) -> None:
    colours = PcaRenderer()
    for values in (np.zeros(shape), np.random.default_rng(0).normal(size=shape), np.ones(shape)):
        assert colours(grid_of(values, (30, 700))).shape == (27, 640, 3)
