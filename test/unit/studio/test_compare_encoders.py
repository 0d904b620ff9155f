"""Two encoders on one frame: likeness, clusters, attention, labels, and what the colours explain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_models import small_dino
from two_encoders import NAMES, loaded, quiet, two_small

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.images.files import decode_image_file, encode_image
from perception_contrast.visualization.pca import PcaRenderer

pytest.importorskip("nicegui")
from perception_contrast_studio.tasks.datasets.frame_sources import FrameSource
from perception_contrast_studio.tasks.encoders import compare_encoders, loaded_encoders
from perception_contrast_studio.tasks.encoders.class_attention import NoAttentionError, class_attention
from perception_contrast_studio.tasks.encoders.loaded_encoders import LoadedEncoder

SIDE = 70


@pytest.fixture(scope="module")
def two() -> dict[str, LoadedEncoder]:
    return two_small()


@pytest.fixture(autouse=True)
def known(two: dict[str, LoadedEncoder], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compare_encoders, "loaded_encoder", two.__getitem__)
    compare_encoders._kept.clear()
    yield
    compare_encoders._kept.clear()


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 255, (90, 120, 3), np.uint8)


def source_of(image: NDArray[np.uint8]) -> FrameSource:
    return FrameSource(kind="image", data=encode_image(image, ".png"), name="noise")


def test_the_cell_that_was_clicked_is_the_most_similar_for_both(picture: NDArray[np.uint8]) -> None:
    for point in ((0.1, 0.15), (0.9, 0.5)):
        views = compare_encoders.point_similarity(quiet, NAMES, source_of(picture), SIDE, point, False)
        for name, view in zip(NAMES, views, strict=True):
            rows, columns, _ = compare_encoders._kept[
                next(k for k in compare_encoders._kept if k[0] == name)
            ].shape
            assert abs(view["best"][0] - point[0]) <= 0.5 / columns + 1e-6
            assert abs(view["best"][1] - point[1]) <= 0.5 / rows + 1e-6
            assert decode_image_file(view["png"], "heat map").shape == (90, 120, 3)
    same = compare_encoders.point_similarity(quiet, NAMES, source_of(picture), SIDE, (0.5, 0.5), True)
    assert same[0]["low"] == same[1]["low"]


def test_a_point_outside_and_a_frame_without_labels_are_refused(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(PerceptionError, match="outside"):
        compare_encoders.point_similarity(quiet, NAMES, source_of(picture), SIDE, (1.5, 0.5), False)
    with pytest.raises(PerceptionError, match="no point has a label"):
        compare_encoders.propagate_labels(
            quiet, NAMES, source_of(picture), source_of(picture), SIDE, [], [], 0.0
        )


def test_labels_come_back_at_their_own_places_in_the_same_frame() -> None:
    halves = np.zeros((96, 96, 3), np.uint8)
    halves[:, 48:] = (250, 240, 20)
    found = compare_encoders.propagate_labels(
        quiet, NAMES, source_of(halves), source_of(halves), SIDE, [(0.1, 0.5), (0.9, 0.5)], [0, 1], -1.0
    )
    for view in found["views"]:
        drawn = decode_image_file(view["png"], "labels")
        assert tuple(drawn[48, 8]) == (0, 114, 178) and tuple(drawn[48, 88]) == (230, 159, 0)
    none = compare_encoders.propagate_labels(
        quiet, NAMES, source_of(halves), source_of(halves), SIDE, [(0.1, 0.5)], [0], 1.01
    )
    assert [view["note"][:2] for view in none["views"]] == ["0%", "0%"]


def test_an_encoder_agrees_with_itself(picture: NDArray[np.uint8]) -> None:
    twice = ("small-dino", "small-dino")
    views = compare_encoders.frame_views(quiet, twice, source_of(picture), SIDE, 3, False)
    assert views["agreement"] == 1.0 and views["same_clusters"] == pytest.approx(1.0)
    assert views["clusters"][0]["png"] == views["clusters"][1]["png"]
    other = compare_encoders.frame_views(quiet, NAMES, source_of(picture), SIDE, 3, True)
    assert other["agreement"] < 1.0 and other["chance"] < 1.0


def test_attention_is_what_timm_and_torch_compute(
    two: dict[str, LoadedEncoder], picture: NDArray[np.uint8]
) -> None:
    dino: Any = two["small-dino"].encoder
    weights: list[torch.Tensor] = []
    attention = dino.vit.blocks[-1].attn
    fused, attention.fused_attn = attention.fused_attn, False
    handle = attention.attn_drop.register_forward_hook(lambda module, inputs, output: weights.append(output))
    try:
        found = class_attention(dino, picture, SIDE, 64)
    finally:
        handle.remove()
        attention.fused_attn = fused
    expected = weights[0][0, :, 0, 1:].reshape(found.heads.shape)
    np.testing.assert_allclose(found.heads, expected.numpy(), atol=1e-6)

    clip: Any = two["small-clip"].encoder
    block = clip.network.visual.transformer.resblocks[0]
    entering: list[torch.Tensor] = []
    handle = block.register_forward_pre_hook(lambda module, inputs: entering.append(inputs[0]))
    found = class_attention(clip, picture, SIDE, 64, block=0)
    handle.remove()
    normed = block.ln_1(entering[0])
    _, shares = block.attn(normed, normed, normed, need_weights=True, average_attn_weights=False)
    np.testing.assert_allclose(
        found.heads, shares[0, :, 0, 1:].reshape(found.heads.shape).detach().numpy(), atol=1e-6
    )
    assert (found.block, found.blocks) == (0, 2)


def test_an_encoder_without_a_class_token_says_so(
    picture: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    dino = small_dino()
    monkeypatch.setattr(dino.vit, "cls_token", None)
    with pytest.raises(NoAttentionError, match="no class token"):
        class_attention(dino, picture, SIDE, 64)
    monkeypatch.setattr(compare_encoders, "loaded_encoder", lambda name: loaded(dino, name))
    views = compare_encoders.token_attention(quiet, NAMES, source_of(picture), SIDE, 0, -1)
    assert [view["heads"] for view in views] == [0, 0] and "no class token" in views[0]["note"]


def test_two_encoders_at_most_stay_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(loaded_encoders, "_load", lambda name: made.append(name) or name)
    loaded_encoders._loaded.clear()
    for name in ("a", "b", "a", "c", "a", "b"):
        loaded_encoders.loaded_encoder(name)
        assert len(loaded_encoders._loaded) <= loaded_encoders.MOST_LOADED
    assert made == ["a", "b", "c", "b"]
    loaded_encoders._loaded.clear()


def test_explained_variance_is_scikit_learns_and_one_scale_keeps_proportions() -> None:
    from sklearn.decomposition import PCA

    chance = np.random.default_rng(0)
    values = (chance.normal(size=(9, 12, 6)) * (5, 2, 1, 0.5, 0.2, 0.1)).astype(np.float32)
    grid = FeatureGrid(values, "m", "m@1", GridToImage.of_resize((90, 120), (9, 12)), (90, 120))
    stretched, alike = PcaRenderer(), PcaRenderer(one_scale=True)
    spreads = [np.ptp(renderer(grid).reshape(-1, 3).astype(float), axis=0) for renderer in (stretched, alike)]
    expected = PCA(3).fit(values.reshape(-1, 6)).explained_variance_ratio_
    np.testing.assert_allclose(stretched.explained, expected, rtol=1e-4)
    assert spreads[0].min() > 200 and spreads[1][0] > 200 > 2 * spreads[1][2]
