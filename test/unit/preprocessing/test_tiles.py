"""Windows over a large image: where they lie, and that their grids join without seams."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import small_clip, small_dino
from torch import Tensor

from perception_contrast.encoders.encoder_graph import graph_of
from perception_contrast.preprocessing.tiles import automatic_tile, run_in_windows, starts_of, window_of

PATCH = 4


def own_colours(images: Tensor) -> Mapping[str, Tensor]:
    """An encoder to whom a patch is its mean colour, whatever surrounds it."""
    cells = torch.nn.functional.avg_pool2d(images, PATCH).permute(0, 2, 3, 1)
    return {"tokens": cells, "cls": cells.mean(dim=(1, 2))}


class Numbered:
    """An encoder to whom every window is one number: that of the call."""

    def __init__(self, finer: int = 1) -> None:
        self.calls, self._finer = 0, finer

    def __call__(self, images: Tensor) -> Mapping[str, Tensor]:
        self.calls += 1
        rows, columns = (self._finer * side // PATCH for side in images.shape[-2:])
        return {"tokens": torch.full((1, rows, columns, 1), float(self.calls - 1))}


@given(st.integers(1, 200), st.data(), st.floats(0, 0.5))
def test_windows_cover_everything_and_overlap_as_asked(
    total: int, data: st.DataObject, overlap: float
) -> None:
    window = data.draw(st.integers(1, total))
    starts = starts_of(total, window, overlap)
    assert starts[0] == 0 and starts[-1] == total - window
    steps = [b - a for a, b in pairwise(starts)]
    assert all(0 < step <= window for step in steps)
    if window > 1:
        # Rounding to whole cells may take one cell of the overlap.
        assert all(window - step >= int(overlap * window) - 1 for step in steps)


def test_a_window_is_no_larger_than_the_image_and_whole_in_patches() -> None:
    assert window_of((480, 640), 16, 0) == (480, 640)
    assert window_of((480, 640), 16, 250) == (240, 240)
    assert window_of((160, 640), 16, 250) == (160, 240)
    assert window_of((480, 640), 16, 1) == (128, 128), "with fewer patches nothing is seen as a whole"


@pytest.mark.parametrize("side", [0, 64, 1000])
def test_one_window_that_covers_the_image_is_the_image(side: int) -> None:
    graph = graph_of(small_clip())
    images = torch.randn(1, 3, 64, 64)

    def run(source_images: Tensor) -> Mapping[str, Tensor]:
        return dict(zip(graph.names, graph(source_images), strict=True))

    expected = run(images)
    found = run_in_windows(run, images, 16, side or 0, 0.25, graph.unit_names)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("size", [(64, 64), (40, 100), (36, 132)])
def test_an_encoder_without_surroundings_sees_the_same_through_windows(
    size: tuple[int, int], overlap: float
) -> None:
    images = torch.randn(2, 3, *size)
    whole = own_colours(images)
    parts = run_in_windows(own_colours, images, PATCH, 32, overlap)
    torch.testing.assert_close(parts["tokens"], whole["tokens"])
    assert parts["cls"].shape == whole["cls"].shape


@pytest.mark.parametrize("finer", [1, 2])
def test_joins_are_continuous(finer: int) -> None:
    """Two windows that disagree as much as can be: from one to the other in small steps."""
    run = Numbered(finer)
    row = run_in_windows(run, torch.zeros(1, 3, 32, 48), PATCH, 32, 0.5)["tokens"][0, 0, :, 0]
    assert run.calls == 2 and len(row) == 12 * finer
    steps = row.diff()
    assert row[0] == 0 and row[-1] == 1 and (steps >= 0).all()
    shared = 4 * finer
    # The steepest step of a cosine over so many cells; a hard join would be a step of 1.
    assert steps.max() < torch.pi / 2 / shared + 1e-3


def test_without_overlap_joins_are_hard() -> None:
    row = run_in_windows(Numbered(), torch.zeros(1, 3, 32, 64), PATCH, 32, 0.0)["tokens"][0, 0, :, 0]
    assert row.diff().max() == 1


@pytest.mark.parametrize("overlap", [0.1, 0.3, 0.5])
def test_every_window_has_its_place(overlap: float) -> None:
    """Numbers fall into the range of the windows that cover a cell, in both directions."""
    run = Numbered()
    grid = run_in_windows(run, torch.zeros(1, 3, 64, 96), PATCH, 32, overlap)["tokens"][0, ..., 0]
    assert grid.shape == (16, 24)
    assert grid[0, 0] == 0 and grid[-1, -1] == pytest.approx(run.calls - 1)
    assert (grid.diff(dim=1) >= -1e-5).all() and (grid.diff(dim=0) >= -1e-5).all()


def test_joined_unit_vectors_are_unit_and_raw_ones_stay_raw() -> None:
    for tower, side in ((small_clip(), 16), (small_dino(), 14)):
        graph = graph_of(tower)
        images = torch.randn(1, 3, 12 * side, 15 * side)
        seen = run_in_windows(
            lambda source_images, g=graph: dict(zip(g.names, g(source_images), strict=True)),
            images,
            side,
            8 * side,
            0.3,
            graph.unit_names,
        )
        for name, values in seen.items():
            assert values.isfinite().all()
            unit = torch.allclose(values.norm(dim=-1), torch.ones(values.shape[:-1]), atol=1e-5)
            assert unit == (name in graph.unit_names) == (name in ("dense", "image")), name


def test_much_larger_inputs_are_tiled_by_themselves_where_positions_are_learned() -> None:
    assert automatic_tile((336, 448), 224) == 0 and automatic_tile((352, 480), 224) == 224
    assert automatic_tile((384, 4096), 384) == 0, "the shorter side decides"
    assert automatic_tile((2048, 2048), 0) == 0
