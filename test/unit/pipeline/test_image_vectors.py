"""The vector of a whole image at its model's own input size: against open_clip, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import clip_towers
import numpy as np
import open_clip
import pytest
import torch
from frame_checks import exact, noise
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from perception_contrast.core.errors import FrameError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.clip import ClipTower
from perception_contrast.encoders.load_encoders import ClipLanguage, Encoders
from perception_contrast.engines.encoder_session import EncoderSession
from perception_contrast.models.image_text_models import LANGUAGE_MODELS
from perception_contrast.models.specs import ModelSpec
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.preprocessing.device_images import DeviceImages, Target
from perception_contrast.text.base import TextEncoder
from perception_contrast.text.clip_text_encoder import ClipTextEncoder

EMBEDDING = OutputRequest(embedding=True)
SIZES = ((60, 90), (135, 97), (64, 64), (480, 640))


class Numbers(TextEncoder):
    """Texts of towers whose tokenizer is published apart: a vector that follows from the bytes."""

    wording = ""

    def __init__(self, tower: ClipTower) -> None:
        self.model, self.space, self.dim = tower.model, tower.space, tower.dim

    def canonical(self, text: str) -> str:
        return text

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = [np.random.default_rng(list(text.encode())).standard_normal(self.dim) for text in texts]
        stacked = np.array(rows, np.float32).reshape(-1, self.dim)
        return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)


def pipeline_of(tower: ClipTower, **settings: Any) -> Pipeline:
    text = ClipTextEncoder(tower) if tower.family == "clip" else Numbers(tower)
    encoders = Encoders(tower.backbone, ClipLanguage(tower, text), "cpu")
    return Pipeline(encoders, PipelineSettings(**settings), precision="fp32")


def by_open_clip(tower: ClipTower, image: np.ndarray) -> np.ndarray:
    """open_clip's own preparation of a picture, and its network's vector."""
    spec = tower.spec
    settings = PreprocessCfg(
        size=spec.size,
        mean=spec.mean,
        std=spec.std,
        interpolation=spec.interpolation,
        resize_mode="squash" if spec.squash else "shortest",
    )
    prepared = image_transform_v2(settings, is_train=False)(Image.fromarray(image))[None]
    with torch.inference_mode():
        if spec.family == "tips":
            visual = tower.network.visual  # timm's network and a layer
            vector = visual.head(visual.trunk.forward_features(prepared)[:, 0])
            return np.asarray(torch.nn.functional.normalize(vector, dim=-1)[0])
        if spec.family == "dinotxt":
            visual = tower.network.visual  # the class token beside the mean of the patches
            x = visual.head.norm(
                torch.nn.Sequential(*visual.head.blocks)(visual.trunk.forward_features(prepared))
            )
            vector = torch.cat([x[:, 0], x[:, 5:].mean(1)], dim=-1)
            return np.asarray(torch.nn.functional.normalize(vector, dim=-1)[0])
        return np.asarray(tower.network.encode_image(prepared, normalize=True)[0])


@pytest.mark.parametrize("kind", sorted(clip_towers.TOWERS))
def test_the_vector_is_open_clips_whatever_the_input_of_the_dense_features(kind: str) -> None:
    tower = clip_towers.TOWERS[kind]()
    for size in SIZES:
        frame = noise(*size)
        expected = by_open_clip(tower, frame.image)
        for settings in ({"short_side": 112}, {"short_side": 160, "tile": 64}):
            found = pipeline_of(tower, **settings).process(frame, EMBEDDING).embedding
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_classification_compares_that_vector() -> None:
    tower, frame = clip_towers.small_clip(), noise(90, 160)
    pipeline = pipeline_of(tower, short_side=128)
    labels = ["mug", "sofa"]
    expected = by_open_clip(tower, frame.image)
    texts = pipeline.query_encoder.embed_texts(labels)
    np.testing.assert_allclose(pipeline.classify(frame, labels).cosines, texts @ expected, atol=1e-4)
    plain = open_clip.SimpleTokenizer()(labels)
    with torch.inference_mode():
        own = tower.network.encode_text(plain, normalize=True).numpy()
    found = pipeline.image_text_similarity(frame, labels).cosines
    np.testing.assert_allclose(found, own @ expected, atol=1e-4)


def test_of_a_strip_only_the_middle_counts() -> None:
    tower, strip = clip_towers.small_clip(), noise(16, 3000)
    middle = Frame(strip.image[:, 1484:1516])
    vectors = [pipeline_of(tower).process(one, EMBEDDING).embedding for one in (strip, middle)]
    expected = by_open_clip(tower, strip.image)
    np.testing.assert_allclose(vectors[0], expected, atol=1e-4)
    assert vectors[0] @ vectors[1] > 0.99


@pytest.mark.parametrize("squash", [False, True])
def test_a_batch_of_frames_of_several_sizes_gives_each_its_own_vector(squash: bool) -> None:
    tower = clip_towers.small_siglip() if squash else clip_towers.small_clip()
    pipeline = pipeline_of(tower, short_side=112)
    frames = [noise(*size, seed=seed) for seed, size in enumerate((*SIZES, SIZES[0]))]
    for frame, result in zip(frames, pipeline.process_batch(frames, EMBEDDING), strict=True):
        assert not isinstance(result, Exception) and result.embedding is not None
        np.testing.assert_allclose(result.embedding, by_open_clip(tower, frame.image), atol=1e-4)
    with pytest.raises(FrameError):
        pipeline.process(Frame(np.zeros((0, 5, 3), np.uint8)), EMBEDDING)


def counted(pipeline: Pipeline, request: Callable[[], object], monkeypatch: Any) -> list[tuple[int, ...]]:
    """The sizes of the inputs that are encoded for a request."""
    seen: list[tuple[int, ...]] = []
    run = EncoderSession.run

    def noted(session: EncoderSession, images: torch.Tensor) -> Any:
        seen.append(tuple(images.shape[-2:]))
        return run(session, images)

    with monkeypatch.context() as patch:
        patch.setattr(EncoderSession, "run", noted)
        request()
    return seen


def test_the_pass_is_made_only_where_the_vector_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, frame = pipeline_of(clip_towers.small_clip(), short_side=80), noise(60, 90)
    dense, own = (80, 128), (64, 64)
    semantic = OutputRequest(semantic_features=True)
    both = OutputRequest(semantic_features=True, embedding=True)
    asked = {
        lambda: pipeline.process(frame, semantic): [dense],
        lambda: pipeline.process(frame, EMBEDDING): [own],
        lambda: pipeline.process(frame, both): [dense, own],
        lambda: pipeline.classify(frame, ["mug", "sofa"]): [own],
        lambda: pipeline.image_text_similarity(frame, ["mug"]): [own],
        lambda: pipeline.extract_features(frame): [dense],
    }
    for request, expected in asked.items():
        assert counted(pipeline, request, monkeypatch) == expected


@pytest.mark.parametrize("kind", ["lit", "none"])
def test_one_pass_still_gives_all_where_a_model_takes_any_size(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = exact(kind)
    both = OutputRequest(features=True, embedding=True)
    assert len(counted(pipeline, lambda: pipeline.process(noise(), both), monkeypatch)) == 1


def published(spec: ModelSpec) -> list[dict[str, Any]]:
    """What open_clip says of the weights of a model of its list."""
    if spec.hub is None or spec.family == "tips":
        return []
    arch = spec.arch.removesuffix("-quickgelu")
    found = []
    for name in {spec.arch, arch, f"{arch}-quickgelu"}:
        for tag in list_pretrained_tags_by_model(name):
            settings = get_pretrained_cfg(name, tag)
            if (
                settings.get("hf_hub", "").strip("/").removesuffix("/open_clip_model.safetensors")
                == spec.hub.repo
            ):
                found.append(settings)
    return found


def test_images_are_brought_to_that_size_as_open_clip_says() -> None:
    checked = 0
    for spec in LANGUAGE_MODELS:
        for settings in published(spec):
            mode = "squash" if spec.squash else "shortest"
            assert (settings["resize_mode"], settings["interpolation"]) == (mode, spec.interpolation), (
                spec.name
            )
            checked += 1
    assert checked > 40


@pytest.mark.parametrize("target", [(64, 64), (300, 97), (480, 640)])
def test_the_bilinear_filter_of_a_device_is_pillows(target: tuple[int, int]) -> None:
    frame = noise(240, 321)
    plain = ((0.0,) * 3, (1.0,) * 3)
    made = DeviceImages("cpu", by_torch=True).prepare(frame.image, "rgb8", [Target(target, *plain, True)])[0]
    theirs = Image.fromarray(frame.image).resize(target[::-1], Image.Resampling.BILINEAR)
    assert np.array_equal(np.rint(made[0].permute(1, 2, 0).numpy() * 255), np.asarray(theirs))


def tiles_seen(tower: ClipTower, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> list[tuple[int, ...]]:
    pipeline = pipeline_of(tower, max_tokens=4096, **settings)
    request = OutputRequest(semantic_features=True)
    return counted(pipeline, lambda: pipeline.process(noise(60, 90), request), monkeypatch)


@pytest.mark.parametrize("kind", ["clip", "siglip", "tips"])
def test_learned_positions_see_tiles_of_their_size_by_default(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small towers learned 64 pixels; a tile has 128 at least, 8 patches."""
    tower = clip_towers.TOWERS[kind]()
    assert tiles_seen(tower, monkeypatch, short_side=96) == [(96, 144)], "1.5 times is seen as a whole"
    tiled = tiles_seen(tower, monkeypatch, short_side=160)
    assert len(tiled) > 1 and set(tiled) == {(128, 128)}
    assert tiles_seen(tower, monkeypatch, short_side=160, tile=0) == [(160, 240)]
    assert set(tiles_seen(tower, monkeypatch, short_side=160, tile=144)) == {(144, 144)}
    whole, automatic, asked = (
        pipeline_of(tower, max_tokens=4096, short_side=160, **settings)
        .extract_features(noise(60, 90))
        .semantic
        for settings in ({"tile": 0}, {}, {"tile": 128})
    )
    np.testing.assert_array_equal(automatic.values, asked.values)
    assert automatic.shape == whole.shape and np.abs(automatic.values - whole.values).max() > 1e-3


def test_rotary_positions_and_images_alone_are_seen_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tiles_seen(clip_towers.small_pe(), monkeypatch, short_side=160) == [(160, 240)]
    for kind in ("lit", "none"):
        pipeline = exact(kind)
        pipeline.configure(PipelineSettings(short_side=560, max_tokens=4096))
        request = partial(pipeline.process, noise(), OutputRequest(features=True))
        assert counted(pipeline, request, monkeypatch) == [(560, 840)]
    tiled = {spec.family for spec in LANGUAGE_MODELS if spec.tile}
    assert tiled == {"clip", "siglip", "metaclip2", "tips"}
    assert all(spec.tile in (0, spec.size) for spec in LANGUAGE_MODELS)
