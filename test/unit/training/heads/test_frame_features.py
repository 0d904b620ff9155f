"""Features of frames that heads of several tasks share in one cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_models import encoders_of

from perception_contrast_training.distillation.feature_cache import FeatureCache
from perception_contrast_training.heads import frame_features
from perception_contrast_training.heads.frame_features import FrameEncoder


@pytest.mark.parametrize("first", ["detection", "segmentation", "classification"])
def test_a_classification_has_its_vector_whatever_was_trained_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    encoders = replace(encoders_of("lit"), language=None)
    monkeypatch.setattr(frame_features, "load_encoders", lambda *_, **__: encoders)
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    cache = FeatureCache(tmp_path, 1.0)
    for task in (first, "classification", "detection"):
        encoder = FrameEncoder("x", "none", task, cache=cache)  # type: ignore[arg-type]
        found = encoder.features(image, 56)
        encoder.close()
        assert found.grid.shape[-1] == encoder.dim
        if task == "classification":
            assert found.pooled.shape == (encoder.dim,)
