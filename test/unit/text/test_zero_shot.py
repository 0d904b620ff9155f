"""Whole images against texts: probabilities against transformers, scores against the papers' equations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clip_towers import small_clip, small_siglip
from clip_twins import clip_twin, siglip_twin
from small_models import encoders_of

from perception_contrast.core.frame import Frame
from perception_contrast.encoders.clip import ClipTower
from perception_contrast.encoders.load_encoders import ClipLanguage, Encoders
from perception_contrast.models.logit_scale import LogitScale
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.text.clip_text_encoder import ClipTextEncoder, text_preprocessing
from perception_contrast.text.prompt_templates import PLAIN
from perception_contrast.text.zero_shot import probabilities

LABELS = ("red mug", "sofa", "the floor", "two dogs")


def noise(seed: int = 0, size: tuple[int, int] = (64, 64)) -> Frame:
    return Frame(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def siglip_words(folder: Path) -> Path:
    """A tokenizer of a few words in SigLIP 2's layout."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = ["<pad>", "<eos>", "<unk>", "red", "mug", "sofa", "the", "floor", "two", "dogs"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"pad_token": "<pad>", "eos_token": "<eos>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder / "tokenizer.json"


def pipeline_around(tower: ClipTower, templates: tuple[str, ...]) -> Pipeline:
    language = ClipLanguage(tower, ClipTextEncoder(tower, templates))
    settings = PipelineSettings(short_side=tower.spec.size)
    return Pipeline(Encoders(tower, language, "cpu"), settings, precision="fp32")


def towers(folder: Path) -> dict[str, tuple[ClipTower, Any]]:
    clip, siglip = small_clip(), small_siglip()
    siglip.tokenizer_file = siglip_words(folder)
    siglip.network.logit_scale.fill_(3.0)
    siglip.network.logit_bias.fill_(-1.5)
    return {"clip": (clip, clip_twin), "siglip": (siglip, siglip_twin)}


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_probabilities_equal_those_of_transformers(family: str, tmp_path: Path) -> None:
    tower, twin_of = towers(tmp_path)[family]
    twin, frame = twin_of(tower.network, tmp_path), noise()
    found = pipeline_around(tower, PLAIN).classify(frame, LABELS)
    pixels = torch.from_numpy(frame.image).permute(2, 0, 1)[None] / 255.0
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (tower.mean, tower.std))
    ids = text_preprocessing(tower).tokenize(LABELS)
    with torch.no_grad():
        logits = twin(input_ids=ids, pixel_values=(pixels - mean) / std).logits_per_image[0]
    expected = logits.softmax(-1) if family == "clip" else logits.sigmoid()
    assert np.ptp(expected.numpy()) > 1e-3, "all alike would prove nothing"
    np.testing.assert_allclose(found.probabilities, expected.numpy(), atol=2e-4)
    assert found.independent == (family == "siglip") and found.labels == LABELS
    assert found.space == tower.space


@pytest.mark.parametrize("bias", [None, -10.0])
def test_probabilities_stay_finite_at_any_scale(bias: float | None) -> None:
    cosines = np.array([1.0, -1.0, 0.0], np.float32)
    shares = probabilities(cosines, LogitScale(1e4, bias))
    assert np.isfinite(shares).all() and shares[0] == pytest.approx(1.0) and shares[1] == pytest.approx(0.0)


def test_scale_and_bias_are_the_networks() -> None:
    clip, siglip = small_clip(), small_siglip()
    assert clip.logit_scale == LogitScale(pytest.approx(1 / 0.07, rel=1e-5), None)
    assert siglip.logit_scale.bias == pytest.approx(siglip.network.logit_bias.item())
    assert encoders_of("lit").language.logit_scale.bias is None
